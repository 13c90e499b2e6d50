"""Small ViT classifiers: random weights, the real architecture and processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.loaders.pretrained import quiet_library

SIDE_PX = 224
CLASSES = ("tench", "pug", "tabby", "volcano", "pizza")
SAFETY_CLASSES = ("normal", "nsfw")

PREPROCESSING = Preprocessing(
    height_px=SIDE_PX,
    width_px=SIDE_PX,
    resize="exact",
    interpolation="bilinear",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)

CARD = ModelCard(
    id="small-vit",
    title="Small ViT with random weights",
    task="classifier",
    loader="vit",
    repository="tests/small-vit",
    preprocessing=PREPROCESSING,
    licence="CC0-1.0",
)

SAFETY_CARD = ModelCard(
    id="small-nsfw",
    title="Small ViT for safety with random weights",
    task="safety",
    loader="vit",
    repository="tests/small-nsfw",
    preprocessing=PREPROCESSING,
    parameters={"nsfw_label": "nsfw"},
    licence="CC0-1.0",
)


def write(folder: Path) -> ModelCard:
    """Save a classifier in `folder`, which is <models>/<card id>."""
    _write(folder, CLASSES, seed=1)
    return CARD


def write_safety(folder: Path) -> ModelCard:
    """Save a safety rater in `folder`, which is <models>/<card id>."""
    _write(folder, SAFETY_CLASSES, seed=2)
    return SAFETY_CARD


def _write(folder: Path, classes: Sequence[str], seed: int) -> None:
    import torch
    from PIL import Image
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=SIDE_PX,
        patch_size=32,
        initializer_range=0.2,  # the library's 0.02 gives every picture the same answer
        id2label=dict(enumerate(classes)),
        label2id={name: place for place, name in enumerate(classes)},
    )
    with quiet_library(), torch.random.fork_rng():
        torch.manual_seed(seed)
        ViTForImageClassification(config).save_pretrained(folder)
        ViTImageProcessorPil(
            size={"height": SIDE_PX, "width": SIDE_PX}, resample=Image.Resampling.BILINEAR
        ).save_pretrained(folder)
