"""Values from strangers: text and numbers as cameras and editors really write them."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

from PIL.TiffImagePlugin import IFDRational

TEXT_LIMIT = 8192
"""Longest text that is kept, in characters; the rest of a longer one is cut off."""

MESSAGE_LIMIT = 500
"""Longest message of a row, in characters."""

KEYWORD_LIMIT = 500
"""Most keywords that are kept of one file."""


def clean_text(value: object) -> str | None:
    """Text without control characters and outer blanks; `None` where nothing is left.

    Args:
        value: Text, UTF-8 bytes (Latin-1 where they are not UTF-8), or anything else (`None`).
    """
    if isinstance(value, bytes):
        value = decode(value)
    if not isinstance(value, str):
        return None
    if value.isprintable():
        return value[:TEXT_LIMIT].strip() or None
    kept = (c for c in value[: 2 * TEXT_LIMIT] if c in "\n\t" or unicodedata.category(c)[0] != "C")
    return "".join(kept)[:TEXT_LIMIT].strip() or None


def decode(raw: bytes) -> str:
    """Bytes as UTF-8 where they are, else as Latin-1, up to the first NUL."""
    raw = raw.split(b"\0", 1)[0]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def exif_text(value: object) -> str | None:
    """An EXIF ASCII value as text.

    Pillow decodes these as Latin-1; most programs write UTF-8, against EXIF 2.32 section 4.6.2.
    """
    if not isinstance(value, str):
        return clean_text(value)
    try:
        return clean_text(value.encode("latin-1"))
    except UnicodeEncodeError:
        return clean_text(value.split("\0", 1)[0])


def utf16_text(value: object) -> str | None:
    """A Windows `XP...` tag as text: UTF-16, little-endian, ending in NUL."""
    if not isinstance(value, bytes):
        return None
    return clean_text(value.decode("utf-16-le", "replace").split("\0", 1)[0])


def number(value: Any) -> float | None:
    """The first finite number in an EXIF value, or `None` (such as for 1/0)."""
    if isinstance(value, tuple | list):
        value = value[0] if value else None
    if not isinstance(value, int | float | IFDRational):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return result if math.isfinite(result) else None


def positive(value: Any) -> float | None:
    """The first number of an EXIF value where it is above zero; cameras write 0 for unknown."""
    result = number(value)
    return result if result is not None and result > 0 else None


def message(*notes: str | None) -> str | None:
    """What was wrong, each thing once, as one line of a row; `None` where nothing was."""
    text = "; ".join(dict.fromkeys(filter(None, map(clean_text, notes))))
    return " ".join(text.split())[:MESSAGE_LIMIT] or None


def keywords(*sources: list[str] | tuple[str, ...]) -> list[str] | None:
    """Keywords of all sources, each once, in order; `None` where there are none."""
    cleaned = (clean_text(word) for source in sources for word in source[:KEYWORD_LIMIT])
    return list(dict.fromkeys(word for word in cleaned if word))[:KEYWORD_LIMIT] or None
