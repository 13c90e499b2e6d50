"""Labels: what every thumbnail may show, from the vocabulary and the classifier.

Reads   embeddings, classifications, the vocabulary (ours and the user's terms)
Writes  labels (the best concepts per thumbnail and proposer, with score, margin and ancestors)
Cost    one matrix product per batch; the texts of the vocabulary are embedded once and kept
Fails   without an embedder and a classifier every row says `not_evaluated`

No pixel is touched: a new term in the vocabulary changes this table and no embedding.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import dagster as dg
import numpy as np

from media_pipeline.batchwork import Batch, Control, Row
from media_pipeline.judging.labelling import (
    Proposal,
    propose_from_classes,
    propose_from_embeddings,
)
from media_pipeline.library.opened import Library
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loading import text_embedder
from media_pipeline.models.store import fingerprint
from media_pipeline.modelwork import not_evaluated, rows_of_batch
from media_pipeline.recipes import stage
from media_pipeline.resources import batch_asset
from media_pipeline.settings import read_settings
from media_pipeline.vocabulary import load_vocabulary
from media_pipeline.vocabulary.prompts import text_matrix

Found = dict[str, list[Row]]
"""Content to its rows."""

COPIED = ("frame", "time_ms", "model", "state", "reason", "message", "retryable")


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Propose labels for every thumbnail of the batch."""
    embedder, classifier = library.cards.get("embedder"), library.cards.get("classifier")
    if embedder is None and classifier is None:
        yield from not_evaluated(library, batch, "embedder and no classifier", _NOBODY)
        return
    by_vocabulary = _from_vocabulary(library, batch, embedder) if embedder is not None else {}
    by_classifier = _from_classifier(library, batch, classifier) if classifier is not None else {}
    for item in batch.items:
        media_id = item.media_id
        yield media_id, [*by_vocabulary.get(media_id, ()), *by_classifier.get(media_id, ())]


_NOBODY: Row = {"frame": 0, "proposer": "", "rank": 0}


def _from_vocabulary(library: Library, batch: Batch, card: ModelCard) -> Found:
    """Concepts whose texts lie near the picture."""
    rows = rows_of_batch(library, "embeddings", batch)
    vectors = [row["vector"] for group in rows.values() for row in group]
    proposed = iter(_near(library, card, [vector for vector in vectors if vector is not None]))
    return {
        media_id: [
            made
            for row in group
            for made in _rows(row, "vocabulary", next(proposed) if row["vector"] else [])
        ]
        for media_id, group in rows.items()
    }


def _near(library: Library, card: ModelCard, vectors: Sequence[Any]) -> list[list[Proposal]]:
    if not vectors:
        return []
    texts = text_embedder(card, library.models, read_settings().device)
    vocabulary = load_vocabulary(library.layout.vocabulary)
    weights = fingerprint(card, library.models)
    matrix = text_matrix(vocabulary, texts, library.models / "texts", weights)
    return propose_from_embeddings(
        np.asarray(vectors, dtype=np.float32),
        matrix,
        vocabulary,
        texts.logit_scale,
        _top(library),
        card.probability,
    )


def _from_classifier(library: Library, batch: Batch, card: ModelCard) -> Found:
    """Concepts of the classes that a classifier named."""
    vocabulary = load_vocabulary(library.layout.vocabulary)
    found: Found = {}
    for media_id, rows in rows_of_batch(library, "classifications", batch).items():
        made = found[media_id] = []
        for _, group in groupby(rows, key=lambda row: row["frame"]):
            classes = list(group)
            named = [row for row in classes if row["label"] is not None]
            proposals = propose_from_classes(named, vocabulary, _top(library), card.probability)
            made.extend(_rows(classes[0], "classifier", proposals))
    return found


def _top(library: Library) -> int:
    return int(stage("labels", library.stages).parameters["labels"])


def _rows(source: Row, proposer: str, proposals: Sequence[Proposal]) -> list[Row]:
    """The rows of one proposer on one thumbnail; without a proposal one row says why."""
    place = {name: source[name] for name in COPIED} | {"proposer": proposer}
    if not proposals:
        return [{**place, "rank": 0}]
    return [{**place, **proposal} for proposal in proposals]


def build(library: Library) -> dg.AssetsDefinition:
    """The `labels` asset."""
    return batch_asset(library, "labels", compute_rows)
