"""Progress on the terminal: one bar per stage with its rate and the time left."""

from __future__ import annotations

import threading
from types import TracebackType

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
            TextColumn("{task.description:<11}"),
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
                self.console.print(f"{task.description:<11} {task.completed:,.0f} done")

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
