"""Capture time: every time the bytes record, and which one to believe.

What the bytes say (`capture_times` of the metadata table) and what the path says (file name,
modification time) meet in `best_capture_time`, because paths change while bytes do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from PIL.ExifTags import Base

from media_pipeline.reading.clocks import Clock, offset_between, parse_clock, parse_offset
from media_pipeline.reading.names import clock_of_name

CONFIDENCE: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "exif_original": (0.95, 0.99),  # the shutter, by the camera's clock
        "exif_digitized": (0.85, 0.90),  # the same for a camera, the scan for a scanned print
        "gps": (0.85, 0.85),  # exact, but of the last fix
        "xmp": (0.80, 0.85),  # often typed in or copied by a program
        "iptc": (0.75, 0.80),  # the same, and older
        "container": (0.70, 0.90),  # UTC by the standard, local time in some cameras
        "file_name": (0.60, 0.65),  # when the file was named: capture, screenshot or arrival
        "exif_modified": (0.40, 0.45),  # when a program last wrote the picture
        "modified": (0.20, 0.20),  # when the file was last written
    }
)
"""Every source, best first: confidence with the clock or the offset unknown, and with both known.

These are ranks put on a scale by judgement, not measured frequencies.
"""

DATE_ONLY_PENALTY = 0.1
IMPLAUSIBLE_CONFIDENCE = 0.05

EARLIEST = datetime(1826, 1, 1, tzinfo=UTC)
"""The year of the oldest surviving photograph (Niepce, View from the Window at Le Gras)."""

UNSET_INSTANTS = frozenset({datetime(1904, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)})
"""Zero in QuickTime and Unix time: a container that never set its clock."""

_EXIF_TIMES = (
    (
        "exif_original",
        Base.DateTimeOriginal,
        Base.SubsecTimeOriginal,
        (Base.OffsetTimeOriginal, Base.OffsetTime),
    ),
    (
        "exif_digitized",
        Base.DateTimeDigitized,
        Base.SubsecTimeDigitized,
        (Base.OffsetTimeDigitized, Base.OffsetTime),
    ),
    ("exif_modified", Base.DateTime, Base.SubsecTime, (Base.OffsetTime,)),
)


def exif_times(tags: Mapping[int, Any], gps: datetime | None) -> Iterator[tuple[str, Clock]]:
    """The three times of EXIF and the time of the GPS fix, each with its source.

    The offset of a time is the recorded one, else the difference to the GPS clock (which says
    nothing about when a program last wrote the file).

    Args:
        tags: EXIF tags of the main and the Exif directory, by number.
        gps: The instant of the GPS fix, aware, or `None`.
    """
    for source, date_tag, subsecond_tag, offset_tags in _EXIF_TIMES:
        clock = parse_clock(tags.get(date_tag), tags.get(subsecond_tag))
        if clock is None:
            continue
        for offset in (parse_offset(tags.get(tag)) for tag in offset_tags):
            clock = clock.with_offset(offset)
        if gps is not None and clock.has_time and source != "exif_modified":
            clock = clock.with_offset(offset_between(clock.local, gps))
        yield source, clock
    if gps is not None:
        yield "gps", Clock(gps.replace(tzinfo=None), is_utc=True)


def capture_times(found: Iterable[tuple[str, Clock]]) -> list[dict[str, Any]] | None:
    """Recorded times as `schema.CAPTURE_TIME` structs, best first, each once; `None` for none.

    A reading without an offset takes it from another source that shows the same reading.
    """
    order = list(CONFIDENCE)
    best_first = sorted(found, key=lambda one: order.index(one[0]))
    offsets: dict[datetime, int | None] = {}
    for _, clock in best_first:
        if clock.offset_min is not None:
            offsets.setdefault(clock.local.replace(microsecond=0), clock.offset_min)
    structs = [
        _struct(source, clock.with_offset(offsets.get(clock.local.replace(microsecond=0))))
        for source, clock in best_first
    ]
    unique = {tuple(struct.values()): struct for struct in structs}
    return list(unique.values()) or None


def _struct(source: str, clock: Clock) -> dict[str, Any]:
    utc = clock.utc
    return {
        "source": source,
        "local": clock.local_text,
        "offset_min": clock.offset_min,
        "utc": utc.replace(tzinfo=None).isoformat() + "Z" if utc else None,
    }


@dataclass(frozen=True)
class BestTime:
    """When a file's content was captured, as far as can be known.

    Attributes:
        local: ISO 8601 date and time (or date) on the clock of the place, `None` where only the
            instant is known.
        offset_min: Minutes that clock was east of UTC, `None` where unknown.
        at_utc: The instant, aware, `None` where the offset is unknown.
        source: One of `CONFIDENCE`.
        confidence: How far the source is to be trusted, in [0, 1].
    """

    local: str | None
    offset_min: int | None
    at_utc: datetime | None
    source: str
    confidence: float


def best_capture_time(
    recorded: Sequence[Mapping[str, Any]] | None,
    name: bytes,
    modified_ns: int,
    now: datetime | None = None,
) -> BestTime:
    """The most trustworthy of all capture times that is plausible.

    A time before 1826 or in the future loses against any plausible one of a lower source. Where
    the best source knows the instant only (GPS, most videos), the clock in the file name, if it
    differs by a civil offset, supplies local time and offset.

    Args:
        recorded: `capture_times` of the metadata table, or `None`.
        name: File name as bytes.
        modified_ns: Modification time of the file in nanoseconds since 1970.
        now: The present, aware; by default the machine's clock.
    """
    now = now or datetime.now(UTC)
    named = clock_of_name(name, last_year=now.year + 1)
    candidates = sorted(
        [*map(_recorded_time, recorded or ()), *_named_time(named), _modified_time(modified_ns)],
        key=lambda time: list(CONFIDENCE).index(time.source),
    )
    best = next((time for time in candidates if _is_plausible(time, now)), None)
    if best is None:
        first = candidates[0]
        return BestTime(
            first.local, first.offset_min, first.at_utc, first.source, IMPLAUSIBLE_CONFIDENCE
        )
    return _with_clock_of_name(best, named)


def _recorded_time(struct: Mapping[str, Any]) -> BestTime:
    utc = struct["utc"]
    at_utc = datetime.fromisoformat(utc) if utc else None
    return _time(struct["source"], struct["local"], struct["offset_min"], at_utc)


def _named_time(clock: Clock | None) -> list[BestTime]:
    if clock is None:
        return []
    return [_time("file_name", clock.local_text, clock.offset_min, clock.utc)]


def _modified_time(modified_ns: int) -> BestTime:
    try:
        at_utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=modified_ns // 1000)
    except OverflowError:
        at_utc = None
    return _time("modified", None, None, at_utc)


def _time(
    source: str, local: str | None, offset_min: int | None, at_utc: datetime | None
) -> BestTime:
    unknown, known = CONFIDENCE[source]
    confidence = known if offset_min is not None else unknown
    if local is not None and "T" not in local:
        confidence -= DATE_ONLY_PENALTY
    return BestTime(local, offset_min, at_utc, source, round(confidence, 2))


def _is_plausible(time: BestTime, now: datetime) -> bool:
    moment = time.at_utc
    if moment is None and time.local is not None:
        moment = datetime.fromisoformat(time.local).replace(tzinfo=UTC)
    # A day of slack: a clock may be 14 hours ahead of UTC.
    return moment is not None and EARLIEST <= moment <= now + timedelta(days=1)


def _with_clock_of_name(best: BestTime, named: Clock | None) -> BestTime:
    if best.local is not None or best.at_utc is None or best.source == "modified":
        return best
    if named is None or not named.has_time or named.is_utc:
        return best
    offset_min = offset_between(named.local, best.at_utc)
    if offset_min is None:
        return best
    local = (best.at_utc + timedelta(minutes=offset_min)).replace(tzinfo=None).isoformat()
    return _time(best.source, local, offset_min, best.at_utc)
