"""Weights, calibration and thresholds of the embedded detector, from pictures with known answers.

Two logistic fits per kind. The first weighs the evidence; the pictures are dealt into five parts by
the checksum of their names, and every part is scored by weights fitted on the other four. The
second (Platt 1999) maps those held-out scores to probabilities. The weights that are printed are
fitted on everything.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media_pipeline.models.loaders.cascades import PATTERN
from media_pipeline.models.loaders.evidence import Candidate

Floats = NDArray[np.float64]

PARTS = 5
EVIDENCE_PENALTY, PATTERN_PENALTY = 1.0, 5.0
"""Of the squared weights, beside a log likelihood that is a sum over places."""

LEAST_PROBABILITIES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Sample:
    """A place that was looked at, and whether it is what was looked for."""

    picture: str
    candidate: Candidate
    is_right: bool


def fit(samples: Sequence[Sample]) -> None:
    """Print what goes into the card, and how precise the held-out answers are."""
    for kind in ("face", "cat"):
        chosen = [sample for sample in samples if sample.candidate.kind == kind]
        if len({sample.is_right for sample in chosen}) < 2:
            raise SystemExit(f"{kind}: {len(chosen)} places of one answer; both are needed")
        names = sorted({name for sample in chosen for name in sample.candidate.evidence})
        inputs = np.array([_row(sample.candidate, names) for sample in chosen])
        right = np.array([sample.is_right for sample in chosen], dtype=np.float64)
        parts = np.array([zlib.crc32(sample.picture.encode()) % PARTS for sample in chosen])
        scores = held_out_scores(inputs, right, parts)
        slope, offset = logistic(scores[:, None], right, np.array([1e-3]))
        _print_card(kind, names, logistic(inputs, right, _penalties(inputs)), (slope, offset))
        _print_held_out(chosen, 1 / (1 + np.exp(-(slope * scores + offset))))


def logistic(inputs: Floats, right: Floats, penalties: Floats) -> Floats:
    """Weights and, last, the bias, by Newton's method.

    Args:
        inputs: float64, shape (samples, inputs).
        right: 0 or 1, shape (samples,).
        penalties: Of the squared weights, shape (inputs,); the bias is free.
    """
    with_one = np.column_stack([inputs, np.ones(len(inputs))])
    weights = np.zeros(with_one.shape[1])
    ridge = np.diag([*penalties, 1e-9])
    for _ in range(50):
        expected = 1 / (1 + np.exp(-np.clip(with_one @ weights, -30, 30)))
        gradient = with_one.T @ (expected - right) + ridge @ weights
        curvature = (with_one.T * (expected * (1 - expected))) @ with_one + ridge
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if float(np.abs(step).max()) < 1e-9:
            break
    return weights


def held_out_scores(inputs: Floats, right: Floats, parts: NDArray[np.int_]) -> Floats:
    """Every sample's score by weights that were fitted without its part."""
    scores = np.zeros(len(right))
    for part in range(PARTS):
        out = parts == part
        weights = logistic(inputs[~out], right[~out], _penalties(inputs))
        scores[out] = inputs[out] @ weights[:-1] + weights[-1]
    return scores


def _penalties(inputs: Floats) -> Floats:
    named = inputs.shape[1] - PATTERN
    return np.array([EVIDENCE_PENALTY] * named + [PATTERN_PENALTY] * PATTERN)


def _row(candidate: Candidate, names: Sequence[str]) -> list[float]:
    return [*(candidate.evidence[name] for name in names), *map(float, candidate.pattern)]


def _print_card(
    kind: str, names: Sequence[str], weights: Floats, calibration: tuple[float, float]
) -> None:
    print(f"[parameters.{kind}]\nleast_probability = 0.5\nbias = {weights[-1]:.4f}")
    print("pattern = [", ", ".join(f"{w:.4f}" for w in weights[-1 - PATTERN : -1]), "]", sep="")
    print(f"\n[parameters.{kind}.evidence]")
    for name, weight in zip(names, weights, strict=False):
        print(f"{name} = {weight:.4f}")
    slope, offset = calibration
    print(f"\n[calibration.{kind}]\nslope = {slope:.4f}\noffset = {offset:.4f}\n", flush=True)


def _print_held_out(samples: Sequence[Sample], probabilities: Floats) -> None:
    right = np.array([sample.is_right for sample in samples])
    pictures = np.array([sample.picture for sample in samples])
    print("# held out: least probability, places, right of them, pictures with a right one")
    for least in LEAST_PROBABILITIES:
        kept = probabilities >= least
        share = right[kept].mean() if kept.any() else float("nan")
        found = len(set(pictures[kept & right]))
        print(f"# {least:.1f}  {kept.sum():5d}  {share:.3f}  {found}")
    print("# probability said, share that was right, places")
    for low in np.arange(0.0, 1.0, 0.2):
        band = (probabilities >= low) & (probabilities < low + 0.2 + 1e-9)
        if band.any():
            print(f"# {probabilities[band].mean():.2f}  {right[band].mean():.2f}  {band.sum()}")
    print()
