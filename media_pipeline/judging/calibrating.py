"""From scores to probabilities: Platt scaling, fitted on pictures whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ShapeError
from media_pipeline.models.cards import Calibration

MOST_STEPS = 100
SMALLEST_STEP = 1e-10
RIDGE = 1e-12
"""Keeps the Hessian invertible where every score is the same."""


def fit_platt(
    scores: Sequence[float] | NDArray[np.float64], truths: Sequence[bool] | NDArray[np.bool_]
) -> Calibration:
    """Fit probability = 1 / (1 + exp(-(slope * score + offset))) by maximum likelihood.

    The targets are smoothed as Platt did ("Probabilistic outputs for support vector machines",
    1999): (n+ + 1) / (n+ + 2) for the true, 1 / (n- + 2) for the false, so that scores that
    separate perfectly give no infinite slope. Newton's method with a backtracking line search, as
    in Lin, Lin and Weng (2007).

    Args:
        scores: One per picture, of any range.
        truths: Whether what the score is for is there.

    Returns:
        The fit; the slope is negative where high scores mean "no".

    Raises:
        ShapeError: No scores, not as many truths, a score that is not finite, or only one class.
    """
    given = np.asarray(scores, dtype=np.float64)
    wanted = np.asarray(truths, dtype=bool)
    _check(given, wanted)
    positive = int(wanted.sum())
    negative = wanted.size - positive
    targets = np.where(wanted, (positive + 1) / (positive + 2), 1 / (negative + 2))
    # Scores are standardised while fitting, so that cosines and percents converge alike.
    centre, spread = float(given.mean()), float(given.std()) or 1.0
    slope, offset = _newton((given - centre) / spread, targets, positive, negative)
    return Calibration(slope=slope / spread, offset=offset - slope * centre / spread)


def _check(scores: NDArray[np.float64], truths: NDArray[np.bool_]) -> None:
    if scores.ndim != 1 or scores.shape != truths.shape or scores.size == 0:
        raise ShapeError(
            f"{scores.shape} scores and {truths.shape} truths: give one truth per score, in a row"
        )
    if not np.isfinite(scores).all():
        raise ShapeError("a score is not finite: leave out rows without an answer")
    if truths.all() or not truths.any():
        raise ShapeError(
            f"all {truths.size} truths are {bool(truths[0])}: a fit needs both kinds of pictures"
        )


def _newton(
    scores: NDArray[np.float64], targets: NDArray[np.float64], positive: int, negative: int
) -> tuple[float, float]:
    fit = np.array([0.0, np.log((positive + 1.0) / (negative + 1.0))])
    loss = _loss(fit, scores, targets)
    for _ in range(MOST_STEPS):
        given = _sigmoid(fit[0] * scores + fit[1])
        residual, weight = given - targets, given * (1 - given)
        gradient = np.array([(residual * scores).sum(), residual.sum()])
        crossed = (weight * scores).sum()
        hessian = np.array([[(weight * scores**2).sum(), crossed], [crossed, weight.sum()]])
        step = np.linalg.solve(hessian + RIDGE * np.eye(2), gradient)
        length = 1.0
        while length > SMALLEST_STEP:
            there = _loss(fit - length * step, scores, targets)
            if there < loss:
                break
            length /= 2
        else:
            break  # nowhere lower: this is the minimum
        fit, loss = fit - length * step, there
        if np.abs(length * step).max() < SMALLEST_STEP:
            break
    return float(fit[0]), float(fit[1])


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)))  # never overflows


def _loss(
    fit: NDArray[np.float64], scores: NDArray[np.float64], targets: NDArray[np.float64]
) -> float:
    """Cross-entropy: log(1 + exp(x)) - target * x."""
    logits = fit[0] * scores + fit[1]
    return float((np.logaddexp(0, logits) - targets * logits).sum())
