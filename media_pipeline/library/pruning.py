"""Remove what nothing reads any more: tables of old recipes, thumbnails of no row."""

from __future__ import annotations

from dataclasses import dataclass

from media_pipeline.library.opened import Library
from media_pipeline.library.plan import plan_batches


@dataclass
class Pruned:
    """What was (or would be) removed.

    Attributes:
        recipes: `stage/recipe` folders.
        thumbnails: Number of thumbnail files.
        freed_bytes: Their size together.
    """

    recipes: list[str]
    thumbnails: int
    freed_bytes: int


def prune(library: Library, *, dry_run: bool) -> Pruned:
    """Remove tables that are neither wanted nor read, and thumbnails that no table names.

    While thumbnails are still to be made none is removed: those of an unfinished batch are there
    already, and no table names them yet.
    """
    pruned = Pruned([], 0, 0)
    for stage in library.stages:
        if stage.name == "catalog":
            continue
        keep = {library.recipes[stage.name], library.ledger.active().get(stage.name)}
        keep |= set(library.chosen(stage.name).values()) if stage.per_batch else set()
        for recipe in library.store.recipes_of(stage.name):
            if recipe not in keep:
                pruned.recipes.append(f"{stage.name}/{recipe}")
                pruned.freed_bytes += library.store.size_of(stage.name, recipe)
                if not dry_run:
                    library.store.remove(stage.name, recipe)
    if not plan_batches(library, ["thumbnails"]).due["thumbnails"]:
        _prune_thumbnails(library, pruned, dry_run=dry_run)
    return pruned


def _prune_thumbnails(library: Library, pruned: Pruned, *, dry_run: bool) -> None:
    named: set[str] = set()
    for recipe in library.store.recipes_of("thumbnails"):
        for batch in library.store.keys("thumbnails", recipe):
            table = library.store.read("thumbnails", recipe, batch, ["path"])
            if table is not None:
                named |= {str(path) for path in table["path"].drop_null().to_pylist()}
    if not library.thumbnails.exists():
        return
    for folder in library.thumbnails.iterdir():
        for file in folder.iterdir():
            if f"{folder.name}/{file.name}" in named or file.name.endswith(".tmp"):
                continue
            pruned.thumbnails += 1
            pruned.freed_bytes += file.stat().st_size
            if not dry_run:
                file.unlink()
