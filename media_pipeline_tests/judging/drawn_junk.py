"""Pictures drawn in code that people throw away, and some that they do not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

FONT = cv2.FONT_HERSHEY_SIMPLEX
WORDS = "the quick brown fox jumps over the lazy dog and runs away from all of it".split()


def plain(width: int, height: int, level: int | tuple[int, int, int]) -> Pixels:
    return np.full((height, width, 3), level, dtype=np.uint8)


def write(picture: Pixels, text: str, left: int, base: int, scale: float, level: int = 20) -> None:
    color = (level, level, level)
    cv2.putText(picture, text, (left, base), FONT, scale, color, max(1, round(2 * scale)))


def page(lines: int = 40) -> Pixels:
    """An A4 page at 150 dpi of `lines` lines of text."""
    picture = plain(1240, 1754, 250)
    for line in range(lines):
        words = " ".join(WORDS[(line + k) % len(WORDS)] for k in range(11))
        write(picture, words, 120, 140 + 38 * line, 0.9)
    return picture


def receipt() -> Pixels:
    """A narrow strip of paper with short lines."""
    picture = plain(600, 1700, 245)
    for line in range(44):
        write(
            picture,
            f"{WORDS[line % len(WORDS)]} x{line % 7}  {line * 1.35:.2f}",
            90,
            80 + 36 * line,
            0.9,
        )
    return picture


def phone_screen(width: int = 1170, height: int = 2532) -> Pixels:
    """A list of cards below a bar, as apps draw them."""
    picture = plain(width, height, (242, 242, 247))
    picture[:220] = (30, 90, 200)
    write(picture, "Messages", 60, 160, 2.2, 255)
    for card in range(8):
        top = 280 + 260 * card
        picture[top : top + 220, 40 : width - 40] = 255
        cv2.rectangle(picture, (40, top), (width - 40, top + 220), (200, 200, 205), 3)
        cv2.circle(picture, (150, top + 110), 70, (90, 160, 90), -1)
        write(picture, f"Contact number {card}", 260, top + 90, 1.5)
        write(picture, "see you at the station at nine", 260, top + 165, 1.2, 120)
    return picture


def landscape(seed: int = 0, width: int = 800, height: int = 600) -> Pixels:
    """Clouds of colour at every scale with grain: nothing flat, straight or written."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), dtype=np.float32)
    for cells in (3, 7, 15, 40, 110, 300):
        noise = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / cells**0.45
    total = 120 + 42 * total + rng.normal(scale=4, size=total.shape)
    return np.clip(total, 0, 255).astype(np.uint8)


def meme(top: str = "ONE DOES NOT", bottom: str = "SIMPLY DRAW A MEME") -> Pixels:
    """A picture with white outlined letters above and below."""
    picture = landscape(seed=5, width=1000, height=800)
    for text, base in ((top, 130), (bottom, 760)):
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 2.6, 9)
        place = ((1000 - width) // 2, base)
        for color, thickness in (((0, 0, 0), 22), ((255, 255, 255), 8)):
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_DUPLEX, 2.6, color, thickness)
    return picture


def captioned_above() -> Pixels:
    """A picture below a white band with large writing."""
    picture = landscape(seed=6, width=1000, height=1000)
    picture[:220] = 255
    write(picture, "when you draw it yourself", 60, 140, 2.0, 0)
    return picture


def chart() -> Pixels:
    """Bars, axes and a legend on white."""
    picture = plain(1000, 800, 255)
    for bar, tall in enumerate((300, 480, 200, 560, 420)):
        cv2.rectangle(
            picture, (180 + 140 * bar, 700 - tall), (270 + 140 * bar, 700), (40, 90, 220), -1
        )
    cv2.line(picture, (120, 60), (120, 700), (0, 0, 0), 3)
    cv2.line(picture, (120, 700), (940, 700), (0, 0, 0), 3)
    for tick in range(6):
        cv2.line(picture, (110, 100 + 100 * tick), (940, 100 + 100 * tick), (205, 205, 205), 2)
    return picture


def pocket(seed: int = 0) -> Pixels:
    """What a camera takes inside a pocket: black and grain."""
    noise = np.random.default_rng(seed).normal(4, 2, size=(900, 1200, 1))
    return np.repeat(np.clip(noise, 0, 255).astype(np.uint8), 3, axis=2)


def moon() -> Pixels:
    """A bright disc in a black sky."""
    picture = pocket(seed=1)
    cv2.circle(picture, (700, 400), 60, (215, 205, 180), -1)
    cv2.circle(picture, (680, 390), 14, (150, 140, 125), -1)
    return picture
