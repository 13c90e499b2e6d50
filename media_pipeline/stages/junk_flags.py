"""Junk flags: how far a content looks like something people throw away, per kind of junk.

Reads   metadata, thumbnails (and the 512-px pictures), quality
Writes  junk_flags (one row per content and kind, with the evidence that makes up the score)
Cost    one small JPEG per thumbnail, no model
Fails   a degraded decode is never scored; nothing is decided here (`verdicts` does)
"""

from collections.abc import Iterator

import dagster as dg

from media_pipeline.batchwork import Batch, Control, Row
from media_pipeline.judging.junk import measure_junk, score_junk
from media_pipeline.library.opened import Library
from media_pipeline.modelwork import rows_of_batch, through_workers
from media_pipeline.resources import batch_asset


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Measure every thumbnail in the workers, then score every content."""
    metadata = rows_of_batch(library, "metadata", batch)
    quality = rows_of_batch(library, "quality", batch)
    frames = rows_of_batch(library, "thumbnails", batch)
    for media_id, seen in through_workers(library, control, batch, frames, measure_junk):
        answers = [answer for _, answer in seen]
        facts = (metadata[media_id], frames[media_id], quality[media_id])
        yield media_id, score_junk(*facts, answers)


def build(library: Library) -> dg.AssetsDefinition:
    """The `junk_flags` asset."""
    return batch_asset(library, "junk_flags", compute_rows)
