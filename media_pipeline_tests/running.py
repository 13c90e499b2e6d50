"""Libraries that are run: in this process, or in another one that may be killed.

    python -m media_pipeline_tests.running LIBRARY [--hang-at N]

runs a library like the command line does, prints a line for every item that was finished, and
where it is told to stands still after the N-th.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import dagster as dg
import psutil
import pyarrow as pa

from media_pipeline.batchwork import Control
from media_pipeline.definitions import build_definitions
from media_pipeline.library.opened import Library, create_library, open_library
from media_pipeline.recipes import Stage, with_inputs
from media_pipeline.runner import RunOutcome, RunRequest, run_library
from media_pipeline.settings import environment, write_config
from media_pipeline.tables import WHOLE
from media_pipeline_tests.conftest import draw

PATIENCE_S = 120.0
"""How long a test waits for something before it calls it a hang."""


def new_library(folder: Path, pictures: int, batch_size: int = 4) -> Library:
    """A library in `folder`/library of drawn pictures in `folder`/originals, not run yet.

    One file is a copy of another, so every stage has something to say.
    """
    for number in range(pictures):
        draw(folder / "originals" / f"{number:02d}.jpg", seed=number)
    draw(folder / "originals" / "copy of 00.jpg", seed=0)
    library = create_library(folder / "library")
    library.config = replace(
        library.config, batch_size=batch_size, settle_s=0.1, batch_wait_minutes=0.0
    )
    library.add_roots([folder / "originals"])
    write_config(library.layout, library.config)
    return library


def copy_of(library: Library, folder: Path, stages: tuple[Stage, ...] | None = None) -> Library:
    """A copy of a library, on the same originals, perhaps under other stages."""
    shutil.copytree(library.layout.root, folder)
    copied = open_library(folder)
    return Library(copied.layout, copied.config, stages or library.stages)


def run(library: Library, **asked: bool) -> RunOutcome:
    """What `media-pipeline run` does."""
    return run_library(library, RunRequest(stages=with_inputs([]), **asked), Control())


def materialise(
    library: Library,
    instance: dg.DagsterInstance,
    stages: list[str],
    tags: dict[str, str],
) -> dg.ExecuteInProcessResult:
    """What a run of the daemon or the UI does, in this process."""
    job = build_definitions(library).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(name) for name in stages],
        tags=tags,
        partition_key=tags.get("dagster/partition"),
        raise_on_error=False,
    )


def computed(library: Library) -> dict[tuple[str, str], int]:
    """How many contents were computed for each stage and batch, over all runs there were."""
    with closing(sqlite3.connect(library.layout.ledger)) as ledger:
        rows = ledger.execute("SELECT stage, batch, sum(computed) FROM work GROUP BY 1, 2")
        return {(stage, batch): count for stage, batch, count in rows}


def tables_of(library: Library) -> dict[tuple[str, str], pa.Table]:
    """Every Parquet table as it stands under the wanted recipes."""
    found: dict[tuple[str, str], pa.Table] = {}
    for stage in library.stages:
        if stage.has_table:
            recipe = library.recipes[stage.name]
            for key in sorted(library.store.keys(stage.name, recipe)):
                table = library.store.read(stage.name, recipe, key)
                assert table is not None
                found[stage.name, key] = table
    return found


def partitions_of(library: Library, stage: Stage) -> set[str]:
    """The keys a stage has tables for when all is done."""
    return set(library.ledger.batches()) if stage.per_batch else {WHOLE}


def eventually(
    what: str, found: Callable[[], bool], pause: Callable[[], None] = lambda: time.sleep(0.1)
) -> None:
    """Wait until something holds; a test never says how long that may take, only that it ends."""
    end = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < end, f"waited {PATIENCE_S:.0f} s in vain: {what}"
        pause()


@contextmanager
def session(
    command: list[str], log: IO[str] | None = None, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own; whatever is left of that session is killed at the end.

    Args:
        command: What to start.
        log: Where it writes; by default the caller reads it from the process.
        variables: Added to the environment.
    """
    process = subprocess.Popen(
        command,
        env=environment(**variables),
        stdout=log or subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for left in processes_of(process.pid):
            left.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for_line(process: subprocess.Popen[str], ending: str) -> None:
    """Read what a process says until a line ends as given."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.rstrip().endswith(ending):
            return
    raise AssertionError(f"it ended without saying {ending!r}: {''.join(said)}")


def processes_of(leader: int) -> list[psutil.Process]:
    """The living processes of the session that `leader` began."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def command(name: str, library: Library, *arguments: str) -> list[str]:
    """A `media-pipeline` command."""
    program = str(Path(sys.executable).with_name("media-pipeline"))
    return [program, name, *arguments, "--library", str(library.layout.root)]


def killable(library: Library, *options: str) -> list[str]:
    """The command that runs a library and says how far it is."""
    script = [sys.executable, "-W", "ignore", "-m", "media_pipeline_tests.running"]
    return [*script, str(library.layout.root), *options]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=Path)
    parser.add_argument("--hang-at", type=int, default=0)
    options = parser.parse_args()
    done = 0

    def say(stage: str, items: int) -> None:
        nonlocal done
        for _ in range(items):
            done += 1
            sys.stdout.write(f"{stage} {done}\n")
            sys.stdout.flush()
            if done == options.hang_at:
                signal.pause()

    request = RunRequest(stages=with_inputs([]))
    library = open_library(options.library)
    run_library(library, request, Control(on_progress=say))


if __name__ == "__main__":
    main()
