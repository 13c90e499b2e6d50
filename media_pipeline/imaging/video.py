"""Videos: a poster that shows something, and one keyframe per scene.

Reads   an open file; a short video frame by frame, a long one at 32 evenly spaced keyframes
Cost    0.1 s for a short clip, 0.2 s for minutes in HD, 3 s for 4K with few keyframes; 10 s at most
Fails   `no_video_track`, `encrypted`, `no_frame`, `undecodable`; `degraded` when decoding breaks
        midway or the data ends early
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Literal

from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media_pipeline.errors import ItemError
from media_pipeline.formats import Format
from media_pipeline.imaging.container import (
    in_words,
    open_container,
    small_rgb,
    upright_rgb,
    video_stream,
)
from media_pipeline.imaging.footage import Footage
from media_pipeline.imaging.geometry import Pixels
from media_pipeline.imaging.picture import check_budget
from media_pipeline.imaging.scenes import Scene, look_at, new_scene, poster_scene, worth_showing
from media_pipeline.imaging.worker import disk_failed, memory_exhausted
from media_pipeline.paths import item_error_of

SHORT_MS = 20_000
SHORT_PIXELS = 1_200_000_000
"""A video of at most so many milliseconds and pixels in all is walked, frame by frame."""

FEW_HOPS = 6
"""A video with fewer keyframes than this is walked after all."""

LOOK_LONG_SIDE_PX = 160
ENCRYPTED_ENTRY = b"encv"
"""ISO/IEC 23001-7: the name of an encrypted sample entry."""

BYTES_TO_SEARCH = 1 << 16


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        pixels: uint8 sRGB, shape (height, width, 3), upright.
        time_ms: When it is shown, from the start of the video.
        role: What it is for.
    """

    pixels: Pixels
    time_ms: int
    role: Literal["poster", "keyframe"]


@dataclass(frozen=True)
class Frames:
    """What a video gives.

    Attributes:
        frames: The poster, then one keyframe per scene in the order of time; the poster alone for
            a video of one scene.
        source_width_px: Width of the upright video.
        source_height_px: Height of the upright video.
        is_degraded: Whether decoding broke midway or the data ended early.
        reason: `truncated` or `damaged` for a degraded video.
        message: What was wrong.
    """

    frames: tuple[Frame, ...]
    source_width_px: int
    source_height_px: int
    is_degraded: bool = False
    reason: str | None = None
    message: str | None = None


def read_frames(
    handle: BinaryIO, fmt: Format, count: int, long_side_px: int, pixel_budget: int
) -> Frames:
    """Find a poster and the scenes of a video.

    The poster is the frame with most detail of the longest scene; it is black or of one colour
    only if every frame is (`scenes.BLACK_P95`, `scenes.UNIFORM_SPREAD`).

    Args:
        handle: The file, seekable.
        fmt: Its format by content, of kind video.
        count: Most keyframes.
        long_side_px: Frames of twice that and more are halved.
        pixel_budget: Pixels that may be decoded at once, 12 bytes each.

    Raises:
        ItemError: `no_video_track`, `encrypted`, `no_frame`, `undecodable`, `too_many_pixels` or
            `io_error`.
        MemoryError: An allocation failed.
    """
    try:
        with open_container(handle, fmt.decoder) as container:
            stream = video_stream(container)
            check_budget(stream.width, stream.height, pixel_budget)
            footage = Footage(container, stream)
            scenes = _scenes(footage, stream, count, long_side_px)
            if not scenes:
                raise footage.nothing_found()
    except FFmpegError as error:
        if memory_exhausted(error):
            raise MemoryError(str(error)) from error
        raise _unopened(error, handle) from error
    except OSError as error:
        if disk_failed(error):
            raise item_error_of(error) from error
        raise ItemError("undecodable", str(error)) from error
    return _frames(scenes, footage)


def _frames(scenes: list[Scene[_Shot]], footage: Footage) -> Frames:
    poster = poster_scene(scenes)
    frames = [Frame(poster.best.pixels, poster.best_time_ms, "poster")]
    if len(scenes) > 1:
        frames += [Frame(s.best.pixels, s.best_time_ms, "keyframe") for s in scenes]
    reason, message = footage.degraded()
    return Frames(tuple(frames), *footage.source_size, reason is not None, reason, message)


def _scenes(
    footage: Footage, stream: VideoStream, count: int, long_side_px: int
) -> list[Scene[_Shot]]:
    if not _is_short(footage, stream):
        scenes = _split(footage.hop(), count, long_side_px)
        if sum(scene.frames for scene in scenes) >= FEW_HOPS:
            return worth_showing(scenes, count)
        footage.rewind()
    scenes = _split(footage.walk(), count, long_side_px)
    return worth_showing(scenes, count, least_frames=2)


def _is_short(footage: Footage, stream: VideoStream) -> bool:
    if footage.duration_ms is None:
        return True
    rate = min(float(stream.average_rate or 30), 60.0)
    frames = stream.frames or footage.duration_ms / 1000 * rate
    return footage.duration_ms <= SHORT_MS and frames * stream.width * stream.height <= SHORT_PIXELS


def _split(
    samples: Iterable[tuple[int, VideoFrame]], count: int, long_side_px: int
) -> list[Scene[_Shot]]:
    scenes: list[Scene[_Shot]] = []
    for time_ms, frame in samples:
        look = look_at(small_rgb(frame, LOOK_LONG_SIDE_PX))
        if scenes and scenes[-1].continues_with(look):
            scenes[-1].add(_Shot(frame), time_ms, look)
            continue
        if scenes:
            scenes[-1].best.develop(long_side_px)
        if len(scenes) > 4 * count:
            scenes = worth_showing(scenes, 2 * count)
        scenes.append(new_scene(_Shot(frame), time_ms, look))
    for scene in scenes:
        scene.best.develop(long_side_px)
    return scenes


class _Shot:
    """A frame that may stand for its scene; RGB only once the scene is over."""

    def __init__(self, frame: VideoFrame) -> None:
        self._frame: VideoFrame | None = frame
        self.pixels: Pixels

    def develop(self, long_side_px: int) -> None:
        if self._frame is not None:
            self.pixels = upright_rgb(self._frame, long_side_px)
            self._frame = None  # in 8K it holds 50 MB


def _unopened(error: FFmpegError, handle: BinaryIO) -> ItemError:
    handle.seek(0)
    if ENCRYPTED_ENTRY in handle.read(BYTES_TO_SEARCH):
        return ItemError("encrypted", "its video track is encrypted")
    return ItemError("undecodable", in_words(error))
