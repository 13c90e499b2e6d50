"""Thumbnails: rows that fit the schema, and a JPEG that holds nothing but pixels."""

from __future__ import annotations

import os
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_pipeline import recipes, schema
from media_pipeline.errors import ItemError
from media_pipeline.imaging.thumbnail import make_thumbnails
from media_pipeline_tests.imaging.drawing import (
    encoded,
    exif,
    four_corners,
    photo,
    png_that_declares,
    scene,
    stored_as,
    video,
)

PARAMETERS = recipes.stage("thumbnails").parameters
FILLED_BY_THE_STAGE = {"media_id", "recipe", "path"}


def thumbnails(folder: Path, content: bytes, name: str = "a.jpg") -> list[dict[str, Any]]:
    path = folder / name
    path.write_bytes(content)
    return make_thumbnails(os.fsencode(path), os.fsencode(name), PARAMETERS, 50_000_000)


def still(folder: Path, content: bytes, name: str = "a.jpg") -> dict[str, Any]:
    (row,) = thumbnails(folder, content, name)
    return row


def opened(row: dict[str, Any]) -> Image.Image:
    return Image.open(BytesIO(row["jpeg"]))


def test_a_row_has_the_columns_of_the_table(tmp_path: Path) -> None:
    row = still(tmp_path, encoded(photo(), "JPEG").getvalue())
    columns = {column.name for column in schema.THUMBNAILS.columns}
    assert row.keys() == (columns - FILLED_BY_THE_STAGE) | {"jpeg"}
    filled = {**row, "media_id": "0" * 32, "recipe": "0" * 8, "path": "00/0.jpg"}
    del filled["jpeg"]
    table = schema.THUMBNAILS.to_arrow([filled])
    nulls = {name for name in table.column_names if table[name].null_count}
    assert nulls == {"time_ms", "reason", "message", "retryable"}


def test_a_thumbnail_is_512_px_long_and_knows_its_original(tmp_path: Path) -> None:
    row = still(tmp_path, encoded(photo(3000, 2000), "JPEG").getvalue())
    assert (row["width_px"], row["height_px"]) == opened(row).size == (512, 341)
    assert (row["source_width_px"], row["source_height_px"]) == (3000, 2000)
    assert row["decoded_long_side_px"] == 3000  # half of it would be less than 2000
    assert (row["frame"], row["role"], row["state"]) == (0, "still", "ok")


def test_a_thumbnail_looks_like_its_original(tmp_path: Path) -> None:
    row = still(tmp_path, encoded(photo(), "PNG").getvalue())
    expected = Image.fromarray(photo()).resize(opened(row).size, Image.Resampling.BOX)
    difference = np.abs(np.asarray(opened(row)).astype(int) - np.asarray(expected))
    assert difference.mean() < 2


def test_a_small_picture_keeps_its_size(tmp_path: Path) -> None:
    row = still(tmp_path, encoded(four_corners(), "PNG").getvalue())
    assert (row["width_px"], row["height_px"], row["decoded_long_side_px"]) == (64, 48, 64)


def test_a_thumbnail_is_upright_and_says_nothing_about_place_or_camera(tmp_path: Path) -> None:
    stored = Image.fromarray(stored_as(photo(), 6))
    block = Image.Exif()
    block.load(exif(6))
    block[0x010F] = "SecretCamera"
    block.get_ifd(0x8825)[2] = (47.0, 30.0, 0.0)  # GPSLatitude
    file = encoded(stored, "JPEG", exif=block, icc_profile=b"x" * 200, comment="secret")
    row = still(tmp_path, file.getvalue())
    picture = opened(row)
    assert picture.size == (512, 384)
    assert not picture.getexif()
    assert picture.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"ecret" not in row["jpeg"]


def test_the_same_pixels_under_another_orientation_have_the_same_hashes(tmp_path: Path) -> None:
    picture = photo(400, 300)
    one = still(tmp_path, encoded(picture, "PNG").getvalue())
    other = still(tmp_path, encoded(stored_as(picture, 8), "PNG", exif=exif(8)).getvalue())
    for column in ("pixel_hash", "phash", "signature", "thumbhash", "phash_variants"):
        assert one[column] == other[column]


def test_rows_travel_between_processes(tmp_path: Path) -> None:
    row = still(tmp_path, encoded(photo(), "JPEG").getvalue())
    assert pickle.loads(pickle.dumps(row)) == row
    assert pickle.loads(pickle.dumps(make_thumbnails)) is make_thumbnails


def test_a_truncated_photo_is_a_degraded_row(tmp_path: Path) -> None:
    whole = encoded(photo(), "JPEG").getvalue()
    row = still(tmp_path, whole[: len(whole) // 2])
    assert (row["state"], row["reason"]) == ("degraded", "truncated")
    assert row["message"]


def test_a_video_gives_a_poster_and_a_row_per_scene(tmp_path: Path) -> None:
    black = np.zeros((96, 160, 3), np.uint8)
    parts = [black] * 10 + [scene(1)] * 14 + [scene(2)] * 14 + [scene(3)] * 14
    rows = thumbnails(tmp_path, video(parts).getvalue(), "a.mp4")
    assert [row["role"] for row in rows] == ["poster", "keyframe", "keyframe", "keyframe"]
    assert [row["frame"] for row in rows] == [0, 1, 2, 3]
    assert all(row["time_ms"] >= 500 for row in rows)
    assert np.asarray(opened(rows[0]).convert("L")).mean() > 40


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.jpg", "empty_file"),
        (b"Dear diary, " * 50, "a.jpg", "unrecognised_format"),
        (b"\xff\xd8\xff\xe0" + b"no picture " * 50, "a.jpg", "undecodable"),
        (bytes(range(256)) * 40, "a.mp4", "unrecognised_format"),
        (png_that_declares(60_000, 60_000), "a.png", "too_many_pixels"),
    ],
)
def test_what_is_no_picture_says_why(
    tmp_path: Path, content: bytes, name: str, reason: str
) -> None:
    with pytest.raises(ItemError) as caught:
        thumbnails(tmp_path, content, name)
    assert caught.value.reason == reason
    assert reason in schema.REASONS


def test_a_missing_file_can_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        make_thumbnails(os.fsencode(tmp_path / "gone.jpg"), b"gone.jpg", PARAMETERS, 1000)
    assert caught.value.reason == "original_unavailable"
    assert caught.value.retryable


def test_the_original_is_left_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    still(tmp_path, encoded(photo(), "JPEG").getvalue())
    before = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o444)
    make_thumbnails(os.fsencode(path), b"a.jpg", PARAMETERS, 50_000_000)
    assert before == (path.read_bytes(), path.stat().st_mtime_ns)
