"""Everything a library knows about one file: each row, its evidence, and what made it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from media_pipeline.errors import UnknownPath
from media_pipeline.library.opened import Library
from media_pipeline.paths import display
from media_pipeline.scan.rows import PathRow
from media_pipeline.schema import REASONS


def explain(library: Library, what: str) -> dict[str, Any]:
    """Every row about a file or content, as JSON values.

    Args:
        library: Opened library.
        what: A path, or a media id (or the first digits of one, at least 8).

    Returns:
        `media_id`, `batch`, `files` (one entry per path), each stage with its rows, `made_with`.

    Raises:
        UnknownPath: Neither a path of the library nor one of its contents.
    """
    rows = paths_of(library, what)
    media_id = rows[0].media_id
    answer: dict[str, Any] = {
        "media_id": media_id,
        "files": _file_rows(library, rows),
        "batch": None,
    }
    if media_id is not None:
        answer["batch"] = _batch_of(library, media_id)
        answer |= _stage_rows(library, media_id, answer["batch"])
    answer["made_with"] = {
        stage.name: {
            "version": stage.version,
            "inputs": list(stage.inputs),
            "parameters": dict(stage.parameters),
            "model": card.id if (card := library.card_of(stage)) else None,
            "wanted_recipe": library.recipes[stage.name],
            "active_recipe": library.ledger.active().get(stage.name),
        }
        for stage in library.stages
    }
    return answer


def paths_of(library: Library, what: str) -> list[PathRow]:
    """The ledger's rows of a path or content, the asked-for path first."""
    row = _row_of_path(library, os.fsencode(os.path.abspath(what)))
    if row is not None and row.media_id is None:
        return [row]
    media_id = row.media_id if row is not None else _content(library, what)
    places = library.ledger.places([str(media_id)])[str(media_id)] if media_id else []
    if row is not None:
        others = [p for p in places if (p.root_id, p.relative) != (row.root_id, row.relative)]
        return [row, *others]
    if not places:
        raise UnknownPath(
            f"{display(what)!r} is neither a file of the library {library.layout.root} nor one of "
            "its media ids: check the spelling, or scan its folder with `media-pipeline run FOLDER`"
        )
    return places


def _row_of_path(library: Library, path: bytes) -> PathRow | None:
    for root in library.config.roots:
        folder = os.fsencode(root.path).rstrip(b"/") + b"/"
        if path.startswith(folder):
            row = library.ledger.path_row(root.root_id, path[len(folder) :])
            if row is not None:
                return row
    return None


def _content(library: Library, what: str) -> str | None:
    if len(what) < 8:
        return None
    found = [c.media_id for c in library.ledger.contents() if c.media_id.startswith(what.lower())]
    return found[0] if len(found) == 1 else None


def _batch_of(library: Library, media_id: str) -> str | None:
    return next((c.batch for c in library.ledger.contents() if c.media_id == media_id), None)


def _file_rows(library: Library, rows: list[PathRow]) -> list[dict[str, Any]]:
    table = library.read_whole("files")
    known = {(r["root_id"], r["relative_path"]): r for r in table.to_pylist()}
    return [_plain(known.get((r.root_id, r.relative)) or _ledger_row(library, r)) for r in rows]


def _ledger_row(library: Library, row: PathRow) -> dict[str, Any]:
    """What the ledger says of a path that the `files` table does not hold (yet, or any more)."""
    roots = {r.root_id: r.path for r in library.config.roots}
    folder = os.fsencode(roots.get(row.root_id, row.root_id))
    return {
        "path": display(os.path.join(folder, row.relative)),
        "presence": row.presence,
        "size_bytes": row.size,
        "media_id": row.media_id,
        "state": row.state or ("pending" if row.presence != "missing" else None),
        "reason": row.reason,
        "message": row.message,
    }


def _stage_rows(library: Library, media_id: str, batch: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for stage in library.stages:
        if stage.name in ("files", "catalog"):
            continue
        if stage.per_batch:
            recipe = library.chosen(stage.name).get(batch) if batch else None
            table = library.store.read(stage.name, recipe, batch) if recipe and batch else None
        else:
            table = library.read_whole(stage.name)
        rows = table.filter(pc.field("media_id") == media_id) if table is not None else None
        found[stage.name] = [_plain(row) for row in rows.to_pylist()] if rows is not None else []
    return found


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON values, without its nulls, with every reason spelled out."""
    plain = {name: _value(value) for name, value in row.items() if value is not None}
    if plain.get("reason") in REASONS:
        plain["meaning"] = REASONS[plain["reason"]]
    return plain


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex() if b"\0" in value or not value.isascii() else display(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value
