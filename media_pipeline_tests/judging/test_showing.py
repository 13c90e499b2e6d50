"""From proposals to the labels people see."""

from __future__ import annotations

from typing import Any

import pytest

from media_pipeline.judging.showing import LabelThresholds, best_label, shown_labels
from media_pipeline.schema.library import SHOWN_LABEL
from media_pipeline.vocabulary import Vocabulary
from media_pipeline_tests.vocabulary.small import small_vocabulary

THRESHOLDS = LabelThresholds(probability=0.7, share=0.5, most=3)
ABOVE = {
    "pug": ["dog", "mammal", "pet", "animal"],
    "corgi": ["dog", "mammal", "pet", "animal"],
    "dog": ["mammal", "pet", "animal"],
    "cat": ["mammal", "pet", "animal"],
    "pet": ["animal"],
}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return small_vocabulary(tmp_path_factory.mktemp("vocabulary"))


def test_a_share_decides_where_there_is_no_calibration_and_says_so(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.55), _row("oak", 0.45, rank=2)]
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary)
    assert shown["label"] == "pug"
    assert shown["rule"] == "share 0.55 >= 0.50, not calibrated"
    assert shown["ancestors"] == ABOVE["pug"]


def test_a_probability_decides_where_there_is_one(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.1, probability=0.9), _row("oak", 0.9, probability=0.6, rank=2)]
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary)
    assert (shown["label"], shown["rule"]) == ("pug", "probability 0.90 >= 0.70")


def test_where_nothing_is_sure_enough_the_label_is_unknown(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.3)]
    assert best_label(rows, shown_labels(rows, THRESHOLDS, vocabulary)) == "unknown"


def test_where_nobody_was_asked_there_is_no_label_at_all(vocabulary: Vocabulary) -> None:
    asked_nobody = {**_row("pug", 0.9), "rank": 0, "label": None, "share": None}
    assert shown_labels([asked_nobody], THRESHOLDS, vocabulary) == []
    assert best_label([asked_nobody], []) is None
    assert best_label([], []) is None


def test_the_first_shown_is_the_label(vocabulary: Vocabulary) -> None:
    rows = [_row("oak", 0.55), _row("pug", 0.9)]
    shown = shown_labels(rows, THRESHOLDS, vocabulary)
    assert [one["label"] for one in shown] == ["pug", "oak"]
    assert best_label(rows, shown) == "pug"


def test_a_back_off_says_that_it_stands_for_its_kinds(vocabulary: Vocabulary) -> None:
    rows = [_row("dog", 0.9, is_backoff=True), _row("pug", 0.4, rank=2)]
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary)
    assert shown["label"] == "dog"
    assert shown["rule"].endswith("stands for what is below it")


def test_a_parent_is_left_out_where_its_child_is_shown(vocabulary: Vocabulary) -> None:
    rows = [_row("pet", 0.95, is_backoff=True), _row("pug", 0.6, rank=2)]
    assert [one["label"] for one in shown_labels(rows, THRESHOLDS, vocabulary)] == ["pug"]


def test_two_proposers_that_agree_give_one_label(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.6), _row("pug", 0.9, proposer="classifier")]
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary)
    assert shown["proposer"] == "classifier"


def test_only_so_many_are_shown(vocabulary: Vocabulary) -> None:
    rows = [_row(name, 0.9, probability=0.9) for name in ("pug", "cat", "oak", "snow")]
    assert len(shown_labels(rows, THRESHOLDS, vocabulary)) == 3


def test_a_label_over_several_frames_is_one_with_its_times(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", share, time_ms=time) for share, time in ((0.6, 9000), (0.9, 1000))]
    rows.append(_row("pug", 0.2, time_ms=5000))
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary)
    assert shown["times_ms"] == [1000, 9000]
    assert "0.90" in shown["rule"]


def test_a_parent_seen_at_other_times_than_its_child_stays(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.9, time_ms=0), _row("dog", 0.8, time_ms=0), _row("dog", 0.8, time_ms=500)]
    shown = shown_labels(rows, THRESHOLDS, vocabulary)
    assert [(one["label"], one["times_ms"]) for one in shown] == [("pug", [0]), ("dog", [0, 500])]


def test_the_users_word_comes_first_with_its_ancestors(vocabulary: Vocabulary) -> None:
    rows = [_row("oak", 0.99)]
    shown = shown_labels(rows, THRESHOLDS, vocabulary, user_labels=["Pug", "holiday 2019"])
    assert [one["label"] for one in shown] == ["pug", "holiday 2019", "oak"]
    assert shown[0]["ancestors"] == ABOVE["pug"]
    assert (shown[0]["concept"], shown[1]["concept"]) == ("pug.n.01", "user:holiday 2019")
    assert {one["rule"] for one in shown[:2]} == {"the user's word"}
    assert best_label(rows, shown) == "pug"


def test_the_users_word_is_a_label_even_where_nobody_was_asked(vocabulary: Vocabulary) -> None:
    shown = shown_labels([], THRESHOLDS, vocabulary, user_labels=["pug"])
    assert best_label([], shown) == "pug"


def test_the_users_label_is_not_shown_twice_and_covers_its_parents(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.9), _row("dog", 0.95)]
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary, user_labels=["pug"])
    assert shown["proposer"] == "user"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["Dog", "dog", "DOG"], ["dog"]),
        (["dog", "domestic dog"], ["dog"]),
        (["hound", "cat", "dog"], ["dog", "cat"]),
        (["Cafe\u0301", "caf\u00e9", "CAFE\u0301"], ["Cafe\u0301"]),
    ],
)
def test_words_for_one_thing_are_shown_once_at_the_place_of_the_first(
    vocabulary: Vocabulary, words: list[str], wanted: list[str]
) -> None:
    rows = [_row("dog", 0.9, time_ms=7), _row("oak", 0.9)]
    shown = shown_labels(rows, THRESHOLDS, vocabulary, user_labels=words)
    assert [one["label"] for one in shown if one["proposer"] == "user"] == wanted
    assert [one["label"] for one in shown].count("dog") == 1


def test_a_denied_label_is_gone_however_its_letters_are_composed(vocabulary: Vocabulary) -> None:
    rows = [_row("caf\u00e9", 0.9)]
    assert shown_labels(rows, THRESHOLDS, vocabulary, user_not_labels=["Cafe\u0301"]) == []


def test_the_users_label_stays_beside_a_child_of_it(vocabulary: Vocabulary) -> None:
    shown = shown_labels([_row("pug", 0.9)], THRESHOLDS, vocabulary, user_labels=["animal"])
    assert [one["label"] for one in shown] == ["animal", "pug"]


@pytest.mark.parametrize("word", ["dog", "DOG", "hound", "pug", "mammal"])
def test_what_the_user_denied_is_gone_with_everything_below_it(
    vocabulary: Vocabulary, word: str
) -> None:
    rows = [_row("pug", 0.9), _row("cat", 0.2, probability=0.8)]
    shown = shown_labels(rows, THRESHOLDS, vocabulary, user_not_labels=[word])
    assert "pug" not in [one["label"] for one in shown]
    assert ("cat" in [one["label"] for one in shown]) == (word != "mammal")


def test_denying_a_child_leaves_its_parent(vocabulary: Vocabulary) -> None:
    rows = [_row("pug", 0.9), _row("dog", 0.95)]
    (shown,) = shown_labels(rows, THRESHOLDS, vocabulary, user_not_labels=["pug"])
    assert shown["label"] == "dog"


def test_what_is_shown_fits_the_schema(vocabulary: Vocabulary) -> None:
    import pyarrow as pa

    shown = shown_labels([_row("pug", 0.9)], THRESHOLDS, vocabulary, user_labels=["cat"])
    fields = {SHOWN_LABEL.field(place).name for place in range(SHOWN_LABEL.num_fields)}
    assert all(set(one) == fields for one in shown)
    assert pa.array([shown], pa.list_(SHOWN_LABEL)).to_pylist() == [shown]


def _row(label: str, share: float, **changes: Any) -> dict[str, Any]:
    row = {
        "rank": 1,
        "proposer": "vocabulary",
        "label": label,
        "concept": f"{label}.n.01",
        "score": 0.3,
        "probability": None,
        "share": share,
        "is_backoff": False,
        "ancestors": ABOVE.get(label, []),
        "time_ms": None,
    }
    return {**row, **changes}
