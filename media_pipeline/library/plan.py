"""What is due: missing work, ordered work, and stale work that waits to be asked for.

Everything here is derived from a directory listing and the ledger; nothing is marked as requested.
A batch table is *missing* when it exists under no recipe, *stale* when it exists only under an
older one (or when it is missing but would have to be made from a stale input). Whole-library
tables are due when their inputs changed and stale when only their recipe did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from media_pipeline import recipes as recipe_book
from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage
from media_pipeline.tables import WHOLE

BATCHES_PER_RUN = 8


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        due: Stage name to the batches that are due (`library` for whole-library stages).
        stale: Stage name to the batches that are stale and not asked for.
    """

    due: dict[str, list[str]] = field(default_factory=dict)
    stale: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Batches that one run takes: contiguous keys, the same stages for each."""

    stages: tuple[str, ...]
    batches: tuple[str, ...]


def plan_batches(library: Library, names: Iterable[str], *, with_stale: bool = False) -> Plan:
    """The plan for the per-batch stages among `names`.

    Args:
        library: Opened library.
        names: Stage names.
        with_stale: Count what is stale as due.
    """
    names = set(names)
    plan = Plan()
    orders = library.ledger.orders()
    batches = list(library.ledger.batches())
    ready: dict[str, set[str]] = {}
    for stage in library.batch_stages():
        fresh = library.store.keys(stage.name, library.recipes[stage.name])
        old = _outdated_keys(library, stage.name)
        due: list[str] = []
        stale: list[str] = []
        for batch in batches:
            if (stage.name, batch) in orders:
                due.append(batch)
            elif batch not in fresh:
                waits = any(batch not in ready[i] for i in stage.inputs)
                outdated = batch in old or waits
                (stale if outdated and not with_stale else due).append(batch)
        wanted = stage.name in names
        ready[stage.name] = fresh | (set(due) if wanted else set())
        if wanted:
            plan.due[stage.name] = due
            plan.stale[stage.name] = stale
    return plan


def _outdated_keys(library: Library, stage: str) -> set[str]:
    """Batches that wait under an older recipe; once that is out of use their tables are lost."""
    switched = library.ledger.active().get(stage) == library.recipes[stage]
    return set() if switched else _old_keys(library, stage)


def _old_keys(library: Library, stage: str) -> set[str]:
    wanted = library.recipes[stage]
    older = [r for r in library.store.recipes_of(stage) if r != wanted]
    return set().union(*(library.store.keys(stage, r) for r in older))


def groups(plan: Plan, batches: Sequence[str], size: int = BATCHES_PER_RUN) -> list[Group]:
    """The due batches as runs: contiguous, at most `size` each, the same stages throughout."""
    found: list[Group] = []
    current: list[str] = []
    signature: tuple[str, ...] = ()
    due = {stage: set(keys) for stage, keys in plan.due.items()}
    for batch in batches:
        stages = tuple(stage for stage, keys in due.items() if batch in keys)
        follows = bool(current) and int(batch[1:]) == int(current[-1][1:]) + 1
        if current and (stages != signature or len(current) == size or not follows):
            found.append(Group(signature, tuple(current)))
            current = []
        signature = stages
        if stages:
            current.append(batch)
    if current:
        found.append(Group(signature, tuple(current)))
    return found


def plan_library(library: Library, names: Iterable[str], *, with_stale: bool = False) -> Plan:
    """The plan for the whole-library stages among `names`; what feeds a due stage is due first."""
    names = set(names)
    plan = Plan()
    orders = library.ledger.orders()
    changed: set[str] = set()
    for stage in library.stages:
        if stage.per_batch or stage.name not in names:
            continue
        made = library.ledger.fact(f"made:{stage.name}")
        recipe, _, inputs = (made or "").partition(" ")
        exists = made is not None and has_output(library, stage, recipe)
        outdated = recipe != library.recipes[stage.name]
        is_ordered = (stage.name, WHOLE) in orders or bool(changed & set(stage.inputs))
        if is_ordered or not exists or inputs != fingerprint(library, stage):
            plan.due[stage.name] = [WHOLE]
            changed.add(stage.name)
        elif outdated:
            (plan.due if with_stale else plan.stale)[stage.name] = [WHOLE]
            changed |= {stage.name} if with_stale else set()
    return plan


def has_output(library: Library, stage: Stage, recipe: str) -> bool:
    """Whether what a whole-library stage makes is there."""
    if stage.name == "catalog":
        return library.layout.catalog.exists()
    return library.store.path(stage.name, recipe).exists()


def fingerprint(library: Library, stage: Stage) -> str:
    """A text that changes when anything a whole-library stage reads was written again."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"generation {library.ledger.generation}".encode())
    if stage.name == "files":
        digest.update(" ".join(sorted(library.decisions.forgotten)).encode())
    if stage.name == "verdicts":
        digest.update(library.decisions.stamp.encode())
    per_batch = {s.name for s in library.batch_stages()}
    for name in stage.inputs:
        if name in per_batch:
            for batch, recipe in library.chosen(name).items():
                digest.update(library.store.stamp(name, recipe, batch).encode())
        else:
            digest.update(f"{name} {library.ledger.fact(f'written:{name}')}".encode())
    return digest.hexdigest()


def record_made(library: Library, stage: Stage, inputs: str, written: str) -> None:
    """Remember from what a whole-library stage was made, and read it from now on.

    Args:
        library: Opened library.
        stage: The stage.
        inputs: `fingerprint` taken before the inputs were read.
        written: A text that names this very writing.
    """
    recipe = library.recipes[stage.name]
    with library.ledger.transaction():
        library.ledger.set_fact(f"made:{stage.name}", f"{recipe} {inputs}")
        library.ledger.set_fact(f"written:{stage.name}", written)
        library.ledger.set_active(stage.name, recipe)


def switch_recipes(library: Library) -> None:
    """Read the per-batch stages under their wanted recipes once these are complete.

    A stage whose tables are read by one that still waits for its own waits with it, so that what is
    read together was made together.
    """
    active = library.ledger.active()
    complete = {s.name for s in library.batch_stages() if _is_complete(library, s)}
    waiting = _with_what_they_read(
        library,
        {s.name for s in library.batch_stages() if s.name in active and s.name not in complete},
    )
    for stage in library.batch_stages():
        wanted = library.recipes[stage.name]
        first = stage.name not in active and not _old_keys(library, stage.name)
        ready = stage.name in complete and stage.name not in waiting
        if active.get(stage.name) != wanted and (ready or first):
            library.ledger.set_active(stage.name, wanted)


def _is_complete(library: Library, stage: Stage) -> bool:
    wanted = library.recipes[stage.name]
    return set(library.ledger.batches()) <= library.store.keys(stage.name, wanted)


def _with_what_they_read(library: Library, names: set[str]) -> set[str]:
    """The stages that tables of an older recipe still serve, and all they read, directly or not."""
    active = library.ledger.active()
    served = {
        n for n in names if active[n] != library.recipes[n] and library.store.keys(n, active[n])
    }
    return set(recipe_book.with_inputs(served, library.stages)) if served else set()


def order_stale(library: Library, names: Iterable[str]) -> Plan:
    """Order everything stale among the stages; returns what was ordered."""
    stale = stale_tables(library, names)
    with library.ledger.transaction():
        for stage, batches in stale.items():
            library.ledger.add_orders(stage, batches, "stale")
    return Plan(due=stale)


def stale_tables(library: Library, names: Iterable[str]) -> dict[str, list[str]]:
    """Stage name to its stale batches (`library` for a whole-library stage)."""
    names = list(names)
    stale = {**plan_batches(library, names).stale, **plan_library(library, names).stale}
    return {stage: batches for stage, batches in stale.items() if batches}


def estimate_s(library: Library, plan: Plan) -> float:
    """Seconds the due batches will take, from what their rows took before (0 where unknown)."""
    sizes = library.ledger.batches()
    total = 0.0
    for name, batches in plan.due.items():
        per_row = seconds_per_row(library, name) or 0.0
        total += per_row * sum(sizes.get(batch, 0) for batch in batches)
    return total


def seconds_per_row(library: Library, name: str) -> float | None:
    """What a content took before, with the model that is wanted now; `None` where unknown."""
    spec = recipe_book.stage(name, library.stages)
    if not spec.task:
        return library.ledger.seconds_per_row(name)
    card = library.card_of(spec)
    pace = library.ledger.fact(pace_of(card.id)) if card is not None else "0"
    return None if pace is None else float(pace)


def pace_of(card_id: str) -> str:
    """The ledger's name for the seconds that a model takes per content."""
    return f"pace:{card_id}"
