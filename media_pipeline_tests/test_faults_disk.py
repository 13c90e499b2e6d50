"""A disk that is full or cannot be written, a Ctrl-C, and every bad file of the shared media."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media_pipeline.schema import REASONS
from media_pipeline_tests.command_line import (
    PROGRAM,
    Answer,
    call,
    contents_below,
    refused,
    spawn,
    status,
    succeeded,
    tables_of,
)
from media_pipeline_tests.conftest import draw

pytestmark = pytest.mark.slow

PICTURES = 60
WITHOUT_OVERRIDE = (
    "setpriv", "--inh-caps=-dac_override,-dac_read_search",
    "--bounding-set=-dac_override,-dac_read_search",
)  # fmt: skip
"""Takes from root what lets it ignore file modes."""


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album") / "originals"
    for number in range(PICTURES):
        draw(folder / f"{number:02}.jpg", seed=number, size=(800, 600))
    return folder


@pytest.fixture(scope="module")
def undisturbed(album: Path) -> Path:
    library = album.with_name("library")
    succeeded(call("run", album, "--library", library))
    return library


def mount(place: Path, *options: str) -> None:
    """Mount, or skip the test where that is not allowed."""
    done = subprocess.run(["mount", *options, place], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


def unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


# -- an unwritable library -----------------------------------------------------------------------


@pytest.fixture
def read_only(undisturbed: Path, tmp_path: Path) -> Iterator[Path]:
    """The finished library on a file system that is mounted read-only."""
    library = Path(shutil.copytree(undisturbed, tmp_path / "library"))
    mount(library, "--bind", str(library))
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", library], check=True)
        yield library
    finally:
        unmount(library)


@pytest.fixture
def without_override(is_root: bool) -> tuple[str, ...]:
    """What makes a command obey file modes."""
    if not is_root:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root ignores file modes, and there is no setpriv to take that away")
    if subprocess.run([*WITHOUT_OVERRIDE, "true"], capture_output=True).returncode != 0:
        pytest.skip("root ignores file modes, and setpriv may not take that away")
    return WITHOUT_OVERRIDE


def test_a_read_only_library_is_refused_and_left_as_it_is(read_only: Path, album: Path) -> None:
    before = contents_below(read_only)
    for command in (("run", album), ("scan", album), ("prune",), ("backfill-stale",)):
        answer = call(*command, "--library", read_only)
        refused(answer, "cannot write", str(read_only), "choose another folder with --library")
    assert contents_below(read_only) == before


def test_a_library_without_permission_to_write_is_refused(
    undisturbed: Path, album: Path, tmp_path: Path, without_override: tuple[str, ...]
) -> None:
    library = Path(shutil.copytree(undisturbed, tmp_path / "library"))
    before = contents_below(library)
    for place in (library, *(path for path in library.rglob("*") if path.is_dir())):
        place.chmod(0o555)
    answer = spawn("run", album, "--library", library, prefix=without_override)
    refused(answer, "cannot write", "make it writable for this user")
    assert contents_below(library) == before


def test_a_library_is_not_made_where_nothing_may_be_written(
    album: Path, tmp_path: Path, without_override: tuple[str, ...]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    answer = spawn("run", album, "--library", closed / "library", prefix=without_override)
    refused(answer, "cannot write", "make it writable for this user")
    assert list(closed.iterdir()) == []


# -- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 MB; 64 MB must be free for work to start."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "-t", "tmpfs", "-o", "size=80m", "tmpfs")
    try:
        yield disk
    finally:
        unmount(disk)


def fill(disk: Path) -> Path:
    """Use up every byte that is free."""
    ballast = disk / "ballast"
    with open(ballast, "ab", buffering=0) as handle:
        for size in (1 << 20, 1 << 12, 1 << 9):
            try:
                while True:
                    handle.write(bytes(size))
            except OSError:
                continue
    return ballast


PHASES: dict[str, Callable[[Path], bool]] = {
    "the scan": lambda library: (library / "batches").exists(),
    "thumbnails": lambda library: any((library / "thumbnails").glob("*/*.jpg")),
    "the catalogue": lambda library: any(library.glob(".catalog.*")),
}


def run_until_full(album: Path, library: Path, is_reached: Callable[[Path], bool]) -> Answer:
    """Run, and fill the disk as soon as a phase is reached."""
    command = [PROGRAM, "run", album, "--library", library]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        while run.poll() is None and not is_reached(library):
            time.sleep(0.001)
        fill(library.parent)
        out, err = run.communicate(timeout=120)
    return Answer(run.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("phase", PHASES)
def test_a_disk_that_fills_up_stops_a_run_and_costs_nothing(
    phase: str, album: Path, undisturbed: Path, small_disk: Path
) -> None:
    library = small_disk / "library"
    answer = run_until_full(album, library, PHASES[phase])
    assert answer.code == 1
    assert "Traceback" not in answer.out + answer.err
    message = answer.err.splitlines()[-1]
    assert message.startswith("error: no space left while writing under")
    assert "free some space, then run the same command again" in message

    refused(call("run", album, "--library", library), "free some space")
    (small_disk / "ballast").unlink()
    succeeded(call("run", album, "--library", library))
    assert tables_of(library) == tables_of(undisturbed)


def test_no_library_is_made_on_a_full_disk_and_the_folder_can_be_used_later(
    album: Path, small_disk: Path
) -> None:
    ballast = fill(small_disk)
    refused(call("scan", album, "--library", small_disk / "library"), "no space left")
    ballast.unlink()
    succeeded(call("scan", album, "--library", small_disk / "library"))


def test_work_does_not_start_on_a_disk_that_is_nearly_full(album: Path, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(40 << 20))
    refused(call("run", album, "--library", small_disk / "library"), "only 41.", "67 MB")


# -- Ctrl-C --------------------------------------------------------------------------------------


def test_ctrl_c_stops_after_the_current_file_and_the_same_command_goes_on(
    album: Path, undisturbed: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    command = [PROGRAM, "run", album, "--library", library]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        while run.poll() is None and not PHASES["thumbnails"](library):
            time.sleep(0.001)
        os.kill(run.pid, signal.SIGINT)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err.decode()
    assert "run" in err.decode().splitlines()[-1]
    assert "Traceback" not in err.decode()
    succeeded(call("run", album, "--library", library))
    thumbnails = status(library)["stages"]["thumbnails"]
    assert 0 < thumbnails["copied"] < PICTURES
    assert thumbnails["computed"] + thumbnails["copied"] == PICTURES
    assert tables_of(library) == tables_of(undisturbed)


# -- bad input -----------------------------------------------------------------------------------


def test_every_shared_bad_file_format_and_video_ends_in_exactly_one_state(
    shared_media: Path, tmp_path: Path
) -> None:
    folders = [shared_media / name for name in ("bad", "formats", "video")]
    before = {name: entry for folder in folders for name, entry in contents_below(folder).items()}
    library = tmp_path / "library"
    succeeded(call("run", *folders, "--library", library))
    found = status(library)
    assert (found["files"], found["pending"]) == (len(before), 0)
    rows = tables_of(library)["files"]
    assert len({(row["root_id"], row["relative_path"]) for row in rows}) == len(rows) == len(before)
    for row in rows:
        assert (row["state"] == "ok") == (row["reason"] is None) == (row["stage"] is None)
        assert row["reason"] is None or row["reason"] in REASONS
    assert "internal_error" not in found["reasons"]
    after = {name: entry for folder in folders for name, entry in contents_below(folder).items()}
    assert after == before
