"""Icons: Pillow decodes one while it opens it, so only the directory is read."""

from __future__ import annotations

from typing import BinaryIO

from PIL import IcoImagePlugin, PngImagePlugin

from media_pipeline.reading.pictures import Picture

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_ico(handle: BinaryIO) -> Picture:
    """Read the size of the largest picture in an icon.

    Raises:
        READ_ERRORS: The directory or the header of the picture is damaged.
    """
    handle.seek(0)
    icons = IcoImagePlugin.IcoFile(handle)
    largest = icons.entry[0]  # Pillow sorts them, and decodes the first
    handle.seek(largest.offset)
    signature = handle.read(8)
    handle.seek(largest.offset)
    if signature == PNG_SIGNATURE:
        png = PngImagePlugin.PngImageFile(handle)
        return Picture(*png.size, png.mode, 8, png.has_transparency_data)
    header = handle.read(16)  # BITMAPINFOHEADER; the height counts colours and mask
    width = int.from_bytes(header[4:8], "little", signed=True)
    height = abs(int.from_bytes(header[8:12], "little", signed=True)) // 2
    return Picture(width, height, "RGBA", 8, True)
