"""Pictures and texts as unit vectors of one space: what the CLIP family of loaders shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, OutOfDeviceMemory, UsageError
from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.preprocess import prepare
from media_pipeline.models.protocols import Input, Pixels
from media_pipeline.models.torch_failures import failure_of, free_unused

if TYPE_CHECKING:
    import torch

    from media_pipeline.models.sessions import Session

TEXTS_AT_ONCE = 64
"""Texts per forward pass; one of 64 tokens costs about as much as a third of a picture."""

Encode = Callable[[list[str]], "torch.Tensor"]
"""Texts to vectors of any length: float32, shape (texts, dim)."""


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every row divided by its L2 norm; a row without a direction becomes NaN, never a vector.

    Args:
        vectors: float, shape (rows, dim).

    Returns:
        float32, shape (rows, dim).
    """
    rows = np.asarray(vectors, dtype=np.float32)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def preprocessing_of(card: ModelCard) -> Preprocessing:
    """How a card wants its pictures.

    Raises:
        UsageError: It does not say.
    """
    if card.preprocessing is None:
        raise UsageError(
            f"the card {card.id!r} has no [preprocessing]: its loader {card.loader!r} needs the "
            "input size, mean and std"
        )
    return card.preprocessing


class PictureEmbedder:
    """An `Embedder` over a session whose first output is one vector per picture.

    Args:
        card: What it is.
        dim: Length of the vectors.
        session: Runs the module that the loader builds.

    Raises:
        UsageError: The card has no preprocessing.
    """

    def __init__(self, card: ModelCard, dim: int, session: Session) -> None:
        self._card = card
        self._dim = dim
        self.session = session
        self._how = preprocessing_of(card)

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self._card

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    @property
    def is_parallel(self) -> bool:
        """Whether the session may be asked by several threads at once."""
        return self.session.is_parallel

    def prepare(self, image: Pixels) -> Input:
        """float32, shape (3, height, width), normalised as the card says.

        Raises:
            ShapeError: `image` is not (height, width, 3) uint8 with at least one pixel.
        """
        return prepare(image, self._how, offset="floor")

    def infer(self, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """One unit vector per input: float32, shape (dim,); NaN where the model gave none.

        Raises:
            OutOfDeviceMemory: The batch was too large.
            ModelError: The device failed, or the model gives vectors of another length.
        """
        if not inputs:
            return []
        vectors = self.session.run(np.stack(inputs))[0]
        if vectors.shape != (len(inputs), self._dim):
            raise ModelError(
                f"{self._card.id!r} gave vectors of shape {vectors.shape} for {len(inputs)} "
                f"pictures, expected {(len(inputs), self._dim)}: run `media-pipeline models "
                f"export {self._card.id}` again"
            )
        return list(unit_rows(vectors))


class SpaceTexts:
    """A `TextEmbedder`: texts in the space of a card's pictures.

    Args:
        card: What it is.
        dim: Length of the vectors.
        encode: Texts to vectors, on the device.
        device: Where the text model lies, such as `cpu` or `cuda`.
        logit_scale: What the model multiplies a cosine by.
        logit_bias: What it adds then; 0 for a model without.
    """

    def __init__(
        self,
        card: ModelCard,
        dim: int,
        encode: Encode,
        device: str,
        logit_scale: float,
        logit_bias: float = 0.0,
    ) -> None:
        self._card = card
        self._dim = dim
        self._encode = encode
        self._device = device
        self._logit_scale = logit_scale
        self._logit_bias = logit_bias

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self._card

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    @property
    def logit_scale(self) -> float:
        """What the model multiplies a cosine by before softmax or sigmoid."""
        return self._logit_scale

    @property
    def logit_bias(self) -> float:
        """What the model adds to the scaled cosine before the sigmoid; 0 for CLIP."""
        return self._logit_bias

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32, shape (texts, dim), rows of L2 norm 1; a text too long is cut off.

        Raises:
            OutOfDeviceMemory: Not even one text fits.
            ModelError: The device failed.
        """
        parts = [
            self._embed(list(texts[start : start + TEXTS_AT_ONCE]))
            for start in range(0, len(texts), TEXTS_AT_ONCE)
        ]
        if not parts:
            return np.empty((0, self._dim), dtype=np.float32)
        return unit_rows(np.concatenate(parts))

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        try:
            with torch.inference_mode():
                vectors: NDArray[np.float32] = self._encode(texts).float().cpu().numpy()
            return vectors
        except RuntimeError as error:
            failure = failure_of(self._card, self._device, error, f"{len(texts)} texts at once")
            if failure is None:
                raise
        # Out here no traceback keeps the layers that were computed on the device.
        free_unused(self._device, failure)
        if not isinstance(failure, OutOfDeviceMemory) or len(texts) == 1:
            raise failure
        half = len(texts) // 2
        return np.concatenate([self._embed(texts[:half]), self._embed(texts[half:])])
