from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import Base

from media_pipeline.reading.capture import (
    CONFIDENCE,
    BestTime,
    best_capture_time,
    capture_times,
    exif_times,
)
from media_pipeline.reading.clocks import Clock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = datetime(2019, 7, 4, 12, 30)
GPS = datetime(2019, 7, 4, 10, 30, tzinfo=UTC)
MODIFIED_NS = 1_600_000_000 * 10**9
MODIFIED = datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)


def best(
    recorded: list[tuple[str, Clock]], name: str = "x.jpg", modified_ns: int = MODIFIED_NS
) -> BestTime:
    return best_capture_time(capture_times(recorded), name.encode(), modified_ns, NOW)


def struct(
    source: str, local: str | None, offset_min: int | None, utc: str | None
) -> dict[str, Any]:
    return {"source": source, "local": local, "offset_min": offset_min, "utc": utc}


def test_exif_offset_of_the_original_wins_over_the_general_one() -> None:
    tags = {
        Base.DateTimeOriginal: "2019:07:04 12:30:00",
        Base.OffsetTimeOriginal: "+02:00",
        Base.OffsetTime: "+05:00",
    }

    assert list(exif_times(tags, None)) == [("exif_original", Clock(LOCAL, offset_min=120))]


def test_the_general_offset_serves_where_the_original_has_none() -> None:
    tags = {Base.DateTimeOriginal: "2019:07:04 12:30:00", Base.OffsetTime: "+05:00"}

    assert next(exif_times(tags, GPS)) == ("exif_original", Clock(LOCAL, offset_min=300))


def test_the_gps_clock_tells_the_offset_of_the_shutter_but_not_of_a_later_edit() -> None:
    tags = {
        Base.DateTimeOriginal: "2019:07:04 12:30:00",
        Base.SubsecTimeOriginal: "25",
        Base.DateTime: "2019:07:04 13:30:00",
    }

    times = dict(exif_times(tags, GPS))

    assert times["exif_original"] == Clock(LOCAL.replace(microsecond=250_000), offset_min=120)
    assert times["exif_modified"].offset_min is None
    assert times["gps"] == Clock(GPS.replace(tzinfo=None), is_utc=True)


def test_recorded_times_are_structs_best_first_each_once() -> None:
    found = [
        ("xmp", Clock(LOCAL, offset_min=120)),
        ("exif_modified", Clock(datetime(2020, 1, 1, 8, 0))),
        ("xmp", Clock(LOCAL, offset_min=120)),
        ("exif_original", Clock(datetime(2019, 7, 4), has_time=False)),
        ("gps", Clock(GPS.replace(tzinfo=None), is_utc=True)),
    ]

    assert capture_times(found) == [
        struct("exif_original", "2019-07-04", None, None),
        struct("gps", None, None, "2019-07-04T10:30:00Z"),
        struct("xmp", "2019-07-04T12:30:00", 120, "2019-07-04T10:30:00Z"),
        struct("exif_modified", "2020-01-01T08:00:00", None, None),
    ]
    assert capture_times([]) is None


def test_a_reading_takes_its_offset_from_another_source_with_the_same_reading() -> None:
    found = [("exif_original", Clock(LOCAL)), ("xmp", Clock(LOCAL, offset_min=120))]

    assert [s["offset_min"] for s in capture_times(found) or []] == [120, 120]


def test_sources_are_believed_in_the_order_of_the_table() -> None:
    found = [
        (source, Clock(LOCAL)) for source in CONFIDENCE if source not in ("file_name", "modified")
    ]
    name = "IMG_20190704_123000.jpg"
    order = []
    while found:
        order.append(best(found, name).source)
        found = [one for one in found if one[0] != order[-1]]
        if order[-1] == "file_name":
            name = "x.jpg"
    order.append(best([], "x.jpg").source)

    assert order == list(CONFIDENCE)


def test_a_known_offset_raises_confidence_and_gives_utc() -> None:
    assert best([("exif_original", Clock(LOCAL))]) == BestTime(
        "2019-07-04T12:30:00", None, None, "exif_original", 0.95
    )
    assert best([("exif_original", Clock(LOCAL, offset_min=120))]) == BestTime(
        "2019-07-04T12:30:00", 120, GPS, "exif_original", 0.99
    )


def test_the_file_name_serves_where_the_bytes_record_nothing() -> None:
    assert best([], "IMG_20190704_123000.jpg") == BestTime(
        "2019-07-04T12:30:00", None, None, "file_name", 0.6
    )
    assert best([], "IMG-20190704-WA0001.jpg") == BestTime(
        "2019-07-04", None, None, "file_name", 0.5
    )


def test_the_modification_time_is_the_last_resort() -> None:
    assert best([]) == BestTime(None, None, MODIFIED, "modified", 0.2)


def test_a_video_takes_its_local_clock_from_its_name() -> None:
    recorded = [("container", Clock(datetime(2019, 7, 4, 10, 31, 12), is_utc=True))]

    assert best(recorded, "VID_20190704_123000.mp4") == BestTime(
        "2019-07-04T12:31:12", 120, datetime(2019, 7, 4, 10, 31, 12, tzinfo=UTC), "container", 0.9
    )
    assert best(recorded, "video.mp4").local is None
    assert best(recorded, "VID_20110101_000000.mp4").local is None  # another moment altogether


@pytest.mark.parametrize("implausible", [datetime(1601, 6, 6, 16, 39), datetime(2093, 1, 1, 12, 0)])
def test_an_implausible_time_loses_against_a_plausible_lower_one(implausible: datetime) -> None:
    recorded = [("exif_original", Clock(implausible)), ("exif_modified", Clock(LOCAL))]

    assert best(recorded).source == "exif_modified"
    assert best(recorded[:1]).source == "modified"


def test_only_implausible_times_leave_the_best_of_them_with_little_confidence() -> None:
    recorded = [("exif_original", Clock(datetime(1601, 6, 6, 16, 39)))]
    far_future_ns = 10_000 * 365 * 86_400 * 10**9

    assert best(recorded, modified_ns=far_future_ns) == BestTime(
        "1601-06-06T16:39:00", None, None, "exif_original", 0.05
    )
    assert best([], modified_ns=far_future_ns) == BestTime(None, None, None, "modified", 0.05)


def test_a_photo_of_1826_is_plausible() -> None:
    assert best([("xmp", Clock(datetime(1826, 6, 4), has_time=False))]).source == "xmp"


@given(st.binary(max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_any_name_and_modification_time_give_a_best_time(name: bytes, modified_ns: int) -> None:
    found = best_capture_time(None, name, modified_ns)

    assert found.source in CONFIDENCE
    assert 0 <= found.confidence <= 1
