"""Progress on the terminal: one bar per stage with its rate and the time left; Ctrl-C stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from media_pipeline.batchwork import Control
from media_pipeline.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from media_pipeline.scan.scanner import ScanReport

Result = TypeVar("Result")

POLL_S = 0.1


class RateColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """The rate of a task, blank before anything was done."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


class StageProgress:
    """A bar per stage, made when it is first heard of; may be told things from any thread.

    Args:
        console: Where to draw. Where it is no terminal, each stage prints one line at its end.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            RateColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> StageProgress:
        """Start drawing."""
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        self.bars.stop()
        if not self.console.is_terminal:
            for task in self.bars.tasks:
                self.console.print(f"{task.description:<16} {task.completed:,.0f} done")

    def total(self, stage: str, items: int) -> None:
        """Say how many items a stage has to do in all."""
        if items:
            self.bars.update(self._task(stage), total=items)

    def advance(self, stage: str, items: int) -> None:
        """Say that a stage did some more items."""
        self.bars.advance(self._task(stage), items)

    def _task(self, stage: str) -> TaskID:
        with self.lock:
            if stage not in self.tasks:
                self.tasks[stage] = self.bars.add_task(stage, total=None)
            return self.tasks[stage]


def with_progress(
    console: Console, work: Callable[[Control, Callable[[ScanReport], None]], Result]
) -> Result:
    """Do long work in a thread, with progress bars here and Ctrl-C as a request to stop.

    Dagster takes over SIGINT in the main thread and turns it into a failed run; so it never runs
    there. The second Ctrl-C ends the program at once.

    Args:
        console: Where to draw.
        work: Takes what the process shares with its stages, and whom to tell about the scan.
    """
    with StageProgress(console) as progress:
        control = Control(on_progress=progress.advance, on_total=progress.total)
        seen = 0

        def on_scan(report: ScanReport) -> None:
            nonlocal seen
            progress.advance("scan", report.seen - seen)
            seen = report.seen
            if report.is_done:
                progress.total("scan", seen)

        return _interruptible(console, lambda: work(control, on_scan), control)


def _interruptible(console: Console, work: Callable[[], Result], control: Control) -> Result:
    def stop(number: int, frame: FrameType | None) -> None:
        if control.stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        control.stop.set()
        console.print("stopping after the current file; press Ctrl-C again to end at once")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="work") as thread:
            future = thread.submit(work)
            while not future.done():
                wait([future], timeout=POLL_S)
            return future.result()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
