"""Turning and shrinking pictures."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8, shape (height, width, 3) RGB, or (height, width) grey."""

SWAPPED = (5, 6, 7, 8)
"""The EXIF orientations whose upright picture has width and height exchanged."""

MATRIX_ORIENTATION = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""Signs of a, b, c, d of a display matrix, which maps (x, y) to (ax + cy, bx + dy), y down."""


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """The picture as it is meant to be seen.

    Args:
        pixels: uint8, shape (height, width) or (height, width, 3).
        orientation: EXIF orientation tag (EXIF 2.32, 4.6.4 A), 1 to 8; anything else is taken as 1.

    Returns:
        uint8; width and height are exchanged for 5 to 8.
    """
    match orientation:
        case 2:
            turned = cv2.flip(pixels, 1)
        case 3:
            turned = cv2.rotate(pixels, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(pixels, 0)
        case 5:
            turned = cv2.transpose(pixels)
        case 6:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180)
        case 8:
            turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            return pixels
    return turned.astype(np.uint8, copy=False)


def orientation_of_matrix(matrix: bytes) -> int:
    """The EXIF orientation that a display matrix means (ISO/IEC 14496-12, 6.2.2; FFmpeg display.h).

    Args:
        matrix: 9 native int32 as FFmpeg keeps them; a, b, c, d are 16.16 fixed point.

    Returns:
        1 to 8; 1 also where the matrix is none of the eight turns and flips.
    """
    if len(matrix) < 36:
        return 1
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    largest = max(abs(a), abs(b), abs(c), abs(d), 1)
    signs = tuple(round(value / largest) for value in (a, b, c, d))
    return MATRIX_ORIENTATION.get(signs, 1)


def halved_to(pixels: Pixels, long_side_px: int) -> Pixels:
    """The picture halved until another halving would leave less than `long_side_px`.

    Args:
        pixels: uint8, shape (height, width) or (height, width, 3).
        long_side_px: What the long side keeps at least, if it had that much.

    Returns:
        uint8; each pixel the mean of 2 x 2 larger ones, an odd last row or column dropped.
    """
    while max(pixels.shape[:2]) >= 2 * long_side_px:
        height, width = pixels.shape[:2]
        half = (max(width // 2, 1), max(height // 2, 1))
        # OpenCV's area filter is 5 times faster where the factor is exactly 2
        even = pixels[: half[1] * min(height, 2), : half[0] * min(width, 2)]
        pixels = cv2.resize(even, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return pixels


def shrunk_to(pixels: Pixels, long_side_px: int) -> Pixels:
    """The picture with a long side of at most `long_side_px`; a smaller one is left as it is.

    Halves first and interpolates the rest, a factor below 2, where bilinear interpolation still
    touches every pixel: 1 ms from 2000 px against 31 ms for Lanczos, with no visible difference.

    Args:
        pixels: uint8, shape (height, width) or (height, width, 3).
        long_side_px: Upper limit of the long side.

    Returns:
        uint8, aspect ratio kept to the nearest pixel.
    """
    pixels = halved_to(pixels, long_side_px)
    height, width = pixels.shape[:2]
    long_side = max(height, width)
    if long_side <= long_side_px:
        return pixels
    size = (
        max(round(width * long_side_px / long_side), 1),
        max(round(height * long_side_px / long_side), 1),
    )
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def luma(pixels: Pixels) -> Pixels:
    """Rec. 601 luma.

    Args:
        pixels: uint8 RGB, shape (height, width, 3).

    Returns:
        uint8, shape (height, width).
    """
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
