"""Unit vectors and the adapter around a session, without torch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, UsageError
from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.loaders.embedding import PictureEmbedder, unit_rows

CARD = ModelCard(
    id="fake",
    title="Fake",
    task="embedder",
    loader="clip",
    preprocessing=Preprocessing(
        height_px=4,
        width_px=4,
        resize="exact",
        crop_fraction=1.0,
        interpolation="bilinear",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    ),
    licence="CC0-1.0",
)


class Answers:
    """A session that gives what it was told, whatever it is asked."""

    is_parallel = True

    def __init__(self, *rows: list[float]) -> None:
        self.rows = np.array(rows, dtype=np.float32)

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [self.rows]


def asked(session: Answers, count: int) -> list[NDArray[np.float32]]:
    model = PictureEmbedder(CARD, 2, session)
    return model.infer([model.prepare(np.zeros((4, 4, 3), dtype=np.uint8))] * count)


def test_vectors_are_divided_by_their_length() -> None:
    found = asked(Answers([3, 4], [0, -2]), 2)
    assert [row.tolist() for row in found] == [[pytest.approx(0.6), pytest.approx(0.8)], [0, -1]]
    assert found[0].dtype == np.float32


def test_no_inputs_give_no_vectors() -> None:
    assert asked(Answers(), 0) == []


def test_what_has_no_direction_is_passed_on_as_nan() -> None:
    zero, nan, good = asked(Answers([0, 0], [float("nan"), 1], [1, 0]), 3)
    assert np.isnan(zero).all()
    assert np.isnan(nan).all()
    assert good.tolist() == [1, 0]


def test_an_infinite_vector_is_passed_on_as_nan() -> None:
    assert np.isnan(unit_rows(np.array([[np.inf, 1.0]], dtype=np.float32))).any()


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(1, 3\).*\(1, 2\).*models export fake"):
        asked(Answers([1, 2, 3]), 1)


def test_a_card_without_preprocessing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'fake' has no \[preprocessing\]"):
        PictureEmbedder(CARD.model_copy(update={"preprocessing": None}), 2, Answers([1, 0]))
