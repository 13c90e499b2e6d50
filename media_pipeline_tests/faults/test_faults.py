"""Damage to a library's own files: one clear message, nothing lost, the same command repairs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from media_pipeline.library.opened import Library, open_library
from media_pipeline_tests.command_line import (
    call,
    contents_below,
    refused,
    status,
    succeeded,
    tables_of,
)
from media_pipeline_tests.conftest import draw
from media_pipeline_tests.damage import (
    PICTURES,
    Tables,
    cut,
    garbage,
    repaired,
    scramble,
    table_files,
)

pytestmark = pytest.mark.slow


# -- tables --------------------------------------------------------------------------------------

STAGES = ["metadata", "thumbnails", "quality", "files", "duplicates", "verdicts"]


@pytest.mark.parametrize("stage", ["metadata", "thumbnails", "files"])
def test_a_table_that_is_cut_off_is_made_again(stage: str, library: Path, expected: Tables) -> None:
    table = table_files(library, stage)[0]
    cut(table)
    refused(call("run", "--library", library), str(table), "set aside", "run `media-pipeline run`")
    repaired(library, expected)


@pytest.mark.parametrize("stage", ["quality", "files"])
def test_bytes_that_flipped_inside_a_table_are_found_and_made_again(
    stage: str, library: Path, expected: Tables
) -> None:
    table = table_files(library, stage)[-1]
    scramble(table, 4, 64)  # the first page
    refused(call("run", "--library", library), str(table), "set aside", "run `media-pipeline run`")
    repaired(library, expected)


def test_all_damaged_tables_are_set_aside_at_once(library: Path, expected: Tables) -> None:
    for stage in STAGES:
        for table in table_files(library, stage):
            cut(table, 0.9)
    refused(call("run", "--library", library), "set aside")
    repaired(library, expected)


def test_a_damaged_table_stops_whoever_reads_it_with_the_remedy(library: Path) -> None:
    cut(table_files(library, "files")[0])
    refused(call("status", "--library", library), "run `media-pipeline run`")
    assert status(library)["pending"] == PICTURES  # honest: nothing is known until the next run


def test_a_lost_table_is_made_again_although_an_older_one_is_there(
    library: Path, expected: Tables
) -> None:
    table = table_files(library, "quality")[1]
    older = table.parent.with_name("00000000") / table.name
    older.parent.mkdir()
    shutil.copyfile(table, older)
    table.unlink()
    repaired(library, expected)


def test_deleted_tables_are_made_again(library: Path, expected: Tables) -> None:
    shutil.rmtree(library / "tables")
    repaired(library, expected)


def test_what_a_killed_run_left_behind_is_never_read(library: Path, expected: Tables) -> None:
    table = table_files(library, "quality")[0]
    content = table.read_bytes()
    table.with_name(f".{table.name}.123.tmp").write_bytes(content[: len(content) // 2])
    table.with_name(".b000000.partial").write_bytes(content[: len(content) // 2])
    (library / ".catalog.123.duckdb").write_bytes(bytes(1000))
    table.unlink()
    repaired(library, expected)
    assert not list(library.glob(".catalog.*"))


# -- manifests and thumbnails --------------------------------------------------------------------


def test_a_deleted_manifest_is_written_again(library: Path, expected: Tables) -> None:
    manifest = library / "batches" / "b000001.json"
    before = manifest.read_bytes()
    manifest.unlink()
    table_files(library, "metadata")[1].unlink()
    repaired(library, expected)
    assert manifest.read_bytes() == before


@pytest.mark.parametrize("damage", [cut, garbage], ids=["cut off", "garbage"])
def test_a_damaged_manifest_is_set_aside_and_written_again(
    damage: Callable[[Path], None], library: Path, expected: Tables
) -> None:
    manifest = library / "batches" / "b000001.json"
    before = manifest.read_bytes()
    damage(manifest)
    table_files(library, "metadata")[1].unlink()
    refused(call("run", "--library", library), str(manifest), "set aside")
    repaired(library, expected)
    assert manifest.read_bytes() == before


def test_deleted_thumbnails_are_made_again(
    library: Path, undisturbed: Path, expected: Tables
) -> None:
    shutil.rmtree(library / "thumbnails")
    repaired(library, expected)
    names = sorted(p.relative_to(undisturbed) for p in (undisturbed / "thumbnails").rglob("*.jpg"))
    assert all((library / name).read_bytes() == (undisturbed / name).read_bytes() for name in names)


def test_only_the_deleted_thumbnails_are_decoded_again(library: Path, expected: Tables) -> None:
    for path in sorted((library / "thumbnails").rglob("*.jpg"))[:2]:
        path.unlink()
    succeeded(call("run", "--library", library))
    assert status(library)["stages"]["thumbnails"]["computed"] == 2
    assert tables_of(library) == expected


def test_deleted_thumbnails_of_originals_that_are_away_cost_no_row(
    library: Path, expected: Tables, album: Path
) -> None:
    away = album.rename(album.with_name("away"))
    try:
        succeeded(call("run", "--library", library))
        shutil.rmtree(library / "thumbnails")
        succeeded(call("run", "--library", library))
        found = status(library)
        assert (found["ok"], found["offline"], found["missing"]) == (PICTURES, PICTURES, 0)
        assert tables_of(library)["thumbnails"] == expected["thumbnails"]
    finally:
        away.rename(album)
    repaired(library, expected)
    assert len(list((library / "thumbnails").rglob("*.jpg"))) == PICTURES


# -- the catalogue -------------------------------------------------------------------------------

DAMAGE: dict[str, Callable[[Path], None]] = {
    "garbage": garbage,
    "cut off": cut,
    "flipped header": lambda path: scramble(path, 4096, 64),
    "flipped data": lambda path: scramble(path, 12288, path.stat().st_size),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_catalogue_is_rebuilt(
    damage: Callable[[Path], None], library: Path, tmp_path: Path
) -> None:
    damage(library / "catalog.duckdb")
    target = tmp_path / "out.csv"
    refused(call("export", "csv", target, "--library", library), "set aside", "pipeline run")
    assert not target.exists()
    succeeded(call("run", "--library", library))
    succeeded(call("export", "csv", target, "--library", library))
    assert len(target.read_text().splitlines()) == PICTURES + 1


def test_a_catalogue_that_is_open_elsewhere_is_not_taken_for_damaged(
    library: Path, expected: Tables, tmp_path: Path
) -> None:
    program = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    command = [sys.executable, "-c", program, library / "catalog.duckdb"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        answer = call("export", "csv", tmp_path / "out.csv", "--library", library)
        refused(answer, "open for writing in another program", "close it there")
        table_files(library, "quality")[0].unlink()
        repaired(library, expected)
        other.communicate(b"\n")
    succeeded(call("export", "csv", tmp_path / "out.csv", "--library", library))


def test_a_catalogue_found_damaged_while_it_is_renewed_is_rebuilt(
    library: Path, expected: Tables
) -> None:
    cut(library / "catalog.duckdb")
    table_files(library, "quality")[0].unlink()
    refused(call("run", "--library", library), "catalog.duckdb", "set aside", "pipeline run")
    repaired(library, expected)


# -- library.toml, schema versions, other folders ------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch_size = = 4", "line 1"),
        ("batch_size = 'four'", "batch_size must be like 512"),
        ("batch_size = 0", "batch_size must be 1 to"),
        ("settle_s = true", "settle_s must be like"),
        ("color = 'blue'", "color"),
        ("[[roots]]\nid = 'r0001'", "path"),
        ("thresholds = 'none'", "correct `thresholds`"),
    ],
)
def test_a_mistake_in_library_toml_is_named_and_nothing_changed(
    text: str, words: str, library: Path
) -> None:
    (library / "library.toml").write_text(text)
    before = contents_below(library)
    for command in ("run", "status", "prune"):
        refused(call(command, "--library", library), words, "library.toml")
    assert contents_below(library) == before


def test_a_deleted_library_toml_is_written_again_with_its_roots(
    library: Path, expected: Tables
) -> None:
    (library / "library.toml").unlink()
    repaired(library, expected)


@pytest.mark.parametrize(
    "command",
    [("run",), ("scan",), ("status",), ("export", "csv", "out.csv"), ("prune",), ("dev",)],
    ids=" ".join,
)
def test_a_newer_library_is_refused_and_left_as_it_is(
    command: tuple[str, ...], library: Path, album: Path
) -> None:
    config = library / "library.toml"
    config.write_text(
        config.read_text().replace("schema_version = 1", "schema_version = 2\nnovel = 1")
    )
    before = contents_below(library)
    paths = (album,) if command == ("run",) else ()
    answer = call(*command, *paths, "--library", library)
    refused(answer, "schema 2", "up to 1", "upgrade media-pipeline", "nothing was changed")
    assert contents_below(library) == before


def test_damaged_dagster_files_cost_only_the_history_of_runs(
    library: Path, expected: Tables
) -> None:
    for database in (library / "dagster").rglob("*.db"):
        garbage(database)
    table_files(library, "quality")[0].unlink()
    refused(call("run", "--library", library), str(library / "dagster"), "delete that folder")
    shutil.rmtree(library / "dagster")
    repaired(library, expected)


# -- two at once, and the originals --------------------------------------------------------------


def test_a_second_run_is_refused_while_a_first_is_at_work(library: Path, album: Path) -> None:
    other = draw(album.with_name("other") / "x.jpg", seed=77).parent
    opened: Library = open_library(library)
    before = (library / "library.toml").read_bytes()
    with opened.locked("run"):
        for command in (("run", album), ("run", other), ("scan", album), ("prune",)):
            answer = call(*command, "--library", library)
            refused(answer, "another `media-pipeline` command", "wait for it")
        assert status(library)["ok"] == PICTURES  # reading is never refused
    assert (library / "library.toml").read_bytes() == before
    opened.close()
    succeeded(call("run", album, "--library", library))


def test_a_run_leaves_the_originals_as_they_are(album: Path, tmp_path: Path) -> None:
    originals = Path(shutil.copytree(album, tmp_path / "originals"))
    (originals / "locked.jpg").write_bytes((album / "1.jpg").read_bytes() + b"1")
    (originals / "locked.jpg").chmod(0o444)
    cut(shutil.copy2(album / "2.jpg", originals / "cut.jpg"))
    os.mkfifo(originals / "pipe.jpg")
    (originals / "link.jpg").symlink_to("1.jpg")
    before = contents_below(originals)
    library = originals / "library inside"
    succeeded(call("run", originals, "--library", library))
    succeeded(call("run", originals, "--library", library))
    after = contents_below(originals)
    inside = os.fsencode(library)
    assert {path: v for path, v in after.items() if not path.startswith(inside)} == before
    assert status(library)["files"] == PICTURES + 4
