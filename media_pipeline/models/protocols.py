"""What a stage may ask of a model, whatever runs it.

A model that looks at pictures works in two steps, so that decoding and preparing (CPU threads)
overlap with inference (CPU or GPU): `prepare` makes the input of one picture and may be called from
any number of threads; `infer` takes a batch of inputs and is called from one thread at a time,
unless `is_parallel` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from media_pipeline.models.cards import ModelCard

Pixels = NDArray[np.uint8]
"""An upright sRGB picture: uint8, shape (height, width, 3)."""

Input = NDArray[Any]
"""What `prepare` makes of one picture; only its own model knows shape and dtype."""

R = TypeVar("R")


@dataclass(frozen=True)
class Box:
    """Something a detector found, in fractions of the upright picture.

    Attributes:
        kind: `person`, `face` or the animal.
        left, top, width, height: The box; all in [0, 1], inside the picture.
        score: What the detector gave.
        probability: Calibrated probability in [0, 1], `None` without calibration.
        part_of: For a face: the place (from 0) in the answer of the person it belongs to.
    """

    kind: str
    left: float
    top: float
    width: float
    height: float
    score: float
    probability: float | None = None
    part_of: int | None = None


class VisionModel(Protocol[R]):
    """Whatever looks at pictures and gives one answer for each."""

    @property
    def card(self) -> ModelCard:
        """What it is."""
        ...

    @property
    def is_parallel(self) -> bool:
        """Whether `infer` may be called from several threads at once (CPU: one thread each)."""
        ...

    def prepare(self, image: Pixels) -> Input:
        """The model's input for one picture; equal to the reference processor's within 1e-3.

        Raises:
            ShapeError: `image` is not (height, width, 3) uint8 with at least one pixel.
        """
        ...

    def infer(self, inputs: Sequence[Input]) -> list[R]:
        """One answer per input, in order; an empty sequence gives an empty list.

        Raises:
            OutOfDeviceMemory: The batch was too large; ask again with half of it.
            ModelError: The device failed.
        """
        ...


class Embedder(VisionModel[NDArray[np.float32]], Protocol):
    """Pictures to unit vectors: float32, shape (dim,), L2 norm 1."""

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        ...


class TextEmbedder(Protocol):
    """Texts to unit vectors in the space of the embedder of the same card."""

    @property
    def card(self) -> ModelCard:
        """What it is."""
        ...

    @property
    def logit_scale(self) -> float:
        """What the model multiplies a cosine by before softmax or sigmoid."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32, shape (texts, dim), rows of L2 norm 1."""
        ...


class Classifier(VisionModel[NDArray[np.float32]], Protocol):
    """Pictures to softmax outputs: float32, shape (classes,), sum 1."""

    @property
    def labels(self) -> Sequence[ClassLabel]:
        """Name and concept of every class, in the order of the outputs."""
        ...


@dataclass(frozen=True)
class ClassLabel:
    """One class of a classifier.

    Attributes:
        name: For people, such as `pug`.
        concept: WordNet synset such as `pug.n.01`, `None` where the class has none.
    """

    name: str
    concept: str | None


class SafetyRater(VisionModel[float], Protocol):
    """Pictures to the probability of being unsafe for work, in [0, 1]."""


class Detector(VisionModel[list[Box]], Protocol):
    """Pictures to the people and animals in them, likeliest first."""


class Captioner(VisionModel[str], Protocol):
    """Pictures to one sentence each, without line breaks."""
