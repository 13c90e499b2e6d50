"""Inputs of models against those of the models' own libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from media_pipeline.errors import ShapeError
from media_pipeline.models.cards import Preprocessing
from media_pipeline.models.preprocess import prepare

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CLIP = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# Height and width. A crop cuts off an odd number of rows or columns in most of them.
SIZES = [
    (384, 512),
    (512, 384),
    (512, 289),
    (341, 512),
    (229, 225),
    (227, 224),
    (97, 61),
    (64, 64),
    (5, 7),
    (3, 150),
    (1, 1),
]

Pixels = NDArray[np.uint8]


def picture(height: int, width: int) -> Pixels:
    """Gradients and noise: every pixel matters."""
    random = np.random.default_rng(height * 1000 + width)
    rows, columns = np.indices((height, width))
    waves = 100 + 60 * np.sin(rows / 7)[:, :, np.newaxis] + 40 * np.cos(columns / 5)[:, :, None]
    noisy = waves + random.normal(0, 25, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def short_side(
    side: int, crop_fraction: float = 1.0, interpolation: str = "bicubic", **normal: Any
) -> Preprocessing:
    return Preprocessing.model_validate(
        {
            "height_px": side,
            "width_px": side,
            "resize": "short_side",
            "crop_fraction": crop_fraction,
            "interpolation": interpolation,
            **normal,
        }
    )


def exact(height: int, width: int, interpolation: str = "bilinear", **normal: Any) -> Preprocessing:
    return Preprocessing.model_validate(
        {
            "height_px": height,
            "width_px": width,
            "resize": "exact",
            "interpolation": interpolation,
            **normal,
        }
    )


def by_timm(image: Pixels, how: Preprocessing, crop_mode: str = "center") -> NDArray[np.float32]:
    from timm.data import create_transform

    transform: Any = create_transform(
        input_size=(3, how.height_px, how.width_px),
        is_training=False,
        interpolation=how.interpolation,
        mean=how.mean,
        std=how.std,
        crop_pct=how.crop_fraction,
        crop_mode=crop_mode,
    )
    return np.asarray(transform(Image.fromarray(image)))


def by_transformers(image: Pixels, processor: Any) -> NDArray[np.float32]:
    assert processor.backend == "pil"
    return np.asarray(processor(Image.fromarray(image), return_tensors="np")["pixel_values"][0])


@pytest.mark.slow  # torch and timm are imported
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "how",
    [
        short_side(224, 0.875, **IMAGENET),
        short_side(224, 0.95, **HALVES),
        short_side(192, 1.0, "bilinear", **IMAGENET),
    ],
)
def test_inputs_are_timms(size: tuple[int, int], how: Preprocessing) -> None:
    image = picture(*size)
    assert np.abs(prepare(image, how) - by_timm(image, how)).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES[:-1])
def test_inputs_that_are_not_square_are_timms(size: tuple[int, int]) -> None:
    how = short_side(224, 0.9, **IMAGENET).model_copy(update={"width_px": 160})
    image = picture(*size)
    assert np.abs(prepare(image, how) - by_timm(image, how)).max() < 1e-5


@pytest.mark.slow
def test_squashed_inputs_are_timms() -> None:
    how = exact(224, 192, "bicubic", crop_fraction=0.9, **IMAGENET)
    image = picture(300, 411)
    assert np.abs(prepare(image, how) - by_timm(image, how, "squash")).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_inputs_of_vit_are_the_librarys(size: tuple[int, int]) -> None:
    from transformers import ViTImageProcessorPil

    image, how = picture(*size), exact(224, 224, **HALVES)
    assert np.abs(prepare(image, how) - by_transformers(image, ViTImageProcessorPil())).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", sorted(PILLOW))
def test_inputs_of_siglip_are_the_librarys(size: tuple[int, int], interpolation: str) -> None:
    from transformers import SiglipImageProcessorPil

    image, how = picture(*size), exact(224, 224, interpolation, **HALVES)
    processor = SiglipImageProcessorPil(resample=PILLOW[interpolation])
    assert np.abs(prepare(image, how) - by_transformers(image, processor)).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_inputs_of_clip_are_the_librarys(size: tuple[int, int]) -> None:
    from transformers import CLIPImageProcessorPil

    image, how = picture(*size), short_side(224, **CLIP)
    ours = prepare(image, how, "floor")
    assert np.abs(ours - by_transformers(image, CLIPImageProcessorPil())).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_inputs_of_blip_are_the_librarys(size: tuple[int, int]) -> None:
    from transformers import BlipImageProcessorPil

    image, how = picture(*size), exact(384, 384, "bicubic", **CLIP)
    theirs = by_transformers(image, BlipImageProcessorPil())
    assert np.abs(prepare(image, how) - theirs).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_inputs_of_rt_detr_are_the_librarys(size: tuple[int, int]) -> None:
    from transformers import RTDetrImageProcessorPil

    image, how = picture(*size), exact(640, 640, mean=(0, 0, 0), std=(1, 1, 1))
    theirs = by_transformers(image, RTDetrImageProcessorPil())
    assert np.abs(prepare(image, how) - theirs).max() < 1e-5


def test_an_odd_crop_begins_where_the_library_says() -> None:
    # 227 rows become 224: half of 3 is 1.5, which timm rounds to 2 and transformers to 1.
    rows = np.arange(227, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    image = np.broadcast_to(rows, (227, 224, 3))
    how = short_side(224, mean=(0, 0, 0), std=(1, 1, 1))
    assert prepare(image, how)[0, 0, 0] * 255 == pytest.approx(2)
    assert prepare(image, how, "floor")[0, 0, 0] * 255 == pytest.approx(1)


def test_normalisation_takes_the_mean_and_divides_by_the_deviation() -> None:
    image = np.full((30, 40, 3), (0, 128, 255), np.uint8)
    made = prepare(image, exact(4, 6, mean=(0.5, 0.25, 0.1), std=(0.5, 0.2, 0.3)))
    expected = np.array([-1, (128 / 255 - 0.25) / 0.2, 0.9 / 0.3])
    assert np.allclose(made, expected[:, np.newaxis, np.newaxis], atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (700, 1), (1, 2)])
@pytest.mark.parametrize(
    "how", [short_side(224, 0.875, **IMAGENET), short_side(224, **CLIP), exact(224, 224, **HALVES)]
)
def test_a_picture_of_any_shape_makes_an_input(size: tuple[int, int], how: Preprocessing) -> None:
    made = prepare(picture(*size), how)
    assert made.shape == (3, 224, 224)
    assert made.dtype == np.float32
    assert made.flags["C_CONTIGUOUS"]
    assert np.isfinite(made).all()


def test_the_middle_of_a_line_of_10_000_pixels_is_kept() -> None:
    image = np.zeros((1, 10_000, 3), np.uint8)
    image[:, 4_990:5_010] = 255
    how = short_side(224, mean=(0, 0, 0), std=(1, 1, 1))
    assert np.all(prepare(image, how) == 1)


def test_a_picture_need_not_be_contiguous_nor_writable() -> None:
    whole = picture(120, 200)
    how = short_side(64, 0.875, **IMAGENET)
    view = whole[10:90:2, 150:30:-1]
    copied = np.ascontiguousarray(view)
    view.flags.writeable = False
    assert np.array_equal(prepare(view, how), prepare(copied, how))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((3, 5, 5), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0, 3), np.uint8),
        np.zeros((1, 5, 5, 3), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ],
)
def test_what_is_no_picture_is_refused(wrong: Any) -> None:
    with pytest.raises(ShapeError, match=r"takes uint8 \(height, width, 3\)"):
        prepare(wrong, exact(224, 224, **HALVES))
