"""JPEG XL headers, read bit by bit: the plugin for Pillow decodes all pixels while it opens one.

Codestream header from ISO/IEC 18181-1 annex D, boxes from ISO/IEC 18181-2 section 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from media_pipeline.jxl_header import Bits, Choices, read_size
from media_pipeline.reading.boxes import boxes, payload
from media_pipeline.reading.pictures import METADATA_LIMIT_BYTES, Picture

HEADER_BYTES = 4096
"""How much of the codestream is looked at; the header of a picture with long channel names fits."""

_PREVIEW_DIV8: Choices = ((16, 0), (32, 0), (1, 5), (33, 9))
_PREVIEW: Choices = ((1, 6), (65, 8), (321, 10), (1345, 12))
_TICKS: Choices = ((100, 0), (1000, 0), (1, 10), (1, 30))
_TICK_DIVISOR: Choices = ((1, 0), (1001, 0), (1, 8), (1, 10))
_LOOPS: Choices = ((0, 0), (0, 3), (0, 16), (0, 32))
_INTEGER_BITS: Choices = ((8, 0), (10, 0), (12, 0), (1, 6))
_FLOAT_BITS: Choices = ((32, 0), (16, 0), (24, 0), (1, 6))
_EXTRA_CHANNELS: Choices = ((0, 0), (1, 0), (2, 4), (1, 12))
_ENUM: Choices = ((0, 0), (1, 0), (2, 4), (18, 6))
_DIM_SHIFT: Choices = ((0, 0), (3, 0), (4, 0), (1, 3))
_NAME: Choices = ((0, 0), (0, 4), (16, 5), (48, 10))
_CFA: Choices = ((1, 0), (0, 2), (3, 4), (19, 8))

_ALPHA, _SPOT, _CFA_CHANNEL = 0, 2, 5
_GREY = 1


def read_jxl(handle: BinaryIO) -> Picture:
    """Read size, orientation, depth, channels and metadata boxes.

    Raises:
        ValueError: The codestream is missing or its header damaged.
    """
    handle.seek(0)
    if handle.read(2) == b"\xff\x0a":
        handle.seek(0)
        return _codestream(handle.read(HEADER_BYTES))
    found: dict[bytes, bytes] = {}
    for kind, data in _box_payloads(handle):
        found.setdefault(kind, data)
    picture = _codestream(found.get(b"jxlc") or found.get(b"jxlp", b"")[4:])
    picture.xmp = found.get(b"xml ", b"")
    exif = found.get(b"Exif", b"")
    if exif:
        # Some writers leave out the offset that stands before the block.
        is_bare = exif[:4] in (b"II*\0", b"MM\0*")
        picture.load_exif(exif if is_bare else exif[4 + int.from_bytes(exif[:4], "big") :])
    if b"brob" in found:
        picture.notes.append("Brotli-compressed metadata of JPEG XL is not read")
    return picture


def _box_payloads(handle: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    limits = {b"jxlc": HEADER_BYTES, b"jxlp": HEADER_BYTES, b"brob": 4}
    limits |= {b"Exif": METADATA_LIMIT_BYTES, b"xml ": METADATA_LIMIT_BYTES}
    for box in boxes(handle):
        if box.kind in limits:
            yield box.kind, payload(handle, box, limits[box.kind])


def _codestream(data: bytes) -> Picture:
    if data[:2] != b"\xff\x0a":
        raise ValueError("no JPEG XL codestream")
    bits = Bits(data[2:])
    width, height = read_size(bits)
    # Decoders turn the picture themselves (ISO/IEC 18181-1, D.3.2), so EXIF's tag is not applied.
    picture = Picture(width, height, "RGB", 8, False, is_upright=True, orientation=1)
    if bits.flag():  # all of the metadata has its default
        return picture
    if bits.flag():
        _extra_fields(bits, picture)
    picture.bit_depth = _bit_depth(bits)
    bits.flag()  # whether 16-bit buffers suffice
    channels = [_is_alpha(bits) for _ in range(bits.choice(_EXTRA_CHANNELS))]
    picture.has_alpha = any(channels)
    bits.flag()  # whether colours are XYB
    colour = "L" if _is_grey(bits) else "RGB"
    picture.color_mode = colour + ("A" if picture.has_alpha else "")
    return picture


def _extra_fields(bits: Bits, picture: Picture) -> None:
    picture.orientation = bits.take(3) + 1
    if picture.orientation >= 5:
        picture.width_px, picture.height_px = picture.height_px, picture.width_px
    if bits.flag():  # intrinsic size
        read_size(bits)
    if bits.flag():
        choices = _PREVIEW_DIV8 if bits.flag() else _PREVIEW
        bits.choice(choices)
        if bits.take(3) == 0:
            bits.choice(choices)
    if bits.flag():
        bits.choice(_TICKS)
        bits.choice(_TICK_DIVISOR)
        bits.choice(_LOOPS)
        bits.flag()
        picture.frame_count = None  # frames are not counted without decoding


def _bit_depth(bits: Bits) -> int:
    if not bits.flag():
        return bits.choice(_INTEGER_BITS)
    depth = bits.choice(_FLOAT_BITS)
    bits.take(4)  # exponent
    return depth


def _is_alpha(bits: Bits) -> bool:
    if bits.flag():  # defaults: 8-bit alpha
        return True
    kind = bits.choice(_ENUM)
    _bit_depth(bits)
    bits.choice(_DIM_SHIFT)
    bits.take(8 * bits.choice(_NAME))
    if kind == _ALPHA:
        bits.flag()  # whether colours are premultiplied
    elif kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _CFA_CHANNEL:
        bits.choice(_CFA)
    return kind == _ALPHA


def _is_grey(bits: Bits) -> bool:
    if bits.flag():  # defaults: sRGB
        return False
    bits.flag()  # whether an ICC profile follows
    return bits.choice(_ENUM) == _GREY
