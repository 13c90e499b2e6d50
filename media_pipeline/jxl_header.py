"""JPEG XL's bit-packed header as far as the size; the plugin for Pillow decodes before it tells.

Codestream header from ISO/IEC 18181-1 annex D, boxes from ISO/IEC 18181-2 section 9.
"""

from __future__ import annotations

CODESTREAM = b"\xff\x0a"

Choices = tuple[tuple[int, int], ...]
"""Four ways to code a number, each an offset and a number of bits that is added."""

SIZE: Choices = ((1, 9), (1, 13), (1, 18), (1, 30))
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


class Bits:
    """Bits of a codestream, least significant first.

    Raises:
        ValueError: From every read: the header is longer than what was given.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The next so many bits as a number."""
        if count > self._left:
            raise ValueError("the JPEG XL header ends early")
        result = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return result

    def flag(self) -> bool:
        """The next bit."""
        return self.take(1) == 1

    def choice(self, choices: Choices) -> int:
        """A number in one of four codings, of which the next two bits name one."""
        offset, bits = choices[self.take(2)]
        return offset + self.take(bits)


def read_size(bits: Bits) -> tuple[int, int]:
    """Width and height in px as stored, from the start of a codestream behind its signature."""
    is_small = bits.flag()
    height = 8 * (bits.take(5) + 1) if is_small else bits.choice(SIZE)
    ratio = bits.take(3)
    if ratio:
        numerator, denominator = RATIOS[ratio - 1]
        return height * numerator // denominator, height
    return 8 * (bits.take(5) + 1) if is_small else bits.choice(SIZE), height


def declared_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in px as stored.

    Args:
        head: The first kilobytes of the file.

    Returns:
        `None` where the head does not hold the codestream's start.
    """
    codestream = _codestream(head)
    try:
        return read_size(Bits(codestream[2:64])) if codestream is not None else None
    except ValueError:
        return None


def _codestream(head: bytes) -> bytes | None:
    if head.startswith(CODESTREAM):
        return head
    start = 0
    while start + 8 <= len(head):  # ISO/IEC 18181-2: boxes of size, type, payload
        size, kind = int.from_bytes(head[start : start + 4], "big"), head[start + 4 : start + 8]
        if kind in (b"jxlc", b"jxlp"):
            found = head.find(CODESTREAM, start + 8, start + 8 + 6)
            return head[found:] if found >= 0 else None
        if size < 8:
            return None
        start += size
    return None
