"""Measures of drawn pictures, against answers known by arithmetic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import skimage.data

from media_pipeline.imaging.geometry import luma
from media_pipeline.imaging.measures import (
    blockiness,
    measure_color,
    measure_luma,
    measure_thumbnail,
    noise_sigma,
    tile_sharpness,
)
from media_pipeline.schema import QUALITY

P90 = 9


def constant(level: int, height: int = 90, width: int = 120) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


def checkerboard(side: int, squares: int, low: int = 0, high: int = 255) -> np.ndarray:
    rows, columns = np.indices((side, side)) * squares // side
    return np.where((rows + columns) % 2, high, low).astype(np.uint8)


def blurred(gray: np.ndarray, fraction: float) -> np.ndarray:
    sigma = fraction * max(gray.shape)
    soft = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), sigma)
    return np.rint(soft).astype(np.uint8)


def astronaut() -> np.ndarray:
    return luma(skimage.data.astronaut())


def test_a_constant_picture_has_no_entropy_no_edges_no_spread_and_no_colour() -> None:
    measured = measure_thumbnail(constant(77))
    for name in ("entropy_bits", "laplacian_variance", "histogram_spread", "noise_sigma"):
        assert measured[name] == 0, name
    assert measured["colorfulness"] == measured["chroma_p99"] == 0
    assert {measured[f"intensity_{p}"] for p in ("p01", "p05", "p50", "p95", "p99")} == {77.0}
    assert measured["mean_intensity"] == 77


def test_every_measure_is_a_column_and_finite_for_every_shape() -> None:
    for shape in ((1, 1), (1, 40), (2, 2), (3, 500), (7, 5), (384, 512)):
        rng = np.random.default_rng(1)
        measured = measure_thumbnail(rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
        assert all(math.isfinite(value) for value in measured.values()), shape
        for name, value in measured.items():
            column = QUALITY[name]
            assert (column.low or 0) <= value <= (column.high or math.inf), (shape, name)


def test_a_checkerboard_has_one_bit_and_half_of_its_pixels_clipped_at_either_end() -> None:
    board = checkerboard(120, 4)
    measured = measure_thumbnail(np.dstack([board] * 3))
    assert measured["entropy_bits"] == pytest.approx(1)
    assert measured["clipped_low_fraction"] == measured["clipped_high_fraction"] == 0.5
    assert measured["mean_intensity"] == measured["histogram_spread"] == 127.5
    assert measured["intensity_p50"] == 0
    assert measured["intensity_p95"] == 255


def test_a_step_edge_gives_the_laplacian_variance_of_two_columns() -> None:
    gray = np.zeros((64, 64), dtype=np.uint8)
    gray[:, 32:] = 100  # the Laplacian is +100 and -100 in one column each, 0 in the other 62
    measured = measure_thumbnail(np.dstack([gray] * 3))
    assert measured["laplacian_variance"] == pytest.approx(2 * 100**2 / 64)


def test_percentiles_are_levels_that_occur() -> None:
    histogram = np.zeros(256, dtype=np.int64)
    histogram[[10, 20, 200]] = 4, 90, 6
    measured = measure_luma(histogram)
    names = ("intensity_p01", "intensity_p05", "intensity_p50", "intensity_p95", "intensity_p99")
    assert [measured[name] for name in names] == [10, 20, 20, 200, 200]
    assert measured["mean_intensity"] == pytest.approx(0.4 + 18 + 12)


def test_uniform_luma_has_eight_bits_of_entropy() -> None:
    assert measure_luma(np.full(256, 3))["entropy_bits"] == pytest.approx(8)


def test_clipped_fractions_count_up_to_2_and_from_253() -> None:
    gray = np.repeat(np.array([0, 2, 3, 252, 253, 255, 100, 100], np.uint8), 8).reshape(8, 8)
    measured = measure_thumbnail(np.dstack([gray] * 3))
    assert measured["clipped_low_fraction"] == 0.25
    assert measured["clipped_high_fraction"] == 0.25


def test_colorfulness_of_half_red_half_grey_follows_the_formula() -> None:
    rgb = constant(100)
    rgb[:, :60] = (200, 100, 100)
    # R - G is 100 and 0, (R + G) / 2 - B is 50 and 0: sigma 50 and 25, mu 50 and 25
    expected = math.hypot(50, 25) + 0.3 * math.hypot(50, 25)
    assert measure_color(rgb)["colorfulness"] == pytest.approx(expected)
    assert measure_color(rgb)["chroma_p99"] == 100


def test_a_single_coloured_corner_raises_chroma_p99_but_hardly_colorfulness() -> None:
    rgb = constant(128, 100, 100)
    rgb[:20, :10] = (228, 28, 128)  # 2 % of the pixels
    measured = measure_color(rgb)
    assert measured["chroma_p99"] == 200
    assert measured["colorfulness"] < 40


@pytest.mark.parametrize("sigma", [2, 5, 10, 25, 40])
def test_noise_is_read_within_15_percent(sigma: float) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(np.rint(rng.normal(128, sigma, (600, 800))), 0, 255).astype(np.uint8)
    assert noise_sigma(noisy) == pytest.approx(sigma, rel=0.15)


def test_noise_is_heard_through_detail_and_past_clipped_parts() -> None:
    rng = np.random.default_rng(0)
    gray = np.full((600, 800), 255, dtype=np.float64)  # blown out: silent
    gray[:, 300:] = 120 + 60 * np.sin(np.arange(500) / 40)  # smooth shading
    gray[:, 600:] = checkerboard(600, 100, 60, 190)[:, :200]  # detail
    noisy = np.clip(np.rint(gray + rng.normal(0, 10, gray.shape)), 0, 255).astype(np.uint8)
    assert noise_sigma(noisy) == pytest.approx(10, rel=0.15)
    assert noise_sigma(gray.astype(np.uint8)) < 1


def test_constant_and_linear_luma_have_no_noise() -> None:
    ramp = np.tile(np.arange(240, dtype=np.uint8), (100, 1))
    assert noise_sigma(ramp) == 0
    assert noise_sigma(np.zeros((2, 2), dtype=np.uint8)) == 0


def coded(gray: np.ndarray, quality: int) -> np.ndarray:
    _, buffer = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(buffer, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def test_blockiness_rises_as_jpeg_quality_falls() -> None:
    found = [blockiness(coded(astronaut(), quality)) for quality in (95, 50, 20, 10, 5)]
    assert found == sorted(found)
    assert found[0] < 0.1
    assert found[-1] > 1


def test_blocks_are_found_at_any_offset_and_in_any_orientation() -> None:
    bad = coded(astronaut(), 8)
    straight = blockiness(bad)
    assert blockiness(bad[3:, 5:]) == pytest.approx(straight, rel=0.1)
    assert blockiness(np.rot90(bad)) == pytest.approx(straight, rel=0.1)


def test_blocks_of_4_px_are_found_after_decoding_at_half_scale() -> None:
    large = cv2.resize(astronaut(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    _, buffer = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 5])
    half = cv2.imdecode(buffer, cv2.IMREAD_REDUCED_GRAYSCALE_2)
    assert blockiness(half, 4) > 0.2
    assert blockiness(half) > 0.4


def test_drawn_blocks_have_the_excess_that_arithmetic_gives() -> None:
    # steps of 8 at block borders, of 1 elsewhere: (8 + 0.5) / (1 + 0.5) - 1
    steps = np.where(np.arange(63) % 8 == 7, 8, 1) * np.tile([1, -1], 32)[:63]
    line = 100 + np.concatenate([[0], np.cumsum(steps)])
    gray = (line[:, np.newaxis] + line[np.newaxis, :] - 100).astype(np.uint8)
    assert blockiness(gray, 8) == pytest.approx(8.5 / 1.5 - 1)


def test_a_blank_or_tiny_picture_has_no_blocks() -> None:
    assert blockiness(np.full((64, 64), 9, np.uint8)) == 0
    assert blockiness(np.zeros((1, 1), np.uint8)) == 0


@pytest.mark.parametrize("fraction", [0.005, 0.01, 0.02])
@pytest.mark.parametrize("size", [512, 1600])
def test_sharpness_reads_the_blur_of_a_drawn_edge(fraction: float, size: int) -> None:
    rows, columns = np.indices((size, size))
    edges = np.where((rows < size // 2) ^ (columns < size // 2), 40, 210).astype(np.uint8)
    sharpness = tile_sharpness(blurred(edges, fraction))
    assert sharpness[5] == pytest.approx(0.01 / fraction, rel=0.15)


def test_sharpness_does_not_depend_on_contrast_or_size() -> None:
    gray = blurred(astronaut(), 0.006)
    whole = tile_sharpness(gray)[P90]
    faint = (100 + gray.astype(np.float32) * 0.3).astype(np.uint8)
    large = cv2.resize(gray, (2000, 2000), interpolation=cv2.INTER_CUBIC)
    assert tile_sharpness(faint)[P90] == pytest.approx(whole, rel=0.15)
    assert tile_sharpness(large)[P90] == pytest.approx(whole, rel=0.15)


def test_sharpness_falls_as_blur_grows() -> None:
    fractions = (0.002, 0.004, 0.007, 0.01, 0.02)
    found = [tile_sharpness(blurred(astronaut(), f))[P90] for f in fractions]
    assert found == sorted(found, reverse=True)
    assert tile_sharpness(astronaut())[P90] > 2 * found[0]


def test_a_sharp_subject_before_a_soft_background_stays_sharp() -> None:
    soft = blurred(astronaut(), 0.02)
    assert tile_sharpness(soft)[P90] < 2
    soft[160:352, 160:352] = checkerboard(192, 12, 60, 200)  # a seventh of the picture
    assert tile_sharpness(soft)[P90] > 12
    assert tile_sharpness(soft)[3] < 2


def test_motion_along_one_axis_is_blur_although_the_other_stays_sharp() -> None:
    gray = astronaut()
    kernel = np.full((1, 15), 1 / 15, dtype=np.float32)  # 3 % of the long side
    assert tile_sharpness(cv2.filter2D(gray, -1, kernel))[P90] < 0.4 * tile_sharpness(gray)[P90]


def test_stripes_and_horizons_are_sharp_although_one_direction_is_empty() -> None:
    stripes = np.tile(np.where(np.arange(512) // 16 % 2, 60, 200).astype(np.uint8), (400, 1))
    assert tile_sharpness(stripes)[P90] > 12
    assert tile_sharpness(np.ascontiguousarray(stripes.T))[P90] > 12


def test_noise_does_not_make_a_blurred_picture_sharp() -> None:
    rng = np.random.default_rng(0)
    soft = blurred(astronaut(), 0.01)
    noisy = np.clip(soft + rng.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)
    assert tile_sharpness(noisy)[P90] < 4


def test_pictures_without_structure_have_no_sharpness() -> None:
    for gray in (np.full((300, 400), 128), np.zeros((3, 3)), np.zeros((1, 900))):
        assert tile_sharpness(gray.astype(np.uint8)) == [0.0] * 11


def test_sharpness_has_eleven_rising_deciles() -> None:
    deciles = tile_sharpness(astronaut())
    assert len(deciles) == 11
    assert deciles == sorted(deciles)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "limit_ms"), [(tile_sharpness, 4), (noise_sigma, 3), (blockiness, 2)]
)
def test_measures_at_decoded_size_are_cheap(
    measure: Callable[[np.ndarray], object], limit_ms: float
) -> None:
    gray = cv2.resize(astronaut(), (2000, 1500), interpolation=cv2.INTER_CUBIC)
    assert _cpu_ms(measure, gray) < 3 * limit_ms  # three times, for slower and busier machines


def _cpu_ms(measure: Callable[[np.ndarray], object], gray: np.ndarray) -> float:
    times = []
    for _ in range(10):
        started = time.thread_time()
        measure(gray)
        times.append(time.thread_time() - started)
    return 1000 * min(times)
