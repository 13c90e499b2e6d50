"""Colour profiles: from whatever a file's colours mean to sRGB."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from itertools import product

import numpy as np
from PIL import Image, ImageCms

from media_pipeline.imaging.geometry import Pixels

SAME_LEVELS = 2
"""A profile that moves no colour of the probe by more than this is sRGB, whatever its name."""

Transform = ImageCms.ImageCmsTransform


def transform_to_srgb(profile: bytes, mode: str) -> tuple[Transform | None, str | None]:
    """The transform from a profile to sRGB.

    Args:
        profile: An ICC profile.
        mode: Pillow mode of the picture that carries it: RGB, L, CMYK or LAB.

    Returns:
        The transform, `None` where none is needed or the profile is unusable; and for an unusable
        one a message that says so.
    """
    try:
        return _transform(profile, mode), None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        return None, f"its colour profile was ignored: {error}"


def apply(transform: Transform, pixels: Pixels) -> Pixels:
    """Colours after a transform from RGB.

    Args:
        transform: From `transform_to_srgb` with mode RGB.
        pixels: uint8 RGB, shape (height, width, 3).

    Returns:
        uint8 sRGB, same shape.
    """
    converted = transform.apply(Image.fromarray(pixels))
    return np.asarray(converted)


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Transform | None:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    if mode in ("RGB", "L") and _changes_nothing(transform, mode):
        return None
    return transform


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=1)
def lab_transform() -> Transform:
    """CIE L*a*b* (D50), as TIFF and PSD keep it, to sRGB."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.buildTransform(lab, _srgb(), "LAB", "RGB")


def _changes_nothing(transform: Transform, mode: str) -> bool:
    levels = range(0, 256, 51)
    colors = list(product(levels, repeat=3)) if mode == "RGB" else [(v, v, v) for v in range(256)]
    probe = Image.fromarray(np.array([colors], dtype=np.uint8)).convert(mode)
    after = np.asarray(transform.apply(probe), dtype=np.int16)
    return int(np.abs(after - np.asarray(probe.convert("RGB"), np.int16)).max()) <= SAME_LEVELS
