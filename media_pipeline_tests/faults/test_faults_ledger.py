"""A damaged or lost ledger: rebuilt from the manifests, nothing forgotten, nothing made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from media_pipeline.library.opened import open_library
from media_pipeline_tests.command_line import (
    call,
    make_stale,
    refused,
    status,
    succeeded,
)
from media_pipeline_tests.conftest import draw
from media_pipeline_tests.damage import (
    BATCHES,
    PICTURES,
    Tables,
    cut,
    garbage,
    repaired,
    scramble,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "damage",
    [garbage, cut, lambda path: scramble(path, 4096, 8192), lambda path: scramble(path, 0, 100)],
    ids=["garbage", "cut off", "flipped pages", "flipped header"],
)
def test_a_damaged_ledger_is_set_aside_and_rebuilt(
    damage: Callable[[Path], None], library: Path, expected: Tables
) -> None:
    damage(library / "ledger.sqlite")
    refused(call("run", "--library", library), "ledger.sqlite", "set aside", "pipeline run")
    repaired(library, expected)
    assert list(library.glob("ledger.sqlite.corrupt-*"))


def test_a_damaged_ledger_stops_whoever_reads_it_with_the_remedy(library: Path) -> None:
    garbage(library / "ledger.sqlite")
    refused(call("status", "--library", library), "ledger.sqlite", "set aside", "pipeline run")
    assert status(library)["contents"] == PICTURES  # the batches are back, the paths not yet


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: cut(path, 0)], ids=["gone", "empty"])
def test_a_lost_ledger_is_rebuilt_without_a_word(
    damage: Callable[[Path], None], library: Path, expected: Tables
) -> None:
    damage(library / "ledger.sqlite")
    for journal in library.glob("ledger.sqlite-*"):
        journal.unlink()
    repaired(library, expected)


def test_a_ledger_older_than_its_manifests_catches_up(library: Path, expected: Tables) -> None:
    opened = open_library(library)
    with opened.ledger.transaction():
        opened.ledger._db.execute("DELETE FROM batches WHERE batch > 'b000000'")
        opened.ledger._db.execute("DELETE FROM contents WHERE batch > 'b000000'")
        opened.ledger._db.execute("DELETE FROM paths")
    opened.close()
    repaired(library, expected)


def test_a_lost_ledger_forgets_no_drive_that_is_away(
    library: Path, expected: Tables, album: Path
) -> None:
    (library / "ledger.sqlite").unlink()
    away = album.rename(album.with_name("away"))
    try:
        succeeded(call("run", "--library", library))
        found = status(library)
        assert (found["ok"], found["offline"]) == (PICTURES, PICTURES)
    finally:
        away.rename(album)
    repaired(library, expected)


def test_a_lost_ledger_makes_nothing_again_that_is_only_stale(library: Path) -> None:
    opened = open_library(library)
    make_stale(opened, "quality")
    opened.close()
    (library / "ledger.sqlite").unlink()
    said = succeeded(call("run", "--library", library)).out
    assert f"stale and left as it is: quality ({BATCHES})" in said
    found = status(library)
    assert (found["ok"], found["stages"]["quality"]["rows"]) == (PICTURES, PICTURES)
    assert found["stages"]["quality"]["computed"] == 0
    draw(library.parent / "more" / "new.jpg", seed=500)
    succeeded(call("run", library.parent / "more", "--library", library))
    found = status(library)
    assert found["ok"] == PICTURES + 1
    assert found["stages"]["quality"]["computed"] == 1
    assert found["stages"]["quality"]["stale"] == BATCHES


def test_a_ledger_and_a_manifest_lost_together_cost_no_file(library: Path) -> None:
    (library / "ledger.sqlite").unlink()
    garbage(library / "batches" / "b000002.json")
    (library / "batches" / "b000000.json").unlink()
    refused(call("run", "--library", library), "b000002.json", "set aside")
    succeeded(call("run", "--library", library))
    found = status(library)
    assert (found["files"], found["ok"], found["pending"]) == (PICTURES, PICTURES, 0)
    opened = open_library(library)
    assert sorted(opened.ledger.batches()) == ["b000001", "b000003", "b000004"]
    opened.close()
