"""What the small tokenizers of the test checkpoints are trained on, and how."""

from __future__ import annotations

import json
from typing import Any

SENTENCES = (
    "a photo of a cat on the sofa",
    "a photo of two dogs on the beach at sunset",
    "a drawing of a horse",
    "a screenshot of a map with streets and a river",
    "a birthday party with cake and candles",
    "people skiing in the mountains, seen from far away",
    "an old receipt from a restaurant",
    "grandmother reading a book in the garden",
    "a blurry photo of a train station at night",
    "food on a plate, pasta with tomatoes",
)
"""Enough for a vocabulary of a few hundred tokens."""


def merges_of(pieces: Any) -> list[tuple[str, str]]:
    """The merges that a trained BPE tokenizer learnt, in order."""
    return [(left, right) for left, right in json.loads(pieces.to_str())["model"]["merges"]]
