"""Headers that are walked by hand, against Pillow as the oracle and against the specification."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_pipeline.reading.boxes import boxes
from media_pipeline.reading.gif import read_gif
from media_pipeline.reading.ico import read_ico
from media_pipeline.reading.jpeg import salvage_jpeg
from media_pipeline.reading.jxl import read_jxl
from media_pipeline.reading.pictures import READ_ERRORS, Picture
from media_pipeline.reading.png import read_chunks
from media_pipeline.reading.tiff import page_count
from media_pipeline.reading.webp import read_webp

SIZE = (40, 30)


def encoded(image: Image.Image, kind: str, **options: Any) -> io.BytesIO:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target


def frames(count: int, mode: str = "RGB") -> list[Image.Image]:
    return [Image.new(mode, SIZE, (50 * i, 255 - 50 * i, 80)[: len(mode)]) for i in range(count)]


def stored(picture: Picture) -> tuple[int, int]:
    return picture.width_px, picture.height_px


# GIF


def test_frames_and_delays_of_a_gif_are_counted() -> None:
    first, *others = frames(3)

    picture = read_gif(
        encoded(first, "GIF", save_all=True, append_images=others, duration=[100, 200, 300])
    )

    assert stored(picture) == SIZE
    assert (picture.frame_count, picture.duration_s) == (3, 0.6)


def test_a_still_gif_has_no_duration() -> None:
    picture = read_gif(encoded(frames(1)[0], "GIF", duration=100))

    assert (picture.frame_count, picture.duration_s) == (1, None)


def test_a_gif_cut_short_still_tells_its_size() -> None:
    content = encoded(frames(1)[0], "GIF").getvalue()

    assert stored(read_gif(io.BytesIO(content[:-4]))) == SIZE


def test_a_gif_without_a_frame_is_none() -> None:
    with pytest.raises(ValueError, match="without a frame"):
        read_gif(io.BytesIO(b"GIF89a" + struct.pack("<HHBBB", 5, 5, 0, 0, 0) + b";"))


def test_the_first_frame_may_stick_out_of_the_screen() -> None:
    frame = b"," + struct.pack("<HHHHB", 3, 4, 10, 20, 0) + b"\x02\x01\x00\x00;"
    content = b"GIF89a" + struct.pack("<HHBBB", 5, 5, 0, 0, 0) + frame

    assert stored(read_gif(io.BytesIO(content))) == (13, 24)


# WebP


@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {}), ("RGBA", {}), ("RGB", {"lossless": True}), ("RGBA", {"lossless": True})],
)
def test_all_kinds_of_still_webp_are_read(mode: str, options: dict[str, Any]) -> None:
    image = Image.new(mode, SIZE, (9, 8, 7, 128)[: len(mode)])

    picture = read_webp(encoded(image, "WEBP", **options))

    assert stored(picture) == SIZE
    assert picture.has_alpha == (mode == "RGBA")
    assert (picture.frame_count, picture.duration_s) == (1, None)


def test_frames_and_delays_of_a_webp_are_counted() -> None:
    first, *others = frames(4)

    picture = read_webp(encoded(first, "WEBP", save_all=True, append_images=others, duration=250))

    assert (picture.frame_count, picture.duration_s) == (4, 1.0)


def test_metadata_chunks_of_a_webp_are_read() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Acme"

    picture = read_webp(encoded(frames(1)[0], "WEBP", exif=exif, xmp=b"<x/>", icc_profile=b"icc"))

    assert picture.exif[0x010F] == "Acme"
    assert (picture.xmp, picture.icc_profile) == (b"<x/>", b"icc")


# PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_chunks_behind_the_pixels_of_a_png_are_found() -> None:
    content = encoded(frames(1)[0], "PNG").getvalue()
    end = content.rindex(b"IEND") - 4
    packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>")
    late = (
        chunk(b"eXIf", b"II*\0")
        + chunk(b"iTXt", packed)
        + chunk(b"tEXt", b"Title\0B\xe4r")
        + chunk(b"zTXt", b"Author\0\0" + zlib.compress(b"Ann"))
        + chunk(b"iTXt", b"Title\0\0\0\0\0second")
    )

    found = read_chunks(io.BytesIO(content[:end] + late + content[end:]))

    assert (found.exif, found.xmp) == (b"II*\0", b"<x/>")
    assert found.texts == {"Title": "Bär", "Author": "Ann"}


def test_the_delays_of_an_animated_png_are_added() -> None:
    first, *others = frames(3)

    found = read_chunks(
        encoded(first, "PNG", save_all=True, append_images=others, duration=[100, 200, 400])
    )

    assert found.duration_s == pytest.approx(0.7)


def test_a_text_bomb_in_a_png_is_not_inflated_beyond_the_limit() -> None:
    bomb = zlib.compress(b"\0" * (64 << 20))

    found = read_chunks(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"a\0\0" + bomb)))

    assert len(found.texts["a"]) == 16 << 20


# TIFF


def test_pages_of_a_tiff_are_counted() -> None:
    first, *others = frames(5)

    assert page_count(encoded(first, "TIFF", save_all=True, append_images=others)) == 5


def test_an_endless_chain_of_directories_is_not_counted() -> None:
    directory = struct.pack("<HHHIII", 1, 256, 4, 1, 40, 8)

    assert page_count(io.BytesIO(b"II*\0\x08\0\0\0" + directory)) is None


def test_a_directory_beyond_the_end_is_not_counted() -> None:
    assert page_count(io.BytesIO(b"MM\0+\0\x08\0\0" + b"\xff" * 8)) is None


# boxes


def test_a_box_of_impossible_size_ends_the_walk() -> None:
    huge = struct.pack(">I4sQ", 1, b"free", 2**64 - 1)
    inside = struct.pack(">I4s", 16, b"skip") + bytes(8)

    found = list(boxes(io.BytesIO(inside + huge + inside)))

    assert [(box.kind, box.start, box.end) for box in found] == [
        (b"skip", 8, 16),
        (b"free", 32, 48),
    ]
    assert list(boxes(io.BytesIO(struct.pack(">I4s", 4, b"free")))) == []


# icons


@pytest.mark.parametrize("bitmap_format", ["png", "bmp"])
def test_the_largest_picture_of_an_icon_counts(bitmap_format: str) -> None:
    image = Image.new("RGBA", (64, 64), (1, 2, 3, 4))
    icon = encoded(image, "ICO", sizes=[(16, 16), (64, 64)], bitmap_format=bitmap_format)

    picture = read_ico(icon)

    assert stored(picture) == (64, 64)
    assert picture.has_alpha


# JPEG XL


def codestream(*fields: tuple[int, int]) -> io.BytesIO:
    """A codestream header of numbers and their widths in bits, least significant bit first."""
    value = position = 0
    for number, width in fields:
        value |= number << position
        position += width
    return io.BytesIO(b"\xff\x0a" + value.to_bytes(position // 8 + 1, "little") + bytes(8))


SMALL_100_BY_80 = ((1, 1), (9, 5), (0, 3), (12, 5))  # 8 x (9 + 1) high, 8 x (12 + 1) wide


def test_a_small_jpeg_xl_states_its_sides_in_eighths() -> None:
    picture = read_jxl(codestream(*SMALL_100_BY_80, (1, 1)))

    assert stored(picture) == (104, 80)
    assert (picture.color_mode, picture.bit_depth, picture.has_alpha) == ("RGB", 8, False)


@pytest.mark.parametrize(
    ("ratio", "width"),
    [(1, 1080), (2, 1296), (3, 1440), (4, 1620), (5, 1920), (6, 1350), (7, 2160)],
)
def test_a_jpeg_xl_may_state_its_width_as_a_ratio(ratio: int, width: int) -> None:
    picture = read_jxl(codestream((0, 1), (1, 2), (1079, 13), (ratio, 3), (1, 1)))

    assert stored(picture) == (width, 1080)


def test_a_turned_jpeg_xl_is_upright_and_needs_no_further_turn() -> None:
    extra_fields = ((0, 1), (1, 1), (5, 3), (0, 1), (0, 1), (0, 1))  # orientation 5 + 1
    depth_and_channels = ((0, 1), (1, 2), (0, 1), (0, 2))  # integers of 10 bits, no extra channel
    colours = ((1, 1), (0, 1), (0, 1), (1, 2))  # XYB, own encoding, no ICC, grey

    picture = read_jxl(codestream(*SMALL_100_BY_80, *extra_fields, *depth_and_channels, *colours))

    assert stored(picture) == (80, 104)
    assert (picture.orientation, picture.is_upright) == (6, True)
    assert (picture.color_mode, picture.bit_depth) == ("L", 10)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "I;16"])
def test_a_jpeg_xl_tells_the_colours_that_were_encoded(mode: str) -> None:
    import pillow_jxl  # noqa: F401

    exif = Image.Exif()
    exif[0x010F] = "Acme"
    picture = read_jxl(encoded(Image.new(mode, SIZE), "JXL", lossless=True, exif=exif.tobytes()))

    assert stored(picture) == SIZE
    assert picture.color_mode == mode.replace("I;16", "L")
    assert picture.bit_depth == (16 if mode == "I;16" else 8)
    assert picture.exif[0x010F] == "Acme"


def test_a_jpeg_xl_without_a_codestream_is_refused() -> None:
    with pytest.raises(ValueError, match="no JPEG XL codestream"):
        read_jxl(io.BytesIO(b"\0\0\0\x0cJXL \r\n\x87\n"))


# damaged JPEGs


def test_a_jpeg_with_a_broken_table_still_tells_its_size() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Acme"
    content = encoded(frames(1)[0], "JPEG", exif=exif).getvalue()
    table = content.index(b"\xff\xc4")  # behind the frame header

    picture = salvage_jpeg(io.BytesIO(content[:table] + b"\0\0" + content[table + 2 :]))

    assert stored(picture) == SIZE
    assert picture.exif[0x010F] == "Acme"
    assert picture.is_damaged


def test_a_jpeg_without_any_size_is_refused() -> None:
    with pytest.raises(ValueError, match="state a size"):
        salvage_jpeg(io.BytesIO(b"\xff\xd8\xff\xdb\0\x04\0\0"))


# anything

WALKERS: list[tuple[Callable[[BinaryIO], object], bytes]] = [
    (read_gif, encoded(frames(1)[0], "GIF").getvalue()),
    (read_webp, encoded(frames(1)[0], "WEBP", exif=b"Exif\0\0II*\0").getvalue()),
    (read_chunks, encoded(frames(1)[0], "PNG").getvalue()),
    (page_count, encoded(frames(1)[0], "TIFF").getvalue()),
    (read_ico, encoded(frames(1)[0], "ICO").getvalue()),
    (read_jxl, codestream(*SMALL_100_BY_80, (0, 400)).getvalue()),
    (salvage_jpeg, encoded(frames(1)[0], "JPEG").getvalue()),
]


@given(
    st.sampled_from(WALKERS),
    st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 400),
)
@pytest.mark.filterwarnings("ignore")
def test_no_damage_makes_a_walker_raise_what_is_not_declared(
    case: tuple[Callable[[BinaryIO], object], bytes],
    damages: Iterable[tuple[int, bytes]],
    length: int,
) -> None:
    walk, content = case
    for place, damage in damages:
        content = content[:place] + damage + content[place + len(damage) :]
    try:
        walk(io.BytesIO(content[:length]))
    except READ_ERRORS:
        return
