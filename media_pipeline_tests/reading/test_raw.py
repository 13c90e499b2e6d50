from __future__ import annotations

import struct
from typing import Any

import pytest

from media_pipeline.errors import ItemError
from media_pipeline_tests.reading.conftest import Reader

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
WIDTH, HEIGHT = 64, 48


def dng(orientation: int) -> bytes:
    """A digital negative of noise-free sensor values (DNG 1.4: one uncompressed CFA picture)."""
    pixels = struct.pack(f"<{WIDTH * HEIGHT}H", *(i * 37 % 4096 for i in range(WIDTH * HEIGHT)))
    identity = struct.pack("<18i", *(x for i in range(9) for x in (int(i % 4 == 0), 1)))
    one = struct.pack("<6I", *(1,) * 6)
    tags: list[tuple[int, int, int, bytes]] = [
        (254, LONG, 1, u32(0)), (256, LONG, 1, u32(WIDTH)), (257, LONG, 1, u32(HEIGHT)),
        (258, SHORT, 1, u16(16)), (259, SHORT, 1, u16(1)), (262, SHORT, 1, u16(32803)),
        (271, ASCII, 5, b"Acme\0"), (272, ASCII, 4, b"One\0"), (273, LONG, 1, b"HERE"),
        (274, SHORT, 1, u16(orientation)), (277, SHORT, 1, u16(1)), (278, LONG, 1, u32(HEIGHT)),
        (279, LONG, 1, u32(len(pixels))), (306, ASCII, 20, b"2020:01:01 08:00:00\0"),
        (33421, SHORT, 2, u16(2) * 2), (33422, BYTE, 4, b"\0\1\1\2"),
        (36867, ASCII, 20, b"2019:07:04 12:30:00\0"), (50706, BYTE, 4, b"\1\4\0\0"),
        (50708, ASCII, 4, b"One\0"), (50717, LONG, 1, u32(4095)), (50721, SRATIONAL, 9, identity),
        (50728, RATIONAL, 3, one), (50778, SHORT, 1, u16(21)),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for number, kind, count, value in tags:
        inline = value if len(value) <= 4 else u32(start + len(values))
        values += b"" if len(value) <= 4 else value + b"\0" * (len(value) % 2)
        entries += struct.pack("<HHI", number, kind, count) + inline.ljust(4, b"\0")
    content = b"II*\0" + u32(8) + u16(len(tags)) + entries + u32(0) + values
    return content.replace(b"HERE", u32(len(content))) + pixels


def u16(value: int) -> bytes:
    return struct.pack("<H", value)


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


@pytest.mark.parametrize(
    ("orientation", "size"),
    [(1, (WIDTH, HEIGHT)), (3, (WIDTH, HEIGHT)), (6, (HEIGHT, WIDTH)), (8, (HEIGHT, WIDTH))],
)
def test_a_digital_negative_is_identified_and_upright(
    read: Reader, orientation: int, size: tuple[int, int]
) -> None:
    row: dict[str, Any] = read(dng(orientation), "picture.dng")

    expected = {
        "state": "ok", "format": "raw", "kind": "image", "orientation": orientation,
        "width_px": size[0], "height_px": size[1], "camera_make": "Acme", "camera_model": "One",
        "frame_count": 1, "iso": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert [(time["source"], time["local"]) for time in row["capture_times"]] == [
        ("exif_original", "2019-07-04T12:30:00"),
        ("exif_modified", "2020-01-01T08:00:00"),
    ]


def test_a_text_that_is_called_raw_is_not_recognised(read: Reader) -> None:
    with pytest.raises(ItemError) as caught:
        read(b"this is no photo at all\n" * 10, "picture.nef")

    assert caught.value.reason == "unrecognised_format"


def test_half_a_negative_is_undecodable_or_told_by_its_directory(read: Reader) -> None:
    with pytest.raises(ItemError) as caught:
        read(dng(1)[:150], "picture.dng")

    assert caught.value.reason in ("undecodable", "unrecognised_format")
