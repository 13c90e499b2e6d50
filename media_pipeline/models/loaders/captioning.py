"""Captions by a model that writes text: what BLIP and Florence-2 share.

Decoding is greedy or by beams, never sampled, so the same picture always gets the same caption.
The card's parameters say how: `max_new_tokens` (the length limit, required) and `num_beams` (1, the
default, is greedy).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from media_pipeline.errors import UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.embedding import preprocessing_of
from media_pipeline.models.preprocess import prepare
from media_pipeline.models.protocols import Input, Pixels
from media_pipeline.models.torch_failures import failure_of, free_unused

if TYPE_CHECKING:
    import torch

Write = Callable[["torch.Tensor"], list[str]]
"""Pictures (n, 3, H, W), on the device and in its precision, to n texts as the model gave them."""

MOST_NEW_TOKENS = 512
MOST_BEAMS = 32


@dataclass(frozen=True)
class Decoding:
    """How text is generated.

    Attributes:
        max_new_tokens: Tokens after which a caption ends, the prompt not counted.
        num_beams: Beams that are searched; 1 is greedy.
    """

    max_new_tokens: int
    num_beams: int = 1


def decoding_of(card: ModelCard) -> Decoding:
    """How a card wants its captions generated.

    Raises:
        UsageError: `max_new_tokens` is missing, or a value is out of range.
    """
    return Decoding(
        max_new_tokens=_parameter(card, "max_new_tokens", None, MOST_NEW_TOKENS),
        num_beams=_parameter(card, "num_beams", 1, MOST_BEAMS),
    )


def _parameter(card: ModelCard, name: str, default: int | None, most: int) -> int:
    value = card.parameters.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise UsageError(
            f"the card {card.id!r} has {name} {value!r} under [parameters]: it must be a whole "
            f"number from 1 to {most}"
        )
    return value


def generation_config(preset: Any, how: Decoding) -> Any:
    """What the checkpoint says about generation, with our limits and without chance.

    Args:
        preset: The checkpoint's `GenerationConfig`; it is not changed.
        how: Limits that win over it.
    """
    config = copy.deepcopy(preset)
    config.do_sample = False
    config.max_new_tokens, config.max_length = how.max_new_tokens, None
    config.num_beams = how.num_beams
    if how.num_beams == 1:
        config.early_stopping, config.length_penalty = False, 1.0  # they belong to beams
    return config


def precision_on(device: str) -> torch.dtype:
    """What a captioner computes in."""
    import torch

    return torch.bfloat16 if device.startswith("cuda") else torch.float32


class TextCaptioner:
    """A `Captioner` over a model that writes text.

    Args:
        card: What it is.
        device: Where the model lies, such as `cpu` or `cuda:0`.
        write: Pictures to texts.

    Raises:
        UsageError: The card has no preprocessing.
    """

    def __init__(self, card: ModelCard, device: str, write: Write) -> None:
        self._card = card
        self._device = device
        self._write = write
        self._how = preprocessing_of(card)

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self._card

    @property
    def is_parallel(self) -> bool:
        """Never: a GPU takes one batch at a time, and on CPU torch spreads one over all cores."""
        return False

    def prepare(self, image: Pixels) -> Input:
        """float32, shape (3, height, width), normalised as the card says.

        Raises:
            ShapeError: `image` is not (height, width, 3) uint8 with at least one pixel.
        """
        return prepare(image, self._how)

    def infer(self, inputs: Sequence[Input]) -> list[str]:
        """One line of text per input; empty where the model had nothing to say.

        Raises:
            OutOfDeviceMemory: The batch was too large; ask again with half of it.
            ModelError: The device failed.
        """
        import torch

        if not inputs:
            return []
        batch = torch.from_numpy(np.stack(inputs))
        try:
            with torch.inference_mode():
                texts = self._write(batch.to(self._device, precision_on(self._device)))
            return [one_line(text) for text in texts]
        except RuntimeError as error:
            failure = failure_of(self._card, self._device, error, f"{len(inputs)} pictures at once")
            if failure is None:
                raise
        # Raised out here, without its cause, whose frames would keep the batch on the device.
        free_unused(self._device, failure)
        raise failure


def one_line(text: str) -> str:
    """The text without control characters, every run of white space one space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
