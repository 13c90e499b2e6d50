"""Decoding: every kind of still picture ends upright, in sRGB, with 8 bits, or says why not."""

from __future__ import annotations

import resource
import time
from io import BytesIO

import numpy as np
import pillow_jxl  # noqa: F401  # registers JPEG XL with Pillow
import pytest
import tifffile
from PIL import Image, ImageCms, ImageFile

from media_pipeline import jxl_header
from media_pipeline.errors import ItemError
from media_pipeline.formats import BY_NAME
from media_pipeline.imaging.decode import decode_upright
from media_pipeline.imaging.picture import Decoded, check_budget
from media_pipeline_tests.imaging.drawing import (
    Pixels,
    encoded,
    exif,
    four_corners,
    photo,
    png_that_declares,
    stored_as,
)

BUDGET = 100_000_000


def decode(file: BytesIO | bytes, name: str, long_side_px: int = 2000) -> Decoded:
    handle = BytesIO(file) if isinstance(file, bytes) else file
    return decode_upright(handle, BY_NAME[name], long_side_px, BUDGET)


def failure(file: BytesIO | bytes, name: str) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(file, name)
    return caught.value


def flat(mode: str, color: object, size: tuple[int, int] = (16, 12)) -> Image.Image:
    return Image.new(mode, size, color)  # type: ignore[arg-type]


def only_color(decoded: Decoded) -> tuple[int, ...]:
    colors = np.unique(decoded.srgb().reshape(-1, 3), axis=0)
    assert len(colors) == 1
    return tuple(int(level) for level in colors[0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["png", "tiff", "webp"])
def test_every_orientation_ends_upright(name: str, orientation: int) -> None:
    options = {"lossless": True} if name == "webp" else {}
    stored = stored_as(four_corners(), orientation)
    decoded = decode(encoded(stored, name.upper(), exif=exif(orientation), **options), name)
    assert np.array_equal(decoded.srgb(), four_corners())
    assert (decoded.source_width_px, decoded.source_height_px) == (64, 48)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_has_its_colours_in_the_right_corners(orientation: int) -> None:
    stored = stored_as(four_corners(), orientation)
    file = encoded(stored, "JPEG", exif=exif(orientation), quality=95, subsampling=0)
    difference = np.abs(decode(file, "jpeg").srgb().astype(int) - four_corners())
    assert np.median(difference) <= 2


def test_an_impossible_orientation_is_taken_as_upright() -> None:
    decoded = decode(encoded(four_corners(), "PNG", exif=exif(9)), "png")
    assert np.array_equal(decoded.srgb(), four_corners())


def test_luma_is_upright_as_well() -> None:
    stored = stored_as(four_corners(), 6)
    gray = decode(encoded(stored, "PNG", exif=exif(6)), "png").luma()
    # Rec. 601: 0.299 R + 0.587 G + 0.114 B
    assert [gray[0, 0], gray[0, -1], gray[-1, 0], gray[-1, -1]] == [76, 150, 29, 255]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(4000, 3000, (2000, 1500)), (4100, 3000, (2050, 1500)), (3998, 3000, (3998, 3000)),
     (8000, 500, (2000, 125)), (300, 200, (300, 200))],
)  # fmt: skip
def test_a_jpeg_is_scaled_down_to_the_wanted_long_side(
    width: int, height: int, expected: tuple[int, int]
) -> None:
    decoded = decode(encoded(flat("RGB", "teal", (width, height)), "JPEG"), "jpeg")
    assert decoded.stored.shape[1::-1] == expected
    assert (decoded.source_width_px, decoded.source_height_px) == (width, height)


def test_a_large_png_is_reduced_by_a_whole_number() -> None:
    decoded = decode(encoded(photo(640, 480), "PNG"), "png", long_side_px=200)
    assert decoded.stored.shape == (160, 214, 3)
    block = photo(640, 480)[:3, :3].reshape(-1, 3).mean(axis=0)
    assert np.abs(decoded.stored[0, 0] - block).max() <= 1


def test_a_small_picture_is_never_enlarged() -> None:
    assert decode(encoded(four_corners(), "PNG"), "png").srgb(512).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("mode", "color", "name", "expected"),
    [
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", (255, 255, 255)),
        ("RGB", (1, 2, 3), "bmp", (1, 2, 3)),
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("RGBA", (200, 100, 0, 255), "png", (200, 100, 0)),
        ("RGBA", (255, 0, 0, 51), "png", (255, 204, 204)),
        ("LA", (0, 51), "png", (204, 204, 204)),
        ("CMYK", (0, 255, 255, 0), "tiff", (255, 0, 0)),
        ("CMYK", (255, 0, 255, 0), "tiff", (0, 255, 0)),
        ("CMYK", (0, 0, 0, 255), "tiff", (0, 0, 0)),
        ("LAB", (255, 128, 128), "tiff", (255, 255, 255)),
        ("P", 0, "gif", (0, 0, 0)),
    ],
)  # fmt: skip
def test_a_colour_comes_out_as_it_was_meant(
    mode: str, color: object, name: str, expected: tuple[int, int, int]
) -> None:
    file = encoded(flat(mode, color), name.upper())
    difference = np.subtract(only_color(decode(file, name)), expected)
    assert np.abs(difference).max() <= 2


def test_a_cmyk_jpeg_is_read_as_adobe_writes_it() -> None:
    # Adobe stores ink as 255 - amount; Pillow writes it so and must not be inverted twice
    cyan = encoded(flat("CMYK", (255, 0, 0, 0)), "JPEG", quality=95)
    assert np.abs(np.subtract(only_color(decode(cyan, "jpeg")), (0, 255, 255))).max() <= 3


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    image = Image.new("P", (10, 10), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 5, 10))
    pixels = decode(encoded(image, "PNG", transparency=0), "png").srgb()
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 9].tolist() == [200, 100, 50]


def ramp(dtype: type, largest: float) -> np.ndarray:
    return np.linspace(0, largest, 256).reshape(1, 256).repeat(4, axis=0).astype(dtype)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (ramp(np.uint16, 65535), "png"),
        (ramp(np.uint16, 65535), "tiff"),
        (ramp(np.uint32, 2**32 - 1), "tiff"),
        (ramp(np.int32, 65535), "tiff"),
        (ramp(np.float32, 1.0), "tiff"),
        (ramp(np.float32, 255.0), "tiff"),
    ],
)
def test_more_than_8_bits_are_scaled_and_not_clipped(values: np.ndarray, name: str) -> None:
    file = BytesIO()
    if name == "png":
        Image.fromarray(values).save(file, "PNG")
    else:
        tifffile.imwrite(file, values, photometric="minisblack")
    file.seek(0)
    assert decode(file, name).srgb()[0, :, 0].tolist() == list(range(256))


def test_16_bit_colour_is_scaled() -> None:
    values = np.stack([ramp(np.uint16, 65535)] * 3, axis=-1)
    file = BytesIO()
    tifffile.imwrite(file, values, photometric="rgb")
    file.seek(0)
    assert decode(file, "tiff").srgb()[0, :, 1].tolist() == list(range(256))


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [flat("RGB", color) for color in ("red", "blue")]
    file = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert only_color(decode(file, "gif")) == (255, 0, 0)


@pytest.mark.parametrize("name", ["avif", "heif", "jxl", "jpeg2000"])
def test_modern_formats_are_read(name: str) -> None:
    decode(encoded(flat("RGB", "red"), "PNG"), "png")  # registers the plugins
    file = encoded(flat("RGB", (200, 40, 40), (64, 64)), name.upper())
    pixels = decode(file, name).srgb()
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels.mean(axis=(0, 1)) - (200, 40, 40)).max() < 6


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green primaries are exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"____").replace(b"gXYZ", b"rXYZ").replace(b"____", b"gXYZ")


def test_colours_follow_the_embedded_profile() -> None:
    file = encoded(flat("RGB", (255, 0, 0)), "PNG", icc_profile=swapped_profile())
    assert np.abs(np.subtract(only_color(decode(file, "png")), (0, 255, 0))).max() <= 2


def test_an_srgb_profile_costs_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = decode(encoded(photo(), "JPEG", icc_profile=profile), "jpeg")
    assert decoded.transform is None
    assert decoded.message is None


def test_a_broken_profile_is_ignored_and_mentioned() -> None:
    decoded = decode(encoded(flat("RGB", (9, 8, 7)), "PNG", icc_profile=b"no profile"), "png")
    assert only_color(decoded) == (9, 8, 7)
    assert decoded.message is not None
    assert not decoded.is_degraded


def truncated(picture: Pixels, format_name: str, share: float) -> bytes:
    whole = encoded(picture, format_name).getvalue()
    return whole[: int(len(whole) * share)]


@pytest.mark.parametrize("name", ["jpeg", "png", "bmp"])
def test_half_a_file_gives_its_upper_part_as_degraded(name: str) -> None:
    decoded = decode(truncated(photo(), name.upper(), 0.6), name)
    assert decoded.is_degraded
    assert decoded.reason == "truncated"
    whole = decode(encoded(photo(), name.upper()), name).srgb()
    assert np.array_equal(decoded.srgb()[:150], whole[:150]) or name == "bmp"  # from the bottom
    assert not np.array_equal(decoded.srgb(), whole)


def test_reading_a_broken_file_leaves_pillow_as_it_was() -> None:
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    decode(truncated(photo(), "JPEG", 0.5), "jpeg")
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


def test_a_header_without_pixels_is_undecodable() -> None:
    assert failure(truncated(photo(), "JPEG", 0.012), "jpeg").reason == "undecodable"
    assert failure(encoded(photo(), "PNG").getvalue()[:60], "png").reason == "undecodable"


@pytest.mark.parametrize("name", ["jpeg", "png", "heif", "avif", "jxl", "tiff", "gif", "raw"])
def test_text_is_undecodable_whatever_it_is_taken_for(name: str) -> None:
    error = failure(b"This is not a picture at all. " * 100, name)
    assert error.reason == "undecodable"
    assert not error.retryable


def test_a_declared_giant_is_refused_at_once_and_without_memory() -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    error = failure(png_that_declares(60_000, 60_000), "png")
    assert error.reason == "too_many_pixels"
    assert "60000 x 60000" in error.message
    assert time.process_time() - started < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_the_budget_counts_what_a_jpeg_decoder_keeps() -> None:
    check_budget(16_000, 12_000, 50_000_000, scale=8)  # 2000 x 1500
    with pytest.raises(ItemError):  # progressive: half a budget pixel for each of 192 million
        check_budget(16_000, 12_000, 50_000_000, scale=8, is_progressive=True)
    with pytest.raises(ItemError):
        check_budget(16_000, 12_000, 50_000_000)


@pytest.mark.parametrize("size", [(60, 41), (64, 64), (640, 480), (300, 5000), (1920, 1080)])
@pytest.mark.parametrize("use_container", [True, False])
def test_the_size_of_a_jpeg_xl_is_known_before_decoding(
    size: tuple[int, int], use_container: bool
) -> None:
    file = encoded(flat("RGB", "red", size), "JXL", use_container=use_container, effort=1)
    assert jxl_header.declared_size(file.getvalue()[:4096]) == size


def rational(*values: int) -> tuple[int, ...]:
    return tuple(part for value in values for part in (value, 1))


def test_a_raw_file_without_preview_is_developed_upright() -> None:
    sensor = np.full((240, 320), 2000, np.uint16)
    sensor[:120, :160] = 60_000  # bright at the top left; shown by a turn of 90 degrees clockwise
    tags = [
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),  # DNGVersion
        (50708, "s", 0, "Test Camera", True),
        (33421, 3, 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),  # CFAPattern: RGGB
        (50721, 10, 9, rational(1, 0, 0, 0, 1, 0, 0, 0, 1), True),  # ColorMatrix1
        (50728, 5, 3, rational(1, 1, 1), True),  # AsShotNeutral
        (50717, 3, 1, 65535, True),  # WhiteLevel
        (50778, 3, 1, 21, True),  # CalibrationIlluminant1
        (274, 3, 1, 6, True),  # Orientation
        (271, "s", 0, "Acme", True),
    ]
    file = BytesIO()
    tifffile.imwrite(file, sensor, photometric=32803, extratags=tags, metadata=None)
    file.seek(0)
    decoded = decode(file, "raw")
    assert (decoded.source_width_px, decoded.source_height_px) == (240, 320)
    gray = decoded.luma()
    assert gray.shape == (160, 120)
    assert gray[10, -10] > 200 > 100 > gray[10, 10]
