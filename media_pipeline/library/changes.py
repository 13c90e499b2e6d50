"""What a change of model or threshold changes: two tables of one stage, compared.

Only what a person would see is compared: the best label, the kinds of people and animals, the
caption, on which side of its threshold a score lies, the verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from media_pipeline.errors import UsageError
from media_pipeline.library.answers import NSFW_THRESHOLD, Answer, Key, readers
from media_pipeline.library.opened import Library
from media_pipeline.recipes import stage as stage_of
from media_pipeline.tables import WHOLE


@dataclass(frozen=True)
class Item:
    """One difference.

    Attributes:
        media_id: The content.
        frame: The frame that shows it.
        subject: Of whom or what, such as the proposer of a label; may be empty.
        before: What was said.
        after: What is said now.
        evidence: The scores behind both.
    """

    media_id: str
    frame: int
    subject: str
    before: str
    after: str
    evidence: str


@dataclass(frozen=True)
class Section:
    """Differences of one sort, `gained`, `lost` or `changed`."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Tally:
    """How often something is said before and after."""

    name: str
    before: int
    after: int

    @property
    def differs(self) -> bool:
        """Whether it is said more or less often."""
        return self.before != self.after


@dataclass(frozen=True)
class Changes:
    """Everything that differs between two tables of a stage.

    Attributes:
        stage: The stage.
        contents: Contents that both tables speak of.
        compared: Things compared; a content has several where several are asked of it.
        same: Of those, how many are as they were.
        sections: Differences by sort; never one without items.
        tallies: What is said how often, the greatest difference first.
        note: What a reader must know; may be empty.
        origin, target: What the tables were made with, in words.
    """

    stage: str
    contents: int
    compared: int
    same: int
    sections: tuple[Section, ...] = ()
    tallies: tuple[Tally, ...] = ()
    note: str = ""
    origin: str = ""
    target: str = ""

    def count(self, title: str) -> int:
        """How many items a section has: `gained`, `lost` or `changed`."""
        return sum(len(one.items) for one in self.sections if one.title == title)


def compare(
    before: pa.Table, after: pa.Table, stage: str, *, nsfw_threshold: float = NSFW_THRESHOLD
) -> Changes:
    """Compare two tables of a stage over the contents that both speak of.

    Args:
        before: Rows in the stage's schema.
        after: Rows in the stage's schema.
        stage: A stage that `answers.readers` knows, or `embeddings`.
        nsfw_threshold: From which on a safety score is unsafe.

    Raises:
        UsageError: Nothing of that stage can be compared.
    """
    shared = _contents(before) & _contents(after)
    if stage == "embeddings":
        note = "Vectors of two recipes lie in two spaces: their cosine means nothing, so only "
        note += "counts are shown. Look at what is made from them: `models diff labels`."
        rows = (Tally("vectors", _vectors(before), _vectors(after)),)
        return Changes(stage, len(shared), 0, 0, tallies=rows, note=note)
    known = readers(nsfw_threshold)
    if stage not in known:
        raise UsageError(
            f"changes of {stage!r} cannot be shown: there is {', '.join([*known, 'embeddings'])}"
        )
    chosen = pa.array(sorted(shared), pa.string())
    old, new = (known[stage](_only(table, chosen)) for table in (before, after))
    return _differences(stage, len(shared), old, new)


def _differences(
    stage: str, contents: int, old: Mapping[Key, Answer], new: Mapping[Key, Answer]
) -> Changes:
    nothing = Answer(None, "nothing")
    keys = sorted(old.keys() | new.keys())
    pairs = [(key, old.get(key, nothing), new.get(key, nothing)) for key in keys]
    answered = {key[0] for key, was, now in pairs if (was.value, now.value) != (None, None)}
    pairs = [  # that nobody was asked counts only where nobody ever was
        (key, was, now)
        for key, was, now in pairs
        if key[1] or (was.value, now.value) != (None, None) or key[0] not in answered
    ]
    found: dict[str, list[Item]] = {"changed": [], "gained": [], "lost": []}
    for (media_id, subject), was, now in pairs:
        if was.value != now.value:
            sort = "gained" if was.value is None else "lost" if now.value is None else "changed"
            frame = (was if now.value is None else now).frame
            scored = was.numbers or now.numbers
            evidence = (
                f"{was.numbers or 'no score'} → {now.numbers or 'no score'}" if scored else ""
            )
            found[sort].append(Item(media_id, frame, subject, was.text, now.text, evidence))
    sections = tuple(Section(sort, tuple(items)) for sort, items in found.items() if items)
    differing = sum(len(items) for items in found.values())
    return Changes(
        stage, contents, len(pairs), len(pairs) - differing, sections, _tallies(old, new)
    )


def _tallies(old: Mapping[Key, Answer], new: Mapping[Key, Answer]) -> tuple[Tally, ...]:
    """How often each value is said; a set counts once for each of its members."""
    counts = [
        Counter(name for pair in side.items() for name in _names(*pair)) for side in (old, new)
    ]
    found = [Tally(n, counts[0][n], counts[1][n]) for n in counts[0].keys() | counts[1].keys()]
    return tuple(sorted(found, key=lambda t: (-abs(t.after - t.before), -t.after, t.name)))


def _names(key: Key, answer: Answer) -> Iterable[str]:
    if answer.value is None or not answer.is_counted:
        return ()
    values = answer.value if isinstance(answer.value, frozenset) else (answer.value,)
    return [f"{value} ({key[1]})" if key[1] else str(value) for value in values]


def _contents(table: pa.Table) -> set[str]:
    return {str(media_id) for media_id in table["media_id"].to_pylist()}


def _only(table: pa.Table, media_ids: pa.StringArray) -> pa.Table:
    return table.filter(pc.is_in(table["media_id"], value_set=media_ids))


def _vectors(table: pa.Table) -> int:
    return len(table) - int(table["vector"].null_count)


# -- which tables --------------------------------------------------------------------------------


def recipes_of(library: Library, stage: str, origin: str = "", target: str = "") -> tuple[str, str]:
    """The recipes to compare a stage under.

    Args:
        library: Opened library.
        stage: Stage name.
        origin: First digits of the recipe before; empty: the one in use, or, where that is the
            wanted one already, the one that was made last before it.
        target: First digits of the recipe after; empty: the wanted one.

    Raises:
        UnknownStage: No such stage.
        UsageError: No tables under such a recipe, or nothing to compare with.
    """
    stage_of(stage, library.stages)
    after = _recipe(library, stage, target) if target else library.recipes[stage]
    if origin:
        return _recipe(library, stage, origin), after
    before = library.ledger.active().get(stage)
    others = [recipe for recipe in _by_age(library, stage) if recipe != after]
    if before in (None, after):
        before = next(iter(others), None)
    if before is None:
        raise UsageError(
            f"{stage} was made under one recipe only ({after}): there is nothing to compare with. "
            "Change a model first (`media-pipeline models use`, `profile`), then `models diff "
            f"{stage} --sample 50`, or `backfill-stale` and `models diff {stage}`"
        )
    return before, after


def tables_between(
    library: Library, stage: str, before: str, after: str
) -> tuple[pa.Table, pa.Table]:
    """The rows of a stage under two recipes, of the batches that have both.

    Raises:
        UsageError: No batch has both.
    """
    store = library.store
    keys = sorted(store.keys(stage, before) & store.keys(stage, after))
    if stage_of(stage, library.stages).per_batch:
        keys = [key for key in keys if key in library.ledger.batches()]
    else:
        keys = [key for key in keys if key == WHOLE]
    if not keys:
        raise UsageError(
            f"no batch of {stage} has tables under both {before} and {after}: run `media-pipeline "
            f"backfill-stale`, or compare a sample with `models diff {stage} --sample 50`"
        )
    return _read(library, stage, before, keys), _read(library, stage, after, keys)


def _read(library: Library, stage: str, recipe: str, keys: list[str]) -> pa.Table:
    """Rows in the schema of today; a column that an older table lacks is null."""
    schema = stage_of(stage, library.stages).table.arrow
    tables = [library.store.read(stage, recipe, key) for key in keys]
    found = [table.replace_schema_metadata(None) for table in tables if table is not None]
    names = [[name for name in schema.names if name in table.column_names] for table in found]
    narrow = [table.select(columns) for table, columns in zip(found, names, strict=True)]
    whole = pa.concat_tables([schema.empty_table(), *narrow], promote_options="permissive")
    return whole.select(schema.names)


def _recipe(library: Library, stage: str, digits: str) -> str:
    known = library.store.recipes_of(stage)
    fitting = [recipe for recipe in known if recipe.startswith(digits)]
    if len(fitting) != 1:
        raise UsageError(
            f"no tables of {stage} under a recipe {digits!r}: there is {', '.join(known) or 'none'}"
        )
    return fitting[0]


def _by_age(library: Library, stage: str) -> list[str]:
    """The recipes a stage has tables under, the one that was written to last first."""
    folder = library.store.root / stage
    known = library.store.recipes_of(stage)
    return sorted(known, key=lambda recipe: (folder / recipe).stat().st_mtime, reverse=True)
