"""Fingerprints of a picture: of what it shows (perceptual), and of its exact pixels."""

from __future__ import annotations

import cv2
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from media_pipeline.imaging.geometry import halved_to

HASH_SIDE = 8
"""Frequencies per direction that become bits."""

DCT_SIDE_PX = 32
SIGNATURE_SIDE_PX = 16
HALVED_LONG_SIDE_PX = 256

Coefficients = NDArray[np.float32]

_ALTERNATING = np.array([1, -1] * (HASH_SIDE // 2), dtype=np.float32)


def perceptual_hash(gray: NDArray[np.uint8]) -> int:
    """The 64-bit DCT hash of a picture ("pHash").

    The picture is shrunk to 32 x 32 px and the 8 x 8 lowest frequencies of its DCT-II give one bit
    each: whether the coefficient is above their median. As in Krawetz 2011 ("Looks like it") and
    `imagehash.phash(hash_size=8, highfreq_factor=4)`, whose bit order it has: rows of vertical
    frequency from low to high, the first bit the most significant. Only the shrinking differs
    (area means here, Lanczos there), which moves 0 to 4 bits.

    Args:
        gray: uint8 luma, shape (height, width), upright.

    Returns:
        0 to 2**64 - 1.
    """
    return _bits(_low_frequencies(gray))


def dihedral_hashes(gray: NDArray[np.uint8]) -> list[int]:
    """The perceptual hash of the picture's 8 flips and rotations, from one DCT.

    Flipping a picture changes the sign of its odd frequencies, transposing it transposes them;
    every EXIF orientation is made of these.

    Args:
        gray: uint8 luma, shape (height, width), upright.

    Returns:
        8 hashes; element k - 1 is that of the picture after what EXIF orientation k applies, so
        element 0 is `perceptual_hash(gray)`.
    """
    upright = _low_frequencies(gray)
    transposed = upright.T
    flip_columns = _ALTERNATING[np.newaxis, :]  # left to right
    flip_rows = _ALTERNATING[:, np.newaxis]  # top to bottom
    both = flip_columns * flip_rows
    return [
        _bits(coefficients)
        for coefficients in (
            upright,  # 1
            upright * flip_columns,  # 2: mirrored
            upright * both,  # 3: turned by 180 degrees
            upright * flip_rows,  # 4: mirrored top to bottom
            transposed,  # 5: mirrored at the main diagonal
            transposed * flip_columns,  # 6: turned clockwise
            transposed * both,  # 7: mirrored at the other diagonal
            transposed * flip_rows,  # 8: turned counter-clockwise
        )
    ]


def signature(gray: NDArray[np.uint8]) -> bytes:
    """The picture as 16 x 16 area means of its luma.

    Args:
        gray: uint8 luma, shape (height, width), upright.

    Returns:
        256 bytes, row by row from the top left.
    """
    return _square(gray, SIGNATURE_SIDE_PX).tobytes()


def pixel_hash(rgb: NDArray[np.uint8]) -> str:
    """First 16 bytes of the BLAKE3 hash of shape and pixels, in hex.

    Args:
        rgb: uint8, any shape.
    """
    shape = np.array(rgb.shape, dtype="<u4")
    digest = blake3(shape.tobytes())
    digest.update(np.ascontiguousarray(rgb).tobytes())
    return digest.hexdigest(length=16)


def _low_frequencies(gray: NDArray[np.uint8]) -> Coefficients:
    """The 8 x 8 lowest DCT-II coefficients, shape (vertical, horizontal frequency)."""
    small = _square(gray, DCT_SIDE_PX).astype(np.float32)
    low = np.array(cv2.dct(small)[:HASH_SIDE, :HASH_SIDE], dtype=np.float32)
    # OpenCV's DCT is orthonormal; the hash is defined on the unscaled one, where the first row
    # and column are larger by sqrt(2).
    low[0, :] *= np.sqrt(2)
    low[:, 0] *= np.sqrt(2)
    return low


def _square(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    # Halving first: area means over an odd factor cost ten times as much.
    gray = halved_to(gray, HALVED_LONG_SIDE_PX)
    return np.asarray(cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _bits(coefficients: Coefficients) -> int:
    above = coefficients > np.median(coefficients)
    return int.from_bytes(np.packbits(above).tobytes(), "big")
