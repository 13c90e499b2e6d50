"""What is wrong with a library's own files, looked for before work starts.

Damaged files are set aside and the first is named in an error; the next run makes them again. What
is merely gone (manifests, thumbnails) is written or ordered again without a word.
"""

from __future__ import annotations

import os
from pathlib import Path

from media_pipeline.errors import CorruptLibraryFile
from media_pipeline.library.catalog import check_catalog
from media_pipeline.library.opened import Library
from media_pipeline.scan.batches import write_missing_manifests


def check_health(library: Library) -> None:
    """Look for damaged and lost files of ours.

    Raises:
        CorruptLibraryFile: The first that is damaged; every damaged one was set aside.
    """
    library.ledger.check()
    damaged: list[CorruptLibraryFile] = []
    for stage in library.stages:
        for recipe in library.store.recipes_of(stage.name):
            try:
                library.store.check_footers(stage.name, recipe)
            except CorruptLibraryFile as error:
                damaged.append(error)
    try:
        check_catalog(library)
    except CorruptLibraryFile as error:
        damaged.append(error)
    if damaged:
        raise damaged[0]
    write_missing_manifests(library.ledger, library.layout.batches)
    order_lost_thumbnails(library)


def order_lost_thumbnails(library: Library) -> list[str]:
    """Order the thumbnails of batches of which some are gone; returns these batches.

    Those whose originals are away wait for them. It takes one listing of the folder and one column
    of each table; remote storage is not looked at.
    """
    if not library.store.is_local:
        return []
    recipe = library.recipes["thumbnails"]
    there = _files_below(Path(library.thumbnails.path))
    batches = sorted(library.store.keys("thumbnails", recipe) & library.ledger.batches().keys())
    lost = {b: ids for b in batches if (ids := _without_file(library, recipe, b, there))}
    ordered = library.ledger.orders()
    with library.ledger.transaction():
        for batch in lost:
            if ("thumbnails", batch) not in ordered:
                why = "lost" if _can_be_made(library, lost[batch]) else "away"
                library.ledger.add_orders("thumbnails", [batch], why)
    return list(lost)


def _without_file(library: Library, recipe: str, batch: str, there: set[str]) -> set[str]:
    """The contents of a batch that name a thumbnail which is not there."""
    table = library.store.read("thumbnails", recipe, batch, ["media_id", "path"])
    rows = table.to_pylist() if table is not None else []
    return {str(r["media_id"]) for r in rows if r["path"] is not None and r["path"] not in there}


def _can_be_made(library: Library, media_ids: set[str]) -> bool:
    places = library.ledger.places(sorted(media_ids))
    return any(place.presence == "present" for seen in places.values() for place in seen)


def _files_below(folder: Path) -> set[str]:
    """Names of the files in the folders of a folder, as `<folder>/<file>`."""
    if not folder.is_dir():
        return set()
    folders = [place.name for place in os.scandir(folder) if place.is_dir()]
    return {f"{name}/{file}" for name in folders for file in os.listdir(folder / name)}
