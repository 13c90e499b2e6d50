from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import av
import numpy as np
import pytest

from media_pipeline.errors import ItemError
from media_pipeline.reading.capture import best_capture_time
from media_pipeline_tests.reading.conftest import Reader

WIDTH, HEIGHT, FRAMES, RATE = 64, 48, 10, 5


def film(
    container: str = "mp4",
    rotation_deg: float = 0,
    tags: dict[str, str] | None = None,
    has_audio: bool = False,
    has_video: bool = True,
) -> bytes:
    """Two seconds of grey frames; the rotation is the clockwise one a player must apply."""
    target = io.BytesIO()
    options = {"movflags": "use_metadata_tags"} if container in ("mp4", "mov") else {}
    with av.open(target, "w", format=container, container_options=options) as output:
        output.metadata.update(tags or {})
        if has_video:
            video = output.add_stream("mpeg4", rate=RATE)
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            if rotation_deg:
                video.set_display_rotation(-rotation_deg)
        if has_audio:
            audio = output.add_stream("aac", rate=44_100, layout="mono")
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate = 44_100
        for index in range(FRAMES if has_video else 0):
            picture = np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        if has_video:
            output.mux(video.encode())
        if has_audio:
            output.mux(audio.encode(sound))
            output.mux(audio.encode())
    return target.getvalue()


@pytest.mark.parametrize(
    ("container", "name"),
    [
        ("mp4", "mp4"),
        ("mov", "mov"),
        ("matroska", "matroska"),
        ("avi", "avi"),
    ],
)
def test_container_codec_size_and_rate_are_read(read: Reader, container: str, name: str) -> None:
    row = read(film(container))

    expected = {
        "state": "ok", "reason": None, "kind": "video", "format": name, "container": name,
        "width_px": WIDTH, "height_px": HEIGHT, "rotation_deg": 0, "orientation": None,
        "video_codec": "mpeg4", "audio_codec": None, "has_audio": False,
        "color_mode": "yuv420p", "bit_depth": 8, "has_alpha": False,
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert row["frame_rate_fps"] == pytest.approx(RATE, rel=0.01)
    assert row["duration_s"] == pytest.approx(FRAMES / RATE, rel=0.15)


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_a_rotation_turns_width_and_height(read: Reader, container: str, rotation_deg: int) -> None:
    row = read(film(container, rotation_deg))

    upright = (WIDTH, HEIGHT) if rotation_deg == 180 else (HEIGHT, WIDTH)
    assert (row["rotation_deg"], row["width_px"], row["height_px"]) == (rotation_deg, *upright)


def test_the_audio_track_is_named(read: Reader) -> None:
    row = read(film(has_audio=True))

    assert (row["has_audio"], row["audio_codec"]) == (True, "aac")


def test_sound_alone_is_no_video(read: Reader) -> None:
    with pytest.raises(ItemError) as caught:
        read(film(has_audio=True, has_video=False))

    assert caught.value.reason == "no_video_track"


def test_the_tags_of_a_phone_are_read(read: Reader) -> None:
    apple = "com.apple.quicktime."
    row = read(
        film(
            "mov",
            tags={
                "creation_time": "2019-07-04T10:30:07Z",
                apple + "creationdate": "2019-07-04T12:30:00+0200",
                apple + "location.ISO6709": "+48.5000-011.2500+519.000/",
                apple + "make": "Apple",
                apple + "model": "iPhone",
                apple + "software": "12.1",
            },
        )
    )

    assert (row["camera_make"], row["camera_model"], row["software"]) == ("Apple", "iPhone", "12.1")
    assert (row["gps_latitude_deg"], row["gps_longitude_deg"]) == (48.5, -11.25)
    assert row["gps_altitude_m"] == 519.0
    times = row["capture_times"]
    assert [time["source"] for time in times] == ["container", "container"]
    assert (times[0]["local"], times[0]["offset_min"]) == ("2019-07-04T12:30:00", 120)
    assert (times[1]["local"], times[1]["utc"]) == (None, "2019-07-04T10:30:07Z")
    best = best_capture_time(times, b"x.mov", 0, datetime(2026, 1, 1, tzinfo=UTC))
    assert best.at_utc == datetime(2019, 7, 4, 10, 30, tzinfo=UTC)


def test_words_that_people_wrote_are_read(read: Reader) -> None:
    row = read(film(tags={"title": "T", "comment": "C", "artist": "A", "keywords": "one, two;one"}))

    assert (row["title"], row["description"], row["creator"]) == ("T", "C", "A")
    assert row["keywords"] == ["one", "two"]


@pytest.mark.parametrize("unset", ["1904-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
def test_a_clock_that_was_never_set_is_no_time(read: Reader, unset: str) -> None:
    assert read(film("matroska", tags={"creation_time": unset}))["capture_times"] is None


def test_a_creation_time_without_zone_is_utc(read: Reader) -> None:
    times: list[dict[str, Any]] = read(
        film("matroska", tags={"creation_time": "2019-07-04 10:30:00"})
    )["capture_times"]

    assert times[0]["utc"] == "2019-07-04T10:30:00Z"


def test_an_encrypted_film_says_so(read: Reader) -> None:
    content = film()
    entry = content.index(b"mp4v", content.index(b"stsd"))
    content = content[:entry] + b"encv" + content[entry + 4 :]
    try:
        row = read(content)
        found = row["state"], row["reason"]
    except ItemError as error:
        found = "failed", error.reason

    assert found in (("degraded", "encrypted"), ("failed", "encrypted"))


@pytest.mark.parametrize("length", [200, 1000])
def test_half_a_header_is_undecodable(read: Reader, length: int) -> None:
    with pytest.raises(ItemError) as caught:
        read(film()[:length])

    assert caught.value.reason == "undecodable"
