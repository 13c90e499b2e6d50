"""Detections: where people and animals are in every thumbnail.

Reads   thumbnails
Writes  detections (one row per box; a thumbnail with nothing found has one row without a kind)
Cost    the profile's detector on every thumbnail
Fails   without a detector every row says `not_evaluated`, which is never "no people"
"""

from typing import Any

import dagster as dg

from media_pipeline.batchwork import Row
from media_pipeline.library.opened import Library
from media_pipeline.models.protocols import Box, Detector
from media_pipeline.modelwork import asks_model
from media_pipeline.resources import batch_asset


def rows_of(model: Detector, boxes: list[Box], parameters: Any) -> list[Row]:
    """The rows of one thumbnail."""
    if not boxes:
        return [{"number": 0, "model": model.card.id}]
    return [_row(model.card.id, number, box) for number, box in enumerate(boxes, start=1)]


def _row(card_id: str, number: int, box: Box) -> Row:
    return {
        "number": number,
        "model": card_id,
        "kind": box.kind,
        "part_of": None if box.part_of is None else box.part_of + 1,
        "left": box.left,
        "top": box.top,
        "width": box.width,
        "height": box.height,
        "score": box.score,
        "probability": box.probability,
    }


compute_rows = asks_model("detections", rows_of)


def build(library: Library) -> dg.AssetsDefinition:
    """The `detections` asset."""
    return batch_asset(library, "detections", compute_rows)
