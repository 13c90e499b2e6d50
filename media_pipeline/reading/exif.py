"""EXIF: camera, exposure, place and times (CIPA DC-008, EXIF 2.32)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from PIL.ExifTags import GPS, IFD, Base
from PIL.Image import Exif

from media_pipeline.reading.capture import exif_times
from media_pipeline.reading.clocks import Clock, gps_instant
from media_pipeline.reading.gps import exif_position
from media_pipeline.reading.values import exif_text, number, positive, utf16_text

RATING_TAG = 0x4746  # Windows' Rating, 0 to 5
ISO_OVERFLOW = 65535  # what a 16-bit ISO tag holds when the true value stands elsewhere


@dataclass(frozen=True)
class ExifFacts:
    """What EXIF says about a picture.

    Attributes:
        columns: Columns of the metadata table that only EXIF fills.
        orientation: Orientation tag, 1 to 8.
        title, description, creator, keywords, rating: Fall-backs for XMP and IPTC.
        times: Recorded times with their sources.
    """

    columns: dict[str, Any] = field(default_factory=dict)
    orientation: int | None = None
    title: str | None = None
    description: str | None = None
    creator: str | None = None
    keywords: tuple[str, ...] = ()
    rating: int | None = None
    times: tuple[tuple[str, Clock], ...] = ()


def exif_facts(exif: Exif, gps_fallback: datetime | None = None) -> ExifFacts:
    """Read Pillow's EXIF object.

    Args:
        exif: Parsed EXIF.
        gps_fallback: The moment of the GPS fix, aware, where EXIF's own is incomplete.

    Raises:
        READ_ERRORS: Whatever Pillow raises for a broken directory (`pictures.READ_ERRORS`).
    """
    main: dict[int, Any] = dict(exif)
    gps = exif.get_ifd(IFD.GPSInfo)
    # Some writers put tags of the Exif directory into the main one; the right place wins.
    tags = {**main, **exif.get_ifd(IFD.Exif)}
    instant = gps_instant(exif_text(gps.get(GPS.GPSDateStamp)), gps.get(GPS.GPSTimeStamp))
    instant = instant or gps_fallback
    return ExifFacts(
        columns={**_camera(tags), **_exposure(tags), **exif_position(gps)},
        orientation=_integer(main.get(Base.Orientation), 1, 8),
        title=utf16_text(main.get(Base.XPTitle)),
        description=exif_text(main.get(Base.ImageDescription))
        or utf16_text(main.get(Base.XPSubject)),
        creator=exif_text(main.get(Base.Artist)) or utf16_text(main.get(Base.XPAuthor)),
        keywords=tuple((utf16_text(main.get(Base.XPKeywords)) or "").split(";")),
        rating=_integer(main.get(RATING_TAG), 0, 5),
        times=tuple(exif_times(tags, instant)),
    )


def _camera(tags: Mapping[int, Any]) -> dict[str, Any]:
    return {
        "camera_make": exif_text(tags.get(Base.Make)),
        "camera_model": exif_text(tags.get(Base.Model)),
        "lens_model": exif_text(tags.get(Base.LensModel)),
        "software": exif_text(tags.get(Base.Software)),
    }


def _exposure(tags: Mapping[int, Any]) -> dict[str, Any]:
    flash = number(tags.get(Base.Flash))
    return {
        "exposure_time_s": positive(tags.get(Base.ExposureTime)) or _apex_time(tags),
        "f_number": positive(tags.get(Base.FNumber)) or _apex_aperture(tags),
        "iso": _iso(tags),
        "focal_length_mm": positive(tags.get(Base.FocalLength)),
        "flash_fired": None if flash is None else bool(int(flash) & 1),  # bit 0: fired
    }


def _apex_time(tags: Mapping[int, Any]) -> float | None:
    # EXIF 2.32 annex C: Tv = -log2(t)
    value = number(tags.get(Base.ShutterSpeedValue))
    return None if value is None or abs(value) > 20 else 2.0**-value


def _apex_aperture(tags: Mapping[int, Any]) -> float | None:
    # EXIF 2.32 annex C: Av = 2 log2(F)
    value = number(tags.get(Base.ApertureValue))
    return None if value is None or not 0 < value < 20 else 2.0 ** (value / 2)


def _iso(tags: Mapping[int, Any]) -> int | None:
    iso = positive(tags.get(Base.ISOSpeedRatings))
    if iso is None or iso == ISO_OVERFLOW:
        wider = (Base.ISOSpeed, Base.RecommendedExposureIndex, Base.StandardOutputSensitivity)
        iso = next((wide for tag in wider if (wide := positive(tags.get(tag)))), iso)
    return None if iso is None else int(iso)


def _integer(value: Any, low: int, high: int) -> int | None:
    found = number(value)
    return int(found) if found is not None and low <= found <= high else None
