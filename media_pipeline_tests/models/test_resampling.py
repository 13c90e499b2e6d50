"""Our resampling against Pillow's, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from media_pipeline.models.resampling import Span, resample

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

SIDES = st.one_of(st.integers(1, 300), st.integers(1, 6))

Pixels = NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stripes(height: int, width: int) -> Pixels:
    """Black and white, where the filter overshoots on both sides."""
    rows, columns = np.indices((height, width))
    return np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)


def whole(before: int, after: int) -> Span:
    return Span(before, after, 0, after)


def by_pillow(image: Pixels, rows: Span, columns: Span, interpolation: str) -> Pixels:
    resized = Image.fromarray(image).resize((columns.resized, rows.resized), FILTERS[interpolation])
    cropped = resized.crop((columns.start, rows.start, columns.stop, rows.stop))
    return np.asarray(cropped).transpose(2, 0, 1)


def assert_as_pillow(image: Pixels, rows: Span, columns: Span, interpolation: str) -> None:
    ours = resample(image, rows, columns, interpolation)
    theirs = by_pillow(image, rows, columns, interpolation)
    assert ours.dtype == np.float32
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("interpolation", sorted(FILTERS))
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((384, 512), (256, 341)),  # a thumbnail
        ((512, 384), (341, 256)),
        ((448, 448), (224, 224)),  # halved: a quarter of all sums are halves
        ((224, 224), (224, 224)),  # kept
        ((112, 100), (224, 200)),  # doubled
        ((500, 333), (224, 224)),  # so much lower that Pillow begins with the columns
        ((300, 100), (50, 310)),
        ((2, 700), (224, 224)),
        ((1, 1), (224, 224)),
        ((700, 900), (1, 1)),
    ],
)
def test_every_byte_is_pillows(
    before: tuple[int, int], after: tuple[int, int], interpolation: str
) -> None:
    spans = whole(before[0], after[0]), whole(before[1], after[1])
    assert_as_pillow(noise(*before), *spans, interpolation)
    assert_as_pillow(stripes(*before), *spans, interpolation)


@settings(max_examples=60, deadline=None)
@given(st.data(), SIDES, SIDES, SIDES, SIDES, st.sampled_from(sorted(FILTERS)))
def test_every_byte_of_any_part_of_any_size_is_pillows(
    data: st.DataObject, height: int, width: int, new_height: int, new_width: int, name: str
) -> None:
    top = data.draw(st.integers(0, new_height - 1))
    left = data.draw(st.integers(0, new_width - 1))
    rows = Span(height, new_height, top, data.draw(st.integers(top + 1, new_height)))
    columns = Span(width, new_width, left, data.draw(st.integers(left + 1, new_width)))
    assert_as_pillow(noise(height, width, seed=height + width), rows, columns, name)


def test_an_even_grey_stays_what_it_is() -> None:
    grey = np.full((123, 77, 3), 201, np.uint8)
    assert np.all(resample(grey, whole(123, 224), whole(77, 50), "bicubic") == 201)


def test_a_result_is_not_overwritten_by_the_next() -> None:
    spans = whole(90, 60), whole(80, 60)
    first = resample(noise(90, 80, seed=1), *spans, "bicubic")
    copy = first.copy()
    resample(noise(90, 80, seed=2), *spans, "bicubic")
    assert np.array_equal(first, copy)


def test_a_picture_larger_than_the_kept_memory_is_resized_too() -> None:
    assert_as_pillow(noise(700, 900), whole(700, 60), whole(900, 70), "bicubic")
