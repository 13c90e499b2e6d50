from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from media_pipeline.reading.clocks import Clock
from media_pipeline.reading.iptc import Iptc, parse_iptc


def test_captions_are_read() -> None:
    found = parse_iptc(
        {
            (2, 5): b"Title",
            (2, 120): "Spaß".encode(),
            (2, 80): [b"Ann", "Bärbel".encode("latin-1")],
            (2, 25): [b"one", b"two", b"one"],
            (2, 55): b"20190704",
            (2, 60): b"123000+0200",
        }
    )

    assert found == Iptc(
        title="Title",
        description="Spaß",
        creator="Ann; Bärbel",
        keywords=("one", "two"),
        times=(Clock(datetime(2019, 7, 4, 12, 30), offset_min=120),),
    )


def test_a_date_without_a_time_is_a_date() -> None:
    assert parse_iptc({(2, 55): b"20190704"}).times == (
        Clock(datetime(2019, 7, 4), has_time=False),
    )


def test_an_empty_record_says_nothing() -> None:
    assert parse_iptc(None) == Iptc()
    assert parse_iptc({(2, 5): None, (2, 55): b"00000000", (2, 60): b"000000"}) == Iptc()


VALUES = st.binary(max_size=20) | st.lists(st.binary(max_size=20), max_size=3) | st.none()


@given(
    st.dictionaries(
        st.tuples(st.just(2), st.sampled_from([5, 25, 55, 60, 62, 63, 80, 120])), VALUES
    )
)
def test_no_record_makes_the_parser_raise(
    datasets: dict[tuple[int, int], bytes | list[bytes] | None],
) -> None:
    assert isinstance(parse_iptc(datasets), Iptc)
