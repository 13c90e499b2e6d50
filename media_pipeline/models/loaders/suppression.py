"""Which of several boxes on the same thing stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rect = tuple[float, float, float, float]
"""Left, top, width, height."""

Box4 = Sequence[float] | NDArray[np.number]
"""What may be read as a Rect."""

SAME_PLACE = 0.4
"""Intersection over union from which two proposals are one place."""

COVERED = 0.5
"""Share of the smaller box from which two boxes are about the same thing."""


def intersection(one: Box4, other: Box4) -> float:
    """Area that two boxes share."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return float(max(width, 0) * max(height, 0))


def intersection_over_union(one: Box4, other: Box4) -> float:
    """Shared area by the area of both together, in [0, 1]."""
    shared = intersection(one, other)
    return shared / max(float(one[2] * one[3] + other[2] * other[3]) - shared, 1e-12)


def coverage(one: Box4, other: Box4) -> float:
    """Shared area by the area of the smaller box, in [0, 1]."""
    smaller = min(float(one[2] * one[3]), float(other[2] * other[3]))
    return intersection(one, other) / max(smaller, 1e-12)


def distinct(places: NDArray[np.float64]) -> list[Rect]:
    """The places without those that an earlier one stands for.

    Args:
        places: float64, shape (places, 4), best first.
    """
    kept: list[Rect] = []
    for place in places:
        if all(intersection_over_union(place, other) <= SAME_PLACE for other in kept):
            left, top, width, height = map(float, place)
            kept.append((left, top, width, height))
    return kept


def strongest(boxes: Sequence[Box4], scores: Sequence[float]) -> list[int]:
    """Non-maximum suppression: places of the boxes that no stronger one covers, strongest first.

    Boxes of different kinds may be given together: then a cat's face and a human face on the same
    spot leave the likelier of the two.

    Args:
        boxes: In one unit.
        scores: As many, comparable with each other.
    """
    kept: list[int] = []
    for number in np.argsort(-np.asarray(scores), kind="stable"):
        if all(coverage(boxes[number], boxes[other]) <= COVERED for other in kept):
            kept.append(int(number))
    return kept


def clipped(box: Rect, width: float, height: float) -> Rect:
    """The part of a box inside a picture, in fractions of the picture."""
    left, top = min(max(box[0], 0.0), width), min(max(box[1], 0.0), height)
    right = min(max(box[0] + box[2], left), width)
    bottom = min(max(box[1] + box[3], top), height)
    return left / width, top / height, (right - left) / width, (bottom - top) / height
