"""Videos: container, codecs, duration, rotation and the tags that phones write.

FFmpeg reads the headers (through PyAV). Its own interface tells the rotation only with a decoded
frame, so in MP4 and QuickTime files the track header is read by hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from media_pipeline.errors import ItemError
from media_pipeline.formats import Format
from media_pipeline.paths import item_error_of
from media_pipeline.reading.boxes import Box, boxes, inner, payload
from media_pipeline.reading.capture import UNSET_INSTANTS, capture_times
from media_pipeline.reading.clocks import Clock, parse_clock
from media_pipeline.reading.gps import iso6709_position
from media_pipeline.reading.pictures import is_disk_error
from media_pipeline.reading.values import clean_text, keywords

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

MOST_FRAME_RATE_FPS = 1000.0
"""From here on an average rate is the tick of the container's clock, not a rate of frames."""

_CLOSED = {"protocol_whitelist": ""}  # a file cannot make FFmpeg open another one
_ISO_FORMATS = ("mp4", "mov")
_ROTATED_BY_FRAME = ("matroska", "webm")
_LOCAL_CREATION_TIME = ("avi",)  # RIFF's IDIT is local time; the other containers record UTC
_PACKETS_FOR_A_FRAME = 64

_QUICKTIME = "com.apple.quicktime."
_MAKE = (_QUICKTIME + "make", "make", "com.android.manufacturer")
_MODEL = (_QUICKTIME + "model", "model", "com.android.model")
_SOFTWARE = (_QUICKTIME + "software", "software", "encoder")
_PLACE = (_QUICKTIME + "location.iso6709", "location", "location-eng")
_TITLE = (_QUICKTIME + "title", "title")
_DESCRIPTION = (_QUICKTIME + "description", "description", "comment")
_CREATOR = (_QUICKTIME + "author", "artist", "author")
_KEYWORDS = (_QUICKTIME + "keywords", "keywords")


@dataclass(frozen=True)
class Track:
    """What an MP4 track header says that FFmpeg keeps to itself.

    Attributes:
        rotation_deg: Clockwise rotation a player must apply, 0 to 359.
        is_encrypted: Whether its samples are encrypted (ISO/IEC 23001-7).
    """

    rotation_deg: int = 0
    is_encrypted: bool = False


def read_video(handle: BinaryIO, fmt: Format) -> dict[str, Any]:
    """The columns of `schema.METADATA` that a video fills.

    Raises:
        ItemError: `undecodable`: FFmpeg does not open it. `encrypted`: for that reason.
            `no_video_track`: it has sound only. `damaged`: it states no size.
            `io_error`: the disk failed.
    """
    import av

    track = _track(handle) if fmt.name in _ISO_FORMATS else Track()
    handle.seek(0)
    try:
        with av.open(
            handle, "r", format=fmt.decoder, options=_CLOSED, metadata_errors="replace"
        ) as container:
            stream = _stream(container)
            if fmt.name in _ROTATED_BY_FRAME:
                track = Track(_frame_rotation(container, stream))
            return _columns(container, stream, track, fmt)
    except (av.FFmpegError, OSError, ValueError) as error:
        if type(error) is OSError and is_disk_error(error):
            raise item_error_of(error) from error
        reason = "encrypted" if track.is_encrypted else "undecodable"
        why = getattr(error, "strerror", None) or error
        raise ItemError(reason, f"FFmpeg cannot open it as {fmt.decoder}: {why}") from error


def _track(handle: BinaryIO) -> Track:
    movie = inner(handle, None, b"moov")
    for box in boxes(handle, movie) if movie else ():
        handler = inner(handle, box, b"mdia", b"hdlr") if box.kind == b"trak" else None
        if handler and payload(handle, handler, 12)[8:12] == b"vide":
            return Track(_track_rotation(handle, box), _is_encrypted(handle, box))
    return Track()


def _track_rotation(handle: BinaryIO, track: Box) -> int:
    # ISO/IEC 14496-12 section 8.3.2: the matrix {a b u c d v x y w} turns by atan2(b, a).
    header = inner(handle, track, b"tkhd")
    data = payload(handle, header, 96) if header else b""
    start = 52 if data[:1] == b"\1" else 40
    if len(data) < start + 8:
        return 0
    a, b = (int.from_bytes(data[i : i + 4], "big", signed=True) for i in (start, start + 4))
    return round(math.degrees(math.atan2(b, a))) % 360


def _is_encrypted(handle: BinaryIO, track: Box) -> bool:
    entries = inner(handle, track, b"mdia", b"minf", b"stbl", b"stsd")
    return entries is not None and payload(handle, entries, 16)[12:16] == b"encv"


def _stream(container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    cover_art = Disposition.attached_pic
    tracks = [stream for stream in container.streams.video if not stream.disposition & cover_art]
    if not tracks:
        raise ItemError("no_video_track", "the container has no video track")
    stream = next((one for one in tracks if one.disposition & Disposition.default), tracks[0])
    if stream.codec_context is None:
        raise ItemError("undecodable", "FFmpeg has no decoder for the video track")
    return stream


def _frame_rotation(container: InputContainer, stream: VideoStream) -> int:
    import av

    try:
        for count, packet in enumerate(container.demux(stream)):
            for frame in packet.decode():
                return -frame.rotation % 360  # FFmpeg counts counter-clockwise
            if count >= _PACKETS_FOR_A_FRAME:
                break
    except (av.FFmpegError, OSError, ValueError):
        pass  # the decoding stage says what is wrong with the pictures
    return 0


def _columns(
    container: InputContainer, stream: VideoStream, track: Track, fmt: Format
) -> dict[str, Any]:
    width, height = stream.width, stream.height
    if width <= 0 or height <= 0:
        raise ItemError("damaged", f"a video of {width} x {height} pixels")
    if track.rotation_deg % 180 == 90:
        width, height = height, width
    state = {"state": "degraded", "reason": "encrypted", "retryable": False}
    return {
        **(state if track.is_encrypted else {}),
        "width_px": width,
        "height_px": height,
        "rotation_deg": track.rotation_deg,
        "frame_count": stream.frames or None,
        **_coding(container, stream, fmt),
        **_tags(container, stream, fmt),
    }


def _coding(container: InputContainer, stream: VideoStream, fmt: Format) -> dict[str, Any]:
    pixels = stream.format
    audio = next(iter(container.streams.audio), None)
    codec = audio.codec_context if audio else None
    rate = float(stream.average_rate or 0)
    duration = container.duration
    return {
        "color_mode": pixels.name if pixels else None,
        "bit_depth": pixels.components[0].bits if pixels and pixels.components else None,
        "has_alpha": any(c.is_alpha for c in pixels.components) if pixels else None,
        "container": fmt.name,
        "video_codec": stream.codec_context.codec.canonical_name,
        "audio_codec": codec.codec.canonical_name if codec else None,
        "has_audio": audio is not None,
        "duration_s": duration / 1_000_000 if duration is not None else None,  # AV_TIME_BASE
        "frame_rate_fps": rate if 0 < rate < MOST_FRAME_RATE_FPS else None,
    }


def _tags(container: InputContainer, stream: VideoStream, fmt: Format) -> dict[str, Any]:
    tags = {key.lower(): value for key, value in container.metadata.items()}
    times = {**{key.lower(): value for key, value in stream.metadata.items()}, **tags}
    clocks = _clocks(times, is_local=fmt.name in _LOCAL_CREATION_TIME)
    words = re.split(r"[,;]", _first(tags, _KEYWORDS) or "")
    return {
        "camera_make": _first(tags, _MAKE),
        "camera_model": _first(tags, _MODEL),
        "software": _first(tags, _SOFTWARE),
        "title": _first(tags, _TITLE),
        "description": _first(tags, _DESCRIPTION),
        "creator": _first(tags, _CREATOR),
        "keywords": keywords(words),
        **iso6709_position(_first(tags, _PLACE)),
        "capture_times": capture_times(("container", clock) for clock in clocks),
    }


def _first(tags: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((text for name in names if (text := clean_text(tags.get(name)))), None)


def _clocks(tags: Mapping[str, str], is_local: bool) -> Iterator[Clock]:
    # Apple's creation date carries the clock of the place; creation_time is UTC by the standard.
    with_offset = parse_clock(tags.get(_QUICKTIME + "creationdate"))
    if with_offset:
        yield with_offset
    created = parse_clock(tags.get("creation_time"))
    if created and created.offset_min is None and created.has_time and not is_local:
        created = Clock(created.local, is_utc=True)
    if created and created.utc not in UNSET_INSTANTS:
        yield created
