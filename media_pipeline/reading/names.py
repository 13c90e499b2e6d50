"""Capture times that cameras, phones and messengers write into file names."""

from __future__ import annotations

import re
from datetime import datetime

from media_pipeline.reading.clocks import Clock

FIRST_YEAR = 1900

_DATE = (
    r"(?<![0-9])(?P<year>(?:19|20)[0-9]{2})(?P<gap>[-_. ]?)"
    r"(?P<month>[0-9]{2})(?P=gap)(?P<day>[0-9]{2})"
)
_TIME = (
    r"(?:[-_ .T]{0,3}|[-_ ]at[-_ ])"
    r"(?P<hour>[0-9]{2}|[0-9](?=[.:]))(?P<dot>[-_.: h]?)"
    r"(?P<minute>[0-9]{2})(?P=dot)(?P<second>[0-9]{2})"
    r"(?P<milli>[0-9]{3})?(?:\s?(?P<half>[AP])M)?(?![0-9])"
)
_DATE_AND_TIME = re.compile(_DATE + _TIME)
_DATE_ONLY = re.compile(_DATE + r"(?![0-9A-Za-z])")
_UTC_PREFIX = "PXL_"


def clock_of_name(name: bytes, last_year: int) -> Clock | None:
    """The date, or date and time, in a file name.

    Knows IMG_20190704_123000, 20190704123000, 2019-07-04 12.30.00, Screenshot_20190704-123000,
    Screen Shot 2019-07-04 at 1.30.00 PM, WhatsApp's IMG-20190704-WA0001 (date only) and
    PXL_20210704_123000123, which Google's camera writes in UTC.

    Args:
        name: File name as bytes.
        last_year: Latest year to believe; the earliest is `FIRST_YEAR`.
    """
    text = name.decode("utf-8", "replace")
    for match in _DATE_AND_TIME.finditer(text):
        moment = _moment(match)
        if moment and FIRST_YEAR <= moment.year <= last_year:
            return Clock(moment, is_utc=text.startswith(_UTC_PREFIX))
    for match in _DATE_ONLY.finditer(text):
        day = _day(match)
        if day and FIRST_YEAR <= day.year <= last_year:
            return Clock(day, has_time=False)
    return None


def _day(match: re.Match[str]) -> datetime | None:
    try:
        return datetime(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None


def _moment(match: re.Match[str]) -> datetime | None:
    day = _day(match)
    hour = int(match["hour"])
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"] == "P" else 0)
    try:
        return day and day.replace(
            hour=hour,
            minute=int(match["minute"]),
            second=int(match["second"]),
            microsecond=1000 * int(match["milli"] or 0),
        )
    except ValueError:
        return None
