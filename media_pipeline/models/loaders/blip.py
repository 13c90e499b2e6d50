"""BLIP: a picture encoder and a text decoder that looks at it (Li et al. 2022, arXiv 2201.12086).

Reads   config.json, model.safetensors, tokenizer files of the card's folder
Writes  nothing
Cost    ViT-B/16 at 384 px: 111 GFLOP per picture, then one decoder pass per token and beam
Fails   `MissingWeights`, `DamagedWeights`; `UsageError` for a card without a length limit
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.captioning import (
    TextCaptioner,
    decoding_of,
    generation_config,
    precision_on,
)
from media_pipeline.models.loaders.pretrained import (
    config_number,
    load_model,
    load_tokenizer,
    read_config,
)
from media_pipeline.models.protocols import Captioner
from media_pipeline.models.torch_failures import place

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "blip"

VOCABULARY_DEFAULT = 30_524
"""The library's default, which a config.json may leave out."""

COUNTERS = (r"text_decoder\.bert\.embeddings\.position_ids$",)
"""0, 1, 2, ...: older versions of the library saved them with the weights."""


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The picture half: (n, 3, H, W) float32 -> ((n, patches + 1, width) float32,).

    It gives the last hidden state of the vision transformer, the class token first, which is what
    the text decoder looks at.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
    """
    import torch

    class Pictures(torch.nn.Module):
        def __init__(self, tower: torch.nn.Module) -> None:
            super().__init__()
            self.tower = tower

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.tower(pixel_values=pixel_values).last_hidden_state,)

    tower = cast("torch.nn.Module", _load(card, folder).vision_model)
    return Pictures(tower).eval()


def build_captioner(card: ModelCard, folder: Path, device: str) -> Captioner:
    """The whole model on a device.

    Args:
        card: Says preprocessing, and `max_new_tokens` and `num_beams` under parameters.
        folder: Where its files lie.
        device: `cpu` (float32), or `cuda` with or without a number (bfloat16).

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
        UsageError: The card has no length limit or no preprocessing.
        ModelError: There is no such device; `OutOfDeviceMemory` where the model does not fit.
    """
    how = decoding_of(card)
    config = read_config(card, folder, MODEL_TYPE)
    text_config = config.get("text_config", {})
    vocabulary = config_number(card, folder, text_config, "vocab_size", VOCABULARY_DEFAULT)
    tokenizer = load_tokenizer(card, folder, vocabulary)
    model: Any = place(card, _load(card, folder), device, precision_on(device))
    decoder = model.text_decoder
    # Set there, because BLIP's own `generate` passes arguments that do not go with a config.
    decoder.generation_config = generation_config(decoder.generation_config, how)

    def write(pixel_values: torch.Tensor) -> list[str]:
        tokens = model.generate(pixel_values=pixel_values)
        texts: list[str] = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return texts

    return TextCaptioner(card, device, write)


def _load(card: ModelCard, folder: Path) -> Any:
    from transformers import BlipForConditionalGeneration

    read_config(card, folder, MODEL_TYPE)
    return load_model(card, folder, BlipForConditionalGeneration, elsewhere=COUNTERS)
