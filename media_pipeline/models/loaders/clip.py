"""CLIP: pictures and texts in one space (Radford et al. 2021).

Reads   config.json, model.safetensors, tokenizer files of the card's folder
Writes  nothing
Cost    ViT-B/32 at 224 px: 4.4 GFLOP per picture; each half is loaded without the other
Fails   `MissingWeights`, `DamagedWeights`
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.embedding import PictureEmbedder, SpaceTexts
from media_pipeline.models.loaders.pretrained import (
    config_number,
    load_model,
    load_tokenizer,
    read_config,
    read_scalar,
)
from media_pipeline.models.torch_failures import place

if TYPE_CHECKING:
    import torch

    from media_pipeline.models.sessions import Session

MODEL_TYPE = "clip"

DIM_DEFAULT = 512
VOCABULARY_DEFAULT = 49_408
TOKENS_DEFAULT = 77
"""The library's defaults, which a config.json may leave out."""

NOT_PICTURES = (r"text_model\.", r"text_projection\.", r"logit_scale$")
NOT_TEXTS = (r"vision_model\.", r"visual_projection\.", r"logit_scale$")


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The picture half: (n, 3, H, W) float32 -> ((n, dim) float32,), not normalised.

    It gives `CLIPModel.get_image_features`: the projection of the pooled output.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
    """
    import torch
    from transformers import CLIPVisionModelWithProjection

    # Alone, the tower reads the length of its vectors from its own part of the config, where some
    # checkpoints leave the default of another size.
    length = {"projection_dim": _dim(card, folder, read_config(card, folder, MODEL_TYPE))}
    tower = load_model(card, folder, CLIPVisionModelWithProjection, NOT_PICTURES, length)

    class Pictures(torch.nn.Module):
        def __init__(self, tower: torch.nn.Module) -> None:
            super().__init__()
            self.tower = tower

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (self.tower(pixel_values=pixel_values).image_embeds,)

    return Pictures(tower).eval()


def adapter(card: ModelCard, folder: Path, session: Session) -> PictureEmbedder:
    """The `Embedder` over a session that runs the module.

    Raises:
        MissingWeights: There is no config.json.
        DamagedWeights: It is damaged, or of another architecture.
        UsageError: The card has no preprocessing.
    """
    config = read_config(card, folder, MODEL_TYPE)
    return PictureEmbedder(card, _dim(card, folder, config), session)


def build_text_embedder(card: ModelCard, folder: Path, device: str) -> SpaceTexts:
    """The text half on a device such as `cpu` or `cuda`.

    Texts of a batch are padded to the longest and the padding is masked.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
        ModelError: There is no such device; `OutOfDeviceMemory` where the model does not fit.
    """
    import torch
    from transformers import CLIPTextModelWithProjection

    config = read_config(card, folder, MODEL_TYPE)
    text = config.get("text_config", {})
    vocabulary = config_number(card, folder, text, "vocab_size", VOCABULARY_DEFAULT)
    tokens_max = config_number(card, folder, text, "max_position_embeddings", TOKENS_DEFAULT)
    tokenizer = load_tokenizer(card, folder, vocabulary)
    dim = _dim(card, folder, config)
    loaded = load_model(
        card, folder, CLIPTextModelWithProjection, NOT_TEXTS, {"projection_dim": dim}
    )
    tower: Any = place(card, loaded, device, torch.float32)

    def encode(texts: list[str]) -> torch.Tensor:
        tokens = tokenizer(
            texts, padding=True, max_length=tokens_max, truncation=True, return_tensors="pt"
        )
        vectors: torch.Tensor = tower(
            input_ids=tokens["input_ids"].to(device),
            attention_mask=tokens["attention_mask"].to(device),
        ).text_embeds
        return vectors

    return SpaceTexts(
        card,
        dim,
        encode,
        device,
        logit_scale=math.exp(read_scalar(card, folder, "logit_scale")),
    )


def _dim(card: ModelCard, folder: Path, config: dict[str, Any]) -> int:
    return config_number(card, folder, config, "projection_dim", DIM_DEFAULT)
