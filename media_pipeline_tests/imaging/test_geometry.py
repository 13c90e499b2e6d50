"""Turning and shrinking, against slow obvious oracles."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from media_pipeline.imaging.geometry import (
    halved_to,
    luma,
    orientation_of_matrix,
    shrunk_to,
    upright,
)
from media_pipeline_tests.imaging.drawing import four_corners, photo, stored_as


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_undoes_what_the_camera_did(orientation: int) -> None:
    stored = np.ascontiguousarray(stored_as(four_corners(), orientation))
    assert np.array_equal(upright(stored, orientation), four_corners())
    gray = np.ascontiguousarray(stored_as(four_corners()[:, :, 0], orientation))
    assert np.array_equal(upright(gray, orientation), four_corners()[:, :, 0])


def shown(matrix: tuple[int, int, int, int], picture: np.ndarray) -> np.ndarray:
    """The picture after (x, y) -> (ax + cy, bx + dy), pixel by pixel."""
    a, b, c, d = matrix
    height, width = picture.shape[:2]
    places = {
        (a * x + c * y, b * x + d * y): picture[y, x] for y in range(height) for x in range(width)
    }
    left, top = min(x for x, _ in places), min(y for _, y in places)
    right, bottom = max(x for x, _ in places), max(y for _, y in places)
    turned = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
    for (x, y), color in places.items():
        turned[y - top, x - left] = color
    return turned


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 0, 1), (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1),
     (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)],
)  # fmt: skip
def test_a_display_matrix_means_the_turn_it_computes(matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = (value << 16 for value in matrix)
    packed = struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    picture = four_corners(8, 6)
    assert np.array_equal(upright(picture, orientation_of_matrix(packed)), shown(matrix, picture))


@pytest.mark.parametrize("matrix", [b"", bytes(36), struct.pack("=9i", *range(9))])
def test_a_matrix_that_is_no_turn_is_upright(matrix: bytes) -> None:
    assert orientation_of_matrix(matrix) == 1


def test_halving_takes_the_mean_of_two_by_two() -> None:
    picture = photo(101, 64)
    half = halved_to(picture, 50)
    blocks = picture[:64, :100].reshape(32, 2, 50, 2, 3).mean(axis=(1, 3))
    assert half.shape == (32, 50, 3)
    assert np.abs(half - blocks).max() <= 0.5


@pytest.mark.parametrize(
    ("size", "long_side_px", "expected"),
    [((640, 480), 512, (512, 384)), ((640, 480), 100, (100, 75)), ((512, 384), 512, (512, 384)),
     ((30, 20), 512, (30, 20)), ((4000, 1), 512, (512, 1)), ((1, 3), 2, (1, 2)),
     ((1, 1), 1, (1, 1))],
)  # fmt: skip
def test_shrinking_keeps_the_aspect_ratio_and_never_enlarges(
    size: tuple[int, int], long_side_px: int, expected: tuple[int, int]
) -> None:
    picture = np.full((size[1], size[0], 3), 90, np.uint8)
    small = shrunk_to(picture, long_side_px)
    assert small.shape[1::-1] == expected
    assert (small == 90).all()


def test_luma_is_rec_601() -> None:
    colors = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]], np.uint8)
    assert luma(colors).tolist() == [[76, 150, 29, 255]]
