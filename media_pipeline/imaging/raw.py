"""Camera RAW through LibRaw: the preview inside, or a quick development at half size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import rawpy

from media_pipeline.errors import ItemError
from media_pipeline.imaging.geometry import SWAPPED, Pixels
from media_pipeline.imaging.picture import check_budget

ORIENTATION_OF_FLIP = {0: 1, 3: 3, 5: 8, 6: 6}
"""LibRaw's `flip` (dcraw: 3 is 180, 5 is 90 counter-clockwise, 6 is 90 clockwise) as EXIF."""

RAW_ERRORS = (rawpy.LibRawError, rawpy.NotSupportedError)


@dataclass(frozen=True)
class Raw:
    """What a RAW file says without being developed.

    Attributes:
        width_px: Width of the upright picture.
        height_px: Height of the upright picture.
        orientation: EXIF orientation of the sensor's picture.
        preview: A JPEG made by the camera, `None` where there is none.
    """

    width_px: int
    height_px: int
    orientation: int
    preview: bytes | None


def read_raw(handle: BinaryIO) -> Raw:
    """Read sizes and the largest preview.

    Raises:
        ItemError: `undecodable`.
        MemoryError: An allocation failed.
    """
    handle.seek(0)
    try:
        with rawpy.imread(handle) as raw:
            sizes = raw.sizes
            orientation = ORIENTATION_OF_FLIP.get(sizes.flip, 1)
            preview = _preview(raw)
    except RAW_ERRORS as error:
        raise _item_error(error) from error
    size = (sizes.height, sizes.width) if orientation in SWAPPED else (sizes.width, sizes.height)
    return Raw(*size, orientation, preview)


def develop(handle: BinaryIO, pixel_budget: int) -> Pixels:
    """Develop at half size, with the camera's white balance, in sRGB.

    Returns:
        uint8 sRGB, shape (height, width, 3), upright.

    Raises:
        ItemError: `undecodable` or `too_many_pixels`.
        MemoryError: An allocation failed.
    """
    handle.seek(0)
    try:
        with rawpy.imread(handle) as raw:
            check_budget(raw.sizes.raw_width, raw.sizes.raw_height, pixel_budget)
            developed = raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8)
    except RAW_ERRORS as error:
        raise _item_error(error) from error
    return np.asarray(developed, dtype=np.uint8)


def _preview(raw: rawpy.RawPy) -> bytes | None:
    try:
        thumb = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    return bytes(thumb.data) if thumb.format == rawpy.ThumbFormat.JPEG else None


def _item_error(error: Exception) -> Exception:
    if isinstance(error, rawpy.LibRawUnsufficientMemoryError):
        return MemoryError(str(error))
    words = error.args[0] if error.args else type(error).__name__
    return ItemError("undecodable", words.decode() if isinstance(words, bytes) else str(words))
