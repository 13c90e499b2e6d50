"""Florence-2: a DaViT picture encoder and a BART that answers a task (Xiao et al. 2023).

The paper is arXiv 2311.06242. Only checkpoints in the layout of the transformers library's own
Florence2 classes are read (such as florence-community/Florence-2-base); Microsoft's repositories
bring their own code, which is never run.

Reads   config.json, model.safetensors, processor and tokenizer files of the card's folder
Writes  nothing
Cost    DaViT-B at 768 px: 577 picture tokens, then one decoder pass per token and beam
Fails   `MissingWeights`, `DamagedWeights`; `UsageError` for a card without a length limit, with a
        prompt that asks for no caption, or with another input size than the checkpoint's
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from media_pipeline.errors import UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.captioning import (
    TextCaptioner,
    decoding_of,
    generation_config,
    precision_on,
)
from media_pipeline.models.loaders.embedding import preprocessing_of
from media_pipeline.models.loaders.pretrained import (
    config_number,
    library_reads,
    load_model,
    load_tokenizer,
    missing,
    read_config,
    read_json,
)
from media_pipeline.models.protocols import Captioner
from media_pipeline.models.torch_failures import place

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "florence2"

VOCABULARY_DEFAULT = 50_265
"""BART's, which a config.json may leave out."""

PROMPTS = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")
"""The tasks whose answer is a caption; others answer with boxes and outlines."""

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
"""Either says how many tokens a picture takes; the first is the newer layout."""


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The picture half: (n, 3, H, W) float32 -> ((n, picture tokens, width) float32,).

    It gives `Florence2Model.get_image_features`: the tower's output, pooled, projected into the
    space of the text model and normalised.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
    """
    import torch

    class Pictures(torch.nn.Module):
        def __init__(self, tower: torch.nn.Module, projector: torch.nn.Module) -> None:
            super().__init__()
            self.tower, self.projector = tower, projector

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.projector(self.tower(pixel_values).last_hidden_state),)

    whole = _load(card, folder).model
    return Pictures(whole.vision_tower, whole.multi_modal_projector).eval()


def build_captioner(card: ModelCard, folder: Path, device: str) -> Captioner:
    """The whole model on a device.

    Args:
        card: Says preprocessing, and `max_new_tokens`, `num_beams` and `prompt` (one of `PROMPTS`)
            under parameters.
        folder: Where its files lie.
        device: `cpu` (float32), or `cuda` with or without a number (bfloat16).

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
        UsageError: The card has no length limit or preprocessing, or another prompt or input size.
        ModelError: There is no such device; `OutOfDeviceMemory` where the model does not fit.
    """
    how, prompt = decoding_of(card), _prompt_of(card)
    config = read_config(card, folder, MODEL_TYPE)
    processor = _load_processor(card, folder, config)
    model: Any = _load(card, folder)
    _check_picture_tokens(card, model.config.vision_config, processor.num_image_tokens)
    blank = np.zeros((2, 2, 3), dtype=np.uint8)
    asked = processor(images=blank, text=prompt, return_tensors="pt")
    question = asked["input_ids"]  # one row; the same for every picture
    model = place(card, model, device, precision_on(device))
    generation = generation_config(model.generation_config, how)

    def write(pixel_values: torch.Tensor) -> list[str]:
        rows = question.to(pixel_values.device).expand(len(pixel_values), -1)
        tokens = model.generate(
            input_ids=rows,
            attention_mask=rows.new_ones(rows.shape),
            pixel_values=pixel_values,
            generation_config=generation,
        )
        texts: list[str] = processor.batch_decode(tokens, skip_special_tokens=True)
        return texts

    return TextCaptioner(card, device, write)


def _prompt_of(card: ModelCard) -> str:
    prompt = card.parameters.get("prompt", PROMPTS[0])
    if prompt not in PROMPTS:
        raise UsageError(
            f"the card {card.id!r} has prompt {prompt!r} under [parameters]: it must be one of "
            f"{', '.join(PROMPTS)}"
        )
    return str(prompt)


def _load(card: ModelCard, folder: Path) -> Any:
    from transformers import Florence2ForConditionalGeneration

    read_config(card, folder, MODEL_TYPE)
    return load_model(card, folder, Florence2ForConditionalGeneration)


def _load_processor(card: ModelCard, folder: Path, config: dict[str, Any]) -> Any:
    """The library's processor, for the wording of the prompt and the tokens of a picture.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: It cannot be read.
    """
    from transformers import Florence2Processor

    text_config = config.get("text_config", {})
    vocabulary = config_number(card, folder, text_config, "vocab_size", VOCABULARY_DEFAULT)
    load_tokenizer(card, folder, vocabulary)  # for its checks
    found = [name for name in PROCESSOR_FILES if (folder / name).is_file()]
    if not found:
        raise missing(card, folder, PROCESSOR_FILES[0])
    for name in found:
        read_json(card, folder, name)
    with library_reads(card, folder, "processor"):
        return Florence2Processor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )


def _check_picture_tokens(card: ModelCard, tower: Any, expected: int) -> None:
    """Refuse a card whose pictures give another number of tokens than the prompt holds.

    The tower halves its picture by convolutions: out = (in + 2 padding - kernel) // stride + 1.
    One token per place of the last one, and one for their mean.
    """
    how = preprocessing_of(card)
    height, width = how.height_px, how.width_px
    for kernel, stride, padding in zip(
        tower.patch_size, tower.patch_stride, tower.patch_padding, strict=True
    ):
        height = (height + 2 * padding - kernel) // stride + 1
        width = (width + 2 * padding - kernel) // stride + 1
    if height * width + 1 != expected:
        raise UsageError(
            f"the card {card.id!r} has an input of {how.width_px} x {how.height_px} px: that gives "
            f"{height * width + 1} picture tokens, its checkpoint expects {expected}; take the "
            "size from its preprocessor_config.json"
        )
