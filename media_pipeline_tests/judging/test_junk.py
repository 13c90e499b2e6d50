"""Junk scores on pictures drawn in code, from the file to the evidence."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_pipeline.errors import ItemError
from media_pipeline.imaging.sandbox import Failure
from media_pipeline.imaging.thumbnail import make_thumbnails
from media_pipeline.judging.junk import measure_junk, score_from_evidence, score_junk
from media_pipeline.judging.junk_facts import screens
from media_pipeline.judging.junk_measures import MEASURES
from media_pipeline.judging.junk_rules import RULES, Clue
from media_pipeline.judging.junk_thresholds import load_junk_thresholds
from media_pipeline.judging.rating import rate_thumbnail
from media_pipeline.reading.media import read_metadata
from media_pipeline.recipes import stage
from media_pipeline.schema import JUNK_FLAGS, JUNK_KINDS
from media_pipeline_tests.judging import drawn_junk as drawn

THRESHOLDS = load_junk_thresholds("junk-v1").flags
PARAMETERS = stage("thumbnails").parameters

Rows = list[dict[str, Any]]


class Read:
    """What the stages know of one file: metadata, thumbnails, quality and measures."""

    def __init__(self, path: Path) -> None:
        place = os.fsencode(path)
        self.metadata = [read_metadata(place, os.path.basename(place))]
        self.thumbnails = make_thumbnails(place, os.path.basename(place), PARAMETERS, 1 << 26)
        self.quality, self.answers = [], []
        for row in self.thumbnails:
            jpeg, row["path"] = row.pop("jpeg"), path.name
            self.quality.append({"frame": row["frame"], **rate_thumbnail(jpeg, row)})
            self.answers.append(measure_junk(jpeg, row))

    def rows(self) -> Rows:
        return score_junk(self.metadata, self.thumbnails, self.quality, self.answers)

    def scores(self) -> dict[str, float]:
        return {row["flag"]: row["score"] for row in self.rows()}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Read]:
    """Save a picture in a format and read it back as the stages do."""

    def save(picture: np.ndarray, name: str = "picture.jpg", **options: Any) -> Read:
        path = tmp_path / name
        Image.fromarray(picture).save(path, **options)
        return Read(path)

    return save


def fired(scores: dict[str, float]) -> set[str]:
    return {kind for kind, score in scores.items() if score >= THRESHOLDS[kind]}


def highest(scores: dict[str, float]) -> str:
    return max(scores, key=lambda kind: scores[kind])


def evidence_of(rows: Rows, kind: str) -> dict[str, float]:
    row = next(row for row in rows if row["flag"] == kind)
    return {item["measure"]: item["weight"] for item in row["evidence"]}


@pytest.mark.parametrize(
    ("picture", "name", "kind"),
    [
        (drawn.page(), "scan.jpg", "document"),
        (drawn.receipt(), "receipt.jpg", "receipt"),
        (drawn.phone_screen(), "IMG_0001.PNG", "screenshot"),
        (drawn.meme(), "meme.jpg", "meme"),
        (drawn.captioned_above(), "meme.png", "meme"),
        (drawn.chart(), "chart.png", "graphic"),
        (drawn.plain(1200, 900, 128), "wall.jpg", "blank"),
        (drawn.landscape(width=32, height=24), "icon.jpg", "tiny"),
        (drawn.pocket(), "pocket.jpg", "accidental"),
    ],
)
def test_what_people_throw_away_gets_the_flag_of_its_kind(
    read: Callable[..., Read], picture: np.ndarray, name: str, kind: str
) -> None:
    scores = read(picture, name).scores()
    assert kind in fired(scores), scores
    if kind != "accidental":  # a black picture is blank, too
        assert highest(scores) == kind, scores


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_without_anything_flat_straight_or_written_gets_no_flag(
    read: Callable[..., Read], seed: int
) -> None:
    assert not fired(read(drawn.landscape(seed)).scores())


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"])
def test_photographs_get_no_flag_even_as_png_without_camera_data(name: str) -> None:
    assert not fired(Read(Path(skimage.data.__file__).parent / name).scores())


def test_the_moon_in_a_black_sky_is_neither_blank_nor_an_accident(
    read: Callable[..., Read],
) -> None:
    assert not fired(read(drawn.moon()).scores())


def test_camera_data_speaks_against_a_screenshot(read: Callable[..., Read]) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Example", "Camera 1"
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure time, s
    without = read(drawn.phone_screen(), "a.jpg")
    taken = read(drawn.phone_screen(), "b.jpg", exif=exif)
    assert "screenshot" in fired(without.scores())
    assert "screenshot" not in fired(taken.scores())
    assert evidence_of(taken.rows(), "screenshot")["camera_data"] < 0
    assert "camera_data" not in evidence_of(without.rows(), "screenshot")


@pytest.mark.parametrize(
    ("size", "fact"),
    [
        ((1170, 2532), "screen_size"),
        ((2532, 1170), "screen_size"),
        ((1080, 1920), "common_screen_size"),
        ((1170, 5000), "scrolled_screen"),
        ((1000, 700), "no_screen_size"),
    ],
)
def test_the_size_of_a_screen_is_evidence(
    read: Callable[..., Read], size: tuple[int, int], fact: str
) -> None:
    rows = read(drawn.plain(*size, 128), "a.png").rows()
    found = evidence_of(rows, "screenshot")
    sizes = {"screen_size", "common_screen_size", "scrolled_screen", "no_screen_size"}
    assert sizes & found.keys() == {fact}
    assert (found[fact] > 0) == (fact != "no_screen_size")


def test_a_program_that_takes_screenshots_is_evidence(read: Callable[..., Read]) -> None:
    exif = Image.Exif()
    exif[0x0131] = "gnome-screenshot"
    rows = read(drawn.landscape(), exif=exif).rows()
    item = next(i for i in rows[0]["evidence"] if i["measure"] == "screenshot_words")
    assert item["detail"] == "written by or called 'gnome-screenshot'"
    assert item["weight"] > 0


def test_the_weights_of_the_evidence_add_up_to_the_score(read: Callable[..., Read]) -> None:
    for picture in (drawn.page(), drawn.phone_screen(), drawn.meme(), drawn.landscape()):
        for row in read(picture, "a.png").rows():
            log_odds = sum(item["weight"] for item in row["evidence"])
            assert row["score"] == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-12)
            assert row["score"] == score_from_evidence(row["evidence"])


def test_a_still_gets_one_row_per_kind_that_fits_the_schema(read: Callable[..., Read]) -> None:
    rows = read(drawn.page()).rows()
    assert [row["flag"] for row in rows] == list(JUNK_KINDS)
    table = JUNK_FLAGS.to_arrow([{**row, "media_id": "0" * 32, "recipe": "0" * 8} for row in rows])
    assert table.num_rows == len(JUNK_KINDS)


def test_of_a_degraded_decode_no_rule_fires(read: Callable[..., Read]) -> None:
    seen = read(drawn.plain(1200, 900, 128))
    seen.thumbnails[0] |= {"state": "degraded", "reason": "truncated"}
    (row,) = seen.rows()
    assert (row["flag"], row["state"], row["reason"]) == ("none", "degraded", "truncated")
    assert row["score"] is None


def test_without_a_thumbnail_there_is_one_row_that_says_why(read: Callable[..., Read]) -> None:
    seen = read(drawn.landscape())
    seen.thumbnails[0] |= {"state": "failed", "reason": "undecodable"}
    (row,) = score_junk(seen.metadata, seen.thumbnails, [], [None])
    assert (row["flag"], row["state"], row["reason"]) == ("none", "failed", "input_failed")
    assert row["score"] is None


def test_a_thumbnail_that_is_gone_can_be_tried_again(read: Callable[..., Read]) -> None:
    seen = read(drawn.landscape())
    with pytest.raises(ItemError) as caught:
        measure_junk(b"", seen.thumbnails[0])
    gone = Failure(caught.value.reason, caught.value.message, caught.value.retryable)
    (row,) = score_junk(seen.metadata, seen.thumbnails, seen.quality, [gone])
    assert (row["state"], row["reason"], row["retryable"]) == ("failed", "thumbnail_missing", True)


def test_of_a_video_frames_are_averaged_and_only_some_kinds_are_asked(
    read: Callable[..., Read],
) -> None:
    screen, nature = read(drawn.phone_screen(), "a.png"), read(drawn.landscape(), "b.png")
    frames = [{**screen.thumbnails[0], "frame": n, "time_ms": 1000 * n} for n in range(2)]
    metadata = [{**screen.metadata[0], "kind": "video", "duration_s": 12.0}]
    quality = [{**screen.quality[0], "frame": n} for n in range(2)]
    rows = score_junk(metadata, frames, quality, [screen.answers[0], nature.answers[0]])
    assert [row["flag"] for row in rows] == ["screenshot", "blank", "tiny", "accidental"]
    flat = next(i for i in rows[0]["evidence"] if i["measure"] == "flat_fraction")
    both = (screen.answers[0]["flat_fraction"], nature.answers[0]["flat_fraction"])
    assert flat["value"] == pytest.approx(sum(both) / 2)
    assert "mean of 2 frames" in flat["detail"]


def test_unreadable_metadata_is_no_missing_camera(read: Callable[..., Read]) -> None:
    seen = read(drawn.landscape())
    seen.metadata[0] |= {"state": "failed", "reason": "damaged"}
    assert not fired(seen.scores())
    assert fired(seen.scores()) == fired(
        {r["flag"]: r["score"] for r in score_junk([], seen.thumbnails, seen.quality, seen.answers)}
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (7, 3)])
def test_odd_shapes_are_measured_with_finite_numbers(
    read: Callable[..., Read], size: tuple[int, int]
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    seen = read(picture, "a.png")
    assert set(seen.answers[0]) == set(MEASURES)
    assert all(math.isfinite(value) for value in seen.answers[0].values())
    assert all(0 <= score <= 1 for score in seen.scores().values())


def test_there_is_a_rule_for_every_kind_and_every_clue_can_be_known(
    read: Callable[..., Read],
) -> None:
    assert tuple(RULES) == JUNK_KINDS
    facts = {
        "short_side_px", "tallness", "screen_size", "common_screen_size", "scrolled_screen",
        "no_screen_size", "camera_data", "camera_name", "drawn_format", "palette", "transparency",
        "screenshot_words", "scanner_words", "drawing_words", "low_light_score",
        "low_information_score", "blur_score", "tiny_size_score", "duration_s",
    }  # fmt: skip
    named = {clue.name for rule in RULES.values() for clue in rule.clues}
    assert named <= facts | set(MEASURES)


def test_the_table_of_screens_is_sorted_and_holds_no_size_twice() -> None:
    sizes = list(screens())
    assert len(sizes) > 100
    assert sizes == sorted(set(sizes))
    assert all(short <= long for short, long in sizes)
    assert screens()[1170, 2532] == ("iPhone 12", True)


@given(
    low=st.floats(-100, 100),
    span=st.floats(0.01, 100),
    falls=st.booleans(),
    value=st.floats(-1e6, 1e6),
)
def test_a_clue_is_a_ramp_between_its_ends(
    low: float, span: float, falls: bool, value: float
) -> None:
    high = low - span if falls else low + span
    clue = Clue("flat_fraction", low, high, 1.0)
    assert clue.strength(low) == 0.0
    assert clue.strength(high) == 1.0
    assert 0.0 <= clue.strength(value) <= 1.0
    assert clue.strength((low + high) / 2) == pytest.approx(0.5, abs=1e-6)
