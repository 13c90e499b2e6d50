"""ViT classifiers (Dosovitskiy et al. 2021), for labels and for safety.

Reads   config.json, model.safetensors of the card's folder
Writes  nothing
Cost    ViT-B/16 at 224 px: 17.6 GFLOP per picture
Fails   `MissingWeights`, `DamagedWeights`
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.classifying import (
    PictureClassifier,
    PictureSafetyRater,
    labels_of,
    numbered,
)
from media_pipeline.models.loaders.pretrained import CONFIG, damaged, load_model, read_config

if TYPE_CHECKING:
    import torch

    from media_pipeline.models.sessions import Session

MODEL_TYPE = "vit"

NOT_USED = (r"vit\.pooler\.",)
"""Weights that some checkpoints keep from pretraining; a classifier has no pooler."""

NAMES_DEFAULT = {"0": "LABEL_0", "1": "LABEL_1"}
"""What the library takes where config.json names no classes."""


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The classifier: (n, 3, H, W) float32 -> ((n, classes) float32 logits,).

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
    """
    import torch
    from transformers import ViTForImageClassification

    read_config(card, folder, MODEL_TYPE)
    classifier = load_model(card, folder, ViTForImageClassification, NOT_USED)

    class Logits(torch.nn.Module):
        def __init__(self, classifier: torch.nn.Module) -> None:
            super().__init__()
            self.classifier = classifier

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (self.classifier(pixel_values=pixel_values).logits,)

    return Logits(classifier).eval()


def adapter(
    card: ModelCard, folder: Path, session: Session
) -> PictureClassifier | PictureSafetyRater:
    """The `Classifier`, or for a card of task safety the `SafetyRater`, over a session.

    Raises:
        MissingWeights: There is no config.json.
        DamagedWeights: It is damaged, of another architecture, or its classes are not the card's.
        UsageError: The card has no preprocessing, or names labels that do not exist.
    """
    names = _class_names(card, folder, read_config(card, folder, MODEL_TYPE))
    classifier = PictureClassifier(card, labels_of(card, folder, names), session)
    return PictureSafetyRater(classifier, folder) if card.task == "safety" else classifier


def _class_names(card: ModelCard, folder: Path, config: dict[str, Any]) -> list[str]:
    names = numbered(config.get("id2label", NAMES_DEFAULT))
    if not names:
        raise damaged(card, folder, f"id2label in {CONFIG} does not number the classes from 0")
    return names
