"""Junk scores: how far a content looks like something people throw away, per kind.

Pixels are measured in `junk_measures`, headers are read in `junk_facts`, and `junk_rules` says what
each is worth. A score is the logistic of a sum: its evidence holds every term, so anybody can add
them up. Nothing is decided here; `judging.ruling` applies thresholds and protections.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from media_pipeline.imaging.sandbox import Failure
from media_pipeline.judging.junk_facts import Fact, facts_of
from media_pipeline.judging.junk_measures import MEASURES, measure_junk, measure_pixels
from media_pipeline.judging.junk_rules import RULES, Rule

__all__ = ["RULES", "measure_junk", "measure_pixels", "score_from_evidence", "score_junk"]

Row = dict[str, Any]
Evidence = dict[str, Any]

BASE = "base"
"""The evidence of a kind before anything is known."""

DEGRADED = "degraded decode: junk rules never fire on it"
NO_INPUT = Failure("input_failed", "there is no thumbnail to look at", False)


def score_junk(
    metadata: Sequence[Mapping[str, Any]],
    thumbnails: Sequence[Mapping[str, Any]],
    quality: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, float] | Failure | None],
) -> list[Row]:
    """The rows of `junk_flags` of one content.

    A still has one frame; of a video the frames are averaged. Frames that failed have no say. A
    content without a frame that decoded whole gets one row, flag `none`, without a score: of a
    degraded decode nothing is certain enough to throw a picture away for.

    Args:
        metadata: Its row of `schema.METADATA`, if it has one.
        thumbnails: Its rows of `schema.THUMBNAILS`.
        quality: Its rows of `schema.QUALITY`.
        answers: For each row of `thumbnails` what `measure_junk` gave; `None` where there was
            nothing to look at.

    Returns:
        One row per kind that can be asked of it, without `media_id` and `recipe`; the evidence
        lists every clue that added to the score, or took away.
    """
    measured = [
        (row, answer)
        for row, answer in zip(thumbnails, answers, strict=True)
        if row["state"] == "ok" and answer is not None and not isinstance(answer, Failure)
    ]
    if not measured:
        return [_no_answer(thumbnails, answers)]
    whole = [row for row, _ in measured]
    frames = {row["frame"] for row in whole}
    rated = [row for row in quality if row["frame"] in frames and row["state"] == "ok"]
    known = facts_of(metadata[0] if metadata else None, whole, rated)
    known |= _mean_measures([answer for _, answer in measured])
    is_video = any(row["time_ms"] is not None for row in whole)
    return [
        {"flag": kind, **_score(rule, known), **_outcome("ok")}
        for kind, rule in RULES.items()
        if rule.for_video or not is_video
    ]


def score_from_evidence(evidence: Sequence[Mapping[str, Any]]) -> float:
    """The score that a list of evidence comes to: the logistic of the sum of its weights."""
    return _logistic(math.fsum(item["weight"] for item in evidence))


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, log_odds)))


def _mean_measures(frames: Sequence[Mapping[str, float]]) -> dict[str, Fact]:
    means = {name: math.fsum(frame[name] for frame in frames) / len(frames) for name in MEASURES}
    words = "" if len(frames) == 1 else f", mean of {len(frames)} frames"
    return {name: Fact(value, f"{name} {value:.3g}{words}") for name, value in means.items()}


def _score(rule: Rule, known: Mapping[str, Fact]) -> Row:
    evidence = [_item(BASE, None, rule.base, "log-odds before anything is known")]
    for clue in rule.clues:
        fact = known.get(clue.name)
        strength = clue.strength(fact.value) if fact is not None else 0.0
        if fact is not None and strength > 0:
            evidence.append(_item(clue.name, fact.value, strength * clue.weight, fact.detail))
    return {"score": score_from_evidence(evidence), "evidence": evidence}


def _item(measure: str, value: float | None, weight: float, detail: str) -> Evidence:
    return {"measure": measure, "value": value, "weight": weight, "detail": detail}


def _no_answer(
    thumbnails: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, float] | Failure | None],
) -> Row:
    """The row of a content of which nothing could be measured, with the reason why."""
    row: Row = {"flag": "none", "score": None, "evidence": None}
    degraded = next((frame for frame in thumbnails if frame["state"] == "degraded"), None)
    if degraded is not None:
        return {**row, **_outcome("degraded", degraded["reason"], DEGRADED)}
    failure = next((answer for answer in answers if isinstance(answer, Failure)), NO_INPUT)
    return {
        **row,
        **_outcome("failed", failure.reason, failure.message),
        "retryable": failure.retryable,
    }


def _outcome(state: str, reason: str | None = None, message: str | None = None) -> Row:
    return {"state": state, "reason": reason, "message": message, "retryable": None}
