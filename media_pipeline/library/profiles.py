"""What a change of models comes to: what to fetch, what becomes stale, how long that takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from media_pipeline.errors import MissingWeights
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import (
    Plan,
    estimate_s,
    seconds_per_row,
    stale_tables,
    switch_recipes,
)
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.store import require, state
from media_pipeline.tables import WHOLE

READY = ("built in", "fetched", "unpinned")
"""States of a model that can run."""


def require_all(cards: Iterable[ModelCard], models: Path) -> None:
    """Look whether the files of models are there.

    Raises:
        MissingWeights: Some are not; the message names all and how to get them.
        DamagedWeights: The files of one are not what they should be.
    """
    missing: list[tuple[str, MissingWeights]] = []
    for card in cards:
        if card.needs_files:
            try:
                require(card, models)
            except MissingWeights as error:
                missing.append((card.id, error))
    if len(missing) == 1:
        raise MissingWeights(f"{missing[0][1]}; `media-pipeline profile NAME` chooses others")
    if missing:
        ids = " ".join(name for name, _ in missing)
        raise MissingWeights(
            f"the files of {len(missing)} models are not in {models}: fetch them with "
            f"`media-pipeline models fetch {ids}`, or choose other models with `media-pipeline "
            "profile NAME`"
        )


def consequences(library: Library) -> Iterator[str]:
    """Say in sentences what the models now wanted come to, and switch what can be switched.

    Args:
        library: Opened after the change.
    """
    used = ", ".join(f"{task} {card.id}" for task, card in library.cards.items()) or "no model"
    yield f"profile {library.config.profile}: {used}"
    absent = [card for card in library.cards.values() if state(card, library.models) not in READY]
    if absent:
        ids = " ".join(card.id for card in absent)
        size_mb = sum(card.size_mb for card in absent)
        yield f"fetch first, about {size_mb:,.0f} MB: `media-pipeline models fetch {ids}`"
    if not library.ledger.batches():
        yield "nothing was made yet: the next `run` uses these models"
        return
    stale = stale_tables(library, [stage.name for stage in library.stages])
    batches = {stage: keys for stage, keys in stale.items() if keys != [WHOLE]}
    if batches:
        yield from _what_is_stale(library, stale)
        return
    switch_recipes(library)
    if _is_served(library):
        yield (
            "every table of these models is there already and is served from now on: the next "
            "`run` switches the catalogue at once, without asking any model"
        )
    else:
        yield "the next `run` makes what is missing"


def _is_served(library: Library) -> bool:
    active = library.ledger.active()
    return all(active.get(s.name) == library.recipes[s.name] for s in library.batch_stages())


def _what_is_stale(library: Library, stale: dict[str, list[str]]) -> Iterator[str]:
    parts = ", ".join(f"{stage} ({len(keys)})" for stage, keys in stale.items())
    yield f"stale, with the number of batches: {parts}"
    seconds = estimate_s(library, Plan(due=stale))
    new = [name for name in stale if seconds_per_row(library, name) is None]
    about = f"about {seconds:,.0f} s, by what it took before"
    if new:
        unknown = f"how long {', '.join(new)} will take is not known yet"
        about = f"{about}; {unknown}" if seconds >= 1 else unknown
    yield about
    yield (
        "make it with `media-pipeline backfill-stale`; until it is complete the old tables are "
        "served. `media-pipeline models diff STAGE --sample 50` shows what would change"
    )
