"""A small timm classifier: random weights, MobileNetV3 small as it is, few classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from media_pipeline.models.cards import ModelCard, Preprocessing

CLASSES = ("pug", "tabby", "pizza", "volcano", "sports car", "crane bird", "crane machine")

CARD = ModelCard(
    id="small-mobilenet",
    title="MobileNetV3 small with random weights",
    task="classifier",
    loader="timm",
    repository="tests/small-mobilenet",
    preprocessing=Preprocessing(
        height_px=224,
        width_px=224,
        resize="short_side",
        crop_fraction=0.875,
        interpolation="bicubic",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    licence="CC0-1.0",
)


def write(folder: Path) -> ModelCard:
    """Save the checkpoint in `folder`, which is <models>/<card id>."""
    import timm
    import torch
    from timm.models import save_for_hf

    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = timm.create_model("mobilenetv3_small_100", num_classes=len(CLASSES))
        _stir(model)
    save_for_hf(
        model, str(folder), model_config={"label_names": list(CLASSES)}, safe_serialization=True
    )
    return CARD


def _stir(model: Any) -> None:
    """Make answers differ by picture: fresh normalisation layers and classifiers say nothing."""
    import torch

    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.4, 1.2)
                layer.bias.normal_(0, 0.1)
        model.classifier.weight.normal_(0, 0.3)
