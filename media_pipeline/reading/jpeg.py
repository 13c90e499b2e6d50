"""JPEGs that Pillow refuses: what can be saved of them from the segments before the damage.

ITU-T T.81 annex B (segments), EXIF 2.32 section 4.7.2 and XMP part 3 section 1.1.3 (APP1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from PIL.ExifTags import IFD, Base

from media_pipeline.reading.pictures import Picture
from media_pipeline.reading.values import positive

_APP1, _SCAN = 0xE1, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOFn, without DHT, JPG and DAC
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


def salvage_jpeg(handle: BinaryIO) -> Picture:
    """Read the segments up to the first impossible one.

    Raises:
        ValueError: Neither a frame header nor EXIF state a size.
    """
    picture = Picture(0, 0, bit_depth=8, has_alpha=False, is_damaged=True)
    for marker, data in _segments(handle):
        if marker == _APP1 and data.startswith(_EXIF):
            picture.load_exif(data)
        elif marker == _APP1 and data.startswith(_XMP):
            picture.xmp = data[len(_XMP) :]
        elif marker in _FRAMES and len(data) >= 6:
            picture.bit_depth = data[0]
            picture.height_px = int.from_bytes(data[1:3], "big")
            picture.width_px = int.from_bytes(data[3:5], "big")
            picture.color_mode = _MODES.get(data[5])
    if not picture.width_px or not picture.height_px:
        _size_from_exif(picture)
    return picture


def _segments(handle: BinaryIO) -> Iterator[tuple[int, bytes]]:
    position = 2
    while True:
        handle.seek(position)
        header = handle.read(4)
        if len(header) < 4 or header[0] != 0xFF or header[1] == _SCAN:
            return
        size = int.from_bytes(header[2:], "big")
        data = handle.read(max(size - 2, 0))
        if size < 2 or len(data) < size - 2:
            return
        yield header[1], data
        position += 2 + size


def _size_from_exif(picture: Picture) -> None:
    tags = picture.exif.get_ifd(IFD.Exif)
    width, height = (
        positive(tags.get(Base.ExifImageWidth)),
        positive(tags.get(Base.ExifImageHeight)),
    )
    if not width or not height:
        raise ValueError("neither a frame header nor EXIF state a size")
    picture.width_px, picture.height_px = int(width), int(height)
    picture.notes.append("the size is the one that EXIF states")
