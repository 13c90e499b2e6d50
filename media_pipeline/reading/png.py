"""PNG chunks that Pillow reads only while it decodes: those behind the pixels, and frame delays.

PNG specification, third edition, section 11. ExifTool writes XMP behind the pixels by default.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from media_pipeline.reading.pictures import METADATA_LIMIT_BYTES

MOST_CHUNKS = 50_000
"""Most chunks looked at; usual encoders write 8 KiB to 64 KiB of pixels into one."""

XMP_KEYWORD = "XML:com.adobe.xmp"

_WANTED = {b"eXIf", b"iTXt", b"zTXt", b"tEXt", b"fcTL"}
_MOST_METADATA_CHUNKS = 10_000


@dataclass
class Chunks:
    """What the chunks of a file say.

    Attributes:
        exif, xmp: The blocks of that name, empty where there is none.
        texts: Texts by keyword; the first one of a keyword counts.
        duration_s: Sum of all frame delays in seconds, `None` where nothing moves.
    """

    exif: bytes = b""
    xmp: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)
    duration_s: float | None = None


def read_chunks(handle: BinaryIO) -> Chunks:
    """Walk over all chunks, skipping the pixels; ends quietly where the file does."""
    found = Chunks()
    for kind, data in _chunks(handle):
        if kind == b"eXIf":
            found.exif = found.exif or data
        elif kind == b"fcTL":
            found.duration_s = (found.duration_s or 0.0) + _delay_s(data)
        else:
            keyword, raw = _text(kind, data)
            if keyword == XMP_KEYWORD:
                found.xmp = found.xmp or raw
            elif keyword:
                encoding = "utf-8" if kind == b"iTXt" else "latin-1"
                found.texts.setdefault(keyword, raw.decode(encoding, "replace"))
    return found


def _chunks(handle: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    position, wanted = 8, 0
    for _ in range(MOST_CHUNKS):
        handle.seek(position)
        header = handle.read(8)
        size, kind = int.from_bytes(header[:4], "big"), header[4:]
        if len(header) < 8 or kind == b"IEND" or wanted >= _MOST_METADATA_CHUNKS:
            return
        if kind in _WANTED and size <= METADATA_LIMIT_BYTES:
            wanted += 1
            yield kind, handle.read(size)
        position += 12 + size


def _delay_s(data: bytes) -> float:
    numerator = int.from_bytes(data[20:22], "big")
    denominator = int.from_bytes(data[22:24], "big") or 100  # as specified for APNG
    return numerator / denominator


def _text(kind: bytes, data: bytes) -> tuple[str, bytes]:
    keyword, _, rest = data.partition(b"\0")
    if kind == b"tEXt":
        return keyword.decode("latin-1"), rest
    if kind == b"zTXt":
        return keyword.decode("latin-1"), _inflate(rest[1:])
    is_compressed = rest[:1] == b"\1"
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return keyword.decode("latin-1"), _inflate(text) if is_compressed else text


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, METADATA_LIMIT_BYTES)
    except zlib.error:
        return b""
