"""Real photographs, from scikit-image's wheel, and what cameras and accidents do to them."""

from __future__ import annotations

import importlib.resources
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from PIL.Image import Transpose

from media_pipeline.errors import MachineryFailed

Spoil = Callable[[Image.Image], bytes]
"""Turns a good photograph into the file of a spoiled one."""

EXIF_IFD, GPS_IFD, ORIENTATION = 0x8769, 0x8825, 0x0112


def wheel_bytes(name: str) -> bytes:
    """The bytes of a file in scikit-image's data folder; nothing is downloaded."""
    return (importlib.resources.files("skimage") / "data" / name).read_bytes()


def photograph(name: str) -> Image.Image:
    """A picture of scikit-image's wheel as 8-bit RGB at its native size."""
    return Image.open(io.BytesIO(wheel_bytes(name))).convert("RGB")


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The bytes of a picture file; `options` go to Pillow."""
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def jpeg(image: Image.Image, quality: int = 92, exif: Image.Exif | None = None) -> bytes:
    """The bytes of a baseline JPEG file with 4:2:0 chroma."""
    return encode(image, "JPEG", quality=quality, exif=exif or Image.Exif())


def sixteen_bit(image: Image.Image, extension: str) -> bytes:
    """A file with 16 bits per channel, 0..65535, from an 8-bit RGB or grey picture.

    Args:
        image: Mode RGB or L.
        extension: `.png` or `.tif`.

    Raises:
        MachineryFailed: OpenCV was built without that format.
    """
    pixels = np.asarray(image).astype(np.uint16) * 257  # 255 * 257 = 65535
    done, data = cv2.imencode(extension, pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    if not done:
        raise MachineryFailed(f"this build of OpenCV cannot write {extension} files")
    return data.tobytes()


@dataclass(frozen=True)
class Shot:
    """What a camera notes about a photograph. All of it is invented.

    Attributes:
        taken: Local time, `YYYY:MM:DD HH:MM:SS`.
        offset: Offset from UTC such as `+02:00`, empty where the camera did not note it.
        make, model: Camera.
        place: Latitude, longitude in degrees, altitude in metres.
    """

    taken: str
    offset: str
    make: str
    model: str
    place: tuple[float, float, float] | None = None

    def exif(self) -> Image.Exif:
        """EXIF 2.32 tags: camera, exposure, times, GPS where there is a place."""
        exif = Image.Exif()
        exif[0x010F], exif[0x0110], exif[0x0132] = self.make, self.model, self.taken
        exif[ORIENTATION] = 1
        details = exif.get_ifd(EXIF_IFD)
        details[0x829A], details[0x829D], details[0x8827] = 1 / 250, 2.8, 200
        details[0x920A], details[0x9209] = 35.0, 0  # focal length in mm; no flash
        details[0x9003] = details[0x9004] = self.taken
        if self.offset:
            details[0x9010] = details[0x9011] = self.offset
        if self.place:
            exif.get_ifd(GPS_IFD).update(_gps(*self.place))
        return exif


def _gps(latitude_deg: float, longitude_deg: float, altitude_m: float) -> dict[int, Any]:
    return {
        1: "N" if latitude_deg >= 0 else "S",
        2: _degrees_minutes_seconds(abs(latitude_deg)),
        3: "E" if longitude_deg >= 0 else "W",
        4: _degrees_minutes_seconds(abs(longitude_deg)),
        5: b"\x00",  # above sea level
        6: altitude_m,
    }


def _degrees_minutes_seconds(degrees: float) -> tuple[float, float, float]:
    minutes = degrees % 1 * 60
    return float(int(degrees)), float(int(minutes)), round(minutes % 1 * 60, 2)


SHOTS = {
    "coffee.png": Shot(
        "2019:07:12 09:41:27", "+02:00", "Canon", "Canon EOS 80D", (48.2082, 16.3738, 171.0)
    ),
    "rocket.jpg": Shot(
        "2019:07:20 20:14:02", "-04:00", "Canon", "Canon EOS 80D", (28.5618, -80.5772, 3.0)
    ),
    "astronaut.png": Shot("2019:07:21 11:05:40", "-04:00", "NIKON CORPORATION", "NIKON D750"),
    "chelsea.png": Shot("2020:01:03 16:22:51", "", "Apple", "iPhone 8", (-33.8688, 151.2093, 19.0)),
}
"""Invented; the cat's telephone did not note its offset from UTC."""


UNDOES: Mapping[int, Transpose | None] = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}
"""How an upright picture is stored under each EXIF orientation (EXIF 2.32, tag 0x0112)."""


def stored_under(image: Image.Image, orientation: int, exif: Image.Exif) -> bytes:
    """A JPEG whose pixels are turned such that applying its orientation tag, 1..8, undoes it."""
    transpose = UNDOES[orientation]
    exif[ORIENTATION] = orientation
    return jpeg(image if transpose is None else image.transpose(transpose), 90, exif)


def rounded_corners(image: Image.Image, radius_px: int = 24) -> Image.Image:
    """An RGBA picture whose corners are transparent."""
    alpha = Image.new("L", image.size)
    ImageDraw.Draw(alpha).rounded_rectangle(((0, 0), image.size), radius_px, fill=255)
    turned = image.convert("RGBA")
    turned.putalpha(alpha)
    return turned


def blurred(image: Image.Image) -> bytes:
    """Out of focus: Gaussian blur with a standard deviation of 5 px."""
    return jpeg(image.filter(ImageFilter.GaussianBlur(5)))


def darkened(image: Image.Image) -> bytes:
    """Three and a third stops too dark in sRGB values: a tenth of every value."""
    return jpeg(image.point(lambda value: round(value * 0.1)))


def overexposed(image: Image.Image) -> bytes:
    """Burnt out: every value from 86 on becomes white."""
    return jpeg(image.point(lambda value: min(255, round(value * 2.2 + 66))))


def noisy(image: Image.Image) -> bytes:
    """Sensor noise: Gaussian, standard deviation 40 grey levels in each channel."""
    pixels = np.asarray(image).astype(np.float32)
    pixels += np.random.default_rng(1).normal(0, 40, pixels.shape).astype(np.float32)
    return jpeg(Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)), quality=95)


def flattened(image: Image.Image) -> bytes:
    """Hardly any contrast: 256 levels squeezed into 31 around middle grey."""
    return jpeg(image.point(lambda value: round(128 + (value - 128) * 0.12)))


def overcompressed(image: Image.Image) -> bytes:
    """JPEG at quality 4: blocks of 8 x 8 px show."""
    return jpeg(image, quality=4)


SPOILED: Mapping[str, tuple[Spoil, str]] = {
    "blurry": (blurred, "out of focus"),
    "low_light": (darkened, "far too dark"),
    "overexposed": (overexposed, "burnt out"),
    "noisy": (noisy, "full of noise"),
    "low_contrast": (flattened, "with hardly any contrast"),
    "over_compressed": (overcompressed, "as a JPEG of quality 4"),
}
"""By the quality tag that must hold: how a good photograph is spoiled, and how it then looks."""
