"""FFmpeg's containers and frames, opened so that a hostile file reaches nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import av
import numpy as np
from av.codec.context import ThreadType
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream

from media_pipeline.errors import ItemError
from media_pipeline.imaging.geometry import Pixels, halved_to, orientation_of_matrix, upright

NOTHING_ELSE = {"protocol_whitelist": "none", "enable_drefs": "0", "use_absolute_path": "0"}
"""No file, playlist or network address that a container names is ever opened."""

HD_LINES = 720
UNSPECIFIED = 2
"""Colour matrix code (ITU-T H.273) of a video that does not say."""


def open_container(handle: BinaryIO, demuxer: str) -> InputContainer:
    """Open a container with one demuxer of FFmpeg and no other.

    Raises:
        FFmpegError: The bytes are not what the demuxer expects.
    """
    handle.seek(0)
    return av.open(handle, mode="r", format=demuxer, options=NOTHING_ELSE, metadata_errors="ignore")


def video_stream(container: InputContainer) -> VideoStream:
    """The first video track that is no cover art, set to decode in one thread.

    Raises:
        ItemError: `no_video_track`, or `undecodable` where FFmpeg lacks the codec.
    """
    tracks = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not tracks:
        raise ItemError("no_video_track", "the container has no video track")
    stream = next((s for s in tracks if s.disposition & Disposition.default), tracks[0])
    if stream.codec_context is None:
        raise ItemError("undecodable", "no decoder for the codec of its video track")
    stream.thread_type = ThreadType.NONE
    stream.thread_count = 1
    return stream


def orientation(frame: VideoFrame) -> int:
    """The EXIF orientation that a frame's display matrix means, 1 where it has none."""
    side_data: Mapping[str, Any] = frame.side_data
    matrix = side_data.get("DISPLAYMATRIX")
    return 1 if matrix is None else orientation_of_matrix(bytes(matrix))


def rgb(frame: VideoFrame, *, is_video: bool = True) -> Pixels:
    """A frame as RGB, not turned.

    Args:
        frame: A decoded frame.
        is_video: HD video that does not name its colour matrix is taken as BT.709, as players do;
            everything else as BT.601.

    Returns:
        uint8 RGB, shape (height, width, 3).
    """
    is_hd = is_video and frame.height >= HD_LINES and frame.colorspace == UNSPECIFIED
    matrix = Colorspace.ITU709 if is_hd else None
    array = frame.reformat(format="rgb24", src_colorspace=matrix, threads=1).to_ndarray()
    pixels: Pixels = np.asarray(array, dtype=np.uint8)
    is_limited = frame.color_range == ColorRange.MPEG and is_grey(frame.format.name)
    return _full_range(pixels) if is_limited else pixels


def is_grey(pixel_format: str | None) -> bool:
    """Whether a pixel format of FFmpeg holds luma alone."""
    return (pixel_format or "").startswith("gray")


def _full_range(pixels: Pixels) -> Pixels:
    """Levels 16 to 235 (ITU-R BT.709, 4.6) as 0 to 255; FFmpeg does it for colour only."""
    levels = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
    return np.take(levels, pixels)


def upright_rgb(frame: VideoFrame, long_side_px: int) -> Pixels:
    """A frame of a video as it is meant to be seen, halved to less than 2 `long_side_px`.

    Returns:
        uint8 RGB, shape (height, width, 3).
    """
    return upright(halved_to(rgb(frame), long_side_px), orientation(frame))


def small_rgb(frame: VideoFrame, long_side_px: int) -> Pixels:
    """A frame at a small size, not turned, for a look at it.

    Returns:
        uint8 RGB, long side of at most `long_side_px`.
    """
    scale = min(long_side_px / max(frame.width, frame.height), 1.0)
    small = frame.reformat(
        width=max(round(frame.width * scale), 1),
        height=max(round(frame.height * scale), 1),
        format="rgb24",
        interpolation=Interpolation.AREA,
        threads=1,
    )
    return np.asarray(small.to_ndarray(), dtype=np.uint8)


def in_words(error: FFmpegError) -> str:
    """What FFmpeg says about an error, without the path."""
    return error.strerror or type(error).__name__
