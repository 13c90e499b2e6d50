from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.ExifTags import GPS
from PIL.TiffImagePlugin import IFDRational

from media_pipeline.reading.gps import (
    exif_position,
    iso6709_position,
    position,
    xmp_altitude,
    xmp_coordinate,
)


def gps_tags(**changes: Any) -> dict[int, Any]:
    tags: dict[str, Any] = {
        "GPSLatitude": (33.0, 51.0, 36.0),
        "GPSLatitudeRef": "S",
        "GPSLongitude": (151.0, 12.0, 45.0),
        "GPSLongitudeRef": "E",
    }
    return {GPS[name]: value for name, value in (tags | changes).items()}


def test_degrees_minutes_and_seconds_become_signed_decimal_degrees() -> None:
    assert exif_position(gps_tags()) == pytest.approx(
        {"gps_latitude_deg": -33.86, "gps_longitude_deg": 151.2125}
    )


@pytest.mark.parametrize(
    ("reference", "metres"), [(b"\0", 42.0), (b"\1", -42.0), (1, -42.0), (None, 42.0), (b"", 42.0)]
)
def test_altitude_below_sea_level_is_negative(reference: object, metres: float) -> None:
    tags = gps_tags(GPSAltitude=IFDRational(84, 2), GPSAltitudeRef=reference)

    assert exif_position(tags)["gps_altitude_m"] == metres


@pytest.mark.parametrize(
    "changes",
    [
        {"GPSLatitudeRef": None},
        {"GPSLatitudeRef": ""},
        {"GPSLatitudeRef": "X"},
        {"GPSLatitude": None},
        {"GPSLatitude": ()},
        {"GPSLatitude": (IFDRational(0, 0), 51.0, 36.0)},
        {"GPSLatitude": (33.0, IFDRational(51, 0), 36.0)},
        {"GPSLatitude": (91.0, 0.0, 0.0)},
        {"GPSLongitude": (180.0, 30.0, 0.0)},
        {"GPSLatitude": (0.0, 0.0, 0.0), "GPSLongitude": (0.0, 0.0, 0.0)},
        {"GPSLatitude": "33 51 36"},
    ],
)
def test_an_impossible_position_is_none(changes: dict[str, Any]) -> None:
    assert exif_position(gps_tags(**changes)) == {}


def test_an_altitude_that_means_unknown_is_dropped() -> None:
    assert "gps_altitude_m" not in position(48.0, 11.0, 2.0**32 - 1)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("51,30.6N", 51.51),
        ("0,7,30W", -0.125),
        ("33,51,36S", -33.86),
        ("51.5", None),
        ("51,30.6", None),
        ("51,3.0.6N", None),
        ("", None),
        (None, None),
    ],
)
def test_xmp_coordinates_are_read(text: str | None, degrees: float | None) -> None:
    assert xmp_coordinate(text) == (None if degrees is None else pytest.approx(degrees))


@pytest.mark.parametrize(
    ("text", "reference", "metres"),
    [
        ("669/10", "0", 66.9),
        ("669/10", "1", -66.9),
        ("8", None, 8.0),
        ("1/0", "0", None),
        (None, None, None),
    ],
)
def test_xmp_altitudes_are_read(
    text: str | None, reference: str | None, metres: float | None
) -> None:
    assert xmp_altitude(text, reference) == metres


@pytest.mark.parametrize(
    ("text", "latitude", "longitude", "altitude"),
    [
        ("+51.5334-000.1255+026.756/", 51.5334, -0.1255, 26.756),
        ("+40.680-074.500/", 40.68, -74.5, None),
        ("-3351.6+15112.75/", -33.86, 151.2125, None),  # degrees and minutes
        ("-335136+1511245-10/", -33.86, 151.2125, -10.0),  # and seconds
        ("+48.1+011.5+519CRSWGS_84/", 48.1, 11.5, 519.0),
    ],
)
def test_iso_6709_positions_are_read(
    text: str, latitude: float, longitude: float, altitude: float | None
) -> None:
    expected = {"gps_latitude_deg": latitude, "gps_longitude_deg": longitude}
    if altitude is not None:
        expected["gps_altitude_m"] = altitude

    assert iso6709_position(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", [None, "", "Berlin", "+91+011/", "+00.0+000.0/"])
def test_other_places_are_none(text: str | None) -> None:
    assert iso6709_position(text) == {}


@given(st.text() | st.from_regex(r"[-+]\d{2,6}(\.\d+)?[-+]\d{3,7}(\.\d+)?([-+]\d+)?/"))
def test_no_text_makes_a_position_parser_raise(text: str) -> None:
    found = iso6709_position(text)

    assert not found or -90 <= found["gps_latitude_deg"] <= 90
    xmp_coordinate(text)
    xmp_altitude(text, "1")
