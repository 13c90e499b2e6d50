"""Labels: what every thumbnail may show, from the vocabulary and the classifier.

Reads   embeddings, classifications, the vocabulary (ours and the user's terms)
Writes  labels (the best concepts per thumbnail and proposer, with score, margin and ancestors)
Cost    one matrix product per batch; the texts of the vocabulary are embedded once and kept
Fails   without an embedder and a classifier every row says `not_evaluated`; an embedding that is no
        unit vector ends the run

No pixel is touched: a new term in the vocabulary changes this table and no embedding.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import dagster as dg

from media_pipeline.batchwork import Batch, Control, Row
from media_pipeline.judging.labelling import (
    Proposal,
    propose_from_classes,
    propose_from_embeddings,
    unit_vectors,
)
from media_pipeline.library.opened import Library
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loading import text_embedder
from media_pipeline.models.store import fingerprint
from media_pipeline.modelwork import not_evaluated, rows_of_batch
from media_pipeline.recipes import stage
from media_pipeline.resources import batch_asset
from media_pipeline.settings import read_settings
from media_pipeline.vocabulary.prompts import cache_file, text_matrix

Found = dict[str, list[Row]]
"""Content to its rows."""

TEXTS = "vocabulary texts"
"""What progress says while the texts of the vocabulary are embedded."""

COPIED = ("frame", "time_ms", "model", "state", "reason", "message", "retryable")


def compute_rows(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Propose labels for every thumbnail of the batch."""
    embedder, classifier = library.cards.get("embedder"), library.cards.get("classifier")
    if embedder is None and classifier is None:
        yield from not_evaluated(library, batch, "embedder or classifier", _NOBODY)
        return
    by_vocabulary, by_classifier = Found(), Found()
    if embedder is not None:
        by_vocabulary = _from_vocabulary(library, control, batch, embedder)
    if classifier is not None:
        by_classifier = _from_classifier(library, batch, classifier)
    for item in batch.items:
        media_id = item.media_id
        yield media_id, [*by_vocabulary.get(media_id, ()), *by_classifier.get(media_id, ())]


_NOBODY: Row = {"frame": 0, "proposer": "", "rank": 0}


def _from_vocabulary(library: Library, control: Control, batch: Batch, card: ModelCard) -> Found:
    """Concepts whose texts lie near the picture."""
    recipe = library.recipes["embeddings"]
    rows = {
        media_id: [_of_recipe(row, recipe) for row in group]
        for media_id, group in rows_of_batch(library, "embeddings", batch).items()
    }
    vectors = [row["vector"] for group in rows.values() for row in group]
    known = [vector for vector in vectors if vector is not None]
    proposed = iter(_near(library, control, card, known))
    return {
        media_id: [
            made
            for row in group
            for made in _rows(
                row, "vocabulary", next(proposed) if row["vector"] is not None else []
            )
        ]
        for media_id, group in rows.items()
    }


def _of_recipe(row: Row, recipe: str) -> Row:
    """A row of embeddings; one kept from an older recipe may be of another model: no vector."""
    if row["vector"] is None or row["recipe"] == recipe:
        return row
    return {**row, "vector": None, **_OLDER}


_OLDER: Row = {
    "state": "failed",
    "reason": "input_failed",
    "message": "its embedding is of an older recipe, as it could not be made again: run again",
    "retryable": True,
}


def _near(
    library: Library, control: Control, card: ModelCard, vectors: Sequence[Sequence[float]]
) -> list[list[Proposal]]:
    if not vectors:
        return []
    stacked = unit_vectors(vectors, card.id)
    cache = cache_file(library.models / "texts", card, fingerprint(card, library.models))
    texts = text_matrix(
        library.vocabulary,
        lambda: text_embedder(card, library.models, read_settings().device),
        cache,
        _TextsReport(control).tell,
        control.stop,
    )
    return propose_from_embeddings(
        stacked,
        texts.matrix,
        library.vocabulary,
        texts.logit_scale,
        _top(library),
        card.probability,
    )


class _TextsReport:
    """Shows the embedding of the vocabulary as progress of its own."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.done = 0

    def tell(self, done: int, total: int) -> None:
        """Say how many concepts are embedded, and of how many."""
        self.control.on_total(TEXTS, total)
        self.control.on_progress(TEXTS, done - self.done)
        self.done = done


def _from_classifier(library: Library, batch: Batch, card: ModelCard) -> Found:
    """Concepts of the classes that a classifier named."""
    found: Found = {}
    for media_id, rows in rows_of_batch(library, "classifications", batch).items():
        made = found[media_id] = []
        for _, group in groupby(rows, key=lambda row: row["frame"]):
            classes = list(group)
            named = [row for row in classes if row["label"] is not None]
            proposals = propose_from_classes(
                named, library.vocabulary, _top(library), card.probability
            )
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
