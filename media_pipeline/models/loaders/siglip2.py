"""SigLIP and SigLIP 2 at one resolution: pictures and texts in one space (Tschannen et al. 2025).

Reads   config.json, model.safetensors, tokenizer files of the card's folder
Writes  nothing
Cost    ViT-B/16 at 224 px: 17.5 GFLOP per picture; each half is loaded without the other
Fails   `MissingWeights`, `DamagedWeights`; a checkpoint of model_type `siglip2` (NaFlex) takes
        patches instead of pictures and is refused
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.embedding import PictureEmbedder, SpaceTexts
from media_pipeline.models.loaders.pretrained import (
    config_number,
    damaged,
    load_model,
    load_tokenizer,
    read_config,
    read_scalar,
)
from media_pipeline.models.torch_failures import place

if TYPE_CHECKING:
    import torch

    from media_pipeline.models.sessions import Session

MODEL_TYPE = "siglip"
"""Of the fixed-resolution checkpoints, SigLIP 2 included."""

TEXT_TOKENS = 64
"""SigLIP was trained on texts padded to 64 tokens and attends to the padding."""

DIM_DEFAULT = 768
VOCABULARY_DEFAULT = 32_000
"""The library's defaults, which a config.json may leave out."""

NOT_PICTURES = (r"text_model\.", r"logit_(scale|bias)$")
NOT_TEXTS = (r"vision_model\.", r"logit_(scale|bias)$")


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The picture half: (n, 3, H, W) float32 -> ((n, dim) float32,), not normalised.

    It gives `SiglipModel.get_image_features`: the output of the attention pooling head.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
    """
    import torch
    from transformers import SiglipVisionModel

    read_config(card, folder, MODEL_TYPE)

    class Pictures(torch.nn.Module):
        def __init__(self, tower: torch.nn.Module) -> None:
            super().__init__()
            self.tower = tower

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (self.tower(pixel_values=pixel_values).pooler_output,)

    return Pictures(load_model(card, folder, SiglipVisionModel, NOT_PICTURES)).eval()


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

    Texts are lower-cased, as in training; the checkpoint's own tokenizer leaves that to the caller
    (https://github.com/huggingface/transformers/pull/43101).

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
        ModelError: There is no such device; `OutOfDeviceMemory` where the model does not fit.
    """
    import torch
    from transformers import SiglipTextModel

    config = read_config(card, folder, MODEL_TYPE)
    text = config.get("text_config", {})
    vocabulary = config_number(card, folder, text, "vocab_size", VOCABULARY_DEFAULT)
    length = config_number(card, folder, text, "max_position_embeddings", TEXT_TOKENS)
    token_rows = _token_rows(card, folder, load_tokenizer(card, folder, vocabulary), length)
    loaded = load_model(card, folder, SiglipTextModel, NOT_TEXTS)
    tower: Any = place(card, loaded, device, torch.float32)

    def encode(texts: list[str]) -> torch.Tensor:
        tokens = torch.tensor(token_rows(texts), dtype=torch.long, device=device)
        vectors: torch.Tensor = tower(input_ids=tokens).pooler_output
        return vectors

    return SpaceTexts(
        card,
        _dim(card, folder, config),
        encode,
        device,
        logit_scale=math.exp(read_scalar(card, folder, "logit_scale")),
        logit_bias=read_scalar(card, folder, "logit_bias"),
    )


def _token_rows(
    card: ModelCard, folder: Path, tokenizer: Any, length: int
) -> Callable[[list[str]], list[list[int]]]:
    """Texts to rows of `length` tokens: the text, cut if need be, its end, padding.

    That is how SigLIP was trained (big_vision: lower, tokenize, eos="sticky"). Whether the
    tokenizer itself marks the end depends on its files and on the version of the library.
    """
    end, padding = tokenizer.eos_token_id, tokenizer.pad_token_id
    if end is None or padding is None:
        raise damaged(card, folder, "its tokenizer names no token for the end or for padding")

    def rows(texts: list[str]) -> list[list[int]]:
        tokens = tokenizer(
            [text.lower() for text in texts],
            add_special_tokens=False,
            truncation=True,
            max_length=length - 1,
        )["input_ids"]
        return [[*row, end, *[padding] * (length - 1 - len(row))] for row in tokens]

    return rows


def _dim(card: ModelCard, folder: Path, config: dict[str, Any]) -> int:
    vision = config.get("vision_config", {})
    return config_number(card, folder, vision, "hidden_size", DIM_DEFAULT)
