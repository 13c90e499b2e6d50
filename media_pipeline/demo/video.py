"""Two short videos: three scenes after black, and one that a phone held upright has recorded."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

FRAMES_PER_SECOND = 25
BLACK_FRAMES = 13
"""Half a second."""


def three_scenes(photographs: Sequence[Image.Image], size_px: tuple[int, int]) -> bytes:
    """An MP4 file: half a second of black, then one second of camera movement over each photo.

    Args:
        photographs: RGB, each larger than `size_px`.
        size_px: Width and height of the video, even.
    """
    return _encode(_scenes(photographs, size_px), size_px, "2023-07-14T18:03:22Z")


def _scenes(photographs: Iterable[Image.Image], size_px: tuple[int, int]) -> Iterator[Pixels]:
    width, height = size_px
    for _ in range(BLACK_FRAMES):
        yield np.zeros((height, width, 3), np.uint8)
    for photograph in photographs:
        yield from _pan(photograph, size_px)


def held_upright(photograph: Image.Image, size_px: tuple[int, int]) -> bytes:
    """An MP4 file stored lying on its side, whose display matrix says to turn it clockwise by 90.

    Args:
        photograph: RGB, larger than `size_px`.
        size_px: Width and height of the upright picture, even.
    """
    lying = (np.rot90(frame) for frame in _pan(photograph, size_px))  # counter-clockwise
    size_px = (size_px[1], size_px[0])
    return _encode(lying, size_px, "2023-07-14T18:15:00Z", clockwise_deg=90)


def _pan(photograph: Image.Image, size_px: tuple[int, int]) -> Iterator[Pixels]:
    """One second of a window that moves over the middle of a picture, 2 px per frame at most.

    Yields:
        uint8 RGB, shape (height, width, 3).
    """
    pixels = np.asarray(photograph)
    width, height = size_px
    room = np.array([pixels.shape[1] - width, pixels.shape[0] - height])
    way = np.minimum(room, 2 * FRAMES_PER_SECOND)
    for frame in range(FRAMES_PER_SECOND):
        left, top = (room - way) // 2 + way * frame // FRAMES_PER_SECOND
        yield pixels[top : top + height, left : left + width]


def _encode(
    frames: Iterable[Pixels], size_px: tuple[int, int], created: str, clockwise_deg: int = 0
) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        container.metadata["creation_time"] = created
        # With its macroblock tree x264 made 23 different files out of 25 times the same frames.
        options = {"mbtree": "0"}
        stream = container.add_stream(_encoder(), rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height = size_px
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 1_500_000
        stream.codec_context.thread_count = 1  # the same bytes whatever the number of cores
        if clockwise_deg:
            stream.set_display_rotation(-clockwise_deg)
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return out.getvalue()


def _encoder() -> Literal["libx264", "mpeg4"]:
    """H.264 where this PyAV carries an encoder for it, else MPEG-4 part 2."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"
