"""Known defects and known edits: what good photographs are turned into to see what is noticed."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from media_pipeline.imaging.geometry import Pixels, luma, upright

Change = Callable[[Pixels], Pixels]


def blurred(percent: float) -> Change:
    """Gaussian blur whose sigma is a percentage of the long side."""
    return lambda rgb: _u8(cv2.GaussianBlur(rgb, (0, 0), percent / 100 * max(rgb.shape[:2])))


def unfocused_around(fraction: float) -> Change:
    """A sharp square of so much of the area in the middle, blurred by 1.5 % around it."""

    def change(rgb: Pixels) -> Pixels:
        height, width = rgb.shape[:2]
        side = min(height, width, int(math.sqrt(fraction * height * width)))
        top, left = (height - side) // 2, (width - side) // 2
        soft = blurred(1.5)(rgb)
        soft[top : top + side, left : left + side] = rgb[top : top + side, left : left + side]
        return soft

    return change


def moved(percent: float, degrees: float) -> Change:
    """Motion blur along a line whose length is a percentage of the long side."""

    def change(rgb: Pixels) -> Pixels:
        half = max(1, round(percent / 200 * max(rgb.shape[:2])))
        kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
        step = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]) * half
        ends = [tuple(np.rint(half + sign * step).astype(int).tolist()) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1)
        return _u8(cv2.filter2D(rgb, -1, kernel / kernel.sum()))

    return change


def exposed(stops: float) -> Change:
    """Exposure changed by so many stops in linear light (IEC 61966-2-1)."""
    code = np.arange(256) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    light = np.clip(linear * 2.0**stops, 0, 1)
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    table = np.rint(srgb * 255).astype(np.uint8)
    return lambda rgb: table[rgb]


def contrasted(factor: float) -> Change:
    """Contrast around the mean multiplied."""
    return lambda rgb: _u8((rgb - rgb.mean()) * factor + rgb.mean())


def noisy(sigma: float) -> Change:
    """Independent normal noise on every channel, and JPEG at quality 92 as a camera writes it."""
    rng = np.random.default_rng(0)
    return lambda rgb: coded(92)(_u8(rgb + rng.normal(0, sigma, rgb.shape)))


def coded(quality: int, form: str = "JPEG") -> Change:
    """Encoded with loss and decoded."""

    def change(rgb: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, form, quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))

    return change


def resized(factor: float) -> Change:
    """Width and height multiplied."""

    def change(rgb: Pixels) -> Pixels:
        size = (max(8, int(rgb.shape[1] * factor)), max(8, int(rgb.shape[0] * factor)))
        return _u8(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))

    return change


def gamma(exponent: float) -> Change:
    """Every channel raised to a power."""
    return lambda rgb: _u8(255 * (rgb / 255) ** exponent)


def gray(rgb: Pixels) -> Pixels:
    """Colour removed, still coded as RGB."""
    return np.repeat(luma(rgb)[..., np.newaxis], 3, axis=2)


def cropped(fraction: float) -> Change:
    """A part of width and height cut off at every side."""

    def change(rgb: Pixels) -> Pixels:
        y, x = int(rgb.shape[0] * fraction), int(rgb.shape[1] * fraction)
        return np.ascontiguousarray(rgb[y : rgb.shape[0] - y, x : rgb.shape[1] - x])

    return change


def oriented(orientation: int) -> Change:
    """What an EXIF orientation applies, coded again at quality 85."""
    return lambda rgb: coded(85)(np.ascontiguousarray(upright(rgb, orientation)))


def _u8(values: np.ndarray) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


DEFECTS: dict[str, tuple[str, Change]] = {
    "blur 0.25 %": ("blurry", blurred(0.25)),
    "blur 0.5 %": ("blurry", blurred(0.5)),
    "blur 0.7 %": ("blurry", blurred(0.7)),
    "blur 1 %": ("blurry", blurred(1)),
    "blur 2 %": ("blurry", blurred(2)),
    "motion 1 %": ("blurry", moved(1, 20)),
    "motion 2 %, 20°": ("blurry", moved(2, 20)),
    "motion 2 %, 45°": ("blurry", moved(2, 45)),
    "motion 3 %": ("blurry", moved(3, 70)),
    "-2 EV": ("low_light", exposed(-2)),
    "-3 EV": ("low_light", exposed(-3)),
    "+1 EV": ("overexposed", exposed(1)),
    "+2 EV": ("overexposed", exposed(2)),
    "+2.5 EV": ("overexposed", exposed(2.5)),
    "+3 EV": ("overexposed", exposed(3)),
    "contrast x 0.3": ("low_contrast", contrasted(0.3)),
    "contrast x 0.2": ("low_contrast", contrasted(0.2)),
    "noise 10": ("noisy", noisy(10)),
    "noise 25": ("noisy", noisy(25)),
    "noise 40": ("noisy", noisy(40)),
    "JPEG 30": ("over_compressed", coded(30)),
    "JPEG 15": ("over_compressed", coded(15)),
    "JPEG 8": ("over_compressed", coded(8)),
    "JPEG 5": ("over_compressed", coded(5)),
    "grey as RGB": ("grayscale", gray),
}
"""Defect: the tag that should be given, and how it is made."""

HARMLESS: dict[str, tuple[str, Change]] = {
    "sharp on 10 % of the area": ("blurry", unfocused_around(0.10)),
    "sharp on 15 % of the area": ("blurry", unfocused_around(0.15)),
    "sharp on 25 % of the area": ("blurry", unfocused_around(0.25)),
    "-1 EV": ("low_light", exposed(-1)),
    "contrast x 0.6": ("low_contrast", contrasted(0.6)),
    "JPEG 75": ("over_compressed", coded(75)),
    "half size": ("blurry", resized(0.5)),
}
"""What should not be called a defect: the tag that should not be given, and how it is made."""

EDITS: dict[str, Change] = {
    "JPEG 60": coded(60),
    "JPEG 10": coded(10),
    "WebP 70": coded(70, "WEBP"),
    "half size": resized(0.5),
    "half size, JPEG 60": lambda rgb: coded(60)(resized(0.5)(rgb)),
    "gamma 1.15": gamma(1.15),
    "gamma 0.7": gamma(0.7),
    "+1 EV": exposed(1),
    "grey": gray,
    "blur 0.5 %": blurred(0.5),
    "noise 10": noisy(10),
    **{f"orientation {k}": oriented(k) for k in range(2, 9)},
    "crop 1 %": cropped(0.01),
    "crop 3 %": cropped(0.03),
    "crop 5 %": cropped(0.05),
}
"""Edits after which it is the same picture; crops are shown for where that ends."""
