"""Fingerprints, against imagehash and against really flipped pictures."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
import skimage.data
from PIL import Image

from media_pipeline.imaging.geometry import luma, upright
from media_pipeline.imaging.hashing import (
    dihedral_hashes,
    perceptual_hash,
    pixel_hash,
    signature,
)

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def photo(name: str) -> np.ndarray:
    return luma(getattr(skimage.data, name)())


def bits_apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


@pytest.mark.parametrize("name", PHOTOS)
def test_the_hash_is_that_of_imagehash_up_to_the_resampling_filter(name: str) -> None:
    oracle = int(str(imagehash.phash(Image.fromarray(photo(name)))), 16)
    assert bits_apart(perceptual_hash(photo(name)), oracle) <= 4


def test_the_hash_of_a_32_px_picture_is_exactly_that_of_imagehash() -> None:
    small = np.random.default_rng(3).integers(0, 256, (32, 32), dtype=np.uint8)
    assert perceptual_hash(small) == int(str(imagehash.phash(Image.fromarray(small))), 16)


@pytest.mark.parametrize("name", PHOTOS)
def test_variants_are_the_hashes_of_the_really_flipped_pictures(name: str) -> None:
    gray = photo(name)
    for orientation, variant in enumerate(dihedral_hashes(gray), start=1):
        turned = np.ascontiguousarray(upright(gray, orientation))
        assert bits_apart(variant, perceptual_hash(turned)) <= 2, orientation


def test_the_first_variant_is_the_hash_itself_and_all_are_64_bits() -> None:
    variants = dihedral_hashes(photo("chelsea"))
    assert variants[0] == perceptual_hash(photo("chelsea"))
    assert len(set(variants)) == 8
    assert all(0 <= variant < 2**64 for variant in variants)


def test_the_hash_survives_half_size_and_tells_photos_apart() -> None:
    half = np.asarray(Image.fromarray(photo("coffee")).reduce(2))
    assert bits_apart(perceptual_hash(half), perceptual_hash(photo("coffee"))) <= 2
    assert bits_apart(perceptual_hash(photo("coffee")), perceptual_hash(photo("rocket"))) > 16


def test_the_signature_is_the_area_means_row_by_row() -> None:
    gray = np.repeat(np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16), 3, 0), 5, 1)
    assert signature(gray) == bytes(range(256))


def test_hashes_and_signature_work_on_any_shape() -> None:
    for shape in ((1, 1), (1, 700), (700, 1), (15, 17), (1501, 1999)):
        gray = np.full(shape, 9, dtype=np.uint8)
        assert len(dihedral_hashes(gray)) == 8
        assert signature(gray) == bytes([9] * 256)


def test_the_pixel_hash_knows_shape_and_every_pixel() -> None:
    rgb = np.zeros((4, 6, 3), dtype=np.uint8)
    other = rgb.copy()
    other[3, 5, 2] = 1
    assert pixel_hash(rgb) == pixel_hash(rgb.copy())
    assert len({pixel_hash(rgb), pixel_hash(other), pixel_hash(rgb.reshape(6, 4, 3))}) == 3
    assert len(pixel_hash(rgb)) == 32
    assert pixel_hash(other[:, ::-1]) == pixel_hash(np.ascontiguousarray(other[:, ::-1]))
