"""IPTC: the older captions, in the records that newspapers agreed on (IPTC IIM 4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from media_pipeline.reading.clocks import Clock, parse_clock
from media_pipeline.reading.values import clean_text, keywords

Dataset = tuple[int, int]

_TITLE, _CAPTION, _BYLINE, _KEYWORDS = (2, 5), (2, 120), (2, 80), (2, 25)
_TIMES: tuple[tuple[Dataset, Dataset], ...] = (((2, 55), (2, 60)), ((2, 62), (2, 63)))
"""Date and time of creation, then of digitisation."""


@dataclass(frozen=True)
class Iptc:
    """What the application record says about a picture.

    Attributes:
        title, description, creator: Object name, caption, by-lines.
        keywords: Keywords.
        times: Times of creation, best first.
    """

    title: str | None = None
    description: str | None = None
    creator: str | None = None
    keywords: tuple[str, ...] = ()
    times: tuple[Clock, ...] = ()


def parse_iptc(datasets: Mapping[Dataset, bytes | list[bytes] | None] | None) -> Iptc:
    """Read what Pillow's `getiptcinfo` found: values by record and dataset number.

    Text is UTF-8 where it is valid UTF-8, else Latin-1, whatever dataset 1:90 declares.
    """
    found = datasets or {}
    return Iptc(
        title=clean_text("; ".join(_texts(found.get(_TITLE)))),
        description=clean_text("\n".join(_texts(found.get(_CAPTION)))),
        creator=clean_text("; ".join(_texts(found.get(_BYLINE)))),
        keywords=tuple(keywords(list(_texts(found.get(_KEYWORDS)))) or ()),
        times=tuple(_clocks(found)),
    )


def _texts(value: bytes | list[bytes] | None) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        text = clean_text(one)
        if text:
            yield text


def _clocks(found: Mapping[Dataset, bytes | list[bytes] | None]) -> Iterator[Clock]:
    for date_set, time_set in _TIMES:
        date = next(_texts(found.get(date_set)), "")
        time = next(_texts(found.get(time_set)), "")
        clock = parse_clock(f"{_dashed(date)}T{_coloned(time)}") or parse_clock(_dashed(date))
        if clock:
            yield clock


def _dashed(date: str) -> str:
    # CCYYMMDD; some programs write the dashes themselves.
    return date if "-" in date else f"{date[:4]}-{date[4:6]}-{date[6:8]}"


def _coloned(time: str) -> str:
    # HHMMSS+HHMM
    return time if ":" in time else f"{time[:2]}:{time[2:4]}:{time[4:6]}{time[6:]}"
