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
    rows = list(verdict_rows(library))
    write_whole(library, spec, VERDICTS.to_arrow(rows))
    tags = Counter(tag for row in rows for tag in row["tags"])
    quality = Counter(str(row["quality"]) for row in rows)
    return {
        "rows": len(rows),
        "quality": dg.MetadataValue.json(quality),
        "tags": dg.MetadataValue.json(tags),
    }


def verdict_rows(library: Library) -> Iterator[dict[str, Any]]:
    """One row per content that has quality rows, in batch order."""
    thresholds = load_thresholds(library.config.thresholds)
    columns = [c.name for c in QUALITY.columns if c.name not in UNREAD]
    frames = library.read_stage("quality", columns).to_pylist()
    sizes = [frame["size_px"] for frame in frames if frame["size_px"] is not None]
    usual = median(sizes) if sizes else None
    for media_id, rows in groupby(frames, key=lambda frame: frame["media_id"]):
        yield {"media_id": media_id, **decide(list(rows), thresholds, usual)}


def build(library: Library) -> dg.AssetsDefinition:
    """The `verdicts` asset."""
    return library_asset(library, "verdicts", make)
