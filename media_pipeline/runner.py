"""Run the graph in this process, against the library's own Dagster instance.

The command line materialises the same assets as the daemon, and its runs show in the UI.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import dagster as dg

from media_pipeline.batchwork import Control
from media_pipeline.errors import Interrupted, MachineryFailed, MediaPipelineError
from media_pipeline.instance import (
    COMMAND_LINE,
    LAUNCHED_BY,
    RANGE_END,
    RANGE_START,
    add_partitions,
    dagster_storage,
    open_instance,
    report_dead_runs,
)
from media_pipeline.library.health import check_health
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import (
    Group,
    Plan,
    estimate_s,
    groups,
    plan_batches,
    plan_library,
    stale_tables,
    switch_recipes,
)
from media_pipeline.library.profiles import require_all
from media_pipeline.paths import disk_full, is_disk_full
from media_pipeline.resources import CPU_POOL, GPU_POOL, alive
from media_pipeline.scan.scanner import ScanJob, ScanReport, close_leftover, scan

BUSY = (
    "another `media-pipeline` command works on this library: wait for it to end, or stop it with "
    "Ctrl-C in its terminal"
)
MOST_MAKINGS = 5
"""Times one run makes a table, because originals or inputs keep changing, before it gives up."""

WAIT_FOR_SCAN_S = 0.1
WAIT_FOR_POOL_S = 0.5


@dataclass
class RunRequest:
    """What a person asks of `run`.

    Attributes:
        stages: Stage names, everything they read included.
        below: Root id to relative paths to scan; empty scans all of every root.
        scan: Whether to look at the disk at all.
        stale: Whether to make stale tables again.
        only_ordered: Whether to make nothing per batch but what was ordered.
        accept_missing: Believe it when most of a root vanished.
    """

    stages: list[str]
    below: dict[str, list[bytes]] = field(default_factory=dict)
    scan: bool = True
    stale: bool = False
    only_ordered: bool = False
    accept_missing: bool = False


@dataclass
class RunOutcome:
    """What a run did.

    Attributes:
        scan: What the scan found, `None` when nothing was scanned.
        left_stale: Tables that are stale and were left so.
        estimate_s: Seconds it would take to make them again, 0 where unknown.
        dagster_s: Wall-clock seconds inside Dagster runs.
        work_s: Seconds of these in the stages' own work.
    """

    scan: ScanReport | None = None
    left_stale: dict[str, list[str]] = field(default_factory=dict)
    estimate_s: float = 0.0
    dagster_s: float = 0.0
    work_s: float = 0.0


class GraphRunner:
    """Executes selections of the graph in this process.

    Args:
        library: Opened library.
        control: This process.
    """

    def __init__(self, library: Library, control: Control) -> None:
        from media_pipeline.definitions import build_definitions

        self.library, self.control = library, control
        self.instance = open_instance(library)
        report_dead_runs(library, self.instance)
        definitions = build_definitions(library, control)
        self.job = definitions.resolve_implicit_global_asset_job_def()
        self.seconds = 0.0

    def run(self, stages: Sequence[str], batches: Sequence[str] = ()) -> None:
        """Materialise stages, for a contiguous range of batches where they have partitions.

        Raises:
            Interrupted: The user asked to stop.
            MediaPipelineError: What a stage raised.
            MachineryFailed: Anything else that went wrong.
        """
        add_partitions(self.library, self.instance)
        run_id = str(uuid.uuid4())
        tags = {LAUNCHED_BY: COMMAND_LINE}
        if batches:
            tags |= {RANGE_START: batches[0], RANGE_END: batches[-1]}
            self._wait_for_pool()
        started = time.monotonic()
        with alive(self.library, run_id):
            result = self.job.execute_in_process(
                run_id=run_id,
                instance=self.instance,
                asset_selection=[dg.AssetKey(name) for name in stages],
                tags=tags,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        self.seconds += time.monotonic() - started
        if not result.success:
            raise self._failure(result)

    def _wait_for_pool(self) -> None:
        """Wait for a slot before the run starts.

        Dagster's executor would wait inside it, deaf to Ctrl-C and with a core at full load.
        """
        storage = self.instance.event_log_storage
        while True:
            pools = [storage.get_concurrency_info(name) for name in (CPU_POOL, GPU_POOL)]
            if all(p.slot_count == 0 or p.active_slot_count < p.slot_count for p in pools):
                return
            report_dead_runs(self.library, self.instance)
            if self.control.stop.wait(WAIT_FOR_POOL_S):
                raise Interrupted("stopped while a run of the daemon was at work")

    def _failure(self, result: dg.ExecuteInProcessResult) -> MediaPipelineError:
        cause = self.control.failure
        if isinstance(cause, MediaPipelineError):
            return cause
        for found in result.get_asset_check_evaluations():
            if not found.passed and found.blocking:
                problems = found.metadata["problems"].value
                return MachineryFailed(
                    f"the table of {found.asset_key.to_user_string()} is not as it must be: "
                    f"{problems}; please report this. Originals and other tables are untouched"
                )
        failed = [e for e in result.all_events if e.is_step_failure]
        error = failed[0].step_failure_data.error if failed else None
        what = error.to_string() if error is not None else "no step says why"
        if is_disk_full(self.library.layout.root, RuntimeError(what)):
            return disk_full(self.library.layout.root)
        return MachineryFailed(
            f"the run {result.run_id} failed: {what.strip()}\nWhat was finished is kept; run the "
            "same command again, and report this if it comes back"
        )

    def close(self) -> None:
        """Let go of the instance."""
        self.instance.dispose()


def scan_job(
    library: Library,
    request: RunRequest,
    control: Control,
    progress: Callable[[ScanReport], None] = lambda report: None,
    settle_s: float = 0.0,
) -> ScanJob:
    """The scan that a request asks for."""
    return ScanJob(
        ledger=library.ledger,
        manifests=library.layout.batches,
        roots=library.config.roots,
        batch_size=library.config.batch_size,
        below=request.below,
        only=frozenset(request.below) if request.below else None,
        accept_missing=request.accept_missing,
        stop=control.stop,
        progress=progress,
        settle_s=settle_s,
    )


def scan_only(
    library: Library,
    request: RunRequest,
    control: Control,
    progress: Callable[[ScanReport], None] = lambda report: None,
) -> ScanReport:
    """Scan and close the last batch, without materialising anything."""
    with library.locked("run", busy=BUSY), library.locked("scan"):
        check_health(library)
        report = scan(scan_job(library, request, control, progress))
        close_leftover(library.ledger, library.layout.batches, library.config.batch_size)
    if control.stop.is_set():
        raise Interrupted("stopped while scanning; run again to go on")
    return report


def run_library(
    library: Library,
    request: RunRequest,
    control: Control,
    on_scan: Callable[[ScanReport], None] = lambda report: None,
) -> RunOutcome:
    """Scan, materialise what is missing (and stale, where asked for), decide, build the catalogue.

    Raises:
        LibraryBusy: Another command line run works on the library.
        Interrupted: The user asked to stop.
        MediaPipelineError: What went wrong, with its remedy.
    """
    with library.locked("run", busy=BUSY):
        library.check_disk()
        check_health(library)
        check_models(library, request.stages)
        switch_recipes(library)  # back to tables that are complete: nothing else may be due
        control.run = control.run or f"cli-{time.time_ns()}"
        with library.ledger.transaction():
            library.ledger.start_run(control.run)
        work = _Work(library, request, control, on_scan)
        try:
            with dagster_storage(library):
                outcome = work.do()
        finally:
            work.close()
        with library.ledger.transaction():
            library.ledger.finish_run(control.run)
    return outcome


def check_models(library: Library, names: Sequence[str]) -> None:
    """Look whether the files of every model are there that these stages ask, before any work.

    Raises:
        MissingWeights: Some are not; the message says how to get them.
    """
    asked = [library.card_of(stage) for stage in library.stages if stage.name in names]
    require_all([card for card in asked if card is not None], library.models)


class _Work:
    """One `run`, from the scan to the catalogue."""

    def __init__(
        self,
        library: Library,
        request: RunRequest,
        control: Control,
        on_scan: Callable[[ScanReport], None],
    ) -> None:
        self.library, self.request, self.control = library, request, control
        self.outcome = RunOutcome()
        self.runner: GraphRunner | None = None
        self.on_scan = on_scan
        self.scanner = ThreadPoolExecutor(1, thread_name_prefix="scan")
        self.scan: Future[ScanReport] | None = None
        self.made: Counter[tuple[str, str]] = Counter()
        self.finished: dict[str, int] = {}

    def do(self) -> RunOutcome:
        """Everything, in order."""
        if self.request.scan:
            self.scan = self.scanner.submit(self._scan)
        self._run_batches()
        self._run_whole()
        self._note_stale()
        return self.outcome

    def close(self) -> None:
        """Stop the scan and the workers, let go of Dagster."""
        if self.scan is not None and not self.scan.done():
            self.control.stop.set()
        self.scanner.shutdown()
        if self.runner is not None:
            self.outcome.dagster_s = self.runner.seconds
            self.outcome.work_s = self.control.work_seconds
            self.runner.close()
        self.control.close()

    def _run_batches(self) -> None:
        while True:
            scanning = self.scan is not None and not self.scan.done()
            if self.scan is not None and not scanning and self.outcome.scan is None:
                self.outcome.scan = self.scan.result()
                self._close_leftover()
            waiting = self._groups()
            if waiting:
                self._run_group(waiting[0])
            elif not scanning:
                return
            else:
                time.sleep(WAIT_FOR_SCAN_S)
            self._stop_if_asked()

    def _scan(self) -> ScanReport:
        """In a thread of its own, so that closed batches are worked on while it goes on."""
        try:
            with self.library.locked("scan"):
                return scan(scan_job(self.library, self.request, self.control, self.on_scan))
        finally:
            self.library.close()

    def _close_leftover(self) -> None:
        size = self.library.config.batch_size
        close_leftover(self.library.ledger, self.library.layout.batches, size)

    def _groups(self) -> list[Group]:
        plan = plan_batches(self.library, self.request.stages, with_stale=self.request.stale)
        if self.request.only_ordered:
            orders = self.library.ledger.orders()
            plan.due = {s: [b for b in due if (s, b) in orders] for s, due in plan.due.items()}
        sizes = self.library.ledger.batches()
        waiting = len(self.library.ledger.open_contents())
        for stage, due in plan.due.items():
            plan.due[stage] = due = self._without_finished(stage, due)
            total = self.finished.get(stage, 0) + sum(sizes[b] for b in due) + waiting
            self.control.on_total(stage, total)
        return groups(plan, list(sizes))

    def _without_finished(self, stage: str, due: list[str]) -> list[str]:
        """Without what this run made already and a run of the daemon is at just now.

        What was made and is due for another reason, such as originals that the scan found since,
        is made again.
        """
        again = [batch for batch in due if (stage, batch) in self.made]
        if not again:
            return due
        there = self.library.store.keys(stage, self.library.recipes[stage])
        lost = [batch for batch in again if batch not in there]
        if lost:
            raise MachineryFailed(
                f"{stage} of {', '.join(lost)} has no table right after it was made: please "
                "report this"
            )
        restless = [batch for batch in again if self.made[stage, batch] >= MOST_MAKINGS]
        if restless:
            raise MachineryFailed(
                f"{stage} of {', '.join(restless)} is due again after it was made {MOST_MAKINGS} "
                "times: please report this"
            )
        under_way = self.library.ledger.orders("unfinished")
        return [b for b in due if b not in again or (stage, b) not in under_way]

    def _run_group(self, group: Group) -> None:
        self._graph().run(group.stages, group.batches)
        self.made.update((stage, batch) for stage in group.stages for batch in group.batches)
        sizes = self.library.ledger.batches()
        for stage in group.stages:
            done = self.finished.get(stage, 0)
            self.finished[stage] = done + sum(sizes[b] for b in group.batches)

    def _graph(self) -> GraphRunner:
        if self.runner is None:
            self.runner = GraphRunner(self.library, self.control)
        return self.runner

    def _run_whole(self) -> None:
        names = {*self.request.stages, "files", "catalog"}
        plan = plan_library(self.library, names, with_stale=self.request.stale)
        if plan.due:
            for stage in plan.due:
                self.control.on_total(stage, 1)
            self._graph().run(list(plan.due))
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.control.stop.is_set():
            raise Interrupted("stopped; what is finished is kept, run the same command to go on")

    def _note_stale(self) -> None:
        self.outcome.left_stale, self.outcome.estimate_s = left_stale(
            self.library, self.request.stages
        )


def left_stale(library: Library, names: Sequence[str]) -> tuple[dict[str, list[str]], float]:
    """Stage name to its stale batches (`library` for a whole), and an estimate in seconds."""
    stale = stale_tables(library, names)
    return stale, estimate_s(library, Plan(due=stale))
