"""Pictures and videos whose answer is known by arithmetic."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def four_corners(width: int = 64, height: int = 48) -> Pixels:
    """Red, green, blue and white quarters: every turn and flip of it is different."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = GREEN
    picture[height // 2 :, : width // 2] = BLUE
    picture[height // 2 :, width // 2 :] = WHITE
    return picture


def stored_as(upright: Pixels, orientation: int) -> Pixels:
    """How a camera stores a picture that is to be shown by this EXIF orientation."""
    transposed = upright.swapaxes(0, 1)
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: transposed,
        6: transposed[::-1],
        7: transposed[::-1, ::-1],
        8: transposed[:, ::-1],
    }[orientation]


def encoded(image: Image.Image | Pixels, format_name: str, **options: object) -> BytesIO:
    """A picture as a file in memory."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = BytesIO()
    picture.save(file, format_name, **options)
    file.seek(0)
    return file


def exif(orientation: int) -> bytes:
    """An EXIF block that holds an orientation and nothing else."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def photo(width: int = 640, height: int = 480) -> Pixels:
    """Smooth random blobs: it compresses like a photograph."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def png_that_declares(width: int, height: int) -> bytes:
    """A valid PNG of a few hundred bytes whose header promises any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def scene(seed: int, width: int = 160, height: int = 96) -> Pixels:
    """A drawn scene: coloured blocks, different for every seed."""
    blocks = np.random.default_rng(seed).integers(40, 256, (3, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST))


def video(
    frames: Iterable[Pixels], *, container: str = "mp4", rate: int = 20, rotation: float = 0
) -> BytesIO:
    """Frames as a video in memory; `rotation` is what the player has to turn, counter-clockwise."""
    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("mpeg4", rate=rate)
        stream.bit_rate = 2_000_000
        stream.pix_fmt = "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    return file
