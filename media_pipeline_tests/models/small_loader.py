"""A loader of the smallest classifier there is, with weights in a JSON file; a real one is larger.

`install` puts it in the place of the loader `vit`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights
from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.protocols import ClassLabel, Input, Pixels
from media_pipeline.models.sessions import Session

NAME = "media_pipeline.models.loaders.vit"
SIDE_PX = 8
CLASSES = 5

CARD = ModelCard(
    id="small",
    title="Small classifier",
    task="classifier",
    loader="vit",
    repository="tests/small",
    files=("weights.json",),
    preprocessing=Preprocessing(
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        resize="exact",
        crop_fraction=1.0,
        interpolation="bilinear",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    licence="none",
)


class SmallLoader(ModuleType):
    """What a loader module offers.

    Attributes:
        built: How often the torch module was built.
    """

    def __init__(self) -> None:
        super().__init__(NAME)
        self.built = 0

    def build_module(self, card: ModelCard, folder: Path) -> Any:
        self.built += 1
        return small_module(read_weights(folder))

    def adapter(self, card: ModelCard, folder: Path, session: Session) -> SmallClassifier:
        return SmallClassifier(card, session)


def install(monkeypatch: pytest.MonkeyPatch) -> SmallLoader:
    loader = SmallLoader()
    monkeypatch.setitem(sys.modules, NAME, loader)
    return loader


def write(models: Path, seed: int = 0) -> Path:
    """The checkpoint's folder below `models`."""
    folder = models / CARD.id
    folder.mkdir(parents=True, exist_ok=True)
    weights = np.random.default_rng(seed).normal(size=(CLASSES, 3, 4, 4)).round(3 + seed)
    (folder / "weights.json").write_text(json.dumps(weights.tolist()))
    return folder


def read_weights(folder: Path) -> NDArray[np.float32]:
    try:
        return np.array(json.loads((folder / "weights.json").read_text()), dtype=np.float32)
    except ValueError as error:
        raise DamagedWeights(f"{folder} is damaged: fetch it again") from error


def small_module(weights: NDArray[np.float32]) -> Any:
    """A convolution, a mean, and softmax."""
    import torch

    class Small(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, CLASSES, 4, stride=4)
            self.convolution.weight.data = torch.from_numpy(weights)

        def forward(self, pixel_values: Any) -> tuple[Any, ...]:
            return (self.convolution(pixel_values).mean(dim=(2, 3)).softmax(dim=1),)

    torch.manual_seed(0)
    return Small().eval().requires_grad_(False)


@dataclass
class SmallClassifier:
    """A classifier over any session of `small_module`."""

    card: ModelCard
    session: Session
    labels: Sequence[ClassLabel] = tuple(ClassLabel(str(n), None) for n in range(CLASSES))

    @property
    def is_parallel(self) -> bool:
        return self.session.is_parallel

    def prepare(self, image: Pixels) -> Input:
        small = image[:SIDE_PX, :SIDE_PX].astype(np.float32) / 127.5 - 1
        return np.ascontiguousarray(small.transpose(2, 0, 1))

    def infer(self, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        return list(self.session.run(np.stack(inputs))[0]) if inputs else []


def pictures(count: int) -> list[Pixels]:
    random = np.random.default_rng(count)
    return list(random.integers(0, 256, (count, SIDE_PX, SIDE_PX, 3), dtype=np.uint8))
