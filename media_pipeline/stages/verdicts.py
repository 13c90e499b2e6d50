"""Verdicts: what the scores mean under the threshold set in use - tags, and good / fair / poor.

Reads   quality (scores of every frame)
Writes  verdicts (one row per content, with the evidence for every tag)
Cost    no pixel is touched; deciding again takes seconds
Fails   contents that could not be measured get a row that says why there is no verdict
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from statistics import median
from typing import Any

import dagster as dg

from media_pipeline.judging.quality import decide
from media_pipeline.judging.thresholds import load_thresholds
from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage
from media_pipeline.resources import library_asset, write_whole
from media_pipeline.schema import QUALITY, VERDICTS

UNREAD = {"message", "retryable", "recipe"}


def make(library: Library, spec: Stage) -> Mapping[str, Any]:
    """Decide on every content."""
    table = VERDICTS.to_arrow_in_parts(verdict_rows(library))
    write_whole(library, spec, table)
    tags = Counter(tag for tags in table["tags"].to_pylist() for tag in tags or ())
    quality = Counter(map(str, table["quality"].to_pylist()))
    return {
        "rows": table.num_rows,
        "quality": dg.MetadataValue.json(quality),
        "tags": dg.MetadataValue.json(tags),
    }


def verdict_rows(library: Library) -> Iterator[dict[str, Any]]:
    """One row per content that has quality rows, in batch order."""
    thresholds = load_thresholds(library.config.thresholds)
    columns = [c.name for c in QUALITY.columns if c.name not in UNREAD]
    sizes = library.read_stage("quality", ["size_px"])["size_px"].drop_null().to_pylist()
    usual = median(map(float, filter(None, sizes))) if sizes else None
    for table in library.batch_tables("quality", columns):
        for media_id, rows in groupby(table.to_pylist(), key=lambda frame: frame["media_id"]):
            yield {"media_id": media_id, **decide(list(rows), thresholds, usual)}


def build(library: Library) -> dg.AssetsDefinition:
    """The `verdicts` asset."""
    return library_asset(library, "verdicts", make)
