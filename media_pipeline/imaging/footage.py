"""A video track being read: frame by frame, or hopping from keyframe to keyframe.

What goes wrong on the way is noted and reading goes on; `degraded` tells it in the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from media_pipeline.errors import ItemError
from media_pipeline.imaging.container import in_words, orientation
from media_pipeline.imaging.geometry import SWAPPED
from media_pipeline.imaging.worker import memory_exhausted

BUDGET_S = 10.0
"""Wall-clock seconds after which the frames read so far have to do."""

HOPS = 32
"""Keyframes looked at in a long video."""

MOST_FRAMES = 3000
MOST_ERRORS = 100
"""Packets that may fail before the rest is given up."""

LOOK_INTERVAL_MS = 65

SHORT_BY = 0.8
"""Frames that end before this share of the declared duration (less 1 s) say `truncated`."""

ENCRYPTED: tuple[Literal["encryption_info", "encryption_init_info"], ...] = (
    "encryption_info",
    "encryption_init_info",
)


class Footage:
    """One video track, and what was noticed while it was read.

    Args:
        container: An open container.
        stream: Its video track.

    Attributes:
        duration_ms: Declared duration, `None` where there is none.
        source_size: Width and height of the upright frames, once there is one.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.duration_ms = _duration_ms(container, stream)
        self.source_size = (0, 0)
        self._container = container
        self._stream = stream
        self._deadline = time.monotonic() + BUDGET_S
        self._frames = 0
        self._reached_ms = 0
        self._errors = 0
        self._missed_hops = 0
        self._last_error = ""
        self._is_encrypted = stream.codec_tag == "encv"
        self._is_walked = False

    def walk(self) -> Iterator[tuple[int, VideoFrame]]:
        """Read every frame from the start; hand on about 15 a second.

        Yields:
            Time in ms from the start of the video, and the frame as decoded.
        """
        next_ms = number = 0
        for packet in self._packets():
            for frame in self._decode(packet):
                number += 1
                time_ms = self._time_ms(frame, number)
                if time_ms >= next_ms:
                    next_ms = time_ms + LOOK_INTERVAL_MS
                    yield time_ms, frame
            if number >= MOST_FRAMES or self._must_stop():
                return
        self._is_walked = True

    def hop(self) -> Iterator[tuple[int, VideoFrame]]:
        """Read the keyframes before evenly spaced moments, each once.

        Yields:
            Time in ms from the start of the video, and the frame as decoded.
        """
        last_ms = -1
        for hop in range(HOPS):
            if self._must_stop():
                return
            frame = self._keyframe_before((2 * hop + 1) * (self.duration_ms or 0) // (2 * HOPS))
            if frame is None:
                self._missed_hops += 1
                continue
            time_ms = self._time_ms(frame, hop)
            if time_ms > last_ms:
                last_ms = time_ms
                yield time_ms, frame

    def rewind(self) -> None:
        """Go back to the start, where the container can."""
        try:
            self._container.seek(0)
        except FFmpegError as error:
            self._note(error)

    def degraded(self) -> tuple[str | None, str | None]:
        """Reason and message of a broken video, two `None` for one that is whole."""
        # only the track's own duration counts: sound may go on when the pictures have ended
        declared_ms = _milliseconds(self._stream.duration, self._stream) or 0
        ends_early = self._is_walked and self._reached_ms < SHORT_BY * declared_ms - 1000
        if ends_early or self._missed_hops > HOPS // 8:
            return "truncated", f"frames end after {self._reached_ms} of {self.duration_ms} ms"
        if self._errors:
            return "damaged", f"{self._errors} packets could not be decoded: {self._last_error}"
        return None, None

    def nothing_found(self) -> ItemError:
        """Why there was no frame at all."""
        if self._is_encrypted:
            return ItemError("encrypted", "its packets are encrypted")
        return ItemError("no_frame", self._last_error or "the video track holds no frame")

    def _keyframe_before(self, time_ms: int) -> VideoFrame | None:
        time_base = self._stream.time_base
        if time_base is None:
            return None
        offset = int(time_ms / 1000 / time_base) + (self._stream.start_time or 0)
        try:
            self._container.seek(offset, stream=self._stream, backward=True)
        except FFmpegError as error:
            self._note(error)
            return None
        for packet in self._packets():
            frames = self._decode(packet)
            if packet.is_keyframe:  # flushed, so that the decoder does not wait for its followers
                frames += self._decode(None)
            if frames:
                return frames[0]
            if self._must_stop():
                break
        return None

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except FFmpegError as error:
                self._note(error)
                return
            self._is_encrypted |= any(packet.has_sidedata(kind) for kind in ENCRYPTED)
            yield packet

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            frames = self._stream.decode(packet)
        except FFmpegError as error:
            self._note(error)
            return []
        whole = [frame for frame in frames if not frame.is_corrupt]
        if whole and not self._frames:
            size = whole[0].width, whole[0].height
            self.source_size = size[::-1] if orientation(whole[0]) in SWAPPED else size
        self._frames += len(whole)
        return whole

    def _time_ms(self, frame: VideoFrame, number: int) -> int:
        shown_ms = _milliseconds(frame.pts, self._stream)
        if shown_ms is None:  # raw streams carry no times
            shown_ms = round(1000 * number / float(self._stream.average_rate or 25))
        else:
            shown_ms -= _milliseconds(self._stream.start_time, self._stream) or 0
        self._reached_ms = max(self._reached_ms, shown_ms)
        return max(shown_ms, 0)

    def _note(self, error: FFmpegError) -> None:
        if memory_exhausted(error):
            raise MemoryError(str(error)) from error
        self._last_error = in_words(error)
        self._errors += self._frames > 0  # what was cut from a broadcast starts with broken packets

    def _must_stop(self) -> bool:
        return self._errors > MOST_ERRORS or time.monotonic() > self._deadline


def _duration_ms(container: InputContainer, stream: VideoStream) -> int | None:
    own = _milliseconds(stream.duration, stream)
    if own is None and container.duration is not None:
        return container.duration // 1000  # microseconds
    return own


def _milliseconds(ticks: int | None, stream: VideoStream) -> int | None:
    if ticks is None or stream.time_base is None:
        return None
    return round(1000 * ticks * stream.time_base)
