"""Runs that are killed or interrupted anywhere end, once resumed, as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from media_pipeline.instance import UNFINISHED_STATUSES, open_instance
from media_pipeline.library.opened import Library, create_library
from media_pipeline.library.status import read_status
from media_pipeline.scan.batches import read_manifest
from media_pipeline.settings import write_config
from media_pipeline.tables import WHOLE
from media_pipeline_tests.conftest import draw
from media_pipeline_tests.running import (
    command,
    computed,
    eventually,
    killable,
    new_library,
    partitions_of,
    processes_of,
    run,
    session,
    tables_of,
)

PICTURES = 60
LONGEST_GAP = 40
"""Items at most between two kills; a run that was never killed finishes about 190."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library that was run without trouble."""
    library = new_library(tmp_path_factory.mktemp("undisturbed"), PICTURES, batch_size=8)
    run(library)
    yield library
    library.close()


@pytest.fixture
def library(undisturbed: Library, tmp_path: Path) -> Iterator[Library]:
    """A new library on the same originals."""
    made = create_library(tmp_path / "library")
    made.config = undisturbed.config
    write_config(made.layout, made.config)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_five_kills_change_nothing(library: Library, undisturbed: Library, seed: int) -> None:
    kill_and_compare(library, undisturbed, seed, kills=5)


@pytest.mark.torture
@pytest.mark.parametrize("seed", [2, 3])
def test_twenty_kills_change_nothing(library: Library, undisturbed: Library, seed: int) -> None:
    kill_and_compare(library, undisturbed, seed, kills=20)


def kill_and_compare(library: Library, undisturbed: Library, seed: int, kills: int) -> None:
    """Kill a run again and again, let it end, and compare."""
    chance = random.Random(seed)
    for number in range(kills):
        # One in five dies while it starts, the others somewhere in their work.
        gap = 0 if number % 5 == 4 else chance.randint(1, LONGEST_GAP)
        kill_once(library, gap, delay_s=chance.uniform(0, 0.3 if gap else 6))
    resumed = subprocess.run(killable(library), capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    assert_equal(library, undisturbed)
    assert_dagster_knows_all(library)


def kill_once(library: Library, gap: int, delay_s: float) -> None:
    """Kill a run a moment after it finished `gap` items; its workers must end by themselves."""
    with session(killable(library)) as victim:
        assert victim.stdout is not None
        for _ in range(gap):
            if not victim.stdout.readline():
                break
        time.sleep(delay_s)
        victim.kill()
        victim.wait()
        eventually("its workers end with it", lambda: not processes_of(victim.pid))


def assert_equal(library: Library, undisturbed: Library) -> None:
    """The same batches, tables (row for row), thumbnails and states."""
    assert library.ledger.batches() == undisturbed.ledger.batches()
    for batch in library.ledger.batches():
        manifests = [read_manifest(one.layout.batches, batch) for one in (library, undisturbed)]
        assert manifests[0] == manifests[1]
    tables, expected = tables_of(library), tables_of(undisturbed)
    assert tables.keys() == expected.keys()
    different = [key for key in tables if tables[key].to_pylist() != expected[key].to_pylist()]
    assert different == []
    assert thumbnails(library) == thumbnails(undisturbed)
    found, wanted = read_status(library), read_status(undisturbed)
    assert (found.files, found.ok, found.pending) == (wanted.files, wanted.ok, 0)
    assert found.ok + found.degraded + found.failed + found.skipped == found.files
    assert found.stale == 0
    assert not any(stage.due for stage in found.stages.values())


def thumbnails(library: Library) -> dict[str, bytes]:
    folder = Path(library.thumbnails.path)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.jpg")}


def assert_dagster_knows_all(library: Library) -> None:
    """A materialisation for every partition of every stage; no run and no slot left hanging."""
    with open_instance(library) as instance:
        for stage in library.stages:
            key = dg.AssetKey(stage.name)
            if stage.per_batch:
                assert instance.get_materialized_partitions(key) == partitions_of(library, stage)
            else:
                assert instance.get_latest_materialization_event(key) is not None
        assert instance.get_runs(dg.RunsFilter(statuses=UNFINISHED_STATUSES)) == []
        assert instance.event_log_storage.get_concurrency_info("cpu").active_slot_count == 0
    assert library.ledger.orders() == set()


# -- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_stops_after_the_current_files_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    library = new_library(tmp_path, pictures=1, batch_size=16)
    add_large_pictures(tmp_path / "originals", count=48)
    again = command("run", library, str(tmp_path / "originals"))
    with session(again, MEDIA_WORKERS="2") as process:
        eventually("the first thumbnails are there", lambda: len(stamps(library)) > 2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 130, said
        assert "run the same command" in said or "run again" in said
        eventually("its workers end with it", lambda: not processes_of(process.pid))
    before = stamps(library)
    assert 0 < len(before) < 49
    resumed = subprocess.run(again, capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    after = stamps(library)
    assert len(after) == 49
    assert {name: after[name] for name in before} == before  # not decoded again
    sizes = library.ledger.batches()
    times = {key: n for key, n in computed(library).items() if key[1] != WHOLE}
    assert all(n <= sizes[batch] for (_, batch), n in times.items())
    assert_dagster_knows_all(library)
    library.close()


def add_large_pictures(folder: Path, count: int) -> None:
    """Distinct files of the same 6 megapixels, which take a moment to decode."""
    large = draw(folder / "large.jpg", seed=7, size=(3000, 2000)).read_bytes()
    for number in range(count - 1):
        comment = f"number {number}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"large {number}.jpg").write_bytes(large[:2] + segment + large[2:])


def stamps(library: Library) -> dict[str, tuple[int, int]]:
    """Every thumbnail with its inode and time: a file that is written again gets new ones."""
    found = {}
    for path in (library.layout.root / "thumbnails").rglob("*.jpg"):
        stat = path.stat()
        found[path.name] = (stat.st_ino, stat.st_mtime_ns)
    return found
