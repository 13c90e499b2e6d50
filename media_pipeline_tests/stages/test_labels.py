"""Labels from embeddings in the table: what is embedded, what may stop it, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.batchwork import Batch, Control, Item, Row
from media_pipeline.errors import Interrupted, ModelError
from media_pipeline.library.opened import Library, open_library
from media_pipeline.models.cards import ModelCard
from media_pipeline.recipes import stage
from media_pipeline.stages import labels
from media_pipeline.vocabulary import prompts_of
from media_pipeline_tests.vocabulary.small import CountingEmbedder, small_vocabulary

KEY = "b000000"
CONTENTS = ("0" * 32, "1" * 32)
BATCH = Batch(KEY, tuple(Item(one, 1, None, b"") for one in CONTENTS))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> CountingEmbedder:
    """The text side of the card in use."""
    made = CountingEmbedder()

    def text_embedder(card: ModelCard, models: Path, device: str) -> CountingEmbedder:
        assert card is made.card
        return made

    monkeypatch.setattr(labels, "text_embedder", text_embedder)
    return made


@pytest.fixture
def small(library: Library, texts: CountingEmbedder, tmp_path: Path) -> Library:
    """A library of the small vocabulary whose only model is an embedder."""
    library.cards = {"embedder": texts.card}
    library.vocabulary = small_vocabulary(tmp_path)
    return library


def embed(library: Library, *rows: Row) -> None:
    """Write the table of embeddings: a row per content, in order."""
    spec = stage("embeddings")
    recipe = library.recipes["embeddings"]
    filled = [
        {**spec.table.empty_row(), "media_id": media_id, "frame": 0, "recipe": recipe,
         "state": "ok", "retryable": False, "model": "counting", "dim": 8, **row}
        for media_id, row in zip(CONTENTS, rows, strict=True)
    ]  # fmt: skip
    library.store.write("embeddings", recipe, KEY, spec.table.to_arrow(filled), {})


def labelled(library: Library, control: Control | None = None) -> list[list[Row]]:
    return [rows for _, rows in labels.compute_rows(library, control or Control(), BATCH)]


def near(texts: CountingEmbedder, sentence: str) -> Row:
    return {"vector": texts.vector(sentence).astype(np.float16)}


def test_a_picture_beside_a_text_is_labelled_so(small: Library, texts: CountingEmbedder) -> None:
    pug = np.mean([texts.vector(one) for one in _sentences(small, "pug")], axis=0)
    unit = (pug / np.linalg.norm(pug)).astype(np.float16)
    embed(small, {"vector": unit}, {"vector": None, "state": "failed"})
    first, second = labelled(small)
    assert (first[0]["label"], first[0]["proposer"], first[0]["rank"]) == ("pug", "vocabulary", 1)
    assert [(row["state"], row["rank"]) for row in second] == [("failed", 0)]


def test_the_texts_are_shown_as_progress_and_embedded_once(
    small: Library, texts: CountingEmbedder
) -> None:
    embed(small, near(texts, "a"), near(texts, "b"))
    told: list[tuple[str, int]] = []
    totals: list[tuple[str, int]] = []
    control = Control(
        on_progress=lambda stage, items: told.append((stage, items)),
        on_total=lambda stage, items: totals.append((stage, items)),
    )
    labelled(small, control)
    assert {stage for stage, _ in told} == {"vocabulary texts"}
    assert sum(items for _, items in told) == 8
    assert set(totals) == {("vocabulary texts", 8)}
    texts.asked.clear()
    told.clear()
    labelled(small, control)
    assert (texts.asked, told) == ([], [])


def test_the_text_model_is_not_loaded_where_nothing_is_new(
    small: Library, texts: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def text_embedder(card: ModelCard, models: Path, device: str) -> CountingEmbedder:
        raise ModelError("loaded again")

    embed(small, near(texts, "a"), near(texts, "b"))
    wanted = labelled(small)
    monkeypatch.setattr(labels, "text_embedder", text_embedder)
    assert labelled(small) == wanted


def test_a_stop_ends_the_embedding_of_the_vocabulary(
    small: Library, texts: CountingEmbedder
) -> None:
    embed(small, near(texts, "a"), near(texts, "b"))
    control = Control()
    control.stop.set()
    with pytest.raises(Interrupted, match="0 of 8 concepts"):
        labelled(small, control)
    assert texts.asked == []


@pytest.mark.parametrize(
    ("vector", "wanted"),
    [
        (np.full(8, 2.0), "counting has the norm 5.657, expected 1"),
        (np.eye(1, 7)[0], r"counting have different lengths \(7, 8\)"),
    ],
)
def test_a_vector_that_cannot_be_meant_is_refused(
    small: Library, texts: CountingEmbedder, vector: NDArray[np.float64], wanted: str
) -> None:
    embed(small, near(texts, "a"), {"vector": vector})
    with pytest.raises(ModelError, match=wanted):
        labelled(small)


def test_a_vector_of_an_older_recipe_is_not_compared_with_texts_of_this_one(
    small: Library, texts: CountingEmbedder
) -> None:
    other = {"vector": np.eye(1, 7)[0], "dim": 7, "recipe": "00000000", "model": "before"}
    embed(small, near(texts, "a"), other)
    first, second = labelled(small)
    assert [row["state"] for row in first] == ["ok"] * len(first)
    (row,) = second
    assert (row["state"], row["reason"], row["rank"]) == ("failed", "input_failed", 0)
    assert row["retryable"]


def test_a_vocabulary_that_is_edited_meanwhile_counts_from_the_next_opening_on(
    library: Library,
) -> None:
    path = library.layout.vocabulary
    path.write_text("our blue tent\n", encoding="utf-8")
    before = library.recipes["verdicts"]
    path.write_text("our red tent\n", encoding="utf-8")
    assert library.vocabulary.find("our blue tent") is not None
    assert library.vocabulary.find("our red tent") is None
    again = open_library(library.layout.root)
    assert again.vocabulary.find("our red tent") is not None
    assert again.recipes["verdicts"] != before


def test_labels_are_those_of_the_vocabulary_of_the_recipe(
    library: Library, texts: CountingEmbedder
) -> None:
    library.cards = {"embedder": texts.card}
    library.layout.vocabulary.write_text("our blue tent\n", encoding="utf-8")
    embed(library, near(texts, "a"), near(texts, "b"))
    library.layout.vocabulary.write_text("our red tent\n", encoding="utf-8")
    labelled(library)
    assert "our blue tent" in texts.asked
    assert "our red tent" not in texts.asked


def _sentences(library: Library, name: str) -> Sequence[str]:
    vocabulary = library.vocabulary
    concept = next(one for one in vocabulary.concepts if one.name == name)
    return prompts_of(concept, vocabulary)
