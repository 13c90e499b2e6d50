"""Models written by hand: they add up pixels, and fail where they are told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, OutOfDeviceMemory
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.protocols import Input, Pixels

_lock = threading.Lock()
_made = 0


def new_card() -> ModelCard:
    """A card with an id of its own: the engine remembers a batch size per card."""
    global _made
    with _lock:
        _made += 1
        return ModelCard(id=f"fake-{_made}", title="", task="safety", loader="vit", licence="none")


@dataclass
class Adder:
    """Answers with the sum of a picture's pixels.

    Attributes:
        is_parallel: As the protocol has it.
        fits: Pictures that fit into its memory.
        fails_after: Batches after which its device is gone.
        before: Called with every batch before it is answered.
        batches: Size of every batch it was asked for, also of those that did not fit.
    """

    is_parallel: bool = True
    fits: int = 1_000_000
    fails_after: int = 1_000_000
    before: Callable[[int], None] = lambda size: None
    card: ModelCard = field(default_factory=new_card)
    batches: list[int] = field(default_factory=list)

    def prepare(self, image: Pixels) -> Input:
        return np.asarray(image, dtype=np.float32)

    def infer(self, inputs: Sequence[Input]) -> list[float]:
        self.batches.append(len(inputs))
        self.before(len(inputs))
        if len(self.batches) > self.fails_after:
            raise ModelError("the GPU failed (CUDA error: device lost): run again")
        if len(inputs) > self.fits:
            raise OutOfDeviceMemory("the memory of cuda is full")
        return [float(one.sum()) for one in inputs]


@dataclass
class FakeSession:
    """A session of two outputs: the mean of every channel, and the picture's number."""

    is_parallel: bool = True

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [batch.mean(axis=(2, 3)), np.arange(len(batch), dtype=np.float32)]
