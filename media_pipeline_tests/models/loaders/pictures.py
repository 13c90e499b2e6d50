"""Pictures of every shape, drawn in code, that no two models' inputs confuse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZES = ((37, 55), (300, 200), (120, 480), (64, 64), (1, 40), (33, 1), (32, 32))
"""Height and width in pixels."""


def drawn(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A gradient, a few rectangles and some noise: uint8, shape (height, width, 3)."""
    random = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height)[:, np.newaxis, np.newaxis]
    columns = np.linspace(0, 1, width)[np.newaxis, :, np.newaxis]
    picture = 255 * (rows * random.random(3) + columns * random.random(3)) / 2
    for _ in range(4):
        top, left = random.integers(0, height), random.integers(0, width)
        picture[top : top + height // 3 + 1, left : left + width // 3 + 1] = 255 * random.random(3)
    noisy = picture + random.normal(0, 6, picture.shape)
    return noisy.round().clip(0, 255).astype(np.uint8)


def many(count: int = len(SIZES)) -> list[NDArray[np.uint8]]:
    """Different pictures of the sizes in turn."""
    return [drawn(*SIZES[number % len(SIZES)], seed=number) for number in range(count)]
