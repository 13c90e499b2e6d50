from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_pipeline.errors import ItemError
from media_pipeline.reading.clocks import Clock
from media_pipeline.reading.xmp import XMP_LIMIT_BYTES, Xmp, parse_xmp

NAMESPACES = (
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    ' xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"'
)


def packet(attributes: str = "", elements: str = "") -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {NAMESPACES}>'
        f"<rdf:Description {attributes}>{elements}</rdf:Description></rdf:RDF>"
        '</x:xmpmeta>   <?xpacket end="w"?>'
    ).encode()


def test_properties_are_read_from_attributes() -> None:
    found = parse_xmp(
        packet(
            'xmp:Rating="4" tiff:Orientation="6" aux:Lens="50 mm" xmp:CreateDate="2019-07-04"'
            ' exif:DateTimeOriginal="2019-07-04T12:30:00+02:00" exif:GPSLatitude="51,30.6N"'
            ' exif:GPSLongitude="0,7.5W" exif:GPSAltitude="35/1" exif:GPSAltitudeRef="0"'
            ' exif:GPSTimeStamp="2019-07-04T10:30:00"'
        )
    )

    assert (found.rating, found.orientation, found.lens_model) == (4, 6, "50 mm")
    assert dict(found.position) == pytest.approx(
        {"gps_latitude_deg": 51.51, "gps_longitude_deg": -0.125, "gps_altitude_m": 35.0}
    )
    assert found.times == (
        Clock(datetime(2019, 7, 4, 12, 30), offset_min=120),
        Clock(datetime(2019, 7, 4), has_time=False),
    )
    assert found.gps_instant == datetime(2019, 7, 4, 10, 30, tzinfo=UTC)


def test_properties_are_read_from_elements() -> None:
    found = parse_xmp(
        packet(
            elements="<xmp:Rating>-1</xmp:Rating>"
            '<dc:title><rdf:Alt><rdf:li xml:lang="de">Titel</rdf:li>'
            '<rdf:li xml:lang="x-default">Title</rdf:li></rdf:Alt></dc:title>'
            "<dc:description><rdf:Alt><rdf:li>This &amp; that</rdf:li></rdf:Alt></dc:description>"
            "<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>"
            "<dc:subject><rdf:Bag><rdf:li>Spaß</rdf:li><rdf:li>a</rdf:li><rdf:li>a</rdf:li></rdf:Bag>"
            "</dc:subject><photoshop:DateCreated>2010</photoshop:DateCreated>"
        )
    )

    assert found == Xmp(
        title="Title",
        description="This & that",
        creator="Ann; Ben",
        keywords=("Spaß", "a"),
        rating=-1,
        times=(Clock(datetime(2010, 1, 1), has_time=False),),
    )


def test_a_plain_subject_is_one_keyword() -> None:
    assert parse_xmp(packet(elements="<dc:subject>Max</dc:subject>")).keywords == ("Max",)


def test_a_packet_in_utf_16_is_read() -> None:
    text = packet(elements="<dc:subject>Spaß</dc:subject>").decode().replace("\ufeff", "")

    assert parse_xmp(text.encode("utf-16")).keywords == ("Spaß",)


@pytest.mark.parametrize("rating", ["6", "-2", "many", "nan", ""])
def test_a_rating_outside_its_range_is_none(rating: str) -> None:
    assert parse_xmp(packet(f'xmp:Rating="{rating}"')).rating is None


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>&b;</x:xmpmeta>"
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        OUTSIDE,
        b"",
        b"\0\0",
        b"no xml",
        packet()[:-40],
        b"<a>" * 1000,
        b"<?xml encoding='x'?><a/>",
    ],
)
def test_what_is_no_honest_packet_is_refused(content: bytes) -> None:
    with pytest.raises(ItemError) as caught:
        parse_xmp(content)

    assert caught.value.reason == "damaged"


def test_a_huge_packet_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ItemError, match="at most"):
        parse_xmp(b" " * (XMP_LIMIT_BYTES + 1))


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_raise_anything_but_the_declared_error(content: bytes) -> None:
    with suppress(ItemError):
        parse_xmp(content)


@given(st.integers(0, len(packet('xmp:Rating="4"')) - 1), st.binary(min_size=1, max_size=3))
@settings(max_examples=200)
def test_no_damaged_packet_raises_anything_but_the_declared_error(
    place: int, damage: bytes
) -> None:
    content = packet('xmp:Rating="4"')
    with suppress(ItemError):
        parse_xmp(content[:place] + damage + content[place + len(damage) :])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30))
def test_any_text_of_a_property_is_read_back_without_outer_blanks(text: str) -> None:
    from xml.sax.saxutils import escape

    found = parse_xmp(packet(elements=f"<dc:subject>{escape(text)}</dc:subject>"))

    assert found.keywords == ((text.strip(),) if text.strip() else ())
