"""Unit vectors, the adapter around a session, and texts on a device that fails."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, OutOfDeviceMemory, UsageError
from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.loaders.embedding import PictureEmbedder, SpaceTexts, unit_rows

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


# -- texts ---------------------------------------------------------------------------------------


class Encoder:
    """Texts to vectors; fails with `error` for more than `fits` texts at once."""

    def __init__(self, fits: int, error: Exception) -> None:
        self.fits, self.error = fits, error
        self.asked: list[int] = []

    def __call__(self, texts: list[str]) -> Any:
        import torch

        self.asked.append(len(texts))
        if len(texts) > self.fits:
            raise self.error
        return torch.tensor([[float(text), 0.0] for text in texts])


def texts_by(fits: int, said: str) -> tuple[SpaceTexts, Encoder]:
    pytest.importorskip("torch")
    encoder = Encoder(fits, RuntimeError(said))
    texts = SpaceTexts(CARD, 2, encoder, "cpu", logit_scale=1.0)
    texts._device = "cuda"  # there is no GPU here; the words are those of one
    return texts, encoder


@pytest.fixture
def freed(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    torch = pytest.importorskip("torch")
    calls: list[None] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(None))
    return calls


def test_texts_that_do_not_fit_together_are_embedded_in_halves(freed: list[None]) -> None:
    texts, encoder = texts_by(2, "CUDA error: out of memory")
    found = texts.embed_texts(["1", "-2", "3", "-4"])
    assert found.tolist() == [[1, 0], [-1, 0], [1, 0], [-1, 0]]
    assert encoder.asked == [4, 2, 2]
    assert len(freed) == 1


def test_a_text_that_does_not_fit_alone_is_an_error_with_a_remedy(freed: list[None]) -> None:
    texts, _ = texts_by(0, "CUDA error: out of memory")
    with pytest.raises(OutOfDeviceMemory, match="'fake' does not fit on cuda with 1 texts") as told:
        texts.embed_texts(["1"])
    assert told.value.__context__ is None, "its frames would keep what was computed"


def test_a_device_that_fails_under_texts_is_an_error_of_the_model(freed: list[None]) -> None:
    texts, encoder = texts_by(0, "CUDA error: device-side assert triggered")
    with pytest.raises(ModelError, match=r"cuda failed under 'fake' with 2 texts.*nvidia-smi"):
        texts.embed_texts(["1", "2"])
    assert encoder.asked == [2]
    assert freed == []


def test_an_error_of_the_program_under_texts_stays_what_it_is() -> None:
    texts, _ = texts_by(0, "shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="shapes cannot"):
        texts.embed_texts(["1", "2"])


@pytest.mark.slow
@pytest.mark.parametrize("files", ["clip", "siglip2"])
def test_a_text_model_for_a_device_that_is_not_there_is_an_error_with_a_remedy(
    files: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    checkpoint = import_module(f"media_pipeline_tests.models.checkpoints.{files}")
    loader = import_module(f"media_pipeline.models.loaders.{files}")
    card = checkpoint.write(tmp_path)
    with pytest.raises(ModelError, match=r"finds no CUDA device: choose device cpu"):
        loader.build_text_embedder(card, tmp_path, "cuda")
