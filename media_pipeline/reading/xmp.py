"""XMP: titles, keywords, ratings, times and places that editors write (ISO 16684-1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from media_pipeline.errors import ItemError
from media_pipeline.reading.clocks import Clock, parse_clock
from media_pipeline.reading.gps import position, xmp_altitude, xmp_coordinate
from media_pipeline.reading.values import clean_text, keywords

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XMP_LIMIT_BYTES = 4 << 20
"""Largest packet that is parsed; an honest one has some kilobytes."""

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_AUX = "{http://ns.adobe.com/exif/1.0/aux/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_TIMES = (_EXIF + "DateTimeOriginal", _PHOTOSHOP + "DateCreated", _XMP + "CreateDate")


@dataclass(frozen=True)
class Xmp:
    """What a packet says about a picture.

    Attributes:
        title, description: dc:title and dc:description, in the default language.
        creator: dc:creator.
        keywords: dc:subject.
        rating: xmp:Rating, -1 (rejected) to 5.
        lens_model: aux:Lens.
        orientation: tiff:Orientation, 1 to 8.
        position: Position columns of the metadata table.
        times: Capture times, best first.
        gps_instant: The moment of the GPS fix, aware.
    """

    title: str | None = None
    description: str | None = None
    creator: str | None = None
    keywords: tuple[str, ...] = ()
    rating: int | None = None
    lens_model: str | None = None
    orientation: int | None = None
    position: tuple[tuple[str, float], ...] = ()
    times: tuple[Clock, ...] = ()
    gps_instant: datetime | None = None


def parse_xmp(packet: bytes) -> Xmp:
    """Read an XMP packet.

    Document types and entities are refused, so a packet cannot grow or reach out while parsed.

    Raises:
        ItemError: `damaged`: no well-formed XML, too large, or with a document type.
    """
    properties = dict(_properties(_parse(packet)))
    first = {name: values[0] for name, values in properties.items() if values}
    clocks = (parse_clock(first.get(name)) for name in _TIMES)
    fix = parse_clock(first.get(_EXIF + "GPSTimeStamp"))
    if fix and fix.offset_min is None:
        fix = replace(fix, is_utc=True)  # GPS time is UTC, also where the zone is left out
    return Xmp(
        title=clean_text(first.get(_DC + "title")),
        description=clean_text(first.get(_DC + "description")),
        creator=clean_text("; ".join(properties.get(_DC + "creator", ()))),
        keywords=tuple(keywords(properties.get(_DC + "subject", [])) or ()),
        rating=_integer(first.get(_XMP + "Rating"), -1, 5),
        lens_model=clean_text(first.get(_AUX + "Lens")),
        orientation=_integer(first.get(_TIFF + "Orientation"), 1, 8),
        position=tuple(_position(first).items()),
        times=tuple(clock for clock in clocks if clock),
        gps_instant=fix.utc if fix else None,
    )


def _parse(packet: bytes) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    if len(packet) > XMP_LIMIT_BYTES:
        raise ItemError(
            "damaged", f"XMP of {len(packet)} bytes: at most {XMP_LIMIT_BYTES} are read"
        )
    try:
        root: Element = fromstring(_without_padding(packet), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ItemError("damaged", f"XMP cannot be parsed: {error}") from error
    return root


def _without_padding(packet: bytes) -> bytes:
    # Writers pad with blanks and NULs, which XML allows neither before nor behind it.
    packet = packet.lstrip()
    is_utf_16_little_endian = packet[:2] in (b"\xff\xfe", b"<\0")
    return packet[: packet.rfind(b">") + 1 + is_utf_16_little_endian]


def _properties(root: Element) -> Iterator[tuple[str, list[str]]]:
    # Properties stand as attributes or as elements of the descriptions directly below rdf:RDF.
    rdf = root if root.tag == _RDF + "RDF" else root.find(_RDF + "RDF")
    for description in () if rdf is None else rdf.findall(_RDF + "Description"):
        for name, text in description.attrib.items():
            yield name, [text]
        for element in description:
            yield str(element.tag), _values(element)


def _values(element: Element) -> list[str]:
    items = [item for container in element for item in container.findall(_RDF + "li")]
    if not items:
        value = element.find(_RDF + "value")
        text = (element if value is None else value).text
        return [text] if text and text.strip() else []
    # rdf:Alt: the default language first.
    items.sort(key=lambda item: item.get(_LANGUAGE) not in (None, "x-default"))
    return [item.text for item in items if item.text]


def _integer(text: str | None, low: int, high: int) -> int | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return int(value) if low <= value <= high else None


def _position(first: dict[str, str]) -> dict[str, float]:
    return position(
        xmp_coordinate(first.get(_EXIF + "GPSLatitude")),
        xmp_coordinate(first.get(_EXIF + "GPSLongitude")),
        xmp_altitude(first.get(_EXIF + "GPSAltitude"), first.get(_EXIF + "GPSAltitudeRef")),
    )
