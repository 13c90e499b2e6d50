"""A library's own Dagster instance: its home, its partitions, and which of its runs still live.

Every run, of the command line or of the daemon, holds a lock named by its id for as long as its
process lives. So whoever starts next can tell a killed run from a living one and report it as
failed; Dagster itself would leave it STARTED, with its pool slot, for ever.
"""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError  # Dagster's storage is made with it

from media_pipeline.errors import CorruptLibraryFile, LibraryBusy
from media_pipeline.library.opened import Library
from media_pipeline.paths import is_disk_full, write_atomically, writing
from media_pipeline.resources import FILE_BATCHES, run_lock
from media_pipeline.settings import environment

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
LAUNCHED_BY = "media_pipeline/launched_by"
COMMAND_LINE = "command line"
UNFINISHED_STATUSES = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
LOCKLESS_S = 180.0
"""A daemon's run without a lock has not come so far yet, or was killed before it did."""


def prepare_instance(library: Library) -> Path:
    """The Dagster home of a library, with its `dagster.yaml` in place."""
    home = library.layout.dagster
    if not (home / "dagster.yaml").exists():
        shipped = Path(__file__).with_name("dagster.yaml")
        write_atomically(home / "dagster.yaml", shipped.read_bytes())
    return home


@contextmanager
def dagster_storage(library: Library) -> Iterator[None]:
    """Turn what Dagster's own database raises into a message with a remedy.

    Raises:
        DiskFull: No space is left.
        LibraryNotWritable: It cannot be written.
        CorruptLibraryFile: Anything else that is wrong with it.
    """
    home = library.layout.dagster
    with writing(home):
        try:
            yield
        except SQLAlchemyError as error:
            if is_disk_full(library.layout.root, error):
                raise OSError(errno.ENOSPC, str(error)) from error
            first_line = str(error).split("\n")[0]
            raise CorruptLibraryFile(
                f"Dagster's database in {home} cannot be used ({first_line}): run the same command "
                "again; if this comes back, delete that folder, it only holds the history of runs"
            ) from error


def open_instance(library: Library) -> dg.DagsterInstance:
    """The library's Dagster instance, knowing every batch as a partition."""
    instance = dg.DagsterInstance.from_config(str(prepare_instance(library)))
    add_partitions(library, instance)
    return instance


def add_partitions(library: Library, instance: dg.DagsterInstance) -> None:
    """Tell Dagster every batch; adding known ones changes nothing, so this also repairs a crash."""
    batches = list(library.ledger.batches())
    if batches:
        instance.add_dynamic_partitions(str(FILE_BATCHES.name), batches)


def report_dead_runs(library: Library, instance: dg.DagsterInstance) -> list[str]:
    """Report runs as failed whose process is gone, and free their pool slots; returns their ids."""
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=UNFINISHED_STATUSES))
    dead = [r.dagster_run for r in records if _is_dead(library, instance, r)]
    for run in dead:
        instance.report_run_failed(run, "its process was killed before it could say so")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        _lock_file(library, run.run_id).unlink(missing_ok=True)
    return [run.run_id for run in dead]


def _is_dead(library: Library, instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Whether nobody holds the run's lock any more although it did not end."""
    run_id = record.dagster_run.run_id
    held_from_the_start = record.dagster_run.tags.get(LAUNCHED_BY) == COMMAND_LINE
    if not (held_from_the_start or _lock_file(library, run_id).exists()):
        began = record.start_time
        if began is None or time.time() - began < LOCKLESS_S:
            return False
    try:
        with library.locked(run_lock(run_id), busy="alive"):
            now = instance.get_run_by_id(run_id)  # it may have ended since it was listed
            return now is not None and not now.is_finished
    except LibraryBusy:
        return False


def _lock_file(library: Library, run_id: str) -> Path:
    return library.layout.locks / f"{run_lock(run_id)}.lock"


def serve(library: Library, port: int) -> NoReturn:
    """Become Dagster's UI and daemon for a library, on loopback, until Ctrl-C."""
    home = prepare_instance(library)
    workspace = Path("workspace.yaml")
    code = ["-w", str(workspace)] if workspace.exists() else ["-m", "media_pipeline.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *code, "-h", "127.0.0.1", "-p", str(port)]
    variables = environment(
        DAGSTER_HOME=str(home), MEDIA_LIBRARY=str(library.layout.root), PYTHONWARNINGS="ignore"
    )
    os.execve(sys.executable, command, variables)  # noqa: S606 - no shell; signals reach Dagster
