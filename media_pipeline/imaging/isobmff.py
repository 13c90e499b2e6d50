"""AVIF with transparency and HEIF sequences, which Pillow's decoders refuse, through FFmpeg."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media_pipeline.imaging.container import is_grey, open_container, orientation, rgb, video_stream
from media_pipeline.imaging.geometry import SWAPPED, Pixels, halved_to
from media_pipeline.imaging.picture import Decoded, check_budget
from media_pipeline.imaging.worker import memory_exhausted

DEMUXER = "mov"
SEQUENCE_BRANDS = (b"msf1", b"hevc", b"hevx", b"avis", b"avif")
"""Major brands that FFmpeg reads as a whole; of a tiled HEIC it would give one tile."""


def decode_first(handle: BinaryIO, long_side_px: int, pixel_budget: int) -> Decoded | None:
    """Decode the picture of an AVIF, or the first of a sequence.

    Args:
        handle: The file, seekable.
        long_side_px: A long side of twice that and more is halved.
        pixel_budget: Pixels that may be decoded at once, 12 bytes each.

    Returns:
        The picture over white, or `None` where FFmpeg cannot read it either or only a tile of it.

    Raises:
        ItemError: `too_many_pixels` or `no_video_track`.
        MemoryError: An allocation failed.
    """
    handle.seek(8)
    if handle.read(4) not in SEQUENCE_BRANDS:
        return None
    try:
        with open_container(handle, DEMUXER) as container:
            picture = video_stream(container)
            check_budget(picture.width, picture.height, pixel_budget)
            others = _of_same_size(container, picture)
            if any(not is_grey(other.pix_fmt) for other in others):
                return None  # tiles
            color = _first(container, picture)
            turn = orientation(color)
            pixels = halved_to(rgb(color, is_video=False), long_side_px)
            if others:
                alpha = rgb(_first(container, others[0]), is_video=False)
                pixels = _over_white(pixels, halved_to(alpha, long_side_px))
    except (FFmpegError, StopIteration) as error:
        if memory_exhausted(error):
            raise MemoryError(str(error)) from error
        return None
    size = (color.height, color.width) if turn in SWAPPED else (color.width, color.height)
    return Decoded(pixels, *size, turn)


def _of_same_size(container: InputContainer, picture: VideoStream) -> list[VideoStream]:
    return [
        other
        for other in container.streams.video
        if other.index != picture.index
        and (other.width, other.height) == (picture.width, picture.height)
    ]


def _first(container: InputContainer, stream: VideoStream) -> VideoFrame:
    container.seek(0)
    return next(container.decode(stream))


def _over_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Straight alpha (AVIF, section 4.1) over white; both uint8, shape (height, width, 3)."""
    if alpha.shape != pixels.shape:
        return pixels  # the container lied about one of them
    opacity = alpha.astype(np.uint16)
    mixed = (pixels * opacity + 255 * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8)
