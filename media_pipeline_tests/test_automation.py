"""What starts work by itself: the scan sensor and job, requests for what is due, stale orders."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from media_pipeline.automation import ATTEMPTS, WORK, due_requests
from media_pipeline.definitions import build_definitions
from media_pipeline.instance import RANGE_END, RANGE_START, open_instance
from media_pipeline.library.opened import Library
from media_pipeline.recipes import STAGES
from media_pipeline.tables import WHOLE
from media_pipeline_tests.conftest import draw, scan_everything
from media_pipeline_tests.running import computed, materialise, new_library

STARTED, FAILED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE
SUCCEEDED = dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def ten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library of ten batches of which nothing is made yet."""
    library = new_library(tmp_path_factory.mktemp("ten"), pictures=10, batch_size=1)
    scan_everything(library)
    yield library
    library.close()


@pytest.fixture
def memory() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def asked(library: Library, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """The run requests, when there is nothing else."""
    answers = due_requests(library, instance)
    requests = [answer for answer in answers if isinstance(answer, dg.RunRequest)]
    assert len(requests) == len(answers)
    return requests


def refused(library: Library, instance: dg.DagsterInstance) -> str:
    """The one reason why there are no requests."""
    (answer,) = due_requests(library, instance)
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def record(
    instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    """A run as Dagster would have recorded it."""
    job = "__ASSET_JOB"
    run = dg.DagsterRun(job_name=job, run_id=str(uuid.uuid4()), tags=tags, status=status)
    instance.add_run(run)
    return run


def ranges(requests: Sequence[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests]


def names(request: dg.RunRequest) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection or ()]


# -- requests for what is due --------------------------------------------------------------------


def test_a_library_without_batches_asks_for_nothing(
    library: Library, memory: dg.DagsterInstance
) -> None:
    assert refused(library, memory) == "nothing was scanned yet"


def test_due_batches_are_asked_for_in_runs_of_at_most_eight(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    requests = asked(ten, memory)
    assert ranges(requests) == [("b000000", "b000007"), ("b000008", "b000009")]
    assert [names(r) for r in requests] == [[s.name for s in STAGES if s.per_batch]] * 2
    assert len({r.run_key for r in requests}) == 2


def test_asking_again_changes_nothing(ten: Library, memory: dg.DagsterInstance) -> None:
    assert asked(ten, memory) == asked(ten, memory)


def test_batches_under_way_are_left_alone(ten: Library, memory: dg.DagsterInstance) -> None:
    first, second = asked(ten, memory)
    record(memory, dict(first.tags), dg.DagsterRunStatus.STARTING)
    assert asked(ten, memory) == [second]
    record(memory, {"dagster/partition": "b000009"}, STARTED)
    assert refused(ten, memory) == "2 groups of batches are under way"


def test_work_that_failed_is_asked_for_again_under_a_new_key(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    keys = []
    for _ in range(ATTEMPTS):
        first, _ = asked(ten, memory)
        keys.append(first.run_key)
        record(memory, dict(first.tags), FAILED)
    assert len(set(keys)) == ATTEMPTS


def fail_for_good(
    instance: dg.DagsterInstance, requests: Sequence[dg.RunRequest]
) -> list[dg.DagsterRun]:
    return [record(instance, dict(r.tags), FAILED) for r in requests for _ in range(ATTEMPTS)]


def test_work_that_failed_five_times_in_a_row_does_not_hold_up_the_rest(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    first, second = asked(ten, memory)
    fail_for_good(memory, [first])
    assert asked(ten, memory) == [second]
    fail_for_good(memory, [second])
    (request,) = asked(ten, memory)
    assert names(request) == ["files", "duplicates", "verdicts", "catalog"]
    record(memory, dict(request.tags), STARTED)
    assert "whole-library tables are under way" in refused(ten, memory)


def test_giving_up_names_the_work_the_run_and_the_remedy(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    requests = asked(ten, memory)
    *_, last = fail_for_good(memory, requests)
    record(memory, {f"{WORK}_scope": "library"}, STARTED)
    reason = refused(ten, memory)
    assert "b000000..b000007" in reason
    assert "failed 5 times in a row" in reason
    assert last.run_id in reason
    assert "`media-pipeline run`" in reason


def test_a_success_in_between_starts_the_count_again(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    first, _ = asked(ten, memory)
    for status in [FAILED] * 4 + [SUCCEEDED] + [FAILED] * 4:
        record(memory, dict(first.tags), status)
    assert ranges(asked(ten, memory)) == [("b000000", "b000007"), ("b000008", "b000009")]


def test_a_new_recipe_is_tried_although_the_old_one_was_given_up(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    fail_for_good(memory, asked(ten, memory))
    stages = [replace(s, version=99) if s.name == "quality" else s for s in ten.stages]
    later = Library(ten.layout, ten.config, tuple(stages))
    assert len(asked(later, memory)) == 2
    later.close()


@pytest.mark.slow
def test_whole_library_tables_are_asked_for_once_no_batch_is_due(
    copied: Library, memory: dg.DagsterInstance
) -> None:
    assert refused(copied, memory) == "nothing is due"
    copied.ledger.touch()
    (request,) = asked(copied, memory)
    assert names(request) == ["files", "duplicates", "verdicts", "catalog"]
    assert RANGE_START not in request.tags
    run = record(memory, dict(request.tags), STARTED)
    assert refused(copied, memory) == "whole-library tables are under way"
    memory.report_run_failed(run)
    assert refused(copied, memory) == "whole-library tables were made less than a minute ago"


def test_the_sensor_hands_dagster_requests_or_one_reason(
    ten: Library, memory: dg.DagsterInstance
) -> None:
    first, _ = asked(ten, memory)
    fail_for_good(memory, [first])
    tick = evaluate(ten, memory, "work_due")
    assert [r.tags[RANGE_START] for r in tick.run_requests or ()] == ["b000008"]
    assert list(memory.get_dynamic_partitions("file_batches")) == list(ten.ledger.batches())


def evaluate(library: Library, instance: dg.DagsterInstance, name: str) -> dg.SensorExecutionData:
    """One tick of a sensor, as the daemon has it evaluated."""
    definitions = build_definitions(library)
    context = dg.build_sensor_context(
        instance=instance, definitions=definitions, resources={"library": library}
    )
    return definitions.resolve_sensor_def(name).evaluate_tick(context)


# -- scanning ------------------------------------------------------------------------------------


def test_a_file_that_lands_is_asked_for_scanned_and_due(
    library: Library, memory: dg.DagsterInstance
) -> None:
    assert evaluate(library, memory, "new_files").skip_message
    root = library.config.roots[0].path
    draw(Path(root) / "new.jpg")
    (request,) = evaluate(library, memory, "new_files").run_requests or ()
    assert request.job_name in ("scan", None)
    job = build_definitions(library).resolve_job_def("scan")
    assert job.execute_in_process(instance=memory).success
    assert list(memory.get_dynamic_partitions("file_batches")) == ["b000000"]
    assert ranges(asked(library, memory)) == [("b000000", "b000000")]
    assert evaluate(library, memory, "new_files").skip_message


def test_a_root_that_is_new_since_the_daemon_started_is_watched(
    library: Library, memory: dg.DagsterInstance, tmp_path: Path
) -> None:
    draw(tmp_path / "more" / "new.jpg")
    command_line = Library(library.layout, library.config)
    command_line.add_roots([tmp_path / "more"])
    assert evaluate(library, memory, "new_files").run_requests


# -- stale orders --------------------------------------------------------------------------------


def bump(library: Library, name: str) -> Library:
    """The same library under a later version of a stage."""
    stages = [replace(s, version=99) if s.name == name else s for s in library.stages]
    return Library(library.layout, library.config, tuple(stages))


def order(library: Library, instance: dg.DagsterInstance, **config: object) -> None:
    """Run the job `backfill_stale`."""
    job = build_definitions(library).resolve_job_def("backfill_stale")
    run_config = {"ops": {"order_stale_tables": {"config": config}}}
    assert job.execute_in_process(instance=instance, run_config=run_config).success


def carry_out(library: Library, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Do what `work_due` asks for, as the daemon would."""
    requests = asked(library, instance)
    for request in requests:
        assert materialise(library, instance, names(request), dict(request.tags)).success
    return requests


@pytest.mark.slow
def test_ordered_stale_tables_become_requests_and_nothing_else_is_made(copied: Library) -> None:
    later = bump(copied, "quality")
    before = computed(later)
    with open_instance(later) as instance:
        assert refused(later, instance) == "nothing is due"
        order(later, instance, dry_run=True)
        assert refused(later, instance) == "nothing is due"
        order(later, instance, stages=["quality"])
        (request,) = carry_out(later, instance)
        assert names(request) == ["quality"]
        assert ranges([request]) == [("b000000", "b000002")]
        assert refused(later, instance) == "nothing is due", "what reads it is still stale"
        order(later, instance)
        (request,) = carry_out(later, instance)
        assert names(request) == ["captions", "junk_flags"]
        (request,) = carry_out(later, instance)
        assert names(request) == ["files", "duplicates", "verdicts", "catalog"]
        assert refused(later, instance) == "nothing is due"
    again = {key for key, count in computed(later).items() if count != before[key]}
    assert {key for key in again if key[1] != WHOLE} == {
        (name, batch)
        for name in ("quality", "captions", "junk_flags")
        for batch in later.ledger.batches()
    }
    assert later.ledger.orders() == set()
    later.close()


@pytest.mark.slow
def test_a_stale_whole_library_table_can_be_ordered_too(copied: Library) -> None:
    later = bump(copied, "verdicts")
    with open_instance(later) as instance:
        assert refused(later, instance) == "nothing is due"
        order(later, instance)
        (request,) = carry_out(later, instance)
        assert names(request) == ["verdicts", "catalog"]
        assert refused(later, instance) == "nothing is due"
    later.close()
