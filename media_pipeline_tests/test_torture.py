"""Long runs over everything that can be wrong with a folder of media; `make torture` runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from media_pipeline.schema import REASONS, STATES
from media_pipeline_tests.command_line import PROGRAM, contents_below, status, tables_of
from media_pipeline_tests.conftest import draw
from media_pipeline_tests.mutations import bombs, mutations, plant_oddities, plant_too_deep

pytestmark = pytest.mark.torture

PEAK_BYTES = 2 << 30
"""What the whole tree of processes may hold in memory at once."""

SAMPLE_EVERY_S = 0.05
TIME_LIMIT_S = 1200.0
CHURNING = 8


@dataclass
class Watched:
    """What a run did, seen from outside."""

    code: int = 0
    said: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    peak_process_bytes: int = 0
    samples: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def watched_run(originals: Path, library: Path) -> Watched:
    """Run the program and sample the memory of it and everything it started."""
    seen = Watched()
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        command = [PROGRAM, "run", originals, "--library", library]
        with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as run:
            top = psutil.Process(run.pid)
            while run.poll() is None:
                _sample(top, seen)
                time.sleep(SAMPLE_EVERY_S)
                assert time.monotonic() - began < TIME_LIMIT_S, "the run hangs"
        said.seek(0)
        seen.said = said.read().decode(errors="replace")
    seen.code, seen.seconds = run.returncode, time.monotonic() - began
    return seen


def _sample(top: psutil.Process, seen: Watched) -> None:
    """Add up what every process holds alone; what forked workers share counts once, in the top."""
    try:
        tree = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    sizes = []
    for process in tree:
        try:
            sizes.append(process.memory_full_info().pss)
        except psutil.Error:
            continue
    seen.samples += 1
    seen.peak_bytes = max(seen.peak_bytes, sum(sizes))
    seen.peak_process_bytes = max(seen.peak_process_bytes, max(sizes, default=0))


def report(title: str, library: Path, seen: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    found = status(library)
    peak, alone = seen.peak_bytes / 1e6, seen.peak_process_bytes / 1e6
    lines = (
        f"{title}: {found['files']} files, {found['contents']} contents",
        f"states   { {state: found[state] for state in STATES} }",
        f"reasons  {found['reasons']}",
        f"time     {seen.seconds:.1f} s",
        f"memory   {peak:.0f} MB in all processes, {alone:.0f} MB in one, at the most "
        f"({seen.samples} samples)",
    )
    with capsys.disabled():
        sys.stdout.write("\n" + "\n  ".join(lines) + "\n")


def check_states(library: Path, expected: set[bytes]) -> None:
    """Every file that is there has exactly one state, with stage and reason where it is not ok."""
    rows = tables_of(library)["files"]
    paths = [row["relative_path"] for row in rows]
    assert len(paths) == len(set(paths))
    assert set(paths) == expected
    for row in rows:
        assert (row["state"] == "ok") == (row["reason"] is None) == (row["stage"] is None)
        assert row["reason"] is None or row["reason"] in REASONS
    found = status(library)
    assert (found["files"], found["pending"]) == (len(expected), 0)


def entries_below(folder: Path) -> set[bytes]:
    """Every entry that is no folder, links to folders included."""
    root = os.fsencode(folder)
    found = set()
    for place, folders, files in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found |= {os.path.relpath(os.path.join(place, name), root) for name in (*files, *links)}
    return found


def test_the_whole_shared_collection_ends_in_states_that_add_up(
    shared_media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents_below(shared_media)
    library = tmp_path / "library"
    seen = watched_run(shared_media, library)
    assert seen.code == 0, seen.said
    report("shared media", library, seen, capsys)
    check_states(library, entries_below(shared_media))
    assert contents_below(shared_media) == before
    assert seen.peak_bytes <= PEAK_BYTES
    again = watched_run(shared_media, library)
    assert again.code == 0, again.said
    assert {s["computed"] for s in status(library)["stages"].values()} == {0}


@pytest.fixture
def mutated(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "originals"
    folder.mkdir()
    for name, content in (*mutations(), *bombs()):
        (folder / name).write_bytes(content)
    plant_oddities(folder)
    yield folder
    shutil.rmtree(folder)  # pytest's own removal does not know paths longer than the limit


class Churn:
    """Files that vanish, grow and appear while a run reads them."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder, self.library = folder, library
        folder.mkdir()
        self.vanishing = [draw(folder / f"vanish {n}.jpg", seed=n) for n in range(CHURNING)]
        self.growing = draw(folder / "grow.jpg", seed=100)
        with self.growing.open("ab") as handle:
            handle.write(bytes(8_000_000))
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        with self.growing.open("ab", buffering=0) as handle:
            while not self.done.wait(0.0005):
                handle.write(b"grown")
                if self.vanishing and self._is_time():
                    self.vanishing.pop().unlink()

    def _is_time(self) -> bool:
        """Half of them vanish during the scan, half when it has seen them."""
        seen = "ledger.sqlite" if len(self.vanishing) > CHURNING // 2 else "batches/b000002.json"
        return (self.library / seen).exists()

    def __enter__(self) -> Churn:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def test_mutated_files_of_every_format_cost_no_more_than_themselves(
    mutated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents_below(mutated)
    expected = entries_below(mutated)
    plant_too_deep(mutated)
    library = tmp_path / "library"
    with Churn(mutated / "churn", library):
        seen = watched_run(mutated, library)
    assert seen.code == 0, seen.said
    report("mutations", library, seen, capsys)
    found = {row["relative_path"]: row for row in tables_of(library)["files"]}
    deep = {path for path in found if path.startswith(b"ddd")}
    churned = {path for path in found if path.startswith(b"churn/")}
    assert [found[path]["reason"] for path in deep] == ["name_too_long"]
    assert found[b"churn/grow.jpg"]["reason"] in ("growing", "original_changed", None)
    vanished = [found[path]["reason"] for path in churned if b"vanish" in path]
    assert set(vanished) <= {"original_unavailable", "original_changed", None}
    assert len(vanished) - vanished.count(None) >= CHURNING // 2
    check_states(library, expected | deep | churned)
    assert "internal_error" not in status(library)["reasons"]
    after = {p: v for p, v in contents_below(mutated).items() if p in before}
    assert after == before
    assert seen.peak_bytes <= PEAK_BYTES
