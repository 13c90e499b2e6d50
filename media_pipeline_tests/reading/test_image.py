from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from media_pipeline_tests.reading.conftest import Reader

SIZE = (40, 30)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    b' xmp:Rating="3" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def encoded(kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new(mode, size).save(target, kind, **options)
    return target.getvalue()


def exif_of(tags: dict[int, Any], ifds: dict[int, dict[int, Any]] | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif.update(tags)
    for ifd, values in (ifds or {}).items():
        exif.get_ifd(ifd).update(values)
    return exif


def camera() -> Image.Exif:
    """A new one each time, for Pillow changes it while it saves."""
    return exif_of(
        {
            Base.Make: "Acme",
            Base.Model: "One",
            Base.Software: "1.0",
            Base.Artist: "Ann",
            Base.ImageDescription: "A picture",
            Base.Orientation: 6,
            Base.DateTime: "2020:01:01 08:00:00",
        },
        {
            IFD.Exif: {
                Base.DateTimeOriginal: "2019:07:04 12:30:00",
                Base.ExposureTime: IFDRational(1, 125),
                Base.FNumber: IFDRational(28, 10),
                Base.ISOSpeedRatings: 400,
                Base.FocalLength: IFDRational(50, 1),
                Base.Flash: 9,
                Base.LensModel: "50 mm",
            },
            IFD.GPSInfo: {
                GPS.GPSLatitudeRef: "N",
                GPS.GPSLatitude: (48.0, 30.0, 0.0),
                GPS.GPSLongitudeRef: "W",
                GPS.GPSLongitude: (11.0, 15.0, 0.0),
                GPS.GPSAltitudeRef: b"\0",
                GPS.GPSAltitude: IFDRational(519, 1),
                GPS.GPSTimeStamp: (10.0, 30.0, 5.0),
                GPS.GPSDateStamp: "2019:07:04",
            },
        },
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_everything_that_exif_says_is_read(read: Reader, kind: str) -> None:
    row = read(encoded(kind, exif=camera()))

    expected = {
        "state": "ok", "reason": None, "message": None, "kind": "image",
        "width_px": 30, "height_px": 40, "orientation": 6, "frame_count": 1,
        "camera_make": "Acme", "camera_model": "One", "lens_model": "50 mm", "software": "1.0",
        "exposure_time_s": 0.008, "f_number": 2.8, "iso": 400, "focal_length_mm": 50.0,
        "flash_fired": True, "description": "A picture", "creator": "Ann",
        "gps_latitude_deg": 48.5, "gps_longitude_deg": -11.25, "gps_altitude_m": 519.0,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    original = {"local": "2019-07-04T12:30:00", "offset_min": 120, "utc": "2019-07-04T10:30:00Z"}
    assert row["capture_times"] == [
        {"source": "exif_original"} | original,
        {"source": "gps", "local": None, "offset_min": None, "utc": "2019-07-04T10:30:05Z"},
        {
            "source": "exif_modified",
            "local": "2020-01-01T08:00:00",
            "offset_min": None,
            "utc": None,
        },
    ]


def test_utf_8_in_exif_is_read_as_such(read: Reader) -> None:
    assert (
        read(encoded("JPEG", exif=exif_of({Base.Artist: "Bärbel".encode()})))["creator"] == "Bärbel"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_width_and_height_are_those_of_the_upright_picture(read: Reader, orientation: int) -> None:
    exif = exif_of({Base.Orientation: orientation})
    upright = SIZE if orientation < 5 else SIZE[::-1]

    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        row = read(encoded(kind, exif=exif))
        assert (row["width_px"], row["height_px"], row["orientation"]) == (*upright, orientation)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_none(read: Reader, orientation: int) -> None:
    row = read(encoded("JPEG", exif=exif_of({Base.Orientation: orientation})))

    assert (row["width_px"], row["height_px"], row["orientation"]) == (*SIZE, None)


def test_the_orientation_of_xmp_counts_only_where_exif_has_none(read: Reader) -> None:
    assert read(encoded("JPEG", xmp=XMP))["width_px"] == 30
    assert read(encoded("JPEG", xmp=XMP, exif=exif_of({Base.Orientation: 1})))["width_px"] == 40


def test_heif_is_turned_by_its_decoder(read: Reader) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    row = read(encoded("HEIF", exif=exif_of({Base.Orientation: 6, Base.Make: "Acme"})))

    with Image.open(io.BytesIO(encoded("HEIF", exif=exif_of({Base.Orientation: 6})))) as image:
        assert (row["width_px"], row["height_px"]) == image.size
    assert (row["format"], row["camera_make"], row["bit_depth"]) == ("heif", "Acme", 8)


def test_an_avif_with_alpha_is_opened_by_the_second_reader(read: Reader) -> None:
    row = read(encoded("AVIF", "RGBA"))

    assert (row["state"], row["width_px"], row["height_px"], row["has_alpha"]) == (
        "ok",
        *SIZE,
        True,
    )


@pytest.mark.parametrize(
    ("kind", "mode", "color_mode", "bit_depth", "has_alpha"),
    [
        ("JPEG", "RGB", "RGB", 8, False),
        ("JPEG", "L", "L", 8, False),
        ("JPEG", "CMYK", "CMYK", 8, False),
        ("PNG", "1", "1", 1, False),
        ("PNG", "I;16", "I;16", 16, False),
        ("PNG", "RGBA", "RGBA", 8, True),
        ("PNG", "LA", "LA", 8, True),
        ("TIFF", "I;16", "I;16", 16, False),
        ("TIFF", "1", "1", 1, False),
        ("TIFF", "F", "F", 32, False),
        ("BMP", "RGB", "RGB", 8, False),
        ("GIF", "P", "P", 8, False),
        ("PPM", "RGB", "RGB", 8, False),
        ("PPM", "I;16", "I", 16, False),
        ("JPEG2000", "RGBA", "RGBA", 8, True),
        ("TGA", "RGBA", "RGBA", 8, True),
        ("ICO", "RGBA", "RGBA", 8, True),
    ],
)
def test_colours_are_described_as_stored(
    read: Reader, kind: str, mode: str, color_mode: str, bit_depth: int, has_alpha: bool
) -> None:
    row = read(encoded(kind, mode, size=(32, 32)), "picture.tga" if kind == "TGA" else "picture")

    assert (row["color_mode"], row["bit_depth"], row["has_alpha"]) == (
        color_mode, bit_depth, has_alpha,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_colour_profile_is_named(read: Reader, kind: str) -> None:
    assert read(encoded(kind, icc_profile=SRGB))["icc_profile"] == "sRGB built-in"
    assert read(encoded(kind, icc_profile=b"no profile"))["icc_profile"] is None


def test_frames_of_animations_are_counted(read: Reader) -> None:
    others = [Image.new("RGB", SIZE, (i, 99, 0)) for i in (60, 120)]
    options = {"save_all": True, "append_images": others, "duration": 200}

    for kind in ("GIF", "PNG", "WEBP"):
        row = read(encoded(kind, **options))
        assert (row["frame_count"], row["duration_s"]) == (3, pytest.approx(0.6))
    assert read(encoded("TIFF", save_all=True, append_images=others))["frame_count"] == 3


def test_xmp_and_iptc_fill_titles_keywords_and_ratings(read: Reader) -> None:
    iptc = b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text
        for number, text in [(5, b"Title"), (25, b"one"), (25, b"two"), (55, b"20190704")]
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    block = b"Photoshop 3.0\0" + resource
    content = encoded("JPEG", xmp=XMP)
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block

    row = read(content[:2] + segment + content[2:])

    assert (row["title"], row["keywords"], row["rating"]) == ("Title", ["one", "two"], 3)
    assert row["capture_times"][0]["source"] == "iptc"


def test_the_texts_of_a_png_are_a_last_resort(read: Reader) -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for keyword, text in (("Title", "T"), ("Author", "A"), ("Software", "S")):
        texts.add_text(keyword, text)
    texts.add_text("Creation Time", "Thu, 04 Jul 2019 12:30:00 +0200")

    row = read(encoded("PNG", pnginfo=texts))

    assert (row["title"], row["creator"], row["software"]) == ("T", "A", "S")
    assert row["capture_times"][0]["utc"] == "2019-07-04T10:30:00Z"


def test_broken_exif_leaves_the_picture_ok_and_a_message(read: Reader) -> None:
    content = encoded("JPEG", exif=camera())
    start = content.index(b"Exif\0\0") + 6

    row = read(content[:start] + b"XX" + content[start + 2 :])

    assert (row["state"], row["width_px"], row["camera_make"]) == ("ok", 40, None)
    assert "EXIF" in row["message"]


def test_broken_xmp_leaves_the_picture_ok_and_a_message(read: Reader) -> None:
    row = read(encoded("JPEG", xmp=XMP[:-20], exif=exif_of({Base.Make: "Acme"})))

    assert (row["state"], row["camera_make"], row["rating"]) == ("ok", "Acme", None)
    assert "XMP cannot be parsed" in row["message"]


def test_numbers_that_cannot_be_are_none(read: Reader) -> None:
    exif = exif_of(
        {},
        {
            IFD.Exif: {
                Base.ExposureTime: IFDRational(1, 0),
                Base.FNumber: IFDRational(0, 1),
                Base.FocalLength: IFDRational(0, 0),
                Base.ISOSpeedRatings: 0,
            }
        },
    )

    row = read(encoded("JPEG", exif=exif))

    assert all(
        row[name] is None for name in ("exposure_time_s", "f_number", "focal_length_mm", "iso")
    )


def test_apex_values_serve_where_the_plain_ones_are_missing(read: Reader) -> None:
    exif = exif_of(
        {},
        {
            IFD.Exif: {
                Base.ShutterSpeedValue: IFDRational(7, 1),
                Base.ApertureValue: IFDRational(3, 1),
            }
        },
    )

    row = read(encoded("JPEG", exif=exif))

    assert row["exposure_time_s"] == 1 / 128
    assert row["f_number"] == pytest.approx(2 ** (3 / 2))


def test_a_number_outside_the_range_of_the_schema_is_dropped_with_a_message(read: Reader) -> None:
    exif = exif_of({}, {IFD.Exif: {Base.ISOSpeed: 2**32 - 1, Base.ISOSpeedRatings: 65535}})

    row = read(encoded("JPEG", exif=exif))

    assert row["iso"] is None
    assert "iso 4294967295 is out of range" in row["message"]


def test_a_png_that_declares_billions_of_pixels_is_described_without_being_decoded(
    read: Reader,
) -> None:
    import zlib

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    limit = Image.MAX_IMAGE_PIXELS

    row = read(content)

    assert (row["state"], row["width_px"], row["height_px"]) == ("ok", 60_000, 60_000)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_jpeg_with_a_damaged_table_is_degraded(read: Reader) -> None:
    content = encoded("JPEG", exif=camera())
    table = content.index(b"\xff\xc4")

    row = read(content[: table + 2] + b"\xff\xff" + content[table + 4 :])

    assert (row["state"], row["reason"]) == ("degraded", "damaged")
    assert (row["width_px"], row["height_px"], row["camera_make"]) == (30, 40, "Acme")


def test_a_photoshop_file_is_read_with_its_resources(read: Reader) -> None:
    exif = camera().tobytes()[6:]
    resources = b"".join(
        b"8BIM"
        + struct.pack(">H", number)
        + b"\0\0"
        + struct.pack(">I", len(data))
        + data
        + b"\0" * (len(data) % 2)
        for number, data in [(1058, exif), (1060, XMP)]
    )
    header = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30, 40, 8, 3)
    content = header + bytes(4) + struct.pack(">I", len(resources)) + resources + bytes(6)

    row = read(content + bytes(3 * 30 * 40))

    assert (row["format"], row["bit_depth"], row["camera_make"], row["rating"]) == (
        "psd",
        8,
        "Acme",
        3,
    )
