"""Metadata: what the bytes of a file say about it, and nothing from its path.

Reads   the batch manifest (contents and where they lie)
Writes  metadata (one row per content)
Cost    one header per file, no pixels
Fails   an unreadable header becomes a row with state, reason, retryable; the batch goes on
"""

from collections.abc import Iterator

import dagster as dg

from media_pipeline.batchwork import Batch, Control, Row, failed_row, in_sandbox
from media_pipeline.imaging.sandbox import Failure
from media_pipeline.library.opened import Library
from media_pipeline.reading.media import read_metadata
from media_pipeline.resources import batch_asset


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Read the header of every content, in the decode workers."""
    results = in_sandbox(control, read_metadata, batch.items, lambda i: (i.path, i.name))
    for item, answer in results:
        row = failed_row(answer) if isinstance(answer, Failure) else answer
        yield item.media_id, [{**row, "size_bytes": item.size}]


def build(library: Library) -> dg.AssetsDefinition:
    """The `metadata` asset."""
    return batch_asset(library, "metadata", compute_rows)
