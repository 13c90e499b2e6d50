"""Videos drawn in code: the poster shows something, every scene has a keyframe."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from media_pipeline.errors import ItemError
from media_pipeline.formats import BY_NAME
from media_pipeline.imaging import footage as footage_module
from media_pipeline.imaging import video as video_module
from media_pipeline.imaging.scenes import Scene, look_at, new_scene, poster_scene, worth_showing
from media_pipeline.imaging.video import Frames, read_frames
from media_pipeline_tests.imaging.drawing import Pixels, four_corners, scene, video

BLACK = np.zeros((96, 160, 3), np.uint8)
RATE = 20


def frames_of(*parts: tuple[Pixels, float]) -> Iterator[Pixels]:
    """Each picture for so many seconds."""
    for picture, seconds in parts:
        for _ in range(round(seconds * RATE)):
            yield picture


def read(file: BytesIO, name: str = "mp4", count: int = 8) -> Frames:
    return read_frames(file, BY_NAME[name], count, 2000, 10_000_000)


def shows(pixels: Pixels, picture: Pixels) -> bool:
    """Whether a decoded frame is that picture, allowing for lossy coding."""
    return pixels.shape == picture.shape and float(np.abs(pixels.astype(int) - picture).mean()) < 16


THREE_SCENES = [(BLACK, 0.5), (scene(1), 0.7), (scene(2), 0.7), (scene(3), 0.7)]


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "avi"])
def test_three_scenes_give_a_poster_and_three_keyframes(container: str) -> None:
    found = read(video(frames_of(*THREE_SCENES), container=container), container)
    assert [frame.role for frame in found.frames] == ["poster", *["keyframe"] * 3]
    for number, frame in enumerate(found.frames[1:], start=1):
        assert shows(frame.pixels, scene(number))
        start_ms = 500 + 700 * (number - 1)
        assert start_ms <= frame.time_ms < start_ms + 700
    assert any(shows(found.frames[0].pixels, scene(number)) for number in (1, 2, 3))
    assert not found.is_degraded
    assert (found.source_width_px, found.source_height_px) == (160, 96)


def test_the_longest_scene_gives_the_poster() -> None:
    found = read(video(frames_of((scene(1), 0.4), (scene(2), 1.2), (BLACK, 2.0))))
    assert shows(found.frames[0].pixels, scene(2))


def test_a_video_of_one_scene_has_only_its_poster() -> None:
    found = read(video(frames_of((scene(1), 1.0))))
    assert [frame.role for frame in found.frames] == ["poster"]


def test_a_video_that_is_black_throughout_has_a_black_poster() -> None:
    found = read(video(frames_of((BLACK, 1.0))))
    assert len(found.frames) == 1
    assert found.frames[0].pixels.max() < 40


def test_the_longest_scenes_are_kept_when_there_are_many() -> None:
    lengths = [0.2, 0.6, 0.2, 0.6, 0.2, 0.6]
    parts = [(scene(number), seconds) for number, seconds in enumerate(lengths)]
    found = read(video(frames_of(*parts)), count=3)
    keyframes = found.frames[1:]
    assert len(keyframes) == 3
    for number, frame in zip((1, 3, 5), keyframes, strict=True):
        assert shows(frame.pixels, scene(number))


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_in_the_container_is_applied(rotation: int, turns: int) -> None:
    picture = four_corners(160, 96)
    found = read(video([picture] * 10, rotation=rotation))
    expected = np.rot90(picture, turns)  # both count counter-clockwise
    assert shows(found.frames[0].pixels, expected)
    assert (found.source_width_px, found.source_height_px) == expected.shape[1::-1]


def test_a_long_video_is_sampled_at_its_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "SHORT_MS", 1000)
    parts = [(BLACK, 4.0), *((scene(number), 4.0) for number in range(1, 5))]
    found = read(video(frames_of(*parts)))
    assert len(found.frames) == 5
    for number, frame in enumerate(found.frames[1:], start=1):
        assert shows(frame.pixels, scene(number))
        assert abs(frame.time_ms - 4000 * number) < 4000
    assert not found.is_degraded


def test_time_that_runs_out_leaves_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage_module, "BUDGET_S", -1.0)
    found = read(video(frames_of(*THREE_SCENES)))
    assert [frame.role for frame in found.frames] == ["poster"]
    assert not found.is_degraded


def with_index_first(path: Path) -> bytes:
    """Eight detailed scenes of a second each in MP4, its index first as the web has it."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 96, "yuv420p", 4_000_000
        noise = np.random.default_rng(0).integers(-20, 20, (RATE, 96, 160, 3))
        for number in range(8 * RATE):
            noisy = scene(number // RATE) + noise[number % RATE]
            pixels = np.clip(noisy, 0, 255).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    return path.read_bytes()


def test_a_video_that_ends_early_is_degraded(tmp_path: Path) -> None:
    whole = with_index_first(tmp_path / "video.mp4")
    found = read(BytesIO(whole[: len(whole) // 2]))
    assert found.is_degraded
    assert found.reason == "truncated"
    assert shows(found.frames[1].pixels, scene(0))
    assert found.frames[-1].time_ms < 5000


def test_damage_in_the_middle_is_degraded(tmp_path: Path) -> None:
    damaged = bytearray(with_index_first(tmp_path / "video.mp4"))
    middle = len(damaged) // 2
    damaged[middle : middle + len(damaged) // 10] = b"\x55" * (len(damaged) // 10)
    found = read(BytesIO(bytes(damaged)))
    assert found.is_degraded
    assert found.reason == "damaged"
    assert shows(found.frames[1].pixels, scene(0))


def reason_of(file: BytesIO, name: str = "mp4") -> str:
    with pytest.raises(ItemError) as caught:
        read(file, name)
    assert caught.value.message
    return caught.value.reason


def test_sound_without_pictures_has_no_video_track() -> None:
    file = BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        output.mux(stream.encode(silence))
        output.mux(stream.encode(None))
    file.seek(0)
    assert reason_of(file) == "no_video_track"


@pytest.mark.parametrize("name", ["mp4", "matroska", "avi", "flv", "asf", "ogg", "mpeg-ts"])
def test_random_bytes_are_no_video(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8).tobytes()
    assert reason_of(BytesIO(noise), name) in ("undecodable", "no_video_track", "no_frame")


def test_a_video_too_large_for_a_worker_is_refused() -> None:
    file = video([scene(1)] * 3)
    with pytest.raises(ItemError) as caught:
        read_frames(file, BY_NAME["mp4"], 8, 2000, pixel_budget=1000)
    assert caught.value.reason == "too_many_pixels"


def scenes(lengths: list[int]) -> list[Scene[int]]:
    made = []
    for number, frames in enumerate(lengths):
        one = new_scene(number, number * 1000, look_at(scene(number)))
        one.frames = frames
        made.append(one)
    return made


def test_equal_scenes_are_chosen_from_the_whole_length() -> None:
    assert [s.best for s in worth_showing(scenes([1] * 32), 4)] == [0, 8, 16, 24]


def test_longer_scenes_come_before_equal_ones() -> None:
    assert [s.best for s in worth_showing(scenes([1, 5, 1, 5, 1, 1]), 4)] == [0, 1, 3, 4]


def test_the_poster_is_the_first_of_the_longest_scenes() -> None:
    assert poster_scene(scenes([2, 7, 7])).best == 1


@pytest.mark.parametrize("level", [0, 20, 128, 255])
def test_a_frame_of_one_colour_is_blank(level: int) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (90, 160, 3))
    frame = np.clip(level + noise, 0, 255).astype(np.uint8)
    assert look_at(frame).is_blank


def test_a_night_scene_with_lights_is_not_blank() -> None:
    frame = np.full((90, 160, 3), 8, np.uint8)
    frame[20:40, 20:70] = 180
    assert not look_at(frame).is_blank
