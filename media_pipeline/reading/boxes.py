"""Boxes: the tree of an ISO base media file (MP4, QuickTime, AVIF, JPEG XL), walked by hand.

ISO/IEC 14496-12 section 4.2. Nothing is held but headers, so a walk costs one seek and one small
read per box whatever the size of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MOST_BOXES = 4096
"""Most boxes looked at on one level; a fragmented film repeats its last kinds for ever."""


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        kind: Its four-character code.
        start: Where its payload starts, in bytes from the start of the file.
        end: The byte behind its payload.
    """

    kind: bytes
    start: int
    end: int


def boxes(handle: BinaryIO, within: Box | None = None, skip: int = 0) -> Iterator[Box]:
    """The boxes directly inside another, or of the whole file; ends at the first impossible one.

    Args:
        handle: The file.
        within: The box to look into; the file itself where `None`.
        skip: Bytes of the payload that stand before the first box.
    """
    end = within.end if within else handle.seek(0, os.SEEK_END)
    position = (within.start if within else 0) + skip
    for _ in range(MOST_BOXES):
        if position + 8 > end:
            return
        handle.seek(position)
        header = handle.read(min(16, end - position))
        if len(header) < 8:
            return
        size, start = int.from_bytes(header[:4], "big"), position + 8
        if size == 1 and len(header) == 16:
            size, start = int.from_bytes(header[8:], "big"), position + 16
        elif size == 0:
            size = end - position
        if size < start - position:
            return
        yield Box(header[4:8], start, min(position + size, end))
        position += size


def inner(handle: BinaryIO, within: Box | None, *path: bytes) -> Box | None:
    """The first box at a path of kinds, or `None`."""
    for kind in path:
        within = next((box for box in boxes(handle, within) if box.kind == kind), None)
        if within is None:
            return None
    return within


def payload(handle: BinaryIO, box: Box, limit: int) -> bytes:
    """The first `limit` bytes of a box's payload."""
    handle.seek(box.start)
    return handle.read(min(box.end - box.start, limit))
