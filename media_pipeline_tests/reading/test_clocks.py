from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_pipeline.reading.clocks import (
    CIVIL_OFFSETS_MIN,
    Clock,
    gps_instant,
    offset_between,
    parse_clock,
    parse_offset,
)

NOON = datetime(2019, 7, 4, 12, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019:07:04 12:30:00", Clock(NOON)),
        ("2019-07-04T12:30:00", Clock(NOON)),
        ("2019/07/04 12:30", Clock(NOON)),
        (" 2019:07:04 12:30:00\0", Clock(NOON)),
        ("2019-07-04T12:30:00.5", Clock(NOON.replace(microsecond=500_000))),
        ("2019-07-04T12:30:00+02:00", Clock(NOON, offset_min=120)),
        ("2019-07-04T12:30:00-0930", Clock(NOON, offset_min=-570)),
        ("2019-07-04T12:30:00Z", Clock(NOON, is_utc=True)),
        ("2019:07:04", Clock(datetime(2019, 7, 4), has_time=False)),
        ("2019-07", Clock(datetime(2019, 7, 1), has_time=False)),
        ("1935", Clock(datetime(1935, 1, 1), has_time=False)),
    ],
)
def test_a_date_is_read_in_exif_and_iso_form(text: str, expected: Clock) -> None:
    assert parse_clock(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "",
        "2019:02:30 12:00:00",
        "2019:07:04 24:00:00",
        "2019:00:00 00:00:00",
        "2019:07:04 12:30:00 and more",
        "٢٠١٩:07:04 12:30:00",
        None,
        20190704,
        b"2019:07:04 12:30:00",
    ],
)
def test_zeros_blanks_and_impossible_dates_are_none(text: object) -> None:
    assert parse_clock(text) is None


@pytest.mark.parametrize(("subseconds", "microseconds"), [("17", 170_000), ("123456789", 123_456)])
def test_subseconds_are_the_digits_behind_the_point(subseconds: str, microseconds: int) -> None:
    clock = parse_clock("2019:07:04 12:30:00", subseconds)

    assert clock == Clock(NOON.replace(microsecond=microseconds))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("+02:00", 120),
        ("-03:30", -210),
        ("+0545", 345),
        ("+14:00", 840),
        ("+14:01", None),
        ("+02:60", None),
        ("   :  ", None),
        ("Z", None),
        (None, None),
    ],
)
def test_an_offset_is_read_in_minutes(text: object, minutes: int | None) -> None:
    assert parse_offset(text) == minutes


def test_a_reading_with_an_offset_is_an_instant() -> None:
    assert Clock(NOON, offset_min=120).utc == datetime(2019, 7, 4, 10, 30, tzinfo=UTC)
    assert Clock(NOON, is_utc=True).utc == NOON.replace(tzinfo=UTC)
    assert Clock(NOON).utc is None
    assert Clock(NOON, is_utc=True).local_text is None


@pytest.mark.parametrize(
    ("gps", "minutes"),
    [
        (datetime(2019, 7, 4, 10, 30, tzinfo=UTC), 120),
        (datetime(2019, 7, 4, 10, 33, 59, tzinfo=UTC), 120),  # a fix ahead of a slow clock
        (datetime(2019, 7, 4, 6, 45, tzinfo=UTC), 345),  # Nepal
        (datetime(2019, 7, 5, 0, 0, tzinfo=UTC), None),  # -11:30 is used nowhere
        (datetime(2019, 7, 4, 12, 15, tzinfo=UTC), None),  # a fix a quarter hour old
        (datetime(2019, 7, 5, 12, 30, tzinfo=UTC), None),
    ],
)
def test_the_offset_follows_from_the_gps_clock(gps: datetime, minutes: int | None) -> None:
    assert offset_between(NOON, gps) == minutes


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(sorted(CIVIL_OFFSETS_MIN)),
)
def test_every_civil_offset_is_found_again(local: datetime, minutes: int) -> None:
    utc = local.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC)

    assert offset_between(local, utc) == minutes


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("2019:07:04", (10.0, 30.0, 12.5), datetime(2019, 7, 4, 10, 30, 12, 500_000, tzinfo=UTC)),
        ("2019:07:04", (10.0, 30.0, float("nan")), None),
        ("2019:07:04", (25.0, 0.0, 0.0), None),
        ("2019:07:04", None, None),
        ("2019:07:04", (10.0, 30.0), None),
        (None, (10.0, 30.0, 0.0), None),
        ("", (10.0, 30.0, 0.0), None),
    ],
)
def test_a_gps_instant_needs_a_date_and_a_time(
    date: object, time: object, expected: datetime | None
) -> None:
    assert gps_instant(date, time) == expected


@given(st.text(), st.text() | st.none())
def test_no_text_makes_the_date_parser_raise(text: str, subseconds: str | None) -> None:
    clock = parse_clock(text, subseconds)

    assert clock is None or isinstance(clock.local_text or "", str)
    assert parse_offset(text) in (None, *range(-840, 841))


@given(st.datetimes(datetime(1000, 1, 1), datetime(9998, 12, 31)), st.sampled_from([-840, 0, 840]))
def test_every_reading_survives_being_written_and_read(local: datetime, offset_min: int) -> None:
    clock = Clock(local, offset_min=offset_min)
    assert clock.utc is not None

    assert parse_clock(clock.local_text) == Clock(local)
    assert parse_clock(clock.utc.isoformat()) == Clock(clock.utc.replace(tzinfo=None), offset_min=0)
