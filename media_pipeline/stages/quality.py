"""Quality: technical measures and defect scores of every thumbnail; nothing is decided here.

Reads   thumbnails (the 512-px pictures and the measures taken at decoded size)
Writes  quality (one row per thumbnail)
Cost    one small JPEG per row, no model
Fails   a thumbnail that is missing or cannot be read becomes a row with its reason
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from media_pipeline.batchwork import Batch, Control, Row, failed_row
from media_pipeline.imaging.sandbox import Failure
from media_pipeline.judging.rating import rate_thumbnail
from media_pipeline.library.opened import Library
from media_pipeline.modelwork import NO_INPUT, frames_of, read_thumbnail
from media_pipeline.resources import batch_asset

COLUMNS = (
    "media_id", "frame", "path", "source_width_px", "source_height_px", "tile_sharpness",
    "fine_noise_sigma", "fine_blockiness", "state", "reason", "message",
)  # fmt: skip


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Measure and score every thumbnail of the batch, in the workers."""
    frames = frames_of(library, batch, COLUMNS)
    pictures = (
        (item.media_id, frame)
        for item in batch.items
        for frame in frames[item.media_id]
        if frame["path"] is not None
    )
    tasks = ((key, (read_thumbnail(library, key[1]["path"]), key[1])) for key in pictures)
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


def _row(frame: dict[str, Any], answer: dict[str, Any] | Failure) -> Row:
    row = failed_row(answer) if isinstance(answer, Failure) else answer
    return {"frame": frame["frame"], **row}


def build(library: Library) -> dg.AssetsDefinition:
    """The `quality` asset."""
    return batch_asset(library, "quality", compute_rows)
