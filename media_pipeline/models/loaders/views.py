"""Pieces of a picture at other sizes and tilts, and what can be measured on them."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media_pipeline.imaging.geometry import Pixels
from media_pipeline.models.loaders.suppression import Rect

FACE_PX = 44
"""Side that a place is brought to before cascades look at it closely."""

MARGIN = 0.35
"""Of the side, left around a place so that shifted and larger windows fit."""

PATTERN_MARGIN = 0.15
"""Of the side, around the face whose brightness pattern is measured."""

SHADES = 6
"""Rows of the brightness pattern; it is mirrored, so it has half as many columns."""

VIEW_MARGIN = 0.3
"""Of the long side, around a tilted picture."""


def cut_out(grey: Pixels, place: Rect, side_px: int, margin: float) -> Pixels:
    """A place and its surroundings at one size; the picture's edge goes on outside of it.

    Args:
        grey: uint8, shape (height, width).
        place: A square, in pixels.
        side_px: Side that the place gets.
        margin: Added at every side, of the place's side.

    Returns:
        uint8, shape (n, n) with n = side_px * (1 + 2 * margin), rounded.
    """
    n = round(side_px * (1 + 2 * margin))
    left, top, side = place[0] - margin * place[2], place[1] - margin * place[3], place[2]
    x, y, length = math.floor(left), math.floor(top), max(1, round(side * (1 + 2 * margin)))
    height, width = grey.shape
    x, y = min(max(x, 1 - length), width - 1), min(max(y, 1 - length), height - 1)
    inside = grey[max(y, 0) : y + length, max(x, 0) : x + length]
    above, before = max(-y, 0), max(-x, 0)
    below, behind = length - above - inside.shape[0], length - before - inside.shape[1]
    padded = cv2.copyMakeBorder(inside, above, below, before, behind, cv2.BORDER_REPLICATE)
    how = cv2.INTER_AREA if n < length else cv2.INTER_LINEAR
    return cv2.resize(padded, (n, n), interpolation=how).astype(np.uint8, copy=False)


def mirrored(grey: Pixels) -> Pixels:
    """Left and right exchanged."""
    return np.ascontiguousarray(grey[:, ::-1])


def halvings(grey: Pixels) -> list[Pixels]:
    """The picture, its half, its quarter, ... down to a short side of 2 px or less."""
    halves = [grey]
    while min(halves[-1].shape) > 2:
        height, width = halves[-1].shape
        even = halves[-1][: height // 2 * 2, : width // 2 * 2]
        half = cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        halves.append(half.astype(np.uint8, copy=False))
    return halves


def scaled(halves: list[Pixels], scale: float) -> Pixels:
    """The picture of `halvings` shrunk by a factor of at most 1; 10 times faster than alone."""
    if scale >= 1:
        return halves[0]
    height, width = halves[0].shape
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    level = min(int(math.log2(1 / scale)), len(halves) - 1)
    small = cv2.resize(halves[level], size, interpolation=cv2.INTER_LINEAR)
    return small.astype(np.uint8, copy=False)


def tilted(grey: Pixels, turn_deg: float) -> Pixels:
    """A picture turned around its middle by some degrees counter-clockwise, in the same frame."""
    height, width = grey.shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    return _warped(grey, cv2.getRotationMatrix2D(middle, turn_deg, 1.0), (width, height))


def view_of(grey: Pixels, turn_deg: float) -> Pixels:
    """A tilted picture with a margin into which its edge goes on.

    Args:
        grey: uint8, shape (height, width).
        turn_deg: Degrees, counter-clockwise.
    """
    height, width = grey.shape
    margin = VIEW_MARGIN * max(width, height)
    size = (round(width + 2 * margin), round(height + 2 * margin))
    return _warped(grey, _to_view((height, width), turn_deg), size)


def from_view(place: Rect, shape: tuple[int, ...], turn_deg: float) -> Rect:
    """A square in `view_of` a picture of that shape, as an upright one around the same middle."""
    to_view = _to_view(shape, turn_deg)
    middle = np.array([place[0] + place[2] / 2, place[1] + place[3] / 2])
    x, y = np.linalg.solve(to_view[:, :2], middle - to_view[:, 2])
    return float(x) - place[2] / 2, float(y) - place[3] / 2, place[2], place[3]


def _to_view(shape: tuple[int, ...], turn_deg: float) -> NDArray[np.float64]:
    height, width = shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, 1.0)
    to_view = np.array(turn, dtype=np.float64)
    to_view[:, 2] += VIEW_MARGIN * max(width, height)
    return to_view


def _warped(grey: Pixels, mapping: NDArray[Any], size: tuple[int, int]) -> Pixels:
    warped = cv2.warpAffine(
        grey, mapping, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped.astype(np.uint8, copy=False)


def pattern_of(near: Pixels) -> NDArray[np.float32]:
    """Where a face is bright and where dark, its halves averaged.

    Args:
        near: uint8, shape (n, n), a place with MARGIN around it.

    Returns:
        float32, shape (SHADES * SHADES // 2,), in standard deviations of `near`.
    """
    edge = round((MARGIN - PATTERN_MARGIN) * FACE_PX)
    face = near[edge:-edge, edge:-edge].astype(np.float32)
    means = cv2.resize(face, (SHADES, SHADES), interpolation=cv2.INTER_AREA)
    shades = (means - face.mean()) / (face.std() + 4.0)  # 4: flat places are no pattern
    halves = ((shades + shades[:, ::-1]) / 2)[:, : SHADES // 2]
    return np.asarray(halves.ravel(), dtype=np.float32)


def detail_of(near: Pixels) -> float:
    """Fine structure by contrast: fur and skin have it, a drawing or a cup has edges only.

    Args:
        near: uint8, shape (n, n).

    Returns:
        log of the mean absolute Laplacian by the standard deviation.
    """
    edges = np.abs(cv2.Laplacian(near, cv2.CV_16S))
    return math.log((float(edges.mean()) + 0.5) / (float(near.std()) + 4.0))


def grouped(
    hits: list[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Middles of the hits that lie on each other and how many they are, the most first.

    Returns:
        float64, shape (groups, 4), and int, shape (groups,).
    """
    if not hits:
        return np.zeros((0, 4)), np.zeros(0, dtype=np.int_)
    rounded = [[int(value) for value in np.round(hit)] for hit in hits]
    # doubled, because a group of one is dropped whatever the threshold
    places, doubled = cv2.groupRectangles(rounded * 2, 1, 0.3)
    counts = np.ravel(doubled).astype(np.int_) // 2
    order = np.argsort(-counts, kind="stable")
    return np.asarray(places, dtype=np.float64).reshape(-1, 4)[order], counts[order]
