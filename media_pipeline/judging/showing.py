"""From proposals to the labels people see: thresholds, and the user's word above all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from media_pipeline.vocabulary import Vocabulary
from media_pipeline.vocabulary.user_terms import UNKNOWN, folded

USER = "user"
USERS_WORD = "the user's word"

Row = Mapping[str, Any]
"""A row of `labels`."""


@dataclass(frozen=True)
class LabelThresholds:
    """What a proposal must reach to be shown; all in [0, 1] but the last.

    Attributes:
        probability: Calibrated probability, where there is one.
        share: Share of the softmax, where there is no calibration. Below `SURE_SHARES[0]` of
            `labelling` children that are less sure than that are shown instead of their parents.
        most: Labels shown per content beside the user's, at least 1.
    """

    probability: float
    share: float
    most: int


def shown_labels(
    rows: Iterable[Row],
    thresholds: LabelThresholds,
    vocabulary: Vocabulary,
    user_labels: Sequence[str] = (),
    user_not_labels: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The labels of one content, as `SHOWN_LABEL` has them.

    What the user said comes first, once where several of the words mean one concept; what the user
    denied is gone, with everything below it. The same label over several frames is one, with the
    times at which it is seen. A label is left out where one of its own kind is shown at all of its
    times.

    Args:
        rows: Rows of `labels` of one content: all frames, all proposers.
        thresholds: What decides.
        vocabulary: Knows the concepts and synonyms behind the user's words.
        user_labels: Labels the user gave.
        user_not_labels: Labels the user denied, and did not give later.

    Returns:
        Best first.
    """
    rows = [row for row in rows if row["rank"] >= 1 and row["label"] is not None]
    denied = {folded(_name(one, vocabulary)) for one in user_not_labels}
    words: dict[str, str] = {}
    for word in user_labels:
        words.setdefault(folded(_name(word, vocabulary)), word)
    own = [_users(word, rows, vocabulary) for word in words.values()]
    known = {folded(one["label"]) for one in own}
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=_strength, reverse=True):
        rule = _rule(row, thresholds)
        names = {folded(name) for name in (row["label"], *(row["ancestors"] or ()))}
        if rule is None or names & denied or folded(row["label"]) in known:
            continue
        shown = best.setdefault(folded(row["label"]), _shown(row, rule))
        shown["times_ms"] = _merged(shown["times_ms"], row)
    found = [*own, *best.values()]
    found = [one for one in found if one["proposer"] == USER or not _is_covered(one, found)]
    return found[: len(own) + thresholds.most]


def best_label(rows: Iterable[Row], shown: Sequence[Mapping[str, Any]]) -> str | None:
    """The one label of a content.

    Args:
        rows: Its rows of `labels`.
        shown: Its `shown_labels`.

    Returns:
        The first label shown, `unknown` where somebody was asked and nothing is sure enough, `None`
        where nobody could answer.
    """
    if shown:
        return str(shown[0]["label"])
    return UNKNOWN if any(row["rank"] >= 1 for row in rows) else None


def _rule(row: Row, thresholds: LabelThresholds) -> str | None:
    """Why a proposal is shown, `None` where it is not."""
    if row["probability"] is not None:
        value, needed, unit = row["probability"], thresholds.probability, "probability"
        note = ""
    else:
        value, needed, unit = row["share"], thresholds.share, "share"
        note = ", not calibrated"
    if value is None or value < needed:
        return None
    stands = ", stands for what is below it" if row["is_backoff"] else ""
    return f"{unit} {value:.2f} >= {needed:.2f}{note}{stands}"


def _strength(row: Row) -> tuple[float, int, int]:
    value = row["share"] if row["probability"] is None else row["probability"]
    return (value or 0.0, len(row["ancestors"] or ()), -row["rank"])


def _shown(row: Row, rule: str) -> dict[str, Any]:
    return {
        "label": row["label"],
        "concept": row["concept"],
        "probability": row["probability"],
        "score": row["score"],
        "proposer": row["proposer"],
        "rule": rule,
        "ancestors": list(row["ancestors"] or ()),
        "times_ms": [],
    }


def _users(label: str, rows: Sequence[Row], vocabulary: Vocabulary) -> dict[str, Any]:
    concept = vocabulary.find(label)
    name = _name(label, vocabulary)
    times_ms: list[int] = []
    for row in rows:
        if folded(row["label"]) == folded(name):
            times_ms = _merged(times_ms, row)
    return {
        "label": name,
        "concept": concept or f"user:{label}",
        "probability": None,
        "score": None,
        "proposer": USER,
        "rule": USERS_WORD,
        "ancestors": list(vocabulary.ancestors_of(concept)) if concept else [],
        "times_ms": times_ms,
    }


def _name(label: str, vocabulary: Vocabulary) -> str:
    """The vocabulary's name for a word of the user's."""
    concept = vocabulary.find(label)
    return label if concept is None else vocabulary.names_of([concept])[0]


def _merged(times_ms: list[int], row: Row) -> list[int]:
    return times_ms if row["time_ms"] is None else sorted({*times_ms, row["time_ms"]})


def _is_covered(label: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether something of its own kind is shown at all of its times."""
    times = set(label["times_ms"])
    return any(
        label["label"] in other["ancestors"] and times <= set(other["times_ms"]) for other in others
    )
