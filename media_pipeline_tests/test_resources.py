"""How a stage behaves as an asset: what is tried again, what is final, what an order outlives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from media_pipeline import resources
from media_pipeline.batchwork import Batch, Control, Row
from media_pipeline.errors import MachineryFailed
from media_pipeline.instance import RANGE_END, RANGE_START, open_instance
from media_pipeline.library.opened import Library
from media_pipeline.stages import metadata
from media_pipeline_tests.running import computed, materialise

pytestmark = pytest.mark.slow

LOCKED = sqlite3.OperationalError("database is locked")
RANGE = {RANGE_START: "b000000", RANGE_END: "b000001"}


class Troubled:
    """A computation that raises after some rows, as often as it is told to.

    Args:
        error: What it raises.
        times: How often.
        after: Rows it makes before that.
    """

    def __init__(self, error: BaseException, times: int, after: int = 3) -> None:
        self.error, self.times, self.after = error, times, after
        self.asked: list[str] = []

    def __call__(
        self, library: Library, control: Control, batch: Batch
    ) -> Iterator[tuple[str, list[Row]]]:
        for number, item in enumerate(batch.items):
            if number == self.after and self.times > 0:
                self.times -= 1
                raise self.error
            self.asked.append(item.media_id)
            yield item.media_id, [{"state": "ok", "format": "jpeg"}]


@pytest.fixture
def missing(copied: Library, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library whose first two batches have no metadata; nobody waits between retries."""
    monkeypatch.setattr(resources, "RETRY_WAIT_S", 0)
    for batch in ("b000000", "b000001"):
        copied.store.path("metadata", copied.recipes["metadata"], batch).unlink()
    return copied


def make(
    library: Library, monkeypatch: pytest.MonkeyPatch, compute: Troubled
) -> dg.ExecuteInProcessResult:
    monkeypatch.setattr(metadata, "compute_rows", compute)
    with open_instance(library) as instance:
        return materialise(library, instance, ["metadata"], RANGE)


def test_a_locked_database_is_tried_again_and_finished_rows_are_kept(
    missing: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Troubled(LOCKED, times=2)
    result = make(missing, monkeypatch, compute)
    assert result.success
    assert len(retries(result)) == 2
    assert len(compute.asked) == len(set(compute.asked)) == 8
    assert missing.ledger.orders() == set()


def retries(result: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    return [event for event in result.all_events if event.is_step_up_for_retry]


def test_what_stays_locked_fails_in_the_end(
    missing: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = make(missing, monkeypatch, Troubled(LOCKED, times=99, after=0))
    assert not result.success
    assert len(retries(result)) == resources.RETRIES
    assert missing.ledger.orders() == {("metadata", "b000000"), ("metadata", "b000001")}


def test_an_error_of_ours_is_final(missing: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    before = computed(missing)
    result = make(missing, monkeypatch, Troubled(MachineryFailed("no workers: do this"), times=99))
    assert not result.success
    assert retries(result) == []
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data is not None
    assert failed.step_failure_data.user_failure_data.description == "no workers: do this"
    assert computed(missing) == before


def test_a_later_run_copies_what_a_failed_one_finished(
    missing: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Troubled(MachineryFailed("no workers"), times=1)
    assert not make(missing, monkeypatch, compute).success
    assert make(missing, monkeypatch, compute).success
    assert len(compute.asked) == len(set(compute.asked)) == 8


def test_a_run_that_is_terminated_in_the_ui_keeps_what_it_finished(
    missing: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Troubled(DagsterExecutionInterruptedError(), times=1)
    assert not make(missing, monkeypatch, compute).success
    assert missing.ledger.orders() == {("metadata", "b000000"), ("metadata", "b000001")}
    assert make(missing, monkeypatch, compute).success
    assert len(compute.asked) == len(set(compute.asked)) == 8
