"""A model change on the command line: what is refused, shown, switched and switched back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from media_pipeline.library.opened import open_library
from media_pipeline.library.plan import plan_batches, stale_tables
from media_pipeline.settings import read_config, write_config
from media_pipeline_tests.command_line import call, contents_below, refused, succeeded, tables_of
from media_pipeline_tests.conftest import draw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three originals and their library."""
    folder = tmp_path_factory.mktemp("changes")
    for number in range(3):
        draw(folder / "originals" / f"{number}.jpg", seed=number, size=(320, 240))
    succeeded(call("run", folder / "originals", "--library", folder / "library"))
    return folder


@pytest.fixture
def library(made: Path, tmp_path: Path) -> Path:
    """A copy of the library on the same originals."""
    shutil.copytree(made / "library", tmp_path / "library")
    return tmp_path / "library"


def test_a_diff_is_never_written_over_a_file_or_among_originals(made: Path, library: Path) -> None:
    before = contents_below(made / "originals")
    for target in (made / "originals" / "0.jpg", made / "originals" / "page.html"):
        answer = call(
            "models", "diff", "detections", "--sample", "2", "--out", target, "--library", library
        )
        refused(answer, "--force")
    assert contents_below(made / "originals") == before


def test_a_sample_takes_no_recipes(library: Path) -> None:
    answer = call(
        "models", "diff", "captions", "--sample", "2", "--from", "00000000", "--library", library
    )
    refused(answer, "--from")


def test_a_diff_shows_what_doing_without_a_detector_changes(library: Path) -> None:
    succeeded(call("models", "use", "detector", "none", "--library", library))
    said = succeeded(
        call("models", "diff", "detections", "--sample", "3", "--library", library)
    ).out
    assert "detections: 3 contents" in said
    page = (library / "reports" / "changes-detections.html").read_text()
    assert "sample of 3" in page
    assert tables_of(library)["detections"][0]["model"] == "opencv-people-cats"


def test_switching_back_by_hand_serves_the_old_tables_again(library: Path) -> None:
    before = tables_of(library)
    config = read_config(open_library(library).layout)
    succeeded(call("models", "use", "detector", "none", "--library", library))
    succeeded(call("run", "--stale", "--library", library))
    assert tables_of(library)["detections"][0]["state"] == "skipped"
    write_config(open_library(library).layout, config)
    succeeded(call("run", "--stale", "--library", library))
    assert tables_of(library)["detections"] == before["detections"]
    assert tables_of(library)["verdicts"] == before["verdicts"]


def test_a_profile_asked_for_again_goes_on_where_it_was_interrupted(library: Path) -> None:
    opened = open_library(library)
    write_config(opened.layout, replace(opened.config, models={"detector": ""}))
    stale = stale_tables(open_library(library), ["detections"])
    assert stale == {"detections": ["b000000"]}
    succeeded(call("run", "--profile", "embedded", "--library", library))
    again = open_library(library)
    assert stale_tables(again, [stage.name for stage in again.stages]) == {}
    assert not any(plan_batches(again, [s.name for s in again.stages]).due.values())


def test_every_model_that_is_missing_is_named_at_once(library: Path) -> None:
    answer = refused(call("run", "--profile", "standard", "--library", library), "models fetch")
    for name in ("siglip2-base-patch16-224", "vit-base-patch16-224", "rt-detr-v2-r18vd"):
        assert name in answer.err
    assert read_config(open_library(library).layout).profile == "embedded"


def test_a_thumbnail_that_cannot_be_read_costs_one_picture(library: Path) -> None:
    first = sorted((library / "thumbnails").rglob("*.jpg"))[0]
    first.unlink()
    first.mkdir()
    opened = open_library(library)
    for name in ("quality", "junk_flags"):
        opened.store.path(name, opened.recipes[name], "b000000").unlink()
    opened.close()
    succeeded(call("run", "--library", library))
    tables = tables_of(library)
    for name in ("quality", "junk_flags"):
        failed = {row["media_id"] for row in tables[name] if row["state"] == "failed"}
        assert failed == {first.stem}
    (row,) = [row for row in tables["files"] if row["media_id"] == first.stem]
    assert (row["state"], row["reason"]) == ("degraded", "io_error")
