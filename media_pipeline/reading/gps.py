"""Places: positions as EXIF, XMP and QuickTime write them, in decimal degrees."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL.ExifTags import GPS

from media_pipeline.reading.values import clean_text, number

ALTITUDE_RANGE_M = (-12_000.0, 100_000.0)
"""Below the deepest trench to the edge of space; cameras write 2**32 - 1 for unknown."""

BELOW_SEA_LEVEL = (1, 3)
"""GPSAltitudeRef: negative above sea level (EXIF 2.32) and above the ellipsoid (EXIF 3.0)."""

_XMP_COORDINATE = re.compile(r"([0-9.]+),([0-9.]+)(?:,([0-9.]+))?\s*([NSEWnsew])")
_ISO6709 = re.compile(
    r"([-+][0-9]{2,6}(?:\.[0-9]+)?)([-+][0-9]{3,7}(?:\.[0-9]+)?)([-+][0-9]+(?:\.[0-9]+)?)?(?:CRS[^/]*)?/?"
)


def position(
    latitude: float | None, longitude: float | None, altitude: float | None = None
) -> dict[str, float]:
    """The position columns of the metadata table; empty where the position is impossible.

    Exactly 0, 0 counts as unset: it lies in the Atlantic, and many programs write it.

    Args:
        latitude: Decimal degrees, north positive.
        longitude: Decimal degrees, east positive.
        altitude: Metres above sea level.
    """
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return {}
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return {}
    found = {"gps_latitude_deg": latitude, "gps_longitude_deg": longitude}
    low, high = ALTITUDE_RANGE_M
    if altitude is not None and low <= altitude <= high:
        found["gps_altitude_m"] = altitude
    return found


def exif_position(tags: Mapping[int, Any]) -> dict[str, float]:
    """Position columns from EXIF's GPS directory (EXIF 2.32, section 4.6.6)."""
    return position(
        _degrees(tags.get(GPS.GPSLatitude), tags.get(GPS.GPSLatitudeRef), "NS"),
        _degrees(tags.get(GPS.GPSLongitude), tags.get(GPS.GPSLongitudeRef), "EW"),
        _altitude(tags.get(GPS.GPSAltitude), tags.get(GPS.GPSAltitudeRef)),
    )


def _degrees(parts: Any, reference: Any, directions: str) -> float | None:
    # Without a reference the hemisphere is unknown, and a guess would be wrong by half a world.
    direction = (clean_text(reference) or "")[:1].upper()
    if direction not in directions or not direction or not isinstance(parts, Sequence):
        return None
    numbers = [number(part) for part in parts[:3]]
    degrees = numbers[0] if numbers else None
    if degrees is None or any(part is None or part < 0 for part in numbers):
        return None
    minutes, seconds = ([*numbers[1:], 0.0, 0.0])[:2]
    value = degrees + (minutes or 0.0) / 60 + (seconds or 0.0) / 3600
    return -value if direction == directions[1] else value


def _altitude(value: Any, reference: Any) -> float | None:
    metres = number(value)
    if isinstance(reference, bytes):
        reference = reference[0] if reference else 0
    if metres is None or reference not in BELOW_SEA_LEVEL:
        return metres
    return -abs(metres)


def xmp_coordinate(text: str | None) -> float | None:
    """Decimal degrees of an XMP GPSCoordinate: "51,30.0416N" or "51,30,2N" (XMP part 2, 2.7)."""
    match = _XMP_COORDINATE.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    try:
        degrees, minutes, seconds = (float(part or 0) for part in match.groups()[:3])
    except ValueError:
        return None
    value = degrees + minutes / 60 + seconds / 3600
    return -value if match[4] in "SWsw" else value


def xmp_altitude(text: str | None, reference: str | None) -> float | None:
    """Metres above sea level of XMP's exif:GPSAltitude, a fraction such as "669/10"."""
    numerator, _, denominator = (text or "").partition("/")
    try:
        metres = float(numerator) / float(denominator or 1)
    except (ValueError, ZeroDivisionError):
        return None
    return -metres if reference == "1" else metres


def iso6709_position(text: str | None) -> dict[str, float]:
    """Position columns of an ISO 6709 string such as "+51.5334-000.1255+026.756/" (annex H)."""
    match = _ISO6709.fullmatch(text.strip()) if text else None
    if match is None:
        return {}
    altitude = float(match[3]) if match[3] else None
    return position(_sexagesimal(match[1], 2), _sexagesimal(match[2], 3), altitude)


def _sexagesimal(text: str, degree_digits: int) -> float:
    # DD, DDMM or DDMMSS (longitude DDD...), each with a fraction at its last part.
    sign = -1.0 if text[0] == "-" else 1.0
    whole, _, fraction = text[1:].partition(".")
    if len(whole) <= degree_digits:
        return sign * float(text[1:])
    degrees = float(whole[:degree_digits])
    minutes = whole[degree_digits : degree_digits + 2]
    seconds = whole[degree_digits + 2 :]
    if seconds:
        return sign * (degrees + float(minutes) / 60 + float(f"{seconds}.{fraction or 0}") / 3600)
    return sign * (degrees + float(f"{minutes}.{fraction or 0}") / 60)
