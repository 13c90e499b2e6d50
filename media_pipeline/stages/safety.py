"""Safety: how far every thumbnail is unsafe for work. It has nothing to do with junk.

Reads   thumbnails
Writes  safety (one score per thumbnail)
Cost    one forward pass of the profile's safety rater per thumbnail
Fails   without a rater every row says `not_evaluated`, which is never "safe"
"""

from typing import Any

import dagster as dg

from media_pipeline.batchwork import Row
from media_pipeline.library.opened import Library
from media_pipeline.models.protocols import SafetyRater
from media_pipeline.modelwork import asks_model
from media_pipeline.resources import batch_asset


def rows_of(model: SafetyRater, nsfw_score: float, parameters: Any) -> list[Row]:
    """The row of one thumbnail."""
    return [{"model": model.card.id, "nsfw_score": nsfw_score}]


compute_rows = asks_model("safety", rows_of)


def build(library: Library) -> dg.AssetsDefinition:
    """The `safety` asset."""
    return batch_asset(library, "safety", compute_rows)
