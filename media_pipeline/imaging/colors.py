"""A picture's colours in a few bytes: dominant colours and the ThumbHash placeholder."""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np
import thumbhash as thumbhash_package
from numpy.typing import NDArray
from PIL import Image

from media_pipeline.imaging.geometry import shrunk_to

SAMPLE_SIDE_PX = 48
MOST_COLORS = 5
CUTS = 10
"""Colours that median cut makes before near-equal ones are merged."""

SAME_COLOR_DELTA = 14.0
"""CIE76 distance in L*a*b* below which two colours count as one; 2.3 is just noticeable."""

LEAST_FRACTION = 0.01
PLACEHOLDER_SIDE_PX = 32
"""ThumbHash is written in Python and costs 2.5 ms at 32 px, 27 ms at 100; the result is alike."""


class DominantColor(TypedDict):
    """One of `dominant_colors`.

    Attributes:
        hex: sRGB as `#rrggbb`.
        fraction: Share of the pixels, in (0, 1].
    """

    hex: str
    fraction: float


def dominant_colors(rgb: NDArray[np.uint8]) -> list[DominantColor]:
    """The colours that cover most of a picture.

    Median cut (Heckbert 1982, Pillow's) over about 48 x 48 pixels; what is nearer than
    `SAME_COLOR_DELTA` in L*a*b* becomes one colour, weighted by area.

    Args:
        rgb: uint8 sRGB, shape (height, width, 3).

    Returns:
        1 to 5 colours, largest first; their fractions add up to at most 1.
    """
    small = shrunk_to(rgb, SAMPLE_SIDE_PX)
    cut = Image.fromarray(small).quantize(CUTS, method=Image.Quantize.MEDIANCUT)
    counts = np.bincount(np.asarray(cut).ravel())
    palette = np.array(cut.getpalette(), dtype=np.uint8).reshape(-1, 3)
    used = np.flatnonzero(counts)
    used = used[np.argsort(-counts[used], kind="stable")]
    colors, weights = _merge(palette[used], counts[used])
    fractions = weights / counts.sum()
    order = np.argsort(-fractions, kind="stable")[:MOST_COLORS]
    return [
        {"hex": "#{:02x}{:02x}{:02x}".format(*colors[i]), "fraction": float(fractions[i])}
        for i in order
        if fractions[i] >= LEAST_FRACTION or i == order[0]
    ]


def thumbhash(rgb: NDArray[np.uint8]) -> bytes:
    """The ThumbHash placeholder of a picture (Evan Wallace, https://evanw.github.io/thumbhash).

    Args:
        rgb: uint8 sRGB, shape (height, width, 3).

    Returns:
        About 20 to 25 bytes that a browser turns into a blurred preview.
    """
    small = shrunk_to(rgb, PLACEHOLDER_SIDE_PX)
    height, width = small.shape[:2]
    rgba = np.dstack([small, np.full((height, width), 255, dtype=np.uint8)])
    return bytes(thumbhash_package.rgba_to_thumb_hash(width, height, rgba.ravel().tolist()))


def _merge(
    colors: NDArray[np.uint8], counts: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Merge each colour into the first (largest) one that it resembles."""
    lab = cv2.cvtColor(colors[np.newaxis].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    leaders: list[int] = []
    owner = np.zeros(len(colors), dtype=int)
    for i in range(len(colors)):
        near = [k for k in leaders if np.linalg.norm(lab[i] - lab[k]) < SAME_COLOR_DELTA]
        if not near:
            leaders.append(i)
        owner[i] = near[0] if near else i
    weights = np.array([counts[owner == k].sum() for k in leaders])
    means = [np.average(colors[owner == k], axis=0, weights=counts[owner == k]) for k in leaders]
    return np.rint(np.array(means)).astype(np.uint8), weights
