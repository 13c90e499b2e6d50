"""Quality: technical measures and defect scores of every thumbnail; nothing is decided here.

Reads   thumbnails (the 512-px pictures and the measures taken at decoded size)
Writes  quality (one row per thumbnail)
Cost    one small JPEG per row, no model
Fails   a thumbnail that is missing or cannot be read becomes a row with its reason
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from upath import UPath

from media_pipeline.batchwork import Batch, Control, Row, failed_row
from media_pipeline.errors import MachineryFailed
from media_pipeline.imaging.sandbox import Failure
from media_pipeline.judging.rating import rate_thumbnail
from media_pipeline.library.opened import Library
from media_pipeline.resources import batch_asset

COLUMNS = (
    "media_id", "frame", "path", "source_width_px", "source_height_px", "tile_sharpness",
    "fine_noise_sigma", "fine_blockiness", "state", "reason", "message",
)  # fmt: skip
NO_INPUT = Failure("input_failed", "there is no thumbnail to look at", False)


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Measure and score every thumbnail of the batch, in the workers."""
    frames = _thumbnails_of(library, batch)
    pictures = (
        (item.media_id, frame)
        for item in batch.items
        for frame in frames[item.media_id]
        if frame["path"] is not None
    )
    tasks = ((key, (_read(library.thumbnails, key[1]["path"]), key[1])) for key in pictures)
    results = control.sandbox.run(rate_thumbnail, tasks, control.stop)
    for item in batch.items:
        rows: list[Row] = []
        for frame in frames[item.media_id]:
            if frame["path"] is None:
                rows.append({"frame": frame["frame"], **failed_row(NO_INPUT)})
                continue
            answer = next(results, None)
            if answer is None:
                return
            rows.append(_row(frame, answer[1]))
        yield item.media_id, rows


def _thumbnails_of(library: Library, batch: Batch) -> dict[str, list[dict[str, Any]]]:
    recipe = library.recipes["thumbnails"]
    table = library.store.read("thumbnails", recipe, batch.key, COLUMNS)
    if table is None:
        raise MachineryFailed(
            f"quality of {batch.key} needs its thumbnails first: materialise `thumbnails` of the "
            "same partition, or run `media-pipeline run`"
        )
    frames: dict[str, list[dict[str, Any]]] = {item.media_id: [] for item in batch.items}
    for row in table.to_pylist():
        if row["media_id"] in frames:
            frames[row["media_id"]].append(row)
    return frames


def _read(folder: UPath, path: str) -> bytes:
    try:
        return bytes((folder / path).read_bytes())
    except FileNotFoundError:
        return b""


def _row(frame: dict[str, Any], answer: dict[str, Any] | Failure) -> Row:
    row = failed_row(answer) if isinstance(answer, Failure) else answer
    return {"frame": frame["frame"], **row}


def build(library: Library) -> dg.AssetsDefinition:
    """The `quality` asset."""
    return batch_asset(library, "quality", compute_rows)
