"""What people mistype, and names that strangers chose: one clear message, nothing made or lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from media_pipeline.library.opened import create_library
from media_pipeline_tests.command_line import (
    Answer,
    call,
    contents_below,
    refused,
    status,
    succeeded,
)
from media_pipeline_tests.conftest import draw

ODD_NAMES = (
    b"bold [/b] [red].jpg", b"two\nlines.jpg", b"colour\x1b[31m\x07.jpg", b"caf\xe9.jpg",
    b"=cmd().jpg", "\N{BEACH WITH UMBRELLA}\ufe0f.jpg".encode(), "ex\u202egpj.jpg".encode(),
    b"n" * 251 + b".jpg", b" -- .jpg",
)  # fmt: skip


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "originals" / "a.jpg")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that knows no root."""
    made = create_library(tmp_path / "library")
    made.ledger.check()
    made.close()
    return made.layout.root


def nothing_made(folder: Path, *allowed: str) -> bool:
    return {path.name for path in folder.iterdir()} <= set(allowed)


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "scan"])
def test_a_mistyped_path_makes_no_library(command: str, tmp_path: Path) -> None:
    answer = call(command, tmp_path / "Pictuers", "--library", tmp_path / "library")
    refused(answer, "Pictuers", "does not exist", "give an existing")
    assert nothing_made(tmp_path)


def test_an_unknown_stage_is_answered_with_those_that_exist(picture: Path, tmp_path: Path) -> None:
    answer = call("run", picture, "--library", tmp_path / "library", "--stages", "metadata,faces")
    refused(answer, "'faces'", "metadata, thumbnails, quality")
    assert nothing_made(tmp_path, "originals")
    refused(call("backfill-stale", "--stages", "faces", "--library", tmp_path), "'faces'")


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("status", "--json"), ("explain", "a.jpg"), ("export", "csv", "out.csv"),
        ("prune",), ("backfill-stale",), ("run",), ("scan",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_mistyped_library_is_named_and_not_made(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call(*command, "--library", tmp_path / "libary")
    refused(answer, f"no library at {tmp_path / 'libary'}", "pipeline run FOLDER")
    assert nothing_made(tmp_path)


def test_a_folder_of_other_things_is_not_made_a_library(picture: Path, tmp_path: Path) -> None:
    before = contents_below(tmp_path)
    answer = call("run", picture, "--library", picture.parent)
    refused(answer, "is not empty and not a library", "nothing was changed")
    assert contents_below(tmp_path) == before


@pytest.mark.parametrize("below", ["", "new", "new/library"])
def test_a_file_is_not_made_a_library(below: str, picture: Path) -> None:
    answer = call("run", picture, "--library", picture / below)
    refused(answer, f"{picture} is not a folder", "choose a new or empty folder")


@pytest.mark.parametrize("name", ["100%41", "what?", os.fsdecode(b"caf\xe9")])
def test_a_library_is_not_made_where_databases_would_land_elsewhere(
    name: str, picture: Path, tmp_path: Path
) -> None:
    refused(call("run", picture, "--library", tmp_path / name), "without % and ?")
    assert nothing_made(tmp_path, "originals")


def test_a_run_with_nothing_to_scan_says_what_to_name(library: Path) -> None:
    refused(call("run", "--library", library), "nothing to scan", "name a folder")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "names no path"),
        (b"\n\n", "names no path"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "is not text"),
        (b"number,title\n1,A\n", "one of them must be called path"),
        (b'path,title\n"' + b"x" * 200_000 + b'",A\n', "is not CSV"),
    ],
)
def test_a_list_that_is_none_is_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    if content is not None:
        listed.write_bytes(content)
    refused(call("run", "--list", listed, "--library", tmp_path / "library"), words)
    assert nothing_made(tmp_path, "list.csv")


def test_what_no_library_knows_is_not_explained(library: Path, picture: Path) -> None:
    for what in (picture, "0123456789abcdef", "abc"):
        refused(call("explain", what, "--library", library), str(what), "check the spelling")


@pytest.mark.parametrize(
    "arguments",
    [("no-such-command",), ("export", "xml", "out.xml"), ("status", "--jsn"), ("[/b]",)],
)
def test_a_mistyped_command_ends_with_usage(arguments: tuple[str, ...]) -> None:
    answer = call(*arguments)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert "Usage" in answer.err


def test_a_mistake_is_told_with_markup_and_control_characters_harmless(library: Path) -> None:
    for name in ODD_NAMES:
        answers = (
            call("explain", os.fsdecode(name), "--library", library),
            call("run", os.fsdecode(name), "--library", library),
            call("status", "--library", os.fsdecode(b"/nowhere/" + name)),
            call("run", "--list", os.fsdecode(name), "--library", library),
        )
        for answer in answers:
            refused(answer)
            is_plain(answer)


# -- names from strangers ------------------------------------------------------------------------


def is_plain(answer: Answer) -> None:
    said = answer.out + answer.err
    assert not set(said) & {"\x1b", "\x07", "\x08", "\x7f", "\u202e", "\r"}, ascii(said)


@pytest.fixture
def oddly_named(tmp_path: Path) -> Path:
    folder = tmp_path / "originals [/b]"
    plain = draw(tmp_path / "plain.jpg")
    for number, name in enumerate(ODD_NAMES):
        content = plain.read_bytes() + bytes(number)  # what follows the end of a JPEG is ignored
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)  # a `[/b]` in a path is a folder `[`
        path.write_bytes(content)
    return folder


@pytest.mark.slow
def test_odd_names_go_through_every_command(oddly_named: Path, tmp_path: Path) -> None:
    library = tmp_path / "library [/b]\nof mine"
    before = contents_below(oddly_named)
    is_plain(succeeded(call("run", oddly_named, "--library", library)))
    found = status(library)
    assert (found["files"], found["ok"]) == (len(ODD_NAMES), len(ODD_NAMES))
    is_plain(succeeded(call("status", "--library", library)))
    for name in ODD_NAMES:
        path = oddly_named / os.fsdecode(name)
        said = succeeded(call("explain", path, "--library", library))
        is_plain(said)
        assert b"[/b]" not in name or "bold [/b] [red].jpg" in said.out
        entry = succeeded(call("explain", path, "--library", library, "--json")).json
        assert len(entry["files"]) == 1
    for kind in ("csv", "json", "parquet"):
        target = tmp_path / f"[/b].{kind}"
        is_plain(succeeded(call("export", kind, target, "--library", library)))
        assert target.stat().st_size > 0
    assert contents_below(oddly_named) == before


def test_a_root_whose_name_is_not_utf8_is_refused_with_the_way_out(
    picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(picture.parent, folder)
    answer = call("run", folder, "--library", tmp_path / "library")
    refused(answer, "not UTF-8", "give a folder above it")
    is_plain(answer)
    refused(call("status", "--library", tmp_path / "libary"), "no library at")


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(
    oddly_named: Path, tmp_path: Path
) -> None:
    import subprocess

    from media_pipeline.settings import environment
    from media_pipeline_tests.command_line import PROGRAM

    beach = oddly_named / os.fsdecode(ODD_NAMES[5])
    done = subprocess.run(
        [PROGRAM, "explain", beach, "--library", beach / "no"],
        env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no library at" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", ['models = "composed"', "[models]\ncaptioner = 3"])
def test_models_that_cannot_be_meant_are_named(library: Path, line: str) -> None:
    config = library / "library.toml"
    config.write_text(f"{config.read_text()}\n{line}\n")
    refused(call("status", "--library", library), "library.toml", "models")
