"""One function turns bytes into an upright picture.

Reads   an open file and its format by content
Gives   RGB pixels at the smallest scale that keeps the wanted long side
Cost    a 12-megapixel JPEG of 3 MB: 31 ms at half scale, nearly all of it entropy decoding
Fails   strict decoding first; then tolerant, which is `degraded`; then `ItemError`
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, ImageFile, JpegImagePlugin, UnidentifiedImageError

from media_pipeline import jxl_header
from media_pipeline.errors import ItemError
from media_pipeline.formats import BY_NAME, HEAD_BYTES, Format
from media_pipeline.imaging.geometry import SWAPPED, Pixels, halved_to, upright
from media_pipeline.imaging.isobmff import decode_first
from media_pipeline.imaging.modes import to_rgb
from media_pipeline.imaging.picture import Decoded, check_budget, is_filler
from media_pipeline.imaging.raw import Raw, develop, read_raw
from media_pipeline.imaging.worker import disk_failed, memory_exhausted
from media_pipeline.paths import item_error_of

ORIENTATION = 0x0112
"""EXIF tag."""

DECODER_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, TypeError,
    AttributeError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What decoders raise on broken bytes; caught around their calls and nothing else."""

IN_ISOBMFF = ("avif", "heif")
SAYS_TRUNCATED = ("truncated", "unexpected end", "end of file", "eof", "premature", "too short")


def decode_upright(handle: BinaryIO, fmt: Format, long_side_px: int, pixel_budget: int) -> Decoded:
    """Decode a still picture, or the first of an animation.

    Args:
        handle: The file, seekable.
        fmt: Its format by content (`formats.sniff`), of kind image.
        long_side_px: The long side that is needed; the result has less than twice that, and less
            than that only if the original has.
        pixel_budget: Pixels that may be decoded at once, 12 bytes each.

    Raises:
        ItemError: `too_many_pixels`, `undecodable`, `unsupported_format` or `io_error`.
        MemoryError: An allocation failed.
    """
    if fmt.kind != "image":
        raise ItemError("unsupported_format", f"{fmt.name} is no still picture")
    register_plugins()
    if fmt.reader == "rawpy":
        return _decode_raw(handle, long_side_px, pixel_budget)
    try:
        return _decode(handle, fmt, long_side_px, pixel_budget)
    except DECODER_ERRORS as error:
        strict_error = error
    _reraise_if_not_the_bytes(strict_error)
    found = decode_first(handle, long_side_px, pixel_budget) if fmt.name in IN_ISOBMFF else None
    if found is not None:
        return found
    return _decode_tolerantly(handle, fmt, long_side_px, pixel_budget, strict_error)


def _decode(
    handle: BinaryIO, fmt: Format, long_side_px: int, pixel_budget: int, tolerant: bool = False
) -> Decoded:
    handle.seek(0)
    if fmt.name == "jxl":
        check_budget(*(jxl_header.declared_size(handle.read(HEAD_BYTES)) or (0, 0)), pixel_budget)
        handle.seek(0)  # the plugin decodes when it opens
    with _pillow(fmt, pixel_budget, tolerant), Image.open(handle, formats=(fmt.decoder,)) as image:
        width, height = image.size
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            scale = _draft(image, long_side_px)
            is_progressive = bool(image.info.get("progressive"))
            check_budget(width, height, pixel_budget, scale=scale, is_progressive=is_progressive)
            image.load()
        else:
            check_budget(width, height, pixel_budget)
            Image.MAX_IMAGE_PIXELS = pixel_budget // 2  # Pillow refuses a frame of twice that
            image.load()
            width, height = image.size  # TIFF has been turned, an icon has chosen its largest
        orientation = _orientation(image)
        pixels, transform, message = to_rgb(image, long_side_px)
    if orientation in SWAPPED:
        width, height = height, width
    return Decoded(pixels, width, height, orientation, transform, message=message)


def _decode_raw(handle: BinaryIO, long_side_px: int, pixel_budget: int) -> Decoded:
    """The camera's own preview where it is large enough, else a development at half size."""
    raw = read_raw(handle)
    preview = _decode_preview(raw, long_side_px, pixel_budget)
    enough_px = min(long_side_px, max(raw.width_px, raw.height_px) // 2)
    if preview is None or max(preview.shape[:2]) < enough_px:
        try:
            preview = halved_to(develop(handle, pixel_budget), long_side_px)
        except ItemError:
            if preview is None:
                raise
    return Decoded(preview, raw.width_px, raw.height_px)


def _decode_preview(raw: Raw, long_side_px: int, pixel_budget: int) -> Pixels | None:
    if raw.preview is None:
        return None
    try:
        decoded = _decode(BytesIO(raw.preview), BY_NAME["jpeg"], long_side_px, pixel_budget)
    except DECODER_ERRORS as error:
        _reraise_if_not_the_bytes(error)
        return None
    pixels = decoded.srgb()
    is_wide = pixels.shape[1] > pixels.shape[0]
    must_be_wide = raw.width_px > raw.height_px
    if raw.orientation in SWAPPED and is_wide != must_be_wide:
        pixels = upright(pixels, raw.orientation)  # previews seldom carry an orientation
    return pixels


def _decode_tolerantly(
    handle: BinaryIO, fmt: Format, long_side_px: int, pixel_budget: int, strict_error: Exception
) -> Decoded:
    message = _in_words(strict_error, fmt)
    try:
        decoded = _decode(handle, fmt, long_side_px, pixel_budget, tolerant=True)
    except DECODER_ERRORS as error:
        _reraise_if_not_the_bytes(error)
        raise ItemError("undecodable", message) from error
    if is_filler(decoded.stored):
        raise ItemError("undecodable", f"no picture data before the damage: {message}")
    is_truncated = any(words in message.lower() for words in SAYS_TRUNCATED)
    reason = "truncated" if is_truncated else "damaged"
    return replace(decoded, is_degraded=True, reason=reason, message=message)


def _draft(image: JpegImagePlugin.JpegImageFile, long_side_px: int) -> int:
    """Let the JPEG decoder scale by 1, 2, 4 or 8; Pillow takes the largest that keeps the size."""
    long_side = max(image.size)
    wanted = tuple(max(side * long_side_px // long_side, 1) for side in image.size)
    before = image.size[0]
    if long_side > long_side_px:
        image.draft(None, (wanted[0], wanted[1]))
    return max(round(before / image.size[0]), 1)


def _orientation(image: Image.Image) -> int:
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return 1  # the decoder has turned it; ISO/IEC 18181-2 says to ignore the EXIF tag
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except DECODER_ERRORS:  # broken EXIF does not make the picture unreadable
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _reraise_if_not_the_bytes(error: Exception) -> None:
    if memory_exhausted(error):
        raise MemoryError(str(error)) from error
    if isinstance(error, OSError) and disk_failed(error):
        raise item_error_of(error) from error


def _in_words(error: Exception, fmt: Format) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"its header is no {fmt.name} that can be read"  # Pillow names the path instead
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def _pillow(fmt: Format, pixel_budget: int, tolerant: bool) -> Iterator[None]:
    """Pillow's process-wide switches, as this decode needs them, put back afterwards."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    # an icon is decoded when it is opened; for all others `check_budget` decides after that
    Image.MAX_IMAGE_PIXELS = pixel_budget // 2 if fmt.name == "ico" else None
    ImageFile.LOAD_TRUNCATED_IMAGES = tolerant
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise ItemError("too_many_pixels", str(error)) from error
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


@cache
def register_plugins() -> None:
    """Teach Pillow the formats of its plugins, one thread each: workers are the parallelism."""
    import pillow_heif
    import pillow_jxl.JpegXLImagePlugin

    Image.init()
    pillow_heif.register_heif_opener(decode_threads=1)
    pillow_jxl.JpegXLImagePlugin.DECODE_THREADS = 0
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
