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
from media_pipeline.modelwork import frames_of, through_workers
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
    for media_id, seen in through_workers(library, control, batch, frames, rate_thumbnail):
        yield media_id, [_row(frame, answer) for frame, answer in seen]


def _row(frame: dict[str, Any], answer: dict[str, Any] | Failure) -> Row:
    row = failed_row(answer) if isinstance(answer, Failure) else answer
    return {"frame": frame["frame"], **row}


def build(library: Library) -> dg.AssetsDefinition:
    """The `quality` asset."""
    return batch_asset(library, "quality", compute_rows)
