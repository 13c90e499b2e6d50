"""GIF headers, walked by hand: Pillow fills a frame while it opens one.

GIF89a specification, sections 18 to 27; the XMP extension from XMP part 3, section 1.1.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from media_pipeline.reading.pictures import Picture

GIF_LIMIT_BYTES = 16 << 20
"""How much of a file is looked at; a longer one has an unknown number of frames."""

_XMP_TRAILER_BYTES = 258
_APPLICATION = 14  # bytes from the introducer to the data of an application extension


@dataclass
class _Walk:
    data: bytes
    position: int
    frames: int = 0
    delay_s: float = 0.0
    extent: tuple[int, int] = (0, 0)
    has_alpha: bool = False
    xmp: bytes = b""
    delays: list[float] = field(default_factory=list)


def read_gif(handle: BinaryIO) -> Picture:
    """Read the header, count the frames and add up their delays.

    Raises:
        ValueError: There is no frame.
    """
    handle.seek(0)
    data = handle.read(GIF_LIMIT_BYTES)
    walk = _Walk(data, 13)
    try:
        walk.position += _palette_bytes(data[10])
        while _step(walk):
            pass
        is_complete = True
    except IndexError:
        is_complete = len(data) < GIF_LIMIT_BYTES
    if walk.frames == 0:
        raise ValueError("a GIF without a frame")
    return Picture(
        # Decoders enlarge the screen where the first frame sticks out.
        width_px=max(int.from_bytes(data[6:8], "little"), walk.extent[0]),
        height_px=max(int.from_bytes(data[8:10], "little"), walk.extent[1]),
        color_mode="P",
        bit_depth=8,
        has_alpha=walk.has_alpha,
        frame_count=walk.frames if is_complete else None,
        duration_s=round(sum(walk.delays), 2) if is_complete and walk.frames > 1 else None,
        xmp=walk.xmp,
    )


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _step(walk: _Walk) -> bool:
    """Walk over one block; false at the trailer or at bytes that are no block."""
    introducer = walk.data[walk.position]
    if introducer == 0x21:
        _extension(walk)
        return True
    if introducer == 0x2C:
        _frame(walk)
        return True
    return False


def _extension(walk: _Walk) -> None:
    data, start = walk.data, walk.position
    walk.position = _after_blocks(data, start + 2)
    if data[start + 1] == 0xF9:  # graphic control: delay in 1/100 s
        walk.delay_s = int.from_bytes(data[start + 4 : start + 6], "little") / 100
        walk.has_alpha = walk.has_alpha or (walk.frames == 0 and bool(data[start + 3] & 1))
    elif data[start + 3 : start + _APPLICATION] == b"XMP DataXMP":
        walk.xmp = data[start + _APPLICATION : walk.position - _XMP_TRAILER_BYTES]


def _frame(walk: _Walk) -> None:
    left, top, width, height = (
        int.from_bytes(walk.data[walk.position + i : walk.position + i + 2], "little")
        for i in (1, 3, 5, 7)
    )
    palette = _palette_bytes(walk.data[walk.position + 9])
    if walk.frames == 0:
        walk.extent = (left + width, top + height)
    walk.frames += 1
    walk.delays.append(walk.delay_s)
    walk.delay_s = 0.0
    walk.position = _after_blocks(walk.data, walk.position + 11 + palette)


def _after_blocks(data: bytes, position: int) -> int:
    while data[position]:
        position += data[position] + 1
    return position + 1
