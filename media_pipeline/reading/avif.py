"""AVIF facts that Pillow does not tell: the true bit depth, and whole pictures with alpha.

Boxes from ISO/IEC 23008-12 (HEIF) and the AV1 in ISOBMFF binding, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from media_pipeline.reading.boxes import Box, boxes, inner, payload
from media_pipeline.reading.pictures import Picture


def bit_depth(handle: BinaryIO) -> int | None:
    """Bits per channel from the first AV1 configuration box, or `None`."""
    box = _property(handle, b"av1C")
    data = payload(handle, box, 4) if box else b""
    if len(data) < 4:
        return None
    return 12 if data[2] & 0x20 else 10 if data[2] & 0x40 else 8


def read_with_pyav(handle: BinaryIO) -> Picture:
    """Read the header with FFmpeg: Pillow 13 opens no AVIF with alpha, and no HEIF sequence.

    The size comes from the boxes where they state one, as FFmpeg gives that of a single tile.

    Raises:
        ValueError: FFmpeg does not open it either.
    """
    import av

    turns, size = _quarter_turns(handle), _largest_extent(handle)
    handle.seek(0)
    try:
        with av.open(
            handle, "r", format="mov", options={"protocol_whitelist": ""}, metadata_errors="replace"
        ) as container:
            stream = container.streams.video[0]
            pixels, (width, height) = stream.format, size or (stream.width, stream.height)
            has_alpha = len(container.streams.video) > 1  # the second one is the alpha plane
    except (av.FFmpegError, OSError, IndexError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"neither Pillow nor FFmpeg opens it: {why}") from error
    if turns % 2:
        width, height = height, width
    return Picture(
        width,
        height,
        color_mode=pixels.name if pixels else None,
        bit_depth=pixels.components[0].bits if pixels else None,
        has_alpha=has_alpha,
        is_upright=True,
        notes=["opened with FFmpeg, which does not read its EXIF and XMP"],
    )


def _largest_extent(handle: BinaryIO) -> tuple[int, int] | None:
    # Thumbnails and tiles are smaller than the picture, its alpha plane is as large.
    extents = [payload(handle, box, 12) for box in _properties(handle) if box.kind == b"ispe"]
    sizes = [(int.from_bytes(e[4:8], "big"), int.from_bytes(e[8:12], "big")) for e in extents]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _quarter_turns(handle: BinaryIO) -> int:
    box = _property(handle, b"irot")
    data = payload(handle, box, 1) if box else b""
    return data[0] & 3 if data else 0


def _property(handle: BinaryIO, kind: bytes) -> Box | None:
    # The first property of a kind: pictures with alpha or a grid give all their items the same.
    return next((box for box in _properties(handle) if box.kind == kind), None)


def _properties(handle: BinaryIO) -> Iterator[Box]:
    meta = inner(handle, None, b"meta")
    items = boxes(handle, meta, skip=4) if meta else iter(())
    properties = next((box for box in items if box.kind == b"iprp"), None)
    container = inner(handle, properties, b"ipco") if properties else None
    return boxes(handle, container) if container else iter(())
