"""Embeddings: one unit vector per thumbnail, for search, labels and likeness.

Reads   thumbnails
Writes  embeddings (one row per thumbnail)
Cost    one forward pass of the profile's embedder per thumbnail
Fails   without an embedder every row says `not_evaluated`; a vector that is not finite becomes a
        row with its reason, never a number in the table
"""

from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from media_pipeline.batchwork import Row
from media_pipeline.library.opened import Library
from media_pipeline.models.protocols import Embedder
from media_pipeline.modelwork import asks_model
from media_pipeline.resources import batch_asset


def rows_of(model: Embedder, vector: NDArray[np.float32], parameters: Any) -> list[Row]:
    """The row of one thumbnail."""
    return [{"model": model.card.id, "dim": len(vector), "vector": vector.astype(np.float16)}]


compute_rows = asks_model("embeddings", rows_of)


def build(library: Library) -> dg.AssetsDefinition:
    """The `embeddings` asset."""
    return batch_asset(library, "embeddings", compute_rows)
