"""Junk flags on the real pictures (numbers: `benchmarks.junk`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.junk import Scored, false_alarms, found_per_kind, score_shared, wilson

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scored(shared_media: Path) -> list[Scored]:
    return list(score_shared(shared_media))


def test_no_photograph_is_called_junk(scored: list[Scored]) -> None:
    wrong, photos, which = false_alarms(scored)
    assert photos >= 70
    assert wrong == 0, [(one.name, one.fired, one.scores) for one in which]


@pytest.mark.parametrize(
    ("kind", "as_itself", "at_all"),
    [
        ("screenshot", 0.66, 0.75),
        ("document", 1.0, 1.0),
        ("receipt", 0.83, 1.0),
        ("meme", 0.75, 1.0),
        ("graphic", 0.80, 0.80),
    ],
)
def test_of_every_kind_most_are_found(
    scored: list[Scored], kind: str, as_itself: float, at_all: float
) -> None:
    found = {row[0]: row for row in found_per_kind(scored)}
    _, count, own, some, confused = found[kind]
    assert count >= 5
    assert own >= as_itself, confused
    assert some >= at_all, confused


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 100, 0.0, 0.0370), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_the_interval_of_a_share_is_wilsons(
    count: int, total: int, low: float, high: float
) -> None:
    assert wilson(count, total) == pytest.approx((low, high), abs=1e-4)
