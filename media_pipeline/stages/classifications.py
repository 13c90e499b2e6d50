"""Classifications: the likeliest classes of every thumbnail, as the profile's classifier says.

Reads   thumbnails
Writes  classifications (the best ten classes per thumbnail)
Cost    one forward pass of the classifier per thumbnail
Fails   without a classifier every row says `not_evaluated`

A table of its own below `labels`, so that a new term in the vocabulary or another way to decide
does not run the classifier again.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from media_pipeline.batchwork import Row
from media_pipeline.library.opened import Library
from media_pipeline.models.protocols import Classifier
from media_pipeline.modelwork import asks_model
from media_pipeline.resources import batch_asset


def rows_of(
    model: Classifier, scores: NDArray[np.float32], parameters: Mapping[str, Any]
) -> list[Row]:
    """The best classes of one thumbnail, best first."""
    best = np.argsort(-scores, kind="stable")[: parameters["classes"]]
    return [
        {
            "rank": rank,
            "model": model.card.id,
            "label": model.labels[place].name,
            "concept": model.labels[place].concept,
            "score": float(scores[place]),
        }
        for rank, place in enumerate(best.tolist(), start=1)
    ]


compute_rows = asks_model("classifications", rows_of)


def build(library: Library) -> dg.AssetsDefinition:
    """The `classifications` asset."""
    return batch_asset(library, "classifications", compute_rows)
