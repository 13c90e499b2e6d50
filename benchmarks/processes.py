"""Commands as a person types them: timed, held to some cores, their workers' memory watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.corpus import BENCH
from media_pipeline.settings import environment

WATCH_EVERY_S = 0.25
PYTHON = sys.executable
PROGRAM = str(Path(PYTHON).with_name("media-pipeline"))


@dataclass(frozen=True)
class Finished:
    """A command that ended well.

    Attributes:
        seconds: Wall clock, from start to end.
        output: What it printed.
        child_rss_bytes: Resident memory, shared pages included, of its largest child at its peak.
        child_uss_bytes: The same without shared pages, as sampled four times a second.
    """

    seconds: float
    output: str
    child_rss_bytes: int
    child_uss_bytes: int


def cores(count: int) -> list[int]:
    """The first so many cores that this process may use; fewer where there are fewer."""
    if not hasattr(os, "sched_setaffinity"):  # macOS cannot hold a process to a core
        return []
    return sorted(os.sched_getaffinity(0))[:count]


def media_pipeline(*arguments: str | Path, count: int) -> Finished:
    """Run `media-pipeline` on the first `count` cores with as many workers."""
    return run([PROGRAM, *map(str, arguments)], count=count)


def module(name: str, *arguments: str | Path) -> Any:
    """Run a module of this package on one core; what it prints is JSON."""
    command = [PYTHON, "-m", name, *map(str, arguments)]
    return json.loads(run(command, count=1).output.splitlines()[-1])


def run(command: Sequence[str], count: int) -> Finished:
    """Run a command on the first `count` cores.

    Raises:
        RuntimeError: It failed; with what it printed.
    """
    variables = environment(MEDIA_WORKERS=str(count))
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        with _held_to(cores(count)):  # a child inherits it
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=errors)
        watch = _Watch(process.pid)
        code = process.wait()
        seconds = time.monotonic() - started
        watch.stop()
        texts = [_whole(output), _whole(errors)]
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{''.join(texts)}")
    return Finished(seconds, texts[0], watch.rss_bytes, watch.uss_bytes)


def _whole(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@contextmanager
def _held_to(wanted: list[int]) -> Iterator[None]:
    if not wanted:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class _Watch(threading.Thread):
    """Notes the largest memory that any descendant of a process has had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.rss_bytes = self.uss_bytes = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(WATCH_EVERY_S):
            with suppress(psutil.Error, OSError):  # it ended while we looked
                for child in self._process.children(recursive=True):
                    self.rss_bytes = max(self.rss_bytes, _peak_rss_bytes(child))
                    self.uss_bytes = max(self.uss_bytes, child.memory_full_info().uss)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _peak_rss_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")  # Linux keeps the peak, others show the moment
    if not status.exists():
        return int(process.memory_info().rss)
    lines = status.read_text().splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)


@contextmanager
def fresh_library() -> Iterator[Path]:
    """A place for a library on the disk of the corpus, removed afterwards."""
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="library-") as folder:
        yield Path(folder) / "library"
