"""Scenes: which frames of a video show something new, and which one stands for all.

Frames are looked at small. A frame whose colours differ enough from the average of the scene so
far starts a new scene; the frame with most detail stands for its scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from media_pipeline.imaging.geometry import Pixels, luma

F = TypeVar("F")

CUT = 0.30
"""A new scene starts at this histogram difference (0 equal, 1 no level in common)."""

BINS = 32
SMOOTHING = np.array([[1, 2, 3, 2, 1]], dtype=np.float32) / 9
"""Spreads a level over neighbouring bins, so that noise across a bin's border is no cut."""

MEMORY = 20
"""The average of a scene forgets frames older than about so many."""

BLACK_P95 = 32
"""A frame of which 95 % of the pixels are darker than this luma is black: a fade, a gap."""

UNIFORM_SPREAD = 4.0
"""A frame whose luma has a smaller standard deviation shows nothing: one colour and noise."""


@dataclass(frozen=True)
class Look:
    """What a frame looks like when it is small.

    Attributes:
        histogram: float32, shape (12, 32): red, green, blue of four quarters, each row of sum 1.
        is_blank: Whether it is black or of one colour.
        detail: Mean absolute Laplacian of its luma, in grey levels.
    """

    histogram: NDArray[np.float32]
    is_blank: bool
    detail: float


def look_at(pixels: Pixels) -> Look:
    """Describe a small frame.

    Args:
        pixels: uint8 RGB, shape (height, width, 3), about 160 px wide.
    """
    gray = luma(pixels)
    is_black = float(np.percentile(gray, 95)) < BLACK_P95
    return Look(
        histogram=_histogram(pixels),
        is_blank=is_black or float(gray.std()) < UNIFORM_SPREAD,
        detail=float(np.abs(cv2.Laplacian(gray, cv2.CV_16S)).mean()),
    )


def difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Half the L1 distance of two histograms, averaged over quarters and channels: 0 to 1."""
    return float(np.abs(first - second).sum(axis=1).mean() / 2)


def _histogram(pixels: Pixels) -> NDArray[np.float32]:
    height, width = pixels.shape[:2]
    rows, columns = (0, max(height // 2, 1), height), (0, max(width // 2, 1), width)
    counts = np.zeros((12, BINS), dtype=np.float32)
    for row in range(2):
        for column in range(2):
            quarter = pixels[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
            for channel in range(3):
                counted = cv2.calcHist([quarter], [channel], None, [BINS], [0, 256])
                counts[row * 6 + column * 3 + channel] = counted[:, 0]
    smooth = cv2.filter2D(counts, -1, SMOOTHING, borderType=cv2.BORDER_REPLICATE)
    sums = np.maximum(smooth.sum(axis=1, keepdims=True), np.float32(1e-6))
    return np.asarray(smooth / sums, dtype=np.float32)


@dataclass
class Scene(Generic[F]):
    """Frames that belong together.

    Attributes:
        best: The frame that stands for it, and when it is shown.
        best_time_ms: Time of `best`.
        look: How `best` looks.
        start_ms: Time of its first frame.
        end_ms: Time of its last frame.
        frames: How many were looked at.
        average: Mean histogram of its frames, recent ones counting more.
    """

    best: F
    best_time_ms: int
    look: Look
    start_ms: int
    end_ms: int
    frames: int
    average: NDArray[np.float32]

    def add(self, frame: F, time_ms: int, look: Look) -> None:
        """Take in one more frame."""
        self.frames += 1
        self.end_ms = max(self.end_ms, time_ms)
        weight = np.float32(1 / min(self.frames, MEMORY))
        self.average = self.average + (look.histogram - self.average) * weight
        if (not look.is_blank, look.detail) > (not self.look.is_blank, self.look.detail):
            self.best, self.best_time_ms, self.look = frame, time_ms, look

    def continues_with(self, look: Look) -> bool:
        """Whether a frame belongs to this scene."""
        return difference(self.average, look.histogram) < CUT


def new_scene(frame: F, time_ms: int, look: Look) -> Scene[F]:
    """A scene that starts with this frame."""
    return Scene(frame, time_ms, look, time_ms, time_ms, 1, look.histogram)


def worth_showing(scenes: Sequence[Scene[F]], count: int, least_frames: int = 1) -> list[Scene[F]]:
    """The scenes that get a keyframe.

    Blank scenes go, and scenes of fewer frames than `least_frames` (half-way through a
    cross-fade), as long as others are left; then the longest `count` stay.

    Returns:
        At most `count` scenes in the order of time; empty only if `scenes` is.
    """
    left = [s for s in scenes if not s.look.is_blank] or list(scenes)
    left = [s for s in left if s.frames >= least_frames] or left
    if len(left) <= count:
        return left
    frames = sorted((s.frames for s in left), reverse=True)[count - 1]
    longer = [s for s in left if s.frames > frames]
    equal = [s for s in left if s.frames == frames]
    places = count - len(longer)
    spread = [equal[place * len(equal) // places] for place in range(places)]
    return sorted(longer + spread, key=lambda scene: scene.start_ms)


def poster_scene(scenes: Sequence[Scene[F]]) -> Scene[F]:
    """The scene that stands for the video: the longest that is not blank, the first of equals."""
    return max(
        [s for s in scenes if not s.look.is_blank] or list(scenes),
        key=lambda scene: (scene.frames, -scene.start_ms),
    )
