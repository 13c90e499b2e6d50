"""A small RT-DETR v2: random weights, the real architecture and processor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from media_pipeline.models.cards import ModelCard, Preprocessing
from media_pipeline.models.loaders.pretrained import quiet_library

if TYPE_CHECKING:
    import torch

SIDE_PX = 128
QUERIES = 20
LAYERS = 2

LABELS = (
    *("person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat"),
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
    *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
)
"""The first 25 of COCO's 80 classes, as the real config names them."""

CARD = ModelCard(
    id="small-rt-detr-v2",
    title="Small RT-DETR v2 with random weights",
    task="detector",
    loader="rt_detr_v2",
    repository="tests/small-rt-detr-v2",
    preprocessing=Preprocessing(
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        resize="exact",
        crop_fraction=1.0,
        interpolation="bilinear",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    ),
    licence="CC0-1.0",
)


def write(folder: Path) -> ModelCard:
    """Save the checkpoint in `folder`, which is <models>/<card id>."""
    import torch
    from transformers import RTDetrImageProcessorPil, RTDetrV2ForObjectDetection

    with quiet_library(), torch.random.fork_rng():
        torch.manual_seed(5)
        model = RTDetrV2ForObjectDetection(_config())
        _let_pictures_matter(model)
        model.save_pretrained(folder)
        RTDetrImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
    return CARD


def _config():  # type: ignore[no-untyped-def]
    from transformers import RTDetrResNetConfig, RTDetrV2Config

    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    return RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[16, 24, 32],
        encoder_hidden_dim=32,
        encoder_ffn_dim=48,
        encoder_attention_heads=2,
        d_model=32,
        num_queries=QUERIES,
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=48,
        decoder_layers=LAYERS,
        decoder_attention_heads=4,
        id2label=dict(enumerate(LABELS)),
        label2id={name: number for number, name in enumerate(LABELS)},
    )


def _let_pictures_matter(model: torch.nn.Module) -> None:
    """Undo the start of a training, where every output is nearly the same for every picture."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "bbox_embed" in name:  # zero at first: every box stays where it is
                weight.normal_(std=0.12)
            elif "class_embed" in name:  # nothing at all at first
                weight.normal_(std=0.25, mean=0.0 if name.endswith("weight") else -2.5)
            elif "sampling_offsets.weight" in name:
                weight.normal_(std=0.2)
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.weight.uniform_(0.5, 1.5)
