"""Classifiers of the timm library (Wightman 2019), such as MobileNetV3.

Reads   config.json, model.safetensors of the card's folder, as timm publishes them
Writes  nothing
Cost    MobileNetV3 small at 224 px: 0.06 GFLOP per picture
Fails   `MissingWeights`, `DamagedWeights`
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_pipeline.errors import UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.classifying import PictureClassifier, labels_of, numbered
from media_pipeline.models.loaders.pretrained import (
    CONFIG,
    WEIGHTS,
    config_number,
    damaged,
    missing,
    read_json,
)

if TYPE_CHECKING:
    import torch

    from media_pipeline.models.sessions import Session

CLASSES_DEFAULT = 1000
"""timm's default, which a config.json may leave out."""


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The classifier: (n, 3, H, W) float32 -> ((n, classes) float32 logits,).

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or config.json is not timm's.
    """
    import torch

    config = _read_config(card, folder)
    if not (folder / WEIGHTS).is_file():
        # timm would look for other files, pickles among them.
        raise missing(card, folder, WEIGHTS)
    classifier = _load(card, folder)
    count = config_number(card, folder, config, "num_classes", CLASSES_DEFAULT)
    if getattr(classifier, "num_classes", None) != count:
        # timm then leaves the stored classifier out and makes up a new one, silently.
        raise damaged(card, folder, f"{CONFIG} says {count} classes and builds a model of others")

    class Logits(torch.nn.Module):
        def __init__(self, classifier: torch.nn.Module) -> None:
            super().__init__()
            self.classifier = classifier

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (self.classifier(pixel_values),)

    return Logits(classifier).eval()


def _load(card: ModelCard, folder: Path) -> torch.nn.Module:
    import timm
    from safetensors import SafetensorError

    try:
        with _quiet_library():
            # It refuses weights that are missing, unexpected or of another shape.
            model: torch.nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        said = " ".join(str(error).split())[:300] or "no message"
        raise damaged(card, folder, f"{WEIGHTS}: {type(error).__name__}: {said}") from error
    return model.eval().requires_grad_(False)


def adapter(card: ModelCard, folder: Path, session: Session) -> PictureClassifier:
    """The `Classifier` over a session that runs the module.

    Raises:
        MissingWeights: There is no config.json.
        DamagedWeights: It is damaged, or its classes are not the card's.
        UsageError: The card has no preprocessing, or neither it nor the checkpoint names classes.
    """
    names = _class_names(card, folder, _read_config(card, folder))
    return PictureClassifier(card, labels_of(card, folder, names), session)


def _read_config(card: ModelCard, folder: Path) -> dict[str, Any]:
    """config.json with what it keeps one level down, as timm reads it."""
    config = read_json(card, folder, CONFIG)
    inner = config.get("pretrained_cfg", {})
    if not isinstance(config.get("architecture"), str) or not isinstance(inner, dict):
        raise damaged(card, folder, f"{CONFIG} names no architecture of timm's")
    return {**inner, **config}


def _class_names(card: ModelCard, folder: Path, config: dict[str, Any]) -> list[str]:
    count = config_number(card, folder, config, "num_classes", CLASSES_DEFAULT)
    names = config.get("label_names")
    if names is None and card.labels:
        return [str(place) for place in range(count)]  # only their number is looked at
    if names is None:
        raise UsageError(
            f"neither the card {card.id!r} nor its {CONFIG} names the {count} classes: write "
            '`labels = "imagenet-1k"` into the card if that is what they are'
        )
    named = numbered(names)
    if len(named) != count:
        raise damaged(card, folder, f"label_names in {CONFIG} are not the names of {count} classes")
    return named


@contextmanager
def _quiet_library() -> Iterator[None]:
    """No messages of timm about where it found what; problems are raised."""
    logger = logging.getLogger("timm")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
