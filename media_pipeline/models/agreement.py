"""Whether two runtimes give the same answers for the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media_pipeline.models.cards import Task
from media_pipeline.models.protocols import Box

COSINE_LEAST = 0.99
"""Two vectors of one picture agree from here on."""

IOU_LEAST = 0.9
"""Two boxes agree from here on: intersection over union."""

UNSAFE_FROM = 0.5
"""Two safety ratings agree when they are on the same side, or nearly equal."""

RATING_APART = 0.02


def share_alike(task: Task, ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Share of pictures whose answers agree, in [0, 1].

    Args:
        task: Says what an answer is.
        ours: One answer per picture; at least one.
        theirs: The same, in the same order.

    Raises:
        KeyError: The task's answers cannot be compared.
    """
    alike = ALIKE[task]
    return float(np.mean([alike(one, other) for one, other in zip(ours, theirs, strict=True)]))


def _same_class(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool(np.argmax(one) == np.argmax(other))


def _same_direction(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool(one @ other >= COSINE_LEAST)


def _same_rating(one: float, other: float) -> bool:
    same_side = (one >= UNSAFE_FROM) == (other >= UNSAFE_FROM)
    return same_side or abs(one - other) <= RATING_APART


def _same_boxes(one: Sequence[Box], other: Sequence[Box]) -> bool:
    """Whether every box of either has its own partner of the same kind in the other."""
    if len(one) != len(other):
        return False
    free = list(other)
    for box in one:
        fitting = [b for b in free if b.kind == box.kind and _overlap(b, box) >= IOU_LEAST]
        if not fitting:
            return False
        free.remove(max(fitting, key=lambda partner: _overlap(partner, box)))
    return True


def _overlap(one: Box, other: Box) -> float:
    """Area of the intersection of two boxes over that of their union, in [0, 1]."""
    right = min(one.left + one.width, other.left + other.width)
    bottom = min(one.top + one.height, other.top + other.height)
    shared = max(0.0, right - max(one.left, other.left))
    shared *= max(0.0, bottom - max(one.top, other.top))
    together = one.width * one.height + other.width * other.height - shared
    return shared / together if together > 0 else 1.0


ALIKE: Mapping[Task, Callable[[Any, Any], bool]] = {
    "classifier": _same_class,
    "embedder": _same_direction,
    "safety": _same_rating,
    "detector": _same_boxes,
}
