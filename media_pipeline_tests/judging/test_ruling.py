"""Rulings: every protection, the user's word, and what a video's frames come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_pipeline.judging.junk_thresholds import load_junk_thresholds
from media_pipeline.judging.ruling import (
    only_of_day,
    protections_of,
    rule_on_junk,
    safety_of,
    seen_of,
)
from media_pipeline.schema import JUNK_KINDS, VERDICTS

THRESHOLDS = load_junk_thresholds("junk-v1")

Row = dict[str, Any]


def flags(**scores: float) -> list[Row]:
    """Junk rows: the given scores, 0 for the other kinds."""
    return [{"flag": k, "score": scores.get(k, 0.0), "state": "ok"} for k in JUNK_KINDS]


def box(kind: str | None, number: int = 1, **more: Any) -> Row:
    """A row of detections."""
    row = {"frame": 0, "time_ms": None, "number": number, "kind": kind, "part_of": None}
    return {**row, "probability": 0.9, "score": 1.5, "state": "ok", **more}


def ruled(
    junk_rows: list[Row],
    boxes: list[Row] | None = None,
    metadata: Row | None = None,
    decision: Any = None,
    labels: list[Row] | None = None,
) -> Row:
    seen = seen_of(boxes or [], THRESHOLDS)[2]
    protections = protections_of(metadata, seen, labels or [], junk_rows, decision, THRESHOLDS)
    return rule_on_junk(junk_rows, protections, decision, THRESHOLDS)


def names(verdict: Row) -> list[str]:
    return [one["protection"] for one in verdict["protections"]]


def test_a_flag_that_reaches_its_threshold_makes_junk_with_its_evidence() -> None:
    verdict = ruled(flags(screenshot=0.9, document=0.7))
    assert verdict["is_junk"] is True
    assert verdict["junk_kind"] == "screenshot"
    fired = {item["flag"]: item["fired"] for item in verdict["junk_evidence"]}
    assert fired == {kind: kind in ("screenshot", "document") for kind in JUNK_KINDS}
    assert verdict["junk_evidence"][0]["threshold"] == THRESHOLDS.flags["screenshot"]


@pytest.mark.parametrize("kind", JUNK_KINDS)
def test_the_threshold_itself_is_enough_and_less_is_not(kind: str) -> None:
    threshold = THRESHOLDS.flags[kind]
    assert ruled(flags(**{kind: threshold}))["is_junk"] is True
    assert ruled(flags(**{kind: threshold - 1e-9}))["is_junk"] is False


@pytest.mark.parametrize("kind", JUNK_KINDS)
@pytest.mark.parametrize(
    ("boxes", "metadata", "protection"),
    [
        ([box("person")], None, "people"),
        ([box("face")], None, "people"),
        ([box("cat")], None, "animals"),
        ([], {"rating": 1}, "rating"),
        ([], {"keywords": ["trip", "Favorite"]}, "favourite"),
    ],
)
def test_every_protection_vetoes_every_flag_and_is_named(
    kind: str, boxes: list[Row], metadata: Row | None, protection: str
) -> None:
    verdict = ruled(flags(**{kind: 0.99}), boxes, metadata)
    assert verdict["is_junk"] is False
    assert verdict["junk_kind"] == kind
    assert names(verdict) == [protection]
    rule = next(i["rule"] for i in verdict["junk_evidence"] if i["flag"] == kind)
    assert rule == f"score >= threshold, but protected by {protection}"


def label(name: str, *ancestors: str, proposer: str = "vocabulary") -> Row:
    """A label as it is shown."""
    return {"label": name, "ancestors": list(ancestors), "proposer": proposer}


@pytest.mark.parametrize("kind", JUNK_KINDS)
@pytest.mark.parametrize(
    ("shown", "protection", "detail"),
    [
        (label("pug", "dog", "animal"), "animals", "label 'pug' by the vocabulary"),
        (label("animal", proposer="classifier"), "animals", "label 'animal' by the classifier"),
        (label("Rex", "dog", "animal", proposer="user"), "animals", "label 'Rex' by the user"),
        (label("baby", "person"), "people", "label 'baby' by the vocabulary"),
        (label("person", proposer="user"), "people", "label 'person' by the user"),
    ],
)
def test_a_label_protects_people_and_animals_that_no_box_says(
    kind: str, shown: Row, protection: str, detail: str
) -> None:
    verdict = ruled(flags(**{kind: 0.99}), labels=[label("garden"), shown])
    assert verdict["is_junk"] is False
    assert verdict["protections"] == [{"protection": protection, "detail": detail}]


def test_labels_of_other_things_protect_nothing() -> None:
    labels = [label("receipt", "document"), label("animal cracker", "cookie", "food")]
    verdict = ruled(flags(document=0.9), labels=labels)
    assert verdict["is_junk"] is True
    assert verdict["protections"] == []


def test_a_box_and_a_label_that_agree_are_both_named() -> None:
    verdict = ruled(flags(meme=0.9), [box("cat")], labels=[label("cat", "animal")])
    assert names(verdict) == ["animals", "animals"]
    rule = next(i["rule"] for i in verdict["junk_evidence"] if i["flag"] == "meme")
    assert rule == "score >= threshold, but protected by animals"


@pytest.mark.parametrize("metadata", [{"rating": -1}, {"rating": 0}, {"rating": None}, {}])
def test_a_picture_without_stars_is_not_protected_and_a_rejected_one_is_no_junk_by_that(
    metadata: Row,
) -> None:
    assert ruled(flags(document=0.9), metadata=metadata)["is_junk"] is True
    assert ruled(flags(), metadata=metadata)["is_junk"] is False


def test_the_only_picture_of_a_day_is_kept_unless_it_is_a_screenshot() -> None:
    protection = [only_of_day("2026-11-20")]
    dark = rule_on_junk(flags(accidental=0.9), protection, None, THRESHOLDS)
    screen = rule_on_junk(flags(screenshot=0.9), protection, None, THRESHOLDS)
    assert (dark["is_junk"], screen["is_junk"]) == (False, True)


@given(
    scores=st.dictionaries(st.sampled_from(JUNK_KINDS), st.floats(0, 1)),
    has_person=st.booleans(),
    rating=st.sampled_from([None, -1, 3]),
    decision=st.sampled_from(["keep", "junk"]),
)
def test_the_word_of_the_user_wins_over_everything(
    scores: dict[str, float], has_person: bool, rating: int | None, decision: str
) -> None:
    boxes = [box("person")] if has_person else []
    verdict = ruled(flags(**scores), boxes, {"rating": rating}, decision)
    assert verdict["is_junk"] is (decision == "junk")


def test_the_word_of_the_user_counts_where_nothing_was_measured() -> None:
    nothing = [{"flag": "none", "score": None, "state": "failed"}]
    assert ruled(nothing)["is_junk"] is None
    assert ruled([])["is_junk"] is None
    assert ruled(nothing, decision="junk")["is_junk"] is True
    assert ruled(nothing, decision="keep")["is_junk"] is False


def test_a_degraded_decode_is_never_junk() -> None:
    verdict = ruled([{"flag": "none", "score": None, "state": "degraded"}])
    assert verdict["is_junk"] is False
    assert names(verdict) == ["degraded"]
    assert verdict["junk_kind"] is None


def test_what_the_detector_is_not_sure_of_is_not_seen() -> None:
    boxes = [
        box("person", 1, probability=0.49),
        box("cat", 2, probability=None, score=0.49),
        box("dog", 3, probability=None, score=0.5),
    ]
    people, animals, seen = seen_of(boxes, THRESHOLDS)
    assert (people, animals) == (0, ["dog"])
    assert seen == [{"kind": "dog", "count": 1, "probability": None, "score": 0.5, "times_ms": []}]


def test_a_face_counts_as_a_person_unless_its_person_was_found() -> None:
    boxes = [
        box("person", 1), box("face", 2, part_of=1), box("face", 3),
        box("person", 4, probability=0.1), box("face", 5, part_of=4),
    ]  # fmt: skip
    people, animals, seen = seen_of(boxes, THRESHOLDS)
    assert (people, animals) == (3, [])
    assert [(one["kind"], one["count"]) for one in seen or ()] == [("person", 1), ("face", 3)]


def test_of_a_video_the_fullest_frame_counts_and_every_time_is_told() -> None:
    boxes = [
        box("person", 1, frame=0, time_ms=0),
        box("person", 1, frame=1, time_ms=4000, probability=0.95),
        box("person", 2, frame=1, time_ms=4000),
        box(None, 0, frame=2, time_ms=8000, probability=None, score=None),
        box("cat", 1, frame=3, time_ms=12000),
    ]
    people, animals, seen = seen_of(boxes, THRESHOLDS)
    assert (people, animals) == (2, ["cat"])
    assert seen is not None
    person, cat = seen
    assert (person["count"], person["probability"]) == (2, 0.95)
    assert (person["times_ms"], cat["times_ms"]) == ([0, 4000], [12000])


def test_nobody_asked_is_not_nobody_there() -> None:
    skipped = box(None, 0, state="skipped", probability=None, score=None)
    failed = box(None, 0, state="failed", probability=None, score=None)
    empty = box(None, 0, probability=None, score=None)
    assert seen_of([], THRESHOLDS) == (None, None, None)
    assert seen_of([skipped, failed], THRESHOLDS) == (None, None, None)
    assert seen_of([failed, empty], THRESHOLDS) == (0, [], [])


def test_the_worst_frame_decides_on_safety_and_no_score_is_not_safe() -> None:
    frames = [{"nsfw_score": 0.1}, {"nsfw_score": None}, {"nsfw_score": 0.5}]
    assert safety_of(frames, THRESHOLDS) == (0.5, True)
    assert safety_of(frames[:2], THRESHOLDS) == (0.1, False)
    assert safety_of(frames[1:2], THRESHOLDS) == (None, None)
    assert safety_of([], THRESHOLDS) == (None, None)


def test_what_is_ruled_fits_the_table() -> None:
    people, animals, seen = seen_of([box("person"), box("cat", 2)], THRESHOLDS)
    row = {
        **ruled(flags(meme=0.8), [box("person")]),
        "people": people, "animals": animals, "seen": seen,
        "media_id": "0" * 32, "thresholds": "quality-v1", "junk_thresholds": THRESHOLDS.name,
    }  # fmt: skip
    (back,) = VERDICTS.to_arrow([row]).to_pylist()
    assert back["protections"] == [{"protection": "people", "detail": "1 person, probability 0.90"}]
    assert back["junk_evidence"][3]["flag"] == "meme"
