"""RAW photos: size from LibRaw, metadata from the TIFF directories they are built on.

LibRaw only identifies the file here; nothing is unpacked.
"""

from __future__ import annotations

import io
import warnings
from datetime import datetime
from types import MappingProxyType
from typing import Any, BinaryIO

from PIL import Image

from media_pipeline.errors import ItemError
from media_pipeline.reading.capture import capture_times
from media_pipeline.reading.clocks import Clock
from media_pipeline.reading.image import picture_columns
from media_pipeline.reading.pictures import METADATA_LIMIT_BYTES, READ_ERRORS, Picture
from media_pipeline.reading.values import clean_text, message, positive

ORIENTATIONS = MappingProxyType({0: 1, 3: 3, 5: 8, 6: 6})
"""EXIF orientation for LibRaw's flip: none, 180 degrees, 90 counter-clockwise, 90 clockwise."""

_XMP_TAG = 700
_RAF_HEADER_BYTES = 92
_TIFF_MAGICS = (b"II*\0", b"MM\0*")
_TIFF_LIKE = MappingProxyType({b"IIRO": b"II*\0", b"IIRS": b"II*\0", b"IIU\0": b"II*\0"})
"""Olympus and Panasonic write TIFF under magic numbers of their own."""


def read_raw(handle: BinaryIO) -> dict[str, Any]:
    """The columns of `schema.METADATA` that a RAW photo fills.

    Raises:
        ItemError: `unrecognised_format`: LibRaw knows no such camera. `undecodable`: it is broken.
    """
    picture, fallback = _identify(handle)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _load_exif(picture.exif, handle)
        except READ_ERRORS as error:
            picture.notes.append(f"EXIF cannot be read: {error}")
        xmp = picture.exif.get(_XMP_TAG)
        picture.xmp = xmp if isinstance(xmp, bytes) else b""
        columns = picture_columns(picture)
    columns["message"] = message(*picture.notes, *(str(one.message) for one in caught))
    missing = {name: value for name, value in fallback.items() if columns.get(name) is None}
    return columns | missing


def _identify(handle: BinaryIO) -> tuple[Picture, dict[str, Any]]:
    import rawpy

    handle.seek(0)
    raw = rawpy.RawPy()
    try:
        # By descriptor: the path may have become another file, and a buffer would hold all of it.
        raw.open_file(f"/dev/fd/{handle.fileno()}")
        sizes, other, lens = raw.sizes, raw.other, raw.lens
        channels = raw.color_desc.decode("latin-1")
    except rawpy.LibRawFileUnsupportedError as error:
        raise ItemError("unrecognised_format", f"LibRaw: {_words(error)}") from error
    except rawpy.LibRawError as error:
        raise ItemError("undecodable", f"LibRaw: {_words(error)}") from error
    finally:
        raw.close()
    width, height = sizes.width, sizes.height
    if sizes.flip in (5, 6):
        width, height = height, width
    picture = Picture(width, height, color_mode=channels, has_alpha=False, is_upright=True)
    picture.orientation = ORIENTATIONS.get(sizes.flip)
    fallback = {
        "exposure_time_s": positive(other.shutter_speed),
        "f_number": positive(other.aperture),
        "iso": int(other.iso_speed) or None,
        "focal_length_mm": positive(other.focal_length),
        "lens_model": clean_text(lens.model),
        "creator": clean_text(other.artist),
        "capture_times": _libraw_time(other.timestamp),
    }
    return picture, fallback


def _words(error: Exception) -> str | None:
    return clean_text(error.args[0] if error.args else None)  # LibRaw speaks bytes


def _libraw_time(timestamp: datetime) -> list[dict[str, Any]] | None:
    # The camera's own clock; LibRaw gives 1970 where it found none.
    clock = Clock(timestamp.replace(tzinfo=None))
    return capture_times([("exif_original", clock)]) if timestamp.year > 1970 else None


def _load_exif(exif: Image.Exif, handle: BinaryIO) -> None:
    handle.seek(0)
    head = handle.read(_RAF_HEADER_BYTES)
    handle.seek(0)
    if head[:4] in _TIFF_MAGICS:
        exif.load_from_fp(handle)
    elif head[:4] in _TIFF_LIKE:
        start = _TIFF_LIKE[head[:4]] + handle.read(METADATA_LIMIT_BYTES)[4:]
        exif.load_from_fp(io.BytesIO(start))
    elif head.startswith(b"FUJIFILM"):
        handle.seek(int.from_bytes(head[84:88], "big"))  # of a JPEG with the camera's EXIF
        preview = handle.read(min(int.from_bytes(head[88:92], "big"), METADATA_LIMIT_BYTES))
        exif.load(Image.open(io.BytesIO(preview), formats=["JPEG"]).info.get("exif", b""))
