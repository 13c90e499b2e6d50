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
from media_pipeline.modelwork import read_thumbnail, rows_of_batch
from media_pipeline.resources import batch_asset


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Measure every thumbnail in the workers, then score every content."""
    metadata = rows_of_batch(library, "metadata", batch)
    quality = rows_of_batch(library, "quality", batch)
    frames = rows_of_batch(library, "thumbnails", batch)
    pictures = (
        (item.media_id, frame)
        for item in batch.items
        for frame in frames[item.media_id]
        if frame["path"] is not None
    )
    tasks = ((key, (read_thumbnail(library, key[1]["path"]), key[1])) for key in pictures)
    results = control.sandbox.run(measure_junk, tasks, control.stop)
    for item in batch.items:
        answers = []
        for frame in frames[item.media_id]:
            answer = next(results, None) if frame["path"] is not None else (None, None)
            if answer is None:
                return
            answers.append(answer[1])
        facts = (metadata[item.media_id], frames[item.media_id], quality[item.media_id])
        yield item.media_id, score_junk(*facts, answers)


def build(library: Library) -> dg.AssetsDefinition:
    """The `junk_flags` asset."""
    return batch_asset(library, "junk_flags", compute_rows)
