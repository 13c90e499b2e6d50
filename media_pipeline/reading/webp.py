"""WebP headers, walked by hand: Pillow allocates the canvas while it opens one.

WebP container specification (RFC 9649, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from media_pipeline.reading.pictures import METADATA_LIMIT_BYTES, Picture

MOST_CHUNKS = 10_000
"""Most chunks looked at: a longer animation has an unknown number of frames."""

_FRAME_HEADER_BYTES = 16
_ALPHA_FLAG = 0x10


def read_webp(handle: BinaryIO) -> Picture:
    """Read size, metadata chunks and frame durations.

    Raises:
        ValueError: The chunk that states the size is missing or damaged.
    """
    chunks: dict[bytes, bytes] = {}
    durations_ms: list[int] = []
    seen = 0
    for kind, payload in _chunks(handle):
        seen += 1
        if kind == b"ANMF":
            durations_ms.append(int.from_bytes(payload[12:15], "little"))
        chunks.setdefault(kind, payload)
    width, height, has_alpha = _canvas(chunks)
    is_whole = seen < MOST_CHUNKS
    picture = Picture(
        width,
        height,
        color_mode="RGBA" if has_alpha else "RGB",
        bit_depth=8,
        has_alpha=has_alpha,
        frame_count=max(len(durations_ms), 1) if is_whole else None,
        duration_s=sum(durations_ms) / 1000 if durations_ms and is_whole else None,
        xmp=chunks.get(b"XMP ", b""),
        icc_profile=chunks.get(b"ICCP", b""),
    )
    if b"EXIF" in chunks:
        picture.load_exif(chunks[b"EXIF"])
    return picture


def _chunks(handle: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    for _ in range(MOST_CHUNKS):
        handle.seek(position)
        header = handle.read(8)
        if len(header) < 8:
            return
        size = int.from_bytes(header[4:], "little")
        is_metadata = header[:4] in (b"EXIF", b"XMP ", b"ICCP")
        limit = METADATA_LIMIT_BYTES if is_metadata else _FRAME_HEADER_BYTES
        yield header[:4], handle.read(min(size, limit))
        position += 8 + size + size % 2


def _canvas(chunks: dict[bytes, bytes]) -> tuple[int, int, bool]:
    extended, lossy, lossless = (chunks.get(kind, b"") for kind in (b"VP8X", b"VP8 ", b"VP8L"))
    if len(extended) >= 10:
        width = int.from_bytes(extended[4:7], "little") + 1
        height = int.from_bytes(extended[7:10], "little") + 1
        return width, height, bool(extended[0] & _ALPHA_FLAG)
    if len(lossless) >= 5 and lossless[0] == 0x2F:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    if len(lossy) >= 10 and lossy[3:6] == b"\x9d\x01\x2a":
        width = int.from_bytes(lossy[6:8], "little") & 0x3FFF
        height = int.from_bytes(lossy[8:10], "little") & 0x3FFF
        return width, height, b"ALPH" in chunks
    raise ValueError("a WebP without a size")
