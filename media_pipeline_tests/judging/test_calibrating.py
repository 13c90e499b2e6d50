"""Platt scaling against known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_pipeline.errors import ShapeError
from media_pipeline.judging.calibrating import fit_platt


def test_two_scores_are_fitted_exactly() -> None:
    # Two distinct scores leave no error: each gets the mean of its smoothed targets. With 8 true
    # and 2 false at 1.0, and 1 true and 9 false at 0.0: t+ = 10/11, t- = 1/13.
    scores = [1.0] * 10 + [0.0] * 10
    truths = [True] * 8 + [False] * 2 + [True] + [False] * 9
    fit = fit_platt(scores, truths)
    high = (8 * 10 / 11 + 2 / 13) / 10
    low = (1 * 10 / 11 + 9 / 13) / 10
    assert _probability(fit.slope, fit.offset, 1.0) == pytest.approx(high, abs=1e-9)
    assert _probability(fit.slope, fit.offset, 0.0) == pytest.approx(low, abs=1e-9)


def test_scores_that_separate_perfectly_get_the_smoothed_targets_and_no_infinity() -> None:
    fit = fit_platt([0.0, 0.0, 1.0, 1.0], [False, False, True, True])
    assert _probability(fit.slope, fit.offset, 1.0) == pytest.approx(3 / 4, abs=1e-9)
    assert _probability(fit.slope, fit.offset, 0.0) == pytest.approx(1 / 4, abs=1e-9)
    assert fit.slope == pytest.approx(2 * math.log(3), abs=1e-6)


def test_a_known_curve_is_found_again() -> None:
    random = np.random.default_rng(7)
    scores = random.normal(0.25, 0.05, 50_000)  # as cosines are
    truths = random.random(50_000) < 1 / (1 + np.exp(-(60 * scores - 15)))
    fit = fit_platt(scores, truths)
    assert fit.slope == pytest.approx(60, rel=0.03)
    assert fit.offset == pytest.approx(-15, rel=0.03)


def test_high_scores_that_mean_no_get_a_negative_slope() -> None:
    assert fit_platt([0.0, 0.1, 0.9, 1.0], [True, True, False, False]).slope < 0


def test_scores_that_say_nothing_give_the_share_of_the_true() -> None:
    fit = fit_platt([0.5] * 10, [True] * 5 + [False] * 5)
    assert _probability(fit.slope, fit.offset, 0.5) == pytest.approx(0.5, abs=1e-6)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: len({truth for _, truth in rows}) == 2
    )
)
def test_a_fit_is_finite_and_no_worse_than_the_start(rows: list[tuple[float, bool]]) -> None:
    scores, truths = zip(*rows, strict=True)
    fit = fit_platt(list(scores), list(truths))
    assert math.isfinite(fit.slope)
    assert math.isfinite(fit.offset)
    positive = sum(truths)
    negative = len(truths) - positive
    prior = math.log((positive + 1) / (negative + 1))
    assert _loss(fit.slope, fit.offset, scores, truths) <= _loss(0, prior, scores, truths) + 1e-6


@pytest.mark.parametrize(
    ("scores", "truths", "wanted"),
    [
        ([], [], "give one truth per score"),
        ([0.1, 0.2], [True], "give one truth per score"),
        ([0.1, math.nan], [True, False], "not finite"),
        ([0.1, 0.2], [True, True], "needs both kinds"),
        ([0.1, 0.2], [False, False], "needs both kinds"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    scores: list[float], truths: list[bool], wanted: str
) -> None:
    with pytest.raises(ShapeError, match=wanted):
        fit_platt(scores, truths)


def _probability(slope: float, offset: float, score: float) -> float:
    return 1 / (1 + math.exp(-(slope * score + offset)))


def _loss(
    slope: float, offset: float, scores: tuple[float, ...], truths: tuple[bool, ...]
) -> float:
    """Cross-entropy with Platt's targets, said once more and slowly."""
    positive = sum(truths)
    negative = len(truths) - positive
    total = 0.0
    for score, truth in zip(scores, truths, strict=True):
        target = (positive + 1) / (positive + 2) if truth else 1 / (negative + 2)
        logit = slope * score + offset
        total += float(np.logaddexp(0, logit)) - target * logit
    return total
