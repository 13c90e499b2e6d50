"""Captions: one sentence on what a picture shows.

Reads   thumbnails; a composed caption reads metadata, quality, labels and detections too
Writes  captions (a composed caption per content, or a model's per thumbnail)
Cost    composed: no pixel; a captioning model: the dearest stage there is
Fails   without a captioner every row says `not_evaluated`; a caption of no words is `no_caption`
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from media_pipeline.batchwork import Batch, Control, Row
from media_pipeline.errors import ItemError
from media_pipeline.judging.composing import compose, facts_of
from media_pipeline.library.opened import Library
from media_pipeline.models.protocols import Captioner
from media_pipeline.modelwork import asks_model, rows_of_batch
from media_pipeline.recipes import COMPOSED_FROM
from media_pipeline.resources import batch_asset


def rows_of(model: Captioner, caption: str, parameters: Any) -> list[Row]:
    """The row of one thumbnail."""
    if not caption:
        raise ItemError("no_caption", f"{model.card.id} gave no words")
    return [{"model": model.card.id, "caption": caption}]


def composed_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Captions from what other tables hold."""
    tables = {name: rows_of_batch(library, name, batch) for name in COMPOSED_FROM}
    for item in batch.items:
        rows = {name: table[item.media_id] for name, table in tables.items()}
        yield item.media_id, [_composed(rows)]


def _composed(rows: dict[str, list[Row]]) -> Row:
    first = rows["thumbnails"][0]
    if first["state"] == "failed":
        return {
            "frame": 0,
            "state": "failed",
            "reason": "input_failed",
            "message": "there is no thumbnail to speak of",
            "retryable": False,
        }
    facts = facts_of(
        rows["metadata"][0], rows["thumbnails"], rows["quality"], rows["labels"], rows["detections"]
    )
    caption, words = compose(facts)
    outcome = {name: first[name] for name in ("state", "reason", "message", "retryable")}
    return {"frame": 0, "model": "composed", "caption": caption, "facts": words, **outcome}


_ask = asks_model("captions", rows_of)


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Captions as the card of the library's captioner says."""
    card = library.cards.get("captioner")
    is_composed = card is not None and card.loader == "composed"
    return (composed_rows if is_composed else _ask)(library, control, batch)


def build(library: Library) -> dg.AssetsDefinition:
    """The `captions` asset."""
    return batch_asset(library, "captions", compute_rows)
