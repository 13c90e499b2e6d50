"""What the numbers are measured on: photographs of two sizes, and a crowd of tiny files.

Reads   the photographs of scikit-image's wheel; nothing is downloaded
Writes  data/bench/{12mp,02mp,batches,many}, or data/bench/quick/... for a small run
Cost    built once, by two processes, in about a minute; the same bytes on every machine with the
        same versions of Pillow, NumPy and OpenCV
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from media_pipeline.demo.photographs import SHOTS, jpeg, photograph

BENCH = Path("data/bench")
VERSION = 1
"""Raised when other files are to be built."""

PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
    "hubble_deep_field.jpg", "retina.jpg", "brick.png", "grass.png", "camera.png",
)  # fmt: skip
CAMERAS = tuple(SHOTS.values())

LARGE_PX, SMALL_PX = (4000, 3000), (548, 365)
QUALITY = 92
NOISE_SIGMA = 4.0
"""Grey levels; with `QUALITY` it makes 12 megapixels about 3 MB, as a telephone's are."""

NOISE_TILE_PX = 1000
FILES_PER_FOLDER = 100
READ_AND_RATED = "metadata,quality"
"""Stages that do what the peers do; those of models and junk are measured by themselves."""

TREE = "tree"
"""`many` holds one folder of this name, which is what a rename of the whole tree renames."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Sizes:
    """How many files each part of the corpus has."""

    large: int = 100
    small: int = 1000
    batches: int = 9 * 512
    many: int = 20_000


QUICK = Sizes(large=8, small=60, batches=600, many=1000)


@dataclass(frozen=True)
class Corpus:
    """Where the parts lie.

    Attributes:
        large: JPEGs of 12 megapixels.
        small: JPEGs of 0.2 megapixels.
        batches: More of these, enough for nine full batches.
        many: Tiny JPEGs and PNGs, 100 to a folder.
    """

    large: Path
    small: Path
    batches: Path
    many: Path


def build(*, quick: bool = False) -> Corpus:
    """Build what is not there yet."""
    home, sizes = (BENCH / "quick", QUICK) if quick else (BENCH, Sizes())
    return Corpus(
        large=_part(home / "12mp", sizes.large, large_file),
        small=_part(home / "02mp", sizes.small, small_file),
        batches=_part(home / "batches", sizes.batches, small_file),
        many=_part(home / "many", sizes.many // FILES_PER_FOLDER, folder_of_tiny_files),
    )


def _part(folder: Path, count: int, make: Callable[[Path, int], None]) -> Path:
    """Build one folder by `make(folder, 0 .. count - 1)`; a marker beside it says it is whole."""
    marker = folder.with_name(f"{folder.name}.built.json")
    recipe = {"version": VERSION, "count": count}
    if marker.exists() and json.loads(marker.read_text()) == recipe:
        return folder
    print(f"building {folder} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as builders:
        list(builders.map(make, [folder] * count, range(count), chunksize=4))
    marker.write_text(json.dumps(recipe))
    return folder


def large_file(folder: Path, number: int) -> None:
    """Write a JPEG of 4000 x 3000 px, about 3 MB."""
    _write(folder, number, _variant(number, LARGE_PX, shares=(0.6, 1.0)))


def small_file(folder: Path, number: int) -> None:
    """Write a JPEG of 548 x 365 px, about 80 kB."""
    _write(folder, number, _variant(number, SMALL_PX, shares=(0.4, 1.0)))


def _write(folder: Path, number: int, pixels: Picture) -> None:
    exif = CAMERAS[number % len(CAMERAS)].exif()
    data = jpeg(Image.fromarray(pixels), QUALITY, exif)
    (folder / f"IMG_{number:04d}.jpg").write_bytes(data)


def _variant(number: int, size_px: tuple[int, int], shares: tuple[float, float]) -> Picture:
    """A photograph cropped, perhaps mirrored, brightened or darkened, resized, with fine noise.

    Args:
        number: Every number gives another picture.
        size_px: Width and height.
        shares: Least and greatest share of the photograph's width (or height) to keep.
    """
    random = np.random.default_rng((VERSION, number))
    picture = _crop(_photograph(PHOTOGRAPHS[number % len(PHOTOGRAPHS)]), size_px, shares, random)
    if random.random() < 0.5:
        picture = picture[:, ::-1]
    levels = (np.arange(256) / 255) ** random.uniform(0.7, 1.4) * 255
    picture = levels.round().astype(np.uint8)[picture]
    resized = cv2.resize(picture, size_px, interpolation=cv2.INTER_CUBIC)
    return _with_noise(resized.astype(np.int16), random)


@cache
def _photograph(name: str) -> Picture:
    return np.asarray(photograph(name))


def _crop(
    picture: Picture,
    size_px: tuple[int, int],
    shares: tuple[float, float],
    random: np.random.Generator,
) -> Picture:
    height, width = picture.shape[:2]
    scale = min(width / size_px[0], height / size_px[1]) * random.uniform(*shares)
    wide, high = int(size_px[0] * scale), int(size_px[1] * scale)
    left, top = random.integers(width - wide + 1), random.integers(height - high + 1)
    return picture[top : top + high, left : left + wide]


def _with_noise(picture: NDArray[np.int16], random: np.random.Generator) -> Picture:
    """Gaussian luma noise, as a sensor leaves; one tile of it, shifted, is enough."""
    height, width = picture.shape[:2]
    shift = random.integers(NOISE_TILE_PX, size=2)
    tile = np.roll(_noise_tile(), shift, axis=(0, 1))
    repeats = (-(-height // NOISE_TILE_PX), -(-width // NOISE_TILE_PX))
    noise = np.tile(tile, repeats)[:height, :width, np.newaxis]
    noisy: NDArray[np.int16] = picture + noise
    return noisy.clip(0, 255).astype(np.uint8)


@cache
def _noise_tile() -> NDArray[np.int16]:
    random = np.random.default_rng(VERSION)
    noise = random.normal(0, NOISE_SIGMA, (NOISE_TILE_PX, NOISE_TILE_PX))
    return noise.round().astype(np.int16)


def folder_of_tiny_files(folder: Path, number: int) -> None:
    """Write 100 different pictures of 96 x 72 px, JPEG and PNG by turns.

    Eight by six random colours, enlarged: no two look alike, also to a perceptual hash.
    """
    home = folder / TREE / f"{number:03d}"
    home.mkdir(parents=True)
    random = np.random.default_rng((VERSION, number))
    for index in range(FILES_PER_FOLDER):
        colors = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = cv2.resize(colors, (96, 72), interpolation=cv2.INTER_CUBIC)
        ending = ".png" if index % 2 else ".jpg"
        cv2.imwrite(str(home / f"{index:02d}{ending}"), picture)
