"""The files that show or hold what another one does: turned, recoded, shrunk, copied, linked."""

from __future__ import annotations

from collections.abc import Iterator

from PIL.Image import Transpose

from media_pipeline.demo.case import Case, Content, copied, linked, picture
from media_pipeline.demo.expected import Expected
from media_pipeline.demo.photographs import (
    SHOTS,
    UNDOES,
    encode,
    jpeg,
    photograph,
    rounded_corners,
    sixteen_bit,
    stored_under,
)
from media_pipeline.demo.pictures import ASTRONAUT, CAMERA, CAT, COFFEE, COLOUR_PHOTO, ROCKET


def copy_cases() -> Iterator[Case]:
    """All files that have an original in the collection, which must be made before them."""
    yield from _turned()
    yield from _colour_modes()
    yield from _copies()
    yield from _exact_copies()


def _turned() -> Iterator[Case]:
    for orientation in UNDOES:
        yield picture(
            Expected(
                f"phone/IMG_200{orientation}.jpg".encode(),
                f"the cat, stored under EXIF orientation {orientation}",
                tags_exclude=COLOUR_PHOTO,
                same_picture_as=CAT,
            ),
            _oriented("chelsea.png", orientation),
        )
    for name, how, transpose in (
        ("mirrored", "mirrored left to right", Transpose.FLIP_LEFT_RIGHT),
        ("flipped", "mirrored top to bottom", Transpose.FLIP_TOP_BOTTOM),
        ("lying", "turned by a quarter", Transpose.ROTATE_90),
    ):
        yield picture(
            Expected(
                f"phone/cat {name}.jpg".encode(),
                f"the cat {how}, without a tag that says so",
                same_picture_as=CAT,
            ),
            _transposed("chelsea.png", transpose),
        )


def _colour_modes() -> Iterator[Case]:
    for name, shows, content, original in (
        ("coffee_cmyk.jpg", "the coffee in CMYK", _cmyk, COFFEE),
        ("coffee_48bit.tif", "the coffee with 16 bits per channel", _tiff_48, COFFEE),
        ("astronaut_48bit.png", "the astronaut with 16 bits per channel", _png_48, ASTRONAUT),
        ("cat_rgba.png", "the cat with transparent corners", _rgba, CAT),
    ):
        path = f"scans/{name}".encode()
        yield picture(
            Expected(path, shows, tags_exclude=COLOUR_PHOTO, same_picture_as=original), content
        )
    for name, shows, content, original in (
        ("cameraman_16bit.png", "the man with a camera, 16-bit grey", _grey_16, CAMERA),
        ("coffee_grey.jpg", "the coffee in grey", _grey, COFFEE),
        ("coffee_grey_as_rgb.jpg", "the coffee in grey, coded as RGB", _grey_as_rgb, COFFEE),
    ):
        path, grey = f"scans/{name}".encode(), ("grayscale",)
        yield picture(Expected(path, shows, tags_include=grey, same_picture_as=original), content)


def _copies() -> Iterator[Case]:
    yield picture(
        Expected(
            b"copies/IMG-20190720-WA0003.jpg",
            "the rocket at half its size, EXIF removed, as a messenger sends it",
            same_picture_as=ROCKET,
        ),
        lambda: jpeg(photograph("rocket.jpg").reduce(2), 75),
    )
    yield picture(
        Expected(
            b"copies/astronaut.webp",
            "the astronaut as lossy WebP",
            tags_exclude=COLOUR_PHOTO,
            same_picture_as=ASTRONAUT,
        ),
        lambda: encode(photograph("astronaut.png"), "WEBP", quality=80),
    )


def _exact_copies() -> Iterator[Case]:
    for path, shows, original in (
        (b"copies/IMG_1001 (1).JPG", "the coffee again", COFFEE),
        (b"copies/wallpaper.jpg", "the rocket under another name", ROCKET),
        (b"copies/IMG_2001 - Copy.jpg", "the upright cat again", b"phone/IMG_2001.jpg"),
    ):
        yield Case(Expected(path, shows, same_bytes_as=original), copied(original))
    hard_link = Expected(
        b"copies/hard link.jpg", "a hard link to the astronaut", same_bytes_as=ASTRONAUT
    )
    yield Case(hard_link, linked(ASTRONAUT), or_else=copied(ASTRONAUT))


def _oriented(name: str, orientation: int) -> Content:
    return lambda: stored_under(photograph(name), orientation, SHOTS[name].exif())


def _transposed(name: str, transpose: Transpose) -> Content:
    return lambda: jpeg(photograph(name).transpose(transpose))


def _cmyk() -> bytes:
    return jpeg(photograph("coffee.png").convert("CMYK"))


def _tiff_48() -> bytes:
    return sixteen_bit(photograph("coffee.png"), ".tif")


def _png_48() -> bytes:
    return sixteen_bit(photograph("astronaut.png"), ".png")


def _grey_16() -> bytes:
    return sixteen_bit(photograph("camera.png").convert("L"), ".png")


def _rgba() -> bytes:
    return encode(rounded_corners(photograph("chelsea.png")), "PNG")


def _grey() -> bytes:
    return jpeg(photograph("coffee.png").convert("L"))


def _grey_as_rgb() -> bytes:
    return jpeg(photograph("coffee.png").convert("L").convert("RGB"))
