"""Forget a picture: remove everything that was made from it; the original stays where it is.

The user's word goes first, so that a crash half-way is finished by asking again, and no run makes
again what was removed. Then go its rows in every table under every recipe, finished or not, its
thumbnails, the reports that show it, and the catalogue, whose file would keep deleted rows in free
blocks; the next `catalog` builds it from the tables. What is kept is its media id: in the ledger
and the batch manifests, which list files, and in `decisions.jsonl`, which says that it is
forgotten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

from media_pipeline.errors import UsageError
from media_pipeline.library.decisions import Decision, append_decision
from media_pipeline.library.opened import Library
from media_pipeline.paths import display, fsync_folder, writing
from media_pipeline.tables import FACTS_KEY, WHOLE

OF_THE_FILE = ("schema_version", "columns")
"""Facts in a table's metadata that its writing adds by itself."""


@dataclass
class Forgotten:
    """What was removed.

    Attributes:
        rows: Rows of all tables.
        thumbnails: Thumbnail files.
        reports: Pages that showed it.
        catalog: Catalogue files (the one in use, and one that was set aside).
        damaged: Tables that had been set aside as unreadable, so that nobody could clean them.
    """

    rows: int = 0
    thumbnails: int = 0
    reports: int = 0
    catalog: int = 0
    damaged: int = 0

    def __str__(self) -> str:
        counts = ", ".join(f"{getattr(self, one.name)} {one.name}" for one in fields(self))
        return f"removed {counts}; the original is untouched"


def forget(library: Library, media_id: str) -> Forgotten:
    """Remove everything that was made from a content; asking again removes what is left.

    Afterwards `files`, `duplicates`, `verdicts` and `catalog` are due.

    Args:
        library: Opened library.
        media_id: The content, 32 hex digits.

    Raises:
        UsageError: The library has no such content.
        CorruptLibraryFile: A table cannot be read; it was set aside. Ask again.
    """
    batch = _batch_of(library, media_id)
    if media_id not in library.decisions.forgotten:
        append_decision(library, Decision(media_id, "forget"))
    gone = Forgotten()
    for stage in library.stages:
        if stage.has_table and (batch is not None or not stage.per_batch):
            key = str(batch) if stage.per_batch else WHOLE
            # A run that read the manifest before the user's word may still be writing this table.
            with library.locked(f"{stage.name}-{key}" if stage.per_batch else stage.name):
                _clean_stage(library, stage.name, key, media_id, gone)
    _remove_thumbnails(library, media_id, gone)
    _remove_reports(library, media_id, gone)
    with library.locked("catalog"):
        _remove_catalog(library, gone)
    with library.ledger.transaction():
        for stage in library.stages:
            if not stage.per_batch:
                library.ledger.add_orders(stage.name, [WHOLE], "input")
    return gone


def remember(library: Library, media_id: str) -> bool:
    """Take a forgotten content up again: the next run makes everything anew.

    Returns:
        Whether it was forgotten; else nothing is done.

    Raises:
        UsageError: The library has no such content.
    """
    batch = _batch_of(library, media_id)
    if media_id not in library.decisions.forgotten:
        return False
    append_decision(library, Decision(media_id, "remember"))
    if batch is not None:
        with library.ledger.transaction():
            for stage in library.batch_stages():
                library.ledger.add_orders(stage.name, [batch], "returned")
    return True


def _batch_of(library: Library, media_id: str) -> str | None:
    for content in library.ledger.contents():
        if content.media_id == media_id:
            return content.batch
    raise UsageError(
        f"the library {library.layout.root} has no content {display(media_id)!r}: "
        "`media-pipeline explain FILE` shows the media id of a file"
    )


def _clean_stage(library: Library, stage: str, key: str, media_id: str, gone: Forgotten) -> None:
    store = library.store
    for recipe in store.recipes_of(stage):
        table = store.read(stage, recipe, key)
        if table is not None:
            left = _without(table, media_id)
            if left.num_rows < table.num_rows:
                gone.rows += table.num_rows - left.num_rows
                partial = store.read_partial(stage, recipe, key)
                store.write(stage, recipe, key, left, _facts(table))
                if partial is not None:  # `write` takes it for finished
                    store.write_partial(stage, recipe, key, partial)
        partial = store.read_partial(stage, recipe, key)
        if partial is not None:
            left = _without(partial, media_id)
            if left.num_rows < partial.num_rows:
                gone.rows += partial.num_rows - left.num_rows
                store.write_partial(stage, recipe, key, left)
        _remove_damaged(library, stage, recipe, key, gone)


def _without(table: pa.Table, media_id: str) -> pa.Table:
    """The rows of other contents, and rows of none."""
    field = pc.field("media_id")
    return table.filter((field != media_id) | field.is_null())


def _facts(table: pa.Table) -> dict[str, object]:
    facts = json.loads((table.schema.metadata or {})[FACTS_KEY])
    return {name: value for name, value in facts.items() if name not in OF_THE_FILE}


def _remove_damaged(library: Library, stage: str, recipe: str, key: str, gone: Forgotten) -> None:
    folder = library.store.root / stage / recipe
    for file in list(folder.iterdir()) if folder.exists() else ():
        if file.name.endswith(".corrupt") and file.name.lstrip(".").split(".")[0] == key:
            file.unlink()
            gone.damaged += 1


def _remove_thumbnails(library: Library, media_id: str, gone: Forgotten) -> None:
    """Those of every frame, whatever table names them, and what a killed run left half written."""
    folder = library.thumbnails / media_id[:2]
    for file in list(folder.iterdir()) if folder.exists() else ():
        if file.name.lstrip(".").startswith(media_id):
            file.unlink()
            gone.thumbnails += 1


def _remove_reports(library: Library, media_id: str, gone: Forgotten) -> None:
    """Every page that names it; pages are made from the tables and can be made again."""
    reports = library.layout.reports
    for file in sorted(reports.rglob("*")) if reports.is_dir() else ():
        if file.is_file() and media_id.encode() in file.read_bytes():
            with writing(reports):
                file.unlink()
            gone.reports += 1


def _remove_catalog(library: Library, gone: Forgotten) -> None:
    catalog = library.layout.catalog
    with writing(catalog.parent):
        for file in (*catalog.parent.glob(f"{catalog.name}*"), *catalog.parent.glob(".catalog.*")):
            file.unlink()
            gone.catalog += 1
        fsync_folder(catalog.parent)
