"""The user's word on the command line: mark and forget."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from media_pipeline.library.opened import Library, create_library
from media_pipeline_tests.command_line import (
    call,
    contents_below,
    refused,
    status,
    succeeded,
    tables_of,
)
from media_pipeline_tests.conftest import draw

pytestmark = pytest.mark.slow

BLACK, PHOTO = "black.jpg", "photo.jpg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with originals and the library that was made of them."""
    folder = tmp_path_factory.mktemp("words")
    draw(folder / "originals" / PHOTO, seed=1, size=(640, 480))
    Image.new("RGB", (640, 480), (1, 1, 1)).save(folder / "originals" / BLACK)
    succeeded(call("run", folder / "originals", "--library", folder / "library"))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of the library, on the same originals."""
    shutil.copytree(made / "library", tmp_path / "library")
    return tmp_path


def verdict(folder: Path, name: str) -> dict[str, Any]:
    library: Library = create_library(folder / "library")
    files = library.read_whole("files").to_pylist()
    media_id = next(row["media_id"] for row in files if row["name"] == name)
    rows = library.read_whole("verdicts").to_pylist()
    library.close()
    return next(row for row in rows if row["media_id"] == media_id)


def mark(folder: Path, name: str, word: str) -> None:
    media_id = verdict(folder, name)["media_id"]
    succeeded(call("mark", media_id, word, "--library", folder / "library"))


def test_keep_wins_over_every_flag_and_undecided_takes_it_back(folder: Path) -> None:
    assert verdict(folder, BLACK)["is_junk"] is True
    mark(folder, BLACK, "keep")
    kept = verdict(folder, BLACK)
    assert (kept["is_junk"], kept["decision"]) == (False, "keep")
    assert "keep" in [one["protection"] for one in kept["protections"]]
    assert any(one["fired"] for one in kept["junk_evidence"]), "the evidence stays"
    mark(folder, BLACK, "undecided")
    assert verdict(folder, BLACK)["is_junk"] is True


def test_junk_wins_over_a_good_photo(folder: Path) -> None:
    assert verdict(folder, PHOTO)["is_junk"] is False
    mark(folder, PHOTO, "junk")
    assert (verdict(folder, PHOTO)["is_junk"], verdict(folder, PHOTO)["decision"]) == (True, "junk")


def test_a_label_is_shown_with_what_it_is_a_kind_of_until_it_is_denied(folder: Path) -> None:
    assert verdict(folder, PHOTO)["label"] is None
    mark(folder, PHOTO, "label:pug")
    found = verdict(folder, PHOTO)
    assert found["label"] == "pug"
    assert "animal" in found["labels"][0]["ancestors"]
    assert found["labels"][0]["rule"] == "the user's word"
    mark(folder, PHOTO, "not-label:pug")
    assert not verdict(folder, PHOTO)["labels"]


def test_a_word_decides_again_and_computes_nothing_per_batch(folder: Path) -> None:
    before = tables_of(folder / "library")
    mark(folder, PHOTO, "junk")
    after = tables_of(folder / "library")
    assert {name for name in before if before[name] != after[name]} == {"verdicts"}
    assert status(folder / "library")["stages"]["verdicts"]["due"] == 0


def test_the_word_on_a_file_follows_its_content_wherever_it_is_moved(tmp_path: Path) -> None:
    photo, library = draw(tmp_path / "originals" / PHOTO, size=(640, 480)), tmp_path / "library"
    succeeded(call("run", photo.parent, "--library", library))
    succeeded(call("mark", photo, "junk", "--library", library))
    photo.rename(photo.with_name("elsewhere.jpg"))
    succeeded(call("run", "--library", library))
    assert verdict(tmp_path, "elsewhere.jpg")["is_junk"] is True


def test_forget_removes_every_trace_but_the_original(made: Path, folder: Path) -> None:
    library = folder / "library"
    originals = contents_below(made / "originals")
    media_id = verdict(folder, PHOTO)["media_id"]
    said = succeeded(call("forget", media_id, "--library", library)).out
    assert "the original is untouched" in said
    assert contents_below(made / "originals") == originals
    tables = tables_of(library)
    holding = {n for n, rows in tables.items() if any(r.get("media_id") == media_id for r in rows)}
    assert holding == {"files"}
    assert not [p for p in (library / "thumbnails").rglob("*") if media_id in p.name]
    (row,) = [row for row in tables["files"] if row["media_id"] == media_id]
    assert (row["state"], row["reason"]) == ("skipped", "forgotten")
    succeeded(call("run", "--library", library))
    assert tables_of(library)["thumbnails"] == tables["thumbnails"]


def test_forgetting_again_leaves_the_library_whole(folder: Path) -> None:
    library = folder / "library"
    media_id = verdict(folder, PHOTO)["media_id"]
    for _ in range(2):
        succeeded(call("forget", media_id, "--library", library))
    succeeded(call("run", "--library", library))
    assert (status(library)["pending"], status(library)["skipped"]) == (0, 1)


def test_what_was_forgotten_comes_back_when_that_is_undone(folder: Path) -> None:
    library = folder / "library"
    before = tables_of(library)
    media_id = verdict(folder, PHOTO)["media_id"]
    succeeded(call("forget", media_id, "--library", library))
    succeeded(call("forget", media_id, "--undo", "--library", library))
    succeeded(call("run", "--library", library))
    assert status(library)["ok"] == 2
    after = tables_of(library)
    assert {name: len(rows) for name, rows in after.items()} == {
        name: len(rows) for name, rows in before.items()
    }
    assert any(row["media_id"] == media_id for row in after["thumbnails"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keep"], "'keep' alone says nothing"),
        ([BLACK, "throw"], "label:NAME"),
        (["nowhere.jpg", "keep"], "neither a file"),
        ([BLACK, "label:"], "empty"),
    ],
)
def test_a_word_that_cannot_be_meant_changes_nothing(
    made: Path, folder: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made / "originals")
    refused(call("mark", *words, "--library", folder / "library"), said)
    assert not (folder / "library" / "decisions.jsonl").exists()
