"""Readings of a clock: dates as EXIF, XMP, IPTC and containers write them, and their offsets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from media_pipeline.reading.values import number

MOST_OFFSET_MIN = 14 * 60
"""Farthest offset of a civil clock from UTC (Kiribati), in minutes."""

MOST_GPS_DIFFERENCE = timedelta(hours=15)

CIVIL_OFFSETS_MIN = frozenset(
    {*range(-720, 841, 60)}
    | {-570, -270, -210, -150, 210, 270, 330, 345, 390, 450, 510, 525, 570, 630, 690, 765, 825}
)
"""Offsets that clocks somewhere have shown since 1970 (IANA time zone database), in minutes."""

_YEARS = range(1000, 9999)  # a margin on both ends, so that adding an offset cannot overflow

_CLOCK = re.compile(
    r"""\s*(?P<year>[0-9]{4})
    (?:[-:/.](?P<month>[0-9]{1,2})
    (?:[-:/.](?P<day>[0-9]{1,2})
    (?:[T\s]\s*(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?
    \s*(?P<zone>Z|[-+][0-9]{2}:?[0-9]{2})?)?)?)?\s*""",
    re.VERBOSE,
)
_OFFSET = re.compile(r"\s*(?P<sign>[-+])(?P<hours>[0-9]{1,2}):?(?P<minutes>[0-9]{2})\s*")


@dataclass(frozen=True)
class Clock:
    """One reading of a clock.

    Attributes:
        local: What the clock showed, without time zone; midnight where only a date is known.
        has_time: Whether the time of day is known.
        offset_min: Minutes the clock was east of UTC, `None` where unknown.
        is_utc: Whether it showed UTC while the clock of the place is unknown.
    """

    local: datetime
    has_time: bool = True
    offset_min: int | None = None
    is_utc: bool = False

    @property
    def utc(self) -> datetime | None:
        """The instant, aware, where it can be known."""
        if not self.has_time or (self.offset_min is None and not self.is_utc):
            return None
        return self.local.replace(tzinfo=UTC) - timedelta(minutes=self.offset_min or 0)

    @property
    def local_text(self) -> str | None:
        """ISO 8601 date, or date and time, of the place; `None` where only UTC is known."""
        if self.is_utc:
            return None
        return self.local.isoformat() if self.has_time else self.local.date().isoformat()

    def with_offset(self, offset_min: int | None) -> Clock:
        """The same reading with an offset, where it has none of its own."""
        if offset_min is None or self.offset_min is not None or self.is_utc or not self.has_time:
            return self
        return replace(self, offset_min=offset_min)


def parse_clock(text: object, subseconds: object = None) -> Clock | None:
    """A date, or date and time, in EXIF ("2019:07:04 12:30:00") or ISO 8601 form.

    Year and month alone stand for their first day. Zeros, blanks and impossible dates are none.

    Args:
        text: The recorded value; anything but text is none.
        subseconds: EXIF SubSecTime: the digits behind the decimal point.
    """
    match = _CLOCK.fullmatch(text.split("\0", 1)[0]) if isinstance(text, str) else None
    if match is None or int(match["year"]) not in _YEARS:
        return None
    digits = match["fraction"] or (subseconds.strip() if isinstance(subseconds, str) else "")
    fraction = int(digits[:6].ljust(6, "0")) if digits.isascii() and digits.isdigit() else 0
    date = [int(match[part] or 1) for part in ("year", "month", "day")]
    time = [int(match[part] or 0) for part in ("hour", "minute", "second")]
    try:
        local = datetime(date[0], date[1], date[2], time[0], time[1], time[2], fraction)
    except ValueError:
        return None
    if match["hour"] is None:
        return Clock(local.replace(microsecond=0), has_time=False)
    zone = match["zone"]
    return Clock(local, offset_min=parse_offset(zone), is_utc=zone == "Z")


def parse_offset(text: object) -> int | None:
    """Minutes east of UTC of an EXIF or ISO 8601 offset such as "+02:00"; `None` for none."""
    match = _OFFSET.fullmatch(text.rstrip("\0")) if isinstance(text, str) else None
    if match is None or int(match["minutes"]) > 59:
        return None
    minutes = 60 * int(match["hours"]) + int(match["minutes"])
    if minutes > MOST_OFFSET_MIN:
        return None
    return -minutes if match["sign"] == "-" else minutes


def offset_between(local: datetime, utc: datetime) -> int | None:
    """Minutes east of UTC of a local clock, from the same moment in UTC.

    The difference is rounded to a quarter hour, so that a GPS fix may be minutes old; one that
    no place on Earth uses is none.

    Args:
        local: Naive local time.
        utc: Aware time in UTC.
    """
    difference = local.replace(tzinfo=UTC) - utc
    if abs(difference) > MOST_GPS_DIFFERENCE:
        return None
    minutes = 15 * round(difference / timedelta(minutes=15))
    return minutes if minutes in CIVIL_OFFSETS_MIN else None


def gps_instant(date: object, time: Any) -> datetime | None:
    """The UTC instant of GPSDateStamp ("2019:07:04") and GPSTimeStamp (hours, minutes, seconds)."""
    day = parse_clock(date)
    if day is None or not isinstance(time, Sequence) or len(time) < 3:
        return None
    parts = [number(part) for part in time[:3]]
    if any(part is None or part < 0 for part in parts):
        return None
    hours, minutes, seconds = (part or 0.0 for part in parts)
    if hours >= 24 or minutes >= 60 or seconds >= 61:
        return None
    midnight = day.local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=round(seconds, 3))
