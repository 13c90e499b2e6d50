"""The pictures that must end `ok`: photographs, good and spoiled, drawings, videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from media_pipeline.demo import drawing, video
from media_pipeline.demo.case import Case, Content, picture
from media_pipeline.demo.expected import NOT_ON_A_GOOD_PHOTO, Expected
from media_pipeline.demo.photographs import (
    SHOTS,
    SPOILED,
    Spoil,
    encode,
    jpeg,
    photograph,
    wheel_bytes,
)

COLOUR_PHOTO = (*NOT_ON_A_GOOD_PHOTO, "grayscale")
DUSK_PHOTO = tuple(t for t in COLOUR_PHOTO if t not in ("low_light", "low_contrast"))
TEXT_PICTURE = ("blurry", "low_light", "noisy", "odd_size")

COFFEE, ROCKET = b"2019 Holiday/IMG_1001.JPG", b"2019 Holiday/IMG_1002.JPG"
ASTRONAUT, CAT = b"2019 Holiday/IMG_1003.JPG", b"2019 Holiday/IMG_1004.JPG"
STEREO_LEFT, CAMERA = b"2019 Holiday/stereo/left.png", b"scans/cameraman.png"


def picture_cases() -> Iterator[Case]:
    """All files that must end `ok` and are first to show what they show."""
    yield from _photos()
    yield from _stereo()
    yield from _rejects()
    yield from _phone()
    yield from _films()
    yield from _scans()


def _photos() -> Iterator[Case]:
    for path, name, shows, excluded in (
        (
            COFFEE,
            "coffee.png",
            "a cup of coffee on a wooden table, with EXIF and GPS",
            COLOUR_PHOTO,
        ),
        (ROCKET, "rocket.jpg", "a rocket at dusk, with EXIF and GPS", DUSK_PHOTO),
        (ASTRONAUT, "astronaut.png", "the portrait of an astronaut, with EXIF", COLOUR_PHOTO),
        (CAT, "chelsea.png", "the face of a cat, with EXIF and GPS", COLOUR_PHOTO),
    ):
        people, animals = {ASTRONAUT: (1, ()), CAT: (0, ("cat",))}.get(path, (0, ()))
        expected = Expected(
            path, shows, tags_exclude=excluded, people=people, animals=animals, keep=True
        )
        yield picture(expected, _shot(name))
    hubble = _from_wheel("hubble_deep_field.jpg")
    yield picture(Expected(b"2019 Holiday/IMG_1005.JPG", "galaxies on black sky"), hubble)
    yield picture(
        Expected(
            b"2019 Holiday/panorama.jpg",
            "a brick wall cropped to a strip of 512 x 80 px",
            tags_include=("odd_aspect_ratio",),
        ),
        lambda: jpeg(photograph("brick.png").crop((0, 200, 512, 280))),
    )


def _stereo() -> Iterator[Case]:
    yield picture(
        Expected(
            STEREO_LEFT, "a motorcycle, left picture of a stereo pair", tags_exclude=COLOUR_PHOTO
        ),
        _from_wheel("motorcycle_left.png"),
    )
    yield picture(
        Expected(
            b"2019 Holiday/stereo/right.png",
            "the motorcycle, right picture of the stereo pair",
            tags_exclude=COLOUR_PHOTO,
            not_same_as=STEREO_LEFT,
        ),
        _from_wheel("motorcycle_right.png"),
    )


def _rejects() -> Iterator[Case]:
    look_the_same = ("blurry", "noisy", "over_compressed")
    for name, what, good in (
        ("coffee.png", "the cup of coffee", COFFEE),
        ("astronaut.png", "the astronaut", ASTRONAUT),
    ):
        for tag, (spoil, how) in SPOILED.items():
            yield picture(
                Expected(
                    f"2019 Holiday/rejects/{Path(name).stem}_{tag}.jpg".encode(),
                    f"{what} {how}",
                    tags_include=(tag,),
                    same_picture_as=good if tag in look_the_same else None,
                ),
                _spoiled(name, spoil),
            )


def _phone() -> Iterator[Case]:
    yield picture(
        Expected(
            b"phone/Screenshot_20230714-094100.png",
            "a drawn list of chats that fills a phone's screen",
            tags_exclude=TEXT_PICTURE,
            junk="screenshot",
        ),
        lambda: encode(drawing.screenshot(), "PNG"),
    )
    yield picture(
        Expected(
            b"phone/IMG_2010.jpg",
            "a drawn receipt on a table",
            tags_exclude=TEXT_PICTURE,
            junk="receipt",
        ),
        lambda: jpeg(drawing.receipt(), 88),
    )
    yield picture(
        Expected(
            b"phone/IMG_2011.jpg",
            "nothing but black: taken in a pocket",
            tags_include=("low_light", "low_information"),
            junk="accidental",
        ),
        lambda: jpeg(Image.new("RGB", (640, 480), (2, 2, 2))),
    )
    yield picture(
        Expected(
            b"phone/when it is monday.jpg",
            "the rocket between two lines of big white letters",
            junk="meme",
        ),
        lambda: jpeg(drawing.meme(photograph("rocket.jpg")), 85),
    )
    yield picture(
        Expected(
            b"phone/IMG_2012.png",
            "a clock that moved during the exposure",
            tags_include=("blurry", "grayscale"),
        ),
        _from_wheel("clock_motion.png"),
    )
    yield picture(
        Expected(
            b"phone/no time.gif",
            "an animation of 14 x 25 px",
            tags_include=("odd_size",),
            junk="tiny",
        ),
        _from_wheel("no_time_for_that_tiny.gif"),
    )


def _films() -> Iterator[Case]:
    yield picture(
        Expected(b"phone/VID_20230714_200322.mp4", "half a second of black, three scenes"), _film
    )
    yield picture(
        Expected(
            b"phone/VID_20230714_201500.mp4", "the rocket, upright only by the display matrix"
        ),
        _upright,
    )


def _scans() -> Iterator[Case]:
    grey_page = {"page.png": "a photographed page of print", "text.png": "handwriting on a slant"}
    for name, shows in grey_page.items():
        path = f"scans/{name}".encode()
        yield picture(Expected(path, shows, tags_include=("grayscale",)), _from_wheel(name))
    yield picture(
        Expected(
            b"scans/letter.png",
            "a typed page, drawn",
            tags_include=("grayscale",),
            tags_exclude=TEXT_PICTURE,
            junk="document",
        ),
        lambda: encode(drawing.page(), "PNG"),
    )
    yield picture(
        Expected(
            CAMERA,
            "a man with a camera, 8-bit grey",
            tags_include=("grayscale",),
            tags_exclude=("blurry", "low_light", "overexposed", "low_contrast", "low_information"),
        ),
        _from_wheel("camera.png"),
    )
    yield picture(Expected(b"scans/retina.jpg", "the back of an eye"), _from_wheel("retina.jpg"))
    yield picture(Expected(b"scans/logo.png", "a logo on transparency"), _from_wheel("logo.png"))


def _from_wheel(name: str) -> Content:
    return lambda: wheel_bytes(name)


def _shot(name: str) -> Content:
    return lambda: jpeg(photograph(name), exif=SHOTS[name].exif())


def _spoiled(name: str, spoil: Spoil) -> Content:
    return lambda: spoil(photograph(name))


def _film() -> bytes:
    names = ("coffee.png", "chelsea.png", "motorcycle_left.png")
    return video.three_scenes([photograph(name) for name in names], (320, 240))


def _upright() -> bytes:
    return video.held_upright(photograph("rocket.jpg"), (240, 320))
