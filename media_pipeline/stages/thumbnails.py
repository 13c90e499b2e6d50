"""Thumbnails: the one decode of a file; everything later looks at these pixels.

Reads   the batch manifest (contents and where they lie)
Writes  thumbnails (one row per still, one per video keyframe) and a 512-px JPEG for each
Cost    one scaled decode per file, in worker processes with limits; no model
Fails   an undecodable file becomes a row with state, reason, retryable; the batch goes on
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from upath import UPath

from media_pipeline.batchwork import Batch, Control, Item, Row, failed_row, in_sandbox
from media_pipeline.imaging.sandbox import Failure
from media_pipeline.imaging.thumbnail import make_thumbnails
from media_pipeline.library.opened import Library
from media_pipeline.paths import write_atomically
from media_pipeline.recipes import stage
from media_pipeline.resources import batch_asset


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Decode every content once and write its thumbnails."""
    parameters = dict(stage("thumbnails", library.stages).parameters)
    budget = control.limits.pixel_budget
    results = in_sandbox(
        control, make_thumbnails, batch.items, lambda i: (i.path, i.name, parameters, budget)
    )
    written: list[Path] = []
    try:
        for item, answer in results:
            yield item.media_id, _rows(library.thumbnails, item, answer, written)
    finally:
        _make_durable(written)


def _rows(
    folder: UPath, item: Item, answer: list[dict[str, Any]] | Failure, written: list[Path]
) -> list[Row]:
    if isinstance(answer, Failure):
        return [{"frame": 0, **failed_row(answer)}]
    rows = []
    for row in answer:
        path = thumbnail_path(item.media_id, row["time_ms"])
        _write(folder, path, row.pop("jpeg"), written)
        rows.append({**row, "path": path})
    return rows


def thumbnail_path(media_id: str, time_ms: int | None) -> str:
    """Where the thumbnail of a content (or of a moment of a video) lies, below the folder."""
    suffix = "" if time_ms is None else f"-{time_ms}"
    return f"{media_id[:2]}/{media_id}{suffix}.jpg"


def _write(folder: UPath, path: str, jpeg: bytes, written: list[Path]) -> None:
    target = folder / path
    if target.protocol in ("", "file", "local"):
        local = Path(target.path)
        write_atomically(local, jpeg, durable=False)
        written.append(local)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(jpeg)


def _make_durable(written: Iterable[Path]) -> None:
    """Flush the thumbnails of a batch before the table that names them is written."""
    for path in written:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def build(library: Library) -> dg.AssetsDefinition:
    """The `thumbnails` asset."""
    return batch_asset(library, "thumbnails", compute_rows)
