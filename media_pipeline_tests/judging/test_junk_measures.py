"""Measures for junk on pictures whose answers are known by arithmetic."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from media_pipeline.judging.junk_measures import MEASURES, measure_pixels
from media_pipeline_tests.judging import drawn_junk as drawn


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_half_a_picture_of_one_level_is_half_flat() -> None:
    picture = grain(200, 400)
    picture[:, :200] = 90
    assert measure_pixels(picture)["flat_fraction"] == pytest.approx(0.5, abs=0.01)


def test_the_palette_counts_colours_and_the_share_of_the_commonest() -> None:
    picture = drawn.plain(100, 100, (250, 10, 10))
    picture[:40] = (10, 250, 10)
    picture[:5] = (10, 10, 250)
    found = measure_pixels(picture)
    assert found["main_color_fraction"] == pytest.approx(0.60)
    assert found["colors_for_90"] == 2  # 60 % and 35 %; the third has 5 %


@pytest.mark.parametrize("count", [0, 1, 4])
def test_straight_lines_are_counted_once_in_both_directions(count: int) -> None:
    picture = drawn.plain(400, 300, 200)
    for line in range(count):
        cv2.line(picture, (50, 40 + 60 * line), (350, 40 + 60 * line), (0, 0, 0), 1)
        cv2.line(picture, (60 + 70 * line, 20), (60 + 70 * line, 280), (0, 0, 0), 1)
    assert measure_pixels(picture)["straight_lines"] == 2 * count


def test_a_slanted_line_is_not_straight_along_a_side() -> None:
    picture = drawn.plain(400, 300, 200)
    cv2.line(picture, (10, 10), (390, 290), (0, 0, 0), 2)
    assert measure_pixels(picture)["straight_lines"] == 0


def test_pieces_of_lines_of_text_are_counted() -> None:
    def written(lines: int) -> dict[str, float]:
        picture = drawn.plain(500, 500, 245)
        for line in range(lines):
            drawn.write(picture, "sphinx of black quartz judge my vow", 30, 40 + 22 * line, 0.5)
        return measure_pixels(picture)

    none, few, many = written(0), written(6), written(18)
    assert none["text_lines"] == none["aligned_text_fraction"] == 0
    assert 6 <= few["text_lines"] <= 60  # the font's words stand far apart
    assert many["text_lines"] == 3 * few["text_lines"]
    assert many["text_fraction"] == pytest.approx(3 * few["text_fraction"], rel=0.01)
    assert many["aligned_text_fraction"] > 0.1


def test_light_text_on_dark_counts_as_much() -> None:
    dark, light = drawn.plain(500, 500, 20), drawn.plain(500, 500, 235)
    for line in range(12):
        drawn.write(dark, "pack my box with five dozen jugs", 30, 40 + 30 * line, 0.5, 235)
        drawn.write(light, "pack my box with five dozen jugs", 30, 40 + 30 * line, 0.5, 20)
    found = [measure_pixels(picture)["text_fraction"] for picture in (dark, light)]
    assert found[0] == pytest.approx(found[1], rel=0.25)
    assert found[1] > 0.08


def test_grass_and_rules_are_no_text() -> None:
    ruled = drawn.plain(500, 500, 245)
    for line in range(20):
        cv2.line(ruled, (20, 20 + 22 * line), (480, 20 + 22 * line), (60, 60, 60), 2)
    assert measure_pixels(ruled)["text_fraction"] == 0
    assert measure_pixels(grain(500, 500))["aligned_text_fraction"] < 0.002


def test_a_column_of_text_is_taller_than_wide() -> None:
    tall = drawn.plain(300, 512, 245)
    for line in range(20):
        drawn.write(tall, "milk 2 x 1.09", 80, 30 + 24 * line, 0.45)
    assert measure_pixels(tall)["text_block_aspect"] > 3


def test_paper_is_light_and_colourless_even_in_shadow() -> None:
    picture = drawn.plain(200, 200, (200, 60, 40))
    picture[:, :120] = 180
    picture[:, :60] = 215
    assert measure_pixels(picture)["paper_fraction"] == pytest.approx(0.6, abs=0.01)


def test_outlined_letters_count_only_near_the_top_and_bottom() -> None:
    assert measure_pixels(cv2.resize(drawn.meme(), (512, 410)))["caption_letters"] >= 15
    middle = np.roll(cv2.resize(drawn.meme(bottom=""), (512, 410)), 175, axis=0)
    assert measure_pixels(middle)["caption_letters"] == 0
    assert measure_pixels(drawn.landscape())["caption_letters"] == 0


def test_a_band_is_a_caption_only_with_letters_on_it() -> None:
    written = cv2.resize(drawn.captioned_above(), (512, 512), interpolation=cv2.INTER_AREA)
    assert measure_pixels(written)["caption_band_fraction"] == pytest.approx(0.22, abs=0.01)
    empty = written.copy()
    empty[:110] = 255
    assert measure_pixels(empty)["caption_band_fraction"] == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (2, 2), (9, 5), (512, 4)])
def test_every_measure_is_finite_at_every_size(shape: tuple[int, int]) -> None:
    found = measure_pixels(grain(*shape))
    assert set(found) == set(MEASURES)
    assert all(np.isfinite(value) for value in found.values())
