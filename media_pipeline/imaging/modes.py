"""Any picture that Pillow has loaded, as RGB with 8 bits per channel."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from media_pipeline.imaging.geometry import Pixels
from media_pipeline.imaging.profiles import Transform, lab_transform, transform_to_srgb

BITS, SAMPLE_FORMAT = 258, 339
"""TIFF tags."""

WHITES_OF_FLOATS = (1.0, 255.0, 65535.0)
WHITES_OF_INTEGERS = (65535.0, 2.0**31 - 1, 2.0**32 - 1)
"""What white is in pictures that may use any range: the smallest that holds the picture."""


def to_rgb(image: Image.Image, long_side_px: int) -> tuple[Pixels, Transform | None, str | None]:
    """A loaded picture as RGB.

    Transparency is laid over white, more than 8 bits are scaled down (never clipped), CMYK, L*a*b*
    and grey go through their profile. An RGB profile is only handed on: converting 3 megapixels
    takes 36 ms, as long as decoding them, and callers need the colours of far fewer.

    Args:
        image: Loaded, in any mode that Pillow has.
        long_side_px: A long side of twice that and more is reduced by a whole number, early:
            the decoded picture and 5 bytes per pixel are the most that is alive at once.

    Returns:
        uint8 RGB, shape (height, width, 3); the transform that its colours still need to be sRGB,
        `None` for none; and a message where the profile was unusable.
    """
    profile = image.info.get("icc_profile")
    image = _eight_bit(image, long_side_px)
    image = _without_alpha(_reduced(_without_palette(image), long_side_px))
    if image.mode == "LAB":
        image = lab_transform().apply(image)
    elif profile and image.mode in ("CMYK", "L"):
        transform, message = transform_to_srgb(profile, image.mode)
        return _array(transform.apply(image) if transform else image), None, message
    elif profile and image.mode in ("RGB", "YCbCr", "RGBX"):
        transform, message = transform_to_srgb(profile, "RGB")
        return _array(image), transform, message
    return _array(image), None, None


def _array(image: Image.Image) -> Pixels:
    if image.mode == "L":
        grey: Pixels = np.asarray(image)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _reduced(image: Image.Image, long_side_px: int) -> Image.Image:
    factor = max(image.size) // long_side_px
    return image.reduce(factor) if factor > 1 else image


def _without_palette(image: Image.Image) -> Image.Image:
    """The picture in L, LA, RGB, RGBA, CMYK, LAB, YCbCr, HSV or RGBX."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "La":
        return image.convert("LA")
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("LA" if image.mode == "L" else "RGBA")
    return image.convert("RGB") if image.mode == "P" else image


def _without_alpha(image: Image.Image) -> Image.Image:
    """The picture over white."""
    if image.mode not in ("LA", "RGBA"):
        return image
    alpha = image.getchannel("A")
    plain = image.convert(image.mode[:-1])
    if alpha.getextrema() == (255, 255):
        return plain
    over = Image.new(plain.mode, plain.size, "white")
    over.paste(plain, mask=alpha)
    return over


def _eight_bit(image: Image.Image, long_side_px: int) -> Image.Image:
    """The picture as L when it is grey with 16, 32 or floating-point bits, else as it is."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16, copy=False)
        return Image.fromarray(_scaled(values, _white_of_16_bits(image)))
    if image.mode == "I":
        integers = _integers(image)
        return Image.fromarray(_scaled(integers.astype(np.float32), _white(integers)))
    if image.mode == "F":
        levels = np.nan_to_num(np.asarray(_reduced(image, long_side_px)), posinf=0, neginf=0)
        return Image.fromarray(_scaled(levels, _white(levels)))
    return image


def _scaled(values: NDArray[np.uint16] | NDArray[np.float32], white: float) -> Pixels:
    positive = np.maximum(values, 0)  # OpenCV takes absolute values
    return cv2.convertScaleAbs(positive, alpha=255 / white).astype(np.uint8, copy=False)


def _integers(image: Image.Image) -> NDArray[np.int32] | NDArray[np.uint32]:
    values = np.asarray(image)
    is_tiff = isinstance(image, TiffImageFile)
    is_unsigned = is_tiff and _tag(image, SAMPLE_FORMAT, 1) == 1 and _tag(image, BITS, 1) == 32
    return values.view(np.uint32) if is_unsigned else values  # Pillow keeps both in signed ones


def _white_of_16_bits(image: Image.Image) -> float:
    """White of 10, 12 and 14 bits in TIFF is less than that of 16; others fill 16 bits."""
    is_tiff = isinstance(image, TiffImageFile)
    return float(2 ** min(_tag(image, BITS, 16), 16) - 1) if is_tiff else 65535.0


def _tag(image: Image.Image, tag: int, default: int) -> int:
    value = image.tag_v2.get(tag, default) if isinstance(image, TiffImageFile) else default
    return int(value[0] if isinstance(value, tuple) else value)


def _white(values: NDArray[np.int32] | NDArray[np.uint32] | NDArray[np.float32]) -> float:
    largest = float(values.max())
    whites = WHITES_OF_FLOATS if values.dtype == np.float32 else WHITES_OF_INTEGERS
    return next((white for white in whites if largest <= white), largest)
