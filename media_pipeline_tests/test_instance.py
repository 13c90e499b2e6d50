"""Runs whose process was killed: found by their lock, reported as failed, their slots freed."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from media_pipeline.definitions import build_definitions
from media_pipeline.instance import (
    COMMAND_LINE,
    LAUNCHED_BY,
    LOCKLESS_S,
    open_instance,
    report_dead_runs,
)
from media_pipeline.library.opened import Library
from media_pipeline.library.status import read_status
from media_pipeline.resources import alive, control_of_daemon
from media_pipeline_tests.running import (
    eventually,
    killable,
    new_library,
    processes_of,
    run,
    session,
    wait_for_line,
)

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def memory() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def started(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    run_id = str(uuid.uuid4())
    run = dg.DagsterRun(job_name="__ASSET_JOB", run_id=run_id, tags=tags, status=STARTED)
    return instance.add_run(run)


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_that_holds_its_lock_lives(library: Library, memory: dg.DagsterInstance) -> None:
    run = started(memory, {LAUNCHED_BY: COMMAND_LINE})
    with alive(library, run.run_id):
        assert report_dead_runs(library, memory) == []
    assert status(memory, run) == STARTED


def test_a_run_of_the_command_line_without_its_lock_is_dead(
    library: Library, memory: dg.DagsterInstance
) -> None:
    run = started(memory, {LAUNCHED_BY: COMMAND_LINE})
    assert report_dead_runs(library, memory) == [run.run_id]
    assert status(memory, run) == dg.DagsterRunStatus.FAILURE
    assert report_dead_runs(library, memory) == []


def test_a_run_of_the_daemon_is_dead_once_its_lock_was_let_go(
    library: Library, memory: dg.DagsterInstance
) -> None:
    run = started(memory, {})
    assert report_dead_runs(library, memory) == []  # it may not have come so far
    with pytest.raises(KeyboardInterrupt), alive(library, run.run_id):
        raise KeyboardInterrupt
    assert report_dead_runs(library, memory) == [run.run_id]


def test_a_run_of_the_daemon_that_never_took_its_lock_is_dead_after_a_while(
    library: Library, memory: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(memory, {})
    memory.report_engine_event("", run)
    record = memory.get_run_record_by_id(run.run_id)
    assert record is not None
    begin = dg.RunRecord(**{**record._asdict(), "start_time": time.time() - LOCKLESS_S - 1})
    monkeypatch.setattr(memory, "get_run_records", lambda filters: [begin])
    assert report_dead_runs(library, memory) == [run.run_id]


def test_a_run_that_ended_while_we_looked_is_left_as_it_is(
    library: Library, memory: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(memory, {LAUNCHED_BY: COMMAND_LINE})
    seen = list(memory.get_run_records())
    memory.report_run_canceled(run)
    monkeypatch.setattr(memory, "get_run_records", lambda filters: seen)
    assert report_dead_runs(library, memory) == []
    assert status(memory, run) == dg.DagsterRunStatus.CANCELED


def test_runs_of_the_daemon_hold_a_lock_as_long_as_they_run(
    library: Library, memory: dg.DagsterInstance
) -> None:
    found: list[list[str]] = []

    @dg.op(required_resource_keys={"control"})
    def look(context):  # type: ignore[no-untyped-def]  # Dagster reads annotations at run time
        found.append(report_dead_runs(library, context.instance))
        found.append([context.run.run_id] if lock(context.run.run_id).exists() else [])

    def lock(run_id: str) -> Path:
        return library.layout.locks / f"run-{run_id}.lock"

    @dg.job(resource_defs={"control": control_of_daemon(library)})
    def looking() -> None:
        look()

    result = looking.execute_in_process(instance=memory)
    assert found == [[], [result.run_id]]
    assert not lock(result.run_id).exists()


def test_every_job_of_the_daemon_shows_that_it_lives(library: Library) -> None:
    definitions = build_definitions(library)
    jobs = [definitions.resolve_job_def(name) for name in ("scan", "backfill_stale")]
    jobs.append(definitions.resolve_implicit_global_asset_job_def())
    for job in jobs:
        assert "control" in job.get_required_resource_defs()


@pytest.mark.slow
def test_a_killed_run_gives_its_slot_to_the_next(tmp_path: Path) -> None:
    library = new_library(tmp_path, pictures=8)
    with session(killable(library, "--hang-at", "12")) as victim:
        wait_for_line(victim, " 12")
        os.kill(victim.pid, 9)
        eventually("its workers end with it", lambda: not processes_of(victim.pid))
    with open_instance(library) as instance:
        (dead,) = instance.get_runs(dg.RunsFilter(statuses=[STARTED]))
        assert instance.event_log_storage.get_concurrency_info("cpu").active_slot_count == 1
        assert report_dead_runs(library, instance) == [dead.run_id]
        assert instance.event_log_storage.get_concurrency_info("cpu").active_slot_count == 0
        assert status(instance, dead) == dg.DagsterRunStatus.FAILURE
    run(library)
    found = read_status(library)
    assert (found.files, found.ok, found.pending) == (9, 9, 0)
    assert library.ledger.orders() == set()
    library.close()
