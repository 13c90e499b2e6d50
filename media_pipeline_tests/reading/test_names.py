from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_pipeline.reading.clocks import Clock
from media_pipeline.reading.names import clock_of_name

NOON = datetime(2019, 7, 4, 12, 30)
DAY = Clock(datetime(2019, 7, 4), has_time=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_20190704_123000.jpg", Clock(NOON)),
        ("VID_20190704_123000.mp4", Clock(NOON)),
        ("20190704_123000(1).jpg", Clock(NOON)),
        ("20190704123000.jpg", Clock(NOON)),
        ("2019-07-04 12.30.00.jpg", Clock(NOON)),
        ("2019-07-04 12-30-00-1.jpg", Clock(NOON)),
        ("Screenshot_20190704-123000_Chrome.png", Clock(NOON)),
        ("Screenshot_2019-07-04-12-30-00.png", Clock(NOON)),
        ("Screen Shot 2019-07-04 at 12.30.00 PM.png", Clock(NOON)),
        ("Screenshot 2019-07-04 at 1.05.09\u202fPM.png", Clock(datetime(2019, 7, 4, 13, 5, 9))),
        ("Screenshot 2019-07-04 at 12.05.09 AM.png", Clock(datetime(2019, 7, 4, 0, 5, 9))),
        ("WhatsApp Image 2019-07-04 at 12.30.00.jpeg", Clock(NOON)),
        ("signal-2019-07-04-123000.jpg", Clock(NOON)),
        ("PXL_20190704_123000123.jpg", Clock(NOON.replace(microsecond=123_000), is_utc=True)),
        ("IMG-20190704-WA0001.jpg", DAY),
        ("2019-07-04 birthday.jpg", DAY),
        ("IMG_20190704_996000.jpg", DAY),
        ("IMG_20190704_12345.jpg", DAY),
    ],
)
def test_times_are_found_in_names(name: str, expected: Clock) -> None:
    assert clock_of_name(name.encode(), last_year=2020) == expected


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.jpg",
        "DSC_20191301.jpg",  # month 13
        "20190230.jpg",  # 30 February
        "20190704.jpg".replace("2019", "2031"),  # a future year
        "18990704.jpg",
        "120190704123000.jpg",  # a number, not a date
        "1920x1080.jpg",
        "f3e20190704ab.jpg",  # a checksum
        "04-07-2019.jpg",  # day and month could be swapped
    ],
)
def test_other_numbers_are_no_times(name: str) -> None:
    assert clock_of_name(name.encode(), last_year=2030) is None


@given(st.binary(max_size=200))
def test_no_name_makes_the_parser_raise(name: bytes) -> None:
    clock = clock_of_name(name, last_year=2030)

    assert clock is None or 1900 <= clock.local.year <= 2030


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2030, 12, 31)).map(
        lambda d: d.replace(microsecond=0)
    )
)
def test_every_moment_a_camera_can_name_is_read_back(moment: datetime) -> None:
    for pattern in ("IMG_%Y%m%d_%H%M%S.jpg", "%Y-%m-%d %H.%M.%S.png", "%Y%m%d%H%M%S"):
        name = moment.strftime(pattern).encode()
        assert clock_of_name(name, last_year=2030) == Clock(moment)
