"""Every command of the command line, through its real entry point, on one small album."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from media_pipeline.library.opened import Library, open_library
from media_pipeline.tables import TableStore
from media_pipeline_tests.command_line import (
    call,
    contents_below,
    make_stale,
    refused,
    spawn,
    status,
    succeeded,
    tables_of,
)
from media_pipeline_tests.conftest import draw

STATUS_KEYS = {
    "files", "contents", "ok", "degraded", "failed", "skipped", "offline", "missing", "batches",
    "stale",
}  # fmt: skip
PICTURES = 5
FILES = PICTURES + 4  # a copy, a cut-off picture, a text called .jpg, a note


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures, a copy, two broken files and a note; one camera has a formula for a name."""
    folder = tmp_path_factory.mktemp("album") / "originals"
    for number in range(PICTURES):
        draw(folder / f"{number}.jpg", seed=number, size=(320, 240))
    with Image.open(folder / "1.jpg") as picture:
        exif = picture.getexif()
        exif[0x010F] = "=cmd()"  # Make
        picture.save(folder / "1.jpg", exif=exif)
    shutil.copyfile(folder / "0.jpg", folder / "copy.jpg")
    whole = draw(folder / "cut.jpg", seed=99, size=(320, 240)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "list.jpg").write_text("Bread, milk, apples.")
    (folder / "note.txt").write_text("A note.")
    return folder


@pytest.fixture(scope="module")
def finished(album: Path) -> Path:
    """The library of the album after one run; tests that change it take `library`."""
    library = album.with_name("library")
    succeeded(call("run", album, "--library", library))
    return library


@pytest.fixture
def library(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished library, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "library"))


@pytest.fixture
def opened(library: Path) -> Iterator[Library]:
    found = open_library(library)
    yield found
    found.close()


# -- run, scan, status ---------------------------------------------------------------------------


def test_status_has_the_promised_keys_and_its_states_add_up(finished: Path) -> None:
    found = status(finished)
    assert found.keys() >= STATUS_KEYS
    for stage in found["stages"].values():
        assert stage.keys() >= {"rows", "computed", "copied"}
    assert (found["files"], found["contents"]) == (FILES, PICTURES + 2)
    assert (found["ok"], found["degraded"], found["failed"], found["skipped"]) == (
        PICTURES + 1, 1, 1, 1,
    )  # fmt: skip
    assert found["stages"]["thumbnails"]["computed"] == PICTURES + 2
    assert found["batches"] == 1


def test_status_for_people_names_every_stage_and_reason(finished: Path) -> None:
    said = succeeded(call("status", "--library", finished)).out
    for word in ("thumbnails", "catalog", "truncated", "unrecognised_format", "not_media"):
        assert word in said


def test_a_second_run_computes_nothing(library: Path, album: Path) -> None:
    before = tables_of(library)
    said = succeeded(call("run", album, "--library", library)).out
    assert "0 files read" in said
    assert {s["computed"] for s in status(library)["stages"].values()} == {0}
    assert tables_of(library) == before


def test_a_run_without_paths_takes_every_known_root(library: Path, album: Path) -> None:
    assert f"scanned {FILES} entries" in succeeded(call("run", "--library", library)).out


@pytest.mark.slow
def test_a_scan_makes_nothing_and_a_run_after_it_makes_everything(
    album: Path, finished: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    said = succeeded(call("scan", album, "--library", library)).out
    assert f"scanned {FILES} entries" in said
    found = status(library)
    assert (found["files"], found["pending"]) == (1, FILES - 1)  # only the note has its state
    assert found["stages"]["metadata"]["due"] == 1
    succeeded(call("run", "--library", library))
    assert tables_of(library) == tables_of(finished)


@pytest.mark.slow
def test_only_the_named_stages_and_their_inputs_are_made(album: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    succeeded(call("run", album, "--library", library, "--stages", "quality, metadata"))
    rows = {name: stage["rows"] for name, stage in status(library)["stages"].items()}
    assert rows["metadata"] == rows["thumbnails"] == rows["quality"] == PICTURES + 2
    assert rows["duplicates"] == rows["verdicts"] == 0


@pytest.mark.slow
def test_one_file_is_a_library_too(album: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    succeeded(call("run", album / "3.jpg", "--library", library))
    found = status(library)
    assert (found["files"], found["ok"]) == (1, 1)
    assert succeeded(call("explain", album / "3.jpg", "--library", library)).out
    succeeded(call("run", album, "--library", library))  # its folder takes it over
    assert status(library)["files"] == FILES


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "csv"])
def test_a_list_of_paths_is_taken_line_by_line(kind: str, album: Path, tmp_path: Path) -> None:
    names = ["0.jpg", str(album / "2.jpg"), "gone.jpg"]
    listed = tmp_path / ("some.csv" if kind == "csv" else "some.txt")
    text = "\n".join(["\ufeffnumber,path", *(f'7,"{n}"' for n in names)]) + "\n"
    listed.write_text(text if kind == "csv" else "\r\n".join([*names, ""]), encoding="utf-8")
    shutil.copyfile(album / "0.jpg", tmp_path / "0.jpg")
    library = tmp_path / "library"
    succeeded(call("run", "--list", listed, "--library", library))
    found = status(library)
    assert (found["files"], found["ok"], found["failed"]) == (3, 2, 1)
    assert found["reasons"] == {"original_unavailable": 1}


# -- explain -------------------------------------------------------------------------------------


def test_explain_finds_a_file_by_any_way_to_write_its_path(
    finished: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album)
    answers = [
        succeeded(call("explain", path, "--library", finished, "--json")).json
        for path in (album / "1.jpg", "1.jpg", "../originals/./1.jpg")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["files"][0]["path"] == str(album / "1.jpg")


def test_explain_tells_every_row_its_evidence_and_what_made_it(finished: Path, album: Path) -> None:
    by_path = succeeded(call("explain", album / "0.jpg", "--library", finished, "--json")).json
    media_id = by_path["media_id"]
    for what in (media_id, media_id[:8], media_id.upper()):
        by_id = succeeded(call("explain", what, "--library", finished, "--json")).json
        assert by_id["media_id"] == media_id
    assert [f["path"] for f in by_path["files"]] == [str(album / n) for n in ("0.jpg", "copy.jpg")]
    assert by_path["batch"] == "b000000"
    assert by_path["metadata"][0]["width_px"] == 320
    assert {e["tag"] for e in by_path["verdicts"][0]["evidence"]} >= {"blurry", "low_light"}
    made = by_path["made_with"]
    assert made["quality"]["active_recipe"] == made["quality"]["wanted_recipe"]
    said = succeeded(call("explain", album / "0.jpg", "--library", finished)).out
    assert all(word in said for word in (media_id, "blurry", "threshold", "made_with"))


def test_explain_tells_why_a_file_has_no_content(finished: Path, album: Path) -> None:
    answer = succeeded(call("explain", album / "note.txt", "--library", finished, "--json")).json
    assert answer["media_id"] is None
    row = answer["files"][0]
    assert (row["state"], row["stage"], row["reason"]) == ("skipped", "scan", "not_media")
    assert row["meaning"]


# -- export --------------------------------------------------------------------------------------


def exported(library: Path, kind: str, target: Path, *more: str) -> Path:
    said = succeeded(call("export", kind, target, "--library", library, *more)).out
    assert "entries written" in said
    return target


def test_the_csv_export_has_one_row_per_file_and_no_formula(finished: Path, tmp_path: Path) -> None:
    text = exported(finished, "csv", tmp_path / "out.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == FILES
    by_name = {os.path.basename(row["path"]): row for row in rows}
    assert by_name["1.jpg"]["camera_make"] == "'=cmd()"
    assert by_name["0.jpg"]["quality"] in ("good", "fair", "poor")
    assert by_name["list.jpg"]["reason"] == "unrecognised_format"
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values())


def test_the_json_export_has_the_tags_of_every_image(finished: Path, tmp_path: Path) -> None:
    target = exported(finished, "json", tmp_path / "out.json")
    entries: list[dict[str, Any]] = json.loads(target.read_text(encoding="utf-8"))
    assert len(entries) == FILES - 1  # the note is no image
    assert all(isinstance(entry["tags"], list) for entry in entries)
    tags = {os.path.basename(entry["path"]): entry["tags"] for entry in entries}
    assert tags["0.jpg"] == tags["copy.jpg"]


def test_the_parquet_export_keeps_the_types(finished: Path, tmp_path: Path) -> None:
    table = pq.read_table(exported(finished, "parquet", tmp_path / "out.parquet"))
    assert table.num_rows == FILES
    assert str(table.schema.field("width_px").type).startswith("int")
    assert set(table["state"].to_pylist()) == {"ok", "degraded", "failed", "skipped"}


def test_an_export_replaces_nothing_unless_told_to(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    refused(call("export", "csv", target, "--library", finished), "exists", "--force")
    assert target.read_text() == "mine"
    exported(finished, "csv", target, "--force")
    assert target.read_text() != "mine"


def test_an_export_does_not_go_among_the_originals(finished: Path, album: Path) -> None:
    before = contents_below(album)
    target = album / "new folder" / "out.csv"
    refused(call("export", "csv", target, "--library", finished), "originals", "--force")
    link = album.parent / "link"
    link.symlink_to(album, target_is_directory=True)
    refused(call("export", "csv", link / "out.csv", "--library", finished), "originals")
    assert contents_below(album) == before


def test_an_export_to_where_no_file_can_be_is_refused(finished: Path, tmp_path: Path) -> None:
    refused(call("export", "csv", tmp_path, "--library", finished, "--force"), "is a folder")
    for target in (tmp_path / ("n" * 255), Path("/dev/null/out.csv")):
        answer = call("export", "csv", target, "--library", finished)
        refused(answer, "cannot write", "choose another place")


def test_an_export_without_a_catalogue_says_how_to_get_one(library: Path, tmp_path: Path) -> None:
    (library / "catalog.duckdb").unlink()
    refused(call("export", "csv", tmp_path / "out.csv", "--library", library), "pipeline run")
    assert not (tmp_path / "out.csv").exists()


# -- prune, backfill-stale, doctor ---------------------------------------------------------------


def test_prune_removes_only_what_nothing_reads(opened: Library, library: Path) -> None:
    before = tables_of(library)
    store: TableStore = opened.store
    recipe = opened.recipes["quality"]
    shutil.copytree(opened.layout.tables / "quality" / recipe, library / "tables/quality/0ld0ld00")
    orphan = library / "thumbnails" / "aa" / ("a" * 32 + ".jpg")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(bytes(1000))

    said = succeeded(call("prune", "--dry-run", "--library", library)).out
    assert "quality/0ld0ld00" in said
    assert "1 old recipes and 1 thumbnails: would free" in said
    assert orphan.exists()
    assert store.recipes_of("quality") == sorted(["0ld0ld00", recipe])

    assert "freed" in succeeded(call("prune", "--library", library)).out
    assert not orphan.exists()
    assert store.recipes_of("quality") == [recipe]
    assert tables_of(library) == before
    succeeded(call("run", "--library", library))
    assert {s["computed"] for s in status(library)["stages"].values()} == {0}


def test_prune_leaves_thumbnails_of_unfinished_batches(opened: Library, library: Path) -> None:
    opened.store.remove("thumbnails", opened.recipes["thumbnails"])
    thumbnails = sorted((library / "thumbnails").rglob("*.jpg"))
    assert "0 thumbnails" in succeeded(call("prune", "--library", library)).out
    assert sorted((library / "thumbnails").rglob("*.jpg")) == thumbnails


@pytest.mark.slow
def test_stale_tables_wait_until_they_are_asked_for(opened: Library, library: Path) -> None:
    make_stale(opened, "quality")
    said = succeeded(call("backfill-stale", "--dry-run", "--library", library)).out
    assert "quality (1)" in said
    assert status(library)["stale"] >= 1
    said = succeeded(call("run", "--library", library)).out
    assert "stale and left as it is: quality (1)" in said
    assert status(library)["stages"]["quality"]["computed"] == 0
    succeeded(call("backfill-stale", "--library", library))
    found = status(library)
    assert found["stale"] == 0
    assert found["stages"]["quality"]["computed"] == PICTURES + 2
    assert found["stages"]["thumbnails"]["computed"] == 0


def test_a_dry_run_with_nothing_stale_says_so(finished: Path) -> None:
    said = succeeded(call("backfill-stale", "--dry-run", "--library", finished)).out
    assert "nothing is stale" in said


def test_the_doctor_says_what_there_is_and_how_to_get_what_is_missing(tmp_path: Path) -> None:
    answer = call("doctor", "--json", "--library", tmp_path / "not there yet")
    topics = {finding["topic"] for finding in answer.json}
    assert topics >= {"system", "device", "package", "format", "codec", "disk"}
    assert all(finding["remedy"] for finding in answer.json if not finding["ok"])
    assert answer.code == (0 if all(finding["ok"] for finding in answer.json) else 1)
    assert list(tmp_path.iterdir()) == []
    assert "jpeg" in call("doctor", "--library", tmp_path / "not there yet").out


# -- as people start it --------------------------------------------------------------------------


@pytest.mark.slow
def test_the_program_ends_with_the_exit_code_of_its_outcome(
    album: Path, finished: Path, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    done = succeeded(spawn("run", album, "--library", library))
    assert f"{FILES} files" in done.out
    assert f"library {library}" in done.err
    assert tables_of(library) == tables_of(finished)
    refused(spawn("status", "--library", tmp_path / "no library"), "no library at")
    assert spawn("no-such-command").code == 2
    assert "Usage" in succeeded(spawn("--help")).out
