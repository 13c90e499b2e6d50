"""A real daemon on a real library: files land and are processed, also beside the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from media_pipeline.automation import ACTIVE
from media_pipeline.errors import LibraryBusy, MediaPipelineError
from media_pipeline.instance import (
    COMMAND_LINE,
    LAUNCHED_BY,
    RANGE_START,
    open_instance,
    prepare_instance,
)
from media_pipeline.library.catalog import open_catalog
from media_pipeline.library.opened import Library
from media_pipeline.library.status import read_status
from media_pipeline.tables import WHOLE
from media_pipeline_tests.conftest import draw
from media_pipeline_tests.running import (
    PATIENCE_S,
    command,
    computed,
    eventually,
    new_library,
    session,
    tables_of,
)

pytestmark = pytest.mark.slow


@dataclass
class Served:
    """A library that a daemon works on."""

    library: Library
    instance: dg.DagsterInstance
    originals: Path

    def states(self) -> dict[str, str]:
        """File name to state, from the catalogue; empty as long as there is none."""
        try:
            with open_catalog(self.library) as catalog:
                return dict(catalog.sql("SELECT name, state FROM files").fetchall())
        except (MediaPipelineError, duckdb.Error):
            return {}

    def runs(
        self, statuses: list[dg.DagsterRunStatus] | None = None, first: str | None = None
    ) -> list[dg.DagsterRun]:
        """The runs that the daemon started, perhaps only those from a certain batch on."""
        tags = {RANGE_START: first} if first else None
        found = self.instance.get_runs(dg.RunsFilter(statuses=statuses, tags=tags))
        return [run for run in found if run.tags.get(LAUNCHED_BY) != COMMAND_LINE]

    def is_done(self) -> bool:
        """Whether every file has its state and nothing is under way or due."""
        status = read_status(self.library)
        busy = self.runs(ACTIVE) or any(stage.due for stage in status.stages.values())
        return not busy and not status.pending


@contextmanager
def daemon(library: Library, log: Path) -> Iterator[None]:
    """Dagster's daemon with a code server of its own, killed at the end."""
    home = prepare_instance(library)
    variables = {"DAGSTER_HOME": str(home), "MEDIA_LIBRARY": str(library.layout.root)}
    program = str(Path(sys.executable).with_name("dagster-daemon"))
    start = [program, "run", "-m", "media_pipeline.definitions"]
    with open(log, "w") as output, session(start, log=output, **variables):
        yield
    sys.stdout.write(log.read_text()[-20_000:])  # shown where a test failed


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("daemon")
    library = new_library(folder, pictures=0, batch_size=8)
    with daemon(library, folder / "daemon.log"), open_instance(library) as instance:
        yield Served(library, instance, folder / "originals")
    library.close()


def test_a_file_lands_and_becomes_a_row_of_the_catalogue(served: Served) -> None:
    draw(served.originals / "landed.jpg", seed=100)
    wanted = {"landed.jpg": "ok", "copy of 00.jpg": "ok"}
    eventually("the file is in the catalogue", lambda: served.states() == wanted)
    eventually("the daemon comes to rest", served.is_done)
    assert all(run.status == dg.DagsterRunStatus.SUCCESS for run in served.runs())


def is_locked(library: Library, name: str) -> bool:
    try:
        with library.locked(name, busy="somebody holds it"):
            return False
    except LibraryBusy:
        return True


def test_the_daemon_and_a_command_line_compute_nothing_twice(served: Served) -> None:
    library = served.library
    with ExitStack() as lock:
        lock.enter_context(library.locked("metadata-b000001"))  # the daemon comes so far and waits
        for number in range(40):
            draw(served.originals / f"more {number}.jpg", seed=200 + number, size=(1500, 1000))
        eventually("the daemon wants them", lambda: bool(served.runs(ACTIVE, "b000001")))
        with session(command("run", library)) as beside:
            eventually("so does the command line", lambda: is_locked(library, "run"))
            lock.close()
            said, _ = beside.communicate(timeout=PATIENCE_S)
            assert beside.returncode == 0, said
    eventually("the daemon comes to rest", served.is_done)
    assert len(served.states()) == 42
    assert set(served.states().values()) == {"ok"}
    assert all(run.status == dg.DagsterRunStatus.SUCCESS for run in served.instance.get_runs())

    sizes = library.ledger.batches()
    every = {(s.name, batch): size for s in library.batch_stages() for batch, size in sizes.items()}
    assert sum(sizes.values()) == library.ledger.content_count() == 42
    assert {key: n for key, n in computed(library).items() if key[1] != WHOLE} == every
    assert {key for key in tables_of(library) if key[1] != WHOLE} == every.keys()


@pytest.mark.torture
def test_a_daemon_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    library = new_library(tmp_path, pictures=10)
    with open_instance(library) as instance:
        served = Served(library, instance, tmp_path / "originals")
        with library.locked("thumbnails-b000001"), daemon(library, tmp_path / "first.log"):
            made = library.recipes["thumbnails"]
            eventually(
                "a run is half-way",
                lambda: library.store.keys("thumbnails", made) == {"b000000"},
            )
        assert len(served.runs([dg.DagsterRunStatus.STARTED])) == 1
        with daemon(library, tmp_path / "second.log"):
            eventually("the daemon comes to rest", served.is_done)
        assert len(served.runs([dg.DagsterRunStatus.FAILURE])) == 1
    assert read_status(library).ok == 11
    times = {key: n for key, n in computed(library).items() if key[1] != WHOLE}
    assert sum(times.values()) == len(library.batch_stages()) * 10
    library.close()
