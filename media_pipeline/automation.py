"""What starts work by itself: the scan job, two sensors, a nightly schedule, orders for stale work.

    sensor new_files    only stats the disk; asks for the job `scan` when something changed
    job scan            brings the ledger up to date, closes batches, tells Dagster the partitions
    sensor work_due     a function of ledger, tables and runs; asks for runs of what is due
    job backfill_stale  appends orders for stale tables; `work_due` carries them out

No `from __future__ import annotations` here: Dagster reads annotations at run time.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import dagster as dg

from media_pipeline.instance import (
    RANGE_END,
    RANGE_START,
    UNFINISHED_STATUSES,
    add_partitions,
    report_dead_runs,
)
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import (
    Group,
    Plan,
    estimate_s,
    fingerprint,
    groups,
    order_stale,
    plan_batches,
    plan_library,
    stale_tables,
    switch_recipes,
)
from media_pipeline.recipes import stage, with_inputs
from media_pipeline.runner import RunRequest, scan_job
from media_pipeline.scan.scanner import close_leftover, has_changes, scan
from media_pipeline.settings import read_config

WORK = "media_pipeline/work"
"""Tag that names the work a run was requested for; equal work has an equal tag."""

ATTEMPTS = 5
WHOLE_LIBRARY_EVERY_S = 60.0
RUNS_REMEMBERED = 20
ACTIVE = [dg.DagsterRunStatus.QUEUED, *UNFINISHED_STATUSES]


class ScanConfig(dg.Config):
    """What the `scan` job takes."""

    accept_missing: bool = False
    """Believe it when most of a root vanished at once."""


class BackfillConfig(dg.Config):
    """What the `backfill_stale` job takes."""

    stages: list[str] = []  # noqa: RUF012 - Dagster config models take plain defaults
    """Stages to make again with everything they read; empty for all."""
    dry_run: bool = False
    """Only say what would be ordered."""


@dg.op(required_resource_keys={"library", "control"}, tags={"media_pipeline/kind": "scan"})
def scan_files(context: dg.OpExecutionContext, config: ScanConfig) -> None:
    """Bring the ledger up to date, close batches that are full or waited long enough."""
    library: Library = context.resources.library
    request = RunRequest(stages=[], accept_missing=config.accept_missing)
    with library.locked("scan"):
        settle_s = library.config.settle_s
        control = context.resources.control
        report = scan(scan_job(library, request, control, settle_s=settle_s))
        if library.ledger.oldest_open_age_s() >= 60 * library.config.batch_wait_minutes:
            close_leftover(library.ledger, library.layout.batches, library.config.batch_size)
    add_partitions(library, context.instance)
    context.log.info(f"scan: {report}")


@dg.op(required_resource_keys={"library", "control"})
def order_stale_tables(context: dg.OpExecutionContext, config: BackfillConfig) -> None:
    """Order every stale table among the stages, or only say which."""
    library: Library = context.resources.library
    names = with_inputs(config.stages, library.stages)
    plan = Plan(due=stale_tables(library, names)) if config.dry_run else order_stale(library, names)
    seconds = estimate_s(library, plan)
    for name, batches in plan.due.items():
        context.log.info(f"{name}: {len(batches)} tables")
    verb = "would be ordered" if config.dry_run else "ordered"
    context.log.info(f"{sum(map(len, plan.due.values()))} tables {verb}, about {seconds:.0f} s")


def jobs() -> list[dg.JobDefinition]:
    """`scan` and `backfill_stale`."""
    executor = dg.in_process_executor

    @dg.job(name="scan", executor_def=executor, description=scan_files.__doc__)
    def scan_roots() -> None:
        scan_files()

    @dg.job(name="backfill_stale", executor_def=executor, description=order_stale_tables.__doc__)
    def backfill_stale() -> None:
        order_stale_tables()

    return [scan_roots, backfill_stale]


def schedules() -> list[dg.ScheduleDefinition]:
    """A nightly scan, stopped by default: the sensor `new_files` usually makes it needless."""
    return [
        dg.ScheduleDefinition(
            name="nightly_scan",
            job_name="scan",
            cron_schedule="0 3 * * *",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Scan every root at 3 at night.",
        )
    ]


def sensors(library: Library) -> list[dg.SensorDefinition]:
    """`new_files` and `work_due`."""

    @dg.sensor(
        job_name="scan",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"library"},
        description="Asks for a scan when a stat of the roots shows a change that has settled.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> Iterator[Any]:
        yield _scan_wanted(context.resources.library, context.instance)

    @dg.sensor(
        target=dg.AssetSelection.assets(*[s.name for s in library.stages]),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"library"},
        description="Asks for runs of whatever is due; stale tables only when they were ordered.",
    )
    def work_due(context: dg.SensorEvaluationContext) -> Iterator[Any]:
        with closing(context.resources.library.fresh()) as opened:
            report_dead_runs(opened, context.instance)
            add_partitions(opened, context.instance)
            switch_recipes(opened)
            yield from due_requests(opened, context.instance)

    return [new_files, work_due]


def _scan_wanted(library: Library, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    if instance.get_runs_count(dg.RunsFilter(job_name="scan", statuses=ACTIVE)):
        return dg.SkipReason("a scan is under way")
    waited = library.ledger.oldest_open_age_s() >= 60 * library.config.batch_wait_minutes
    is_waiting = bool(library.ledger.open_contents()) and waited
    config = read_config(library.layout)  # a root may be new since the daemon started
    if is_waiting or has_changes(library.ledger, config.roots, config.settle_s):
        return dg.RunRequest()
    return dg.SkipReason("nothing changed that has settled")


def due_requests(
    library: Library, instance: dg.DagsterInstance
) -> list[dg.RunRequest | dg.SkipReason]:
    """Run requests for what is due and not under way; a function of what is there.

    Returns:
        Run requests, or one reason why there are none: Dagster takes no mixture.
    """
    plan = plan_batches(library, [s.name for s in library.batch_stages()])
    due = groups(plan, list(library.ledger.batches()))
    busy = _busy_batches(library, instance)
    free = [group for group in due if not busy & set(group.batches)]
    answers = [_request(instance, *_batch_work(library, group)) for group in free]
    if len(free) == len(due) and not _requests(answers):  # none is due, or all were given up
        answers.append(_whole_library_request(library, instance))
    elif len(free) < len(due):
        answers.append(dg.SkipReason(f"{len(due) - len(free)} groups of batches are under way"))
    reasons = [str(a.skip_message) for a in answers if isinstance(a, dg.SkipReason)]
    return _requests(answers) or [dg.SkipReason("; ".join(reasons))]


def _requests(
    answers: Sequence[dg.RunRequest | dg.SkipReason],
) -> list[dg.RunRequest | dg.SkipReason]:
    return [answer for answer in answers if isinstance(answer, dg.RunRequest)]


def _batch_work(library: Library, group: Group) -> tuple[str, Sequence[str], dict[str, str]]:
    first, last = group.batches[0], group.batches[-1]
    made_with = "+".join(f"{name}@{library.recipes[name]}" for name in group.stages)
    work = f"{first}..{last}/{made_with}"
    return work, group.stages, {RANGE_START: first, RANGE_END: last}


def _whole_library_request(
    library: Library, instance: dg.DagsterInstance
) -> dg.RunRequest | dg.SkipReason:
    if not library.ledger.batches():
        return dg.SkipReason("nothing was scanned yet")
    plan = plan_library(library, [s.name for s in library.stages])
    if not plan.due:
        return dg.SkipReason("nothing is due")
    scope = {f"{WORK}_scope": "library"}
    for record in instance.get_run_records(dg.RunsFilter(tags=scope), limit=1):
        if record.end_time is None:
            return dg.SkipReason("whole-library tables are under way")
        if time.time() - record.end_time < WHOLE_LIBRARY_EVERY_S:
            return dg.SkipReason("whole-library tables were made less than a minute ago")
    first = stage(next(iter(plan.due)), library.stages)
    inputs = fingerprint(library, first)[:8]
    work = f"library/{'+'.join(plan.due)}@{library.recipes[first.name]}/{inputs}"
    return _request(instance, work, list(plan.due), scope)


def _busy_batches(library: Library, instance: dg.DagsterInstance) -> set[str]:
    """Batches of runs that are queued or under way."""
    batches = list(library.ledger.batches())
    busy: set[str] = set()
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=ACTIVE)):
        first, last = run.tags.get(RANGE_START), run.tags.get(RANGE_END)
        single = run.tags.get("dagster/partition")
        if single:
            busy.add(single)
        if first and last:
            busy |= {batch for batch in batches if first <= batch <= last}
    return busy


def _request(
    instance: dg.DagsterInstance, work: str, stages: Sequence[str], tags: dict[str, str]
) -> dg.RunRequest | dg.SkipReason:
    """A run request under a key of its own, unless this work failed too often in a row."""
    before = instance.get_runs(filters=dg.RunsFilter(tags={WORK: work}), limit=RUNS_REMEMBERED)
    failures = 0
    for run in before:  # newest first
        if run.status != dg.DagsterRunStatus.FAILURE:
            break
        failures += 1
    if failures >= ATTEMPTS:
        return dg.SkipReason(
            f"{work} failed {failures} times in a row and is not tried again by itself: look at "
            f"run {before[0].run_id}, then materialise it by hand or use `media-pipeline run`"
        )
    count = instance.get_runs_count(dg.RunsFilter(tags={WORK: work}))
    return dg.RunRequest(
        run_key=f"{work}#{count}",
        asset_selection=[dg.AssetKey(name) for name in stages],
        tags={WORK: work, **tags},
    )
