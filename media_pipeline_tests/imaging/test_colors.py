"""Dominant colours and placeholders of drawn pictures."""

from __future__ import annotations

import numpy as np
import skimage.data
import thumbhash as package

from media_pipeline.imaging.colors import dominant_colors, thumbhash


def painted(*parts: tuple[tuple[int, int, int], int]) -> np.ndarray:
    """Vertical bands of so many columns each."""
    return np.hstack([np.full((48, width, 3), color, dtype=np.uint8) for color, width in parts])


def test_a_constant_picture_has_one_colour() -> None:
    assert dominant_colors(painted(((1, 2, 255), 30))) == [{"hex": "#0102ff", "fraction": 1.0}]


def test_colours_come_largest_first_with_their_share() -> None:
    colors = dominant_colors(painted(((255, 0, 0), 12), ((0, 0, 255), 30), ((0, 255, 0), 6)))
    assert [color["hex"] for color in colors] == ["#0000ff", "#ff0000", "#00ff00"]
    assert [round(color["fraction"], 2) for color in colors] == [0.62, 0.25, 0.12]


def test_near_equal_colours_count_as_one() -> None:
    colors = dominant_colors(painted(((200, 40, 40), 24), ((204, 44, 40), 24)))
    assert len(colors) == 1
    assert colors[0]["fraction"] == 1


def test_a_photograph_has_at_most_five_colours_that_add_up_to_at_most_one() -> None:
    for photo in (skimage.data.coffee(), skimage.data.astronaut(), skimage.data.rocket()):
        colors = dominant_colors(photo)
        fractions = [color["fraction"] for color in colors]
        assert 2 <= len(colors) <= 5
        assert fractions == sorted(fractions, reverse=True)
        assert sum(fractions) <= 1 + 1e-9


def test_thumbhash_keeps_average_colour_and_shape() -> None:
    placeholder = thumbhash(painted(((250, 120, 10), 96)))
    red, green, blue, alpha = package.thumb_hash_to_average_rgba(list(placeholder))
    assert np.allclose([red * 255, green * 255, blue * 255], [250, 120, 10], atol=20)
    assert alpha == 1
    assert package.thumb_hash_to_approximate_aspect_ratio(list(placeholder)) > 1
    assert len(thumbhash(skimage.data.coffee())) <= 25


def test_a_single_pixel_has_a_colour_and_a_placeholder() -> None:
    pixel = np.array([[[9, 9, 9]]], dtype=np.uint8)
    assert dominant_colors(pixel) == [{"hex": "#090909", "fraction": 1.0}]
    assert thumbhash(pixel)
