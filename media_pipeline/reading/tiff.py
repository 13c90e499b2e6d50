"""TIFF: how many pages there are, counted by walking from directory to directory (TIFF 6.0)."""

from __future__ import annotations

import os
from typing import BinaryIO, Literal

MOST_PAGES = 1000
"""Most pages that are counted."""


def page_count(handle: BinaryIO) -> int | None:
    """Number of directories in the main chain, `None` where it is endless or broken."""
    end = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    head = handle.read(16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    is_big = int.from_bytes(head[2:4], order) == 43
    count_bytes, entry_bytes, offset_bytes, first = (8, 20, 8, 8) if is_big else (2, 12, 4, 4)
    offset = int.from_bytes(head[first : first + offset_bytes], order)
    seen: set[int] = set()
    while offset:
        if offset in seen or offset >= end or len(seen) >= MOST_PAGES:
            return None
        seen.add(offset)
        handle.seek(offset)
        count = handle.read(count_bytes)
        behind = offset + count_bytes + entry_bytes * int.from_bytes(count, order)
        handle.seek(min(behind, end))
        following = handle.read(offset_bytes)
        if len(count) < count_bytes or len(following) < offset_bytes:
            return None
        offset = int.from_bytes(following, order)
    return len(seen) or None
