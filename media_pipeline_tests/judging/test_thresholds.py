"""Threshold files: what is accepted, what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_pipeline.errors import UsageError
from media_pipeline.judging.thresholds import FOLDER, load_thresholds
from media_pipeline.schema import QUALITY_TAGS
from media_pipeline.settings import LibraryConfig

ORIGINAL = (FOLDER / "quality-v1.toml").read_text(encoding="utf-8")


def save(folder: Path, text: str, name: str = "quality-v1") -> Path:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_default_set_of_a_library_ships_with_the_package() -> None:
    thresholds = load_thresholds(LibraryConfig().thresholds)
    assert thresholds.name == "quality-v1"
    assert len(thresholds.checksum) == 8
    assert thresholds.poor | thresholds.fair <= set(QUALITY_TAGS)
    assert not thresholds.poor & thresholds.fair


def test_an_unknown_set_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no threshold set 'strict'.*there is quality-v1"):
        load_thresholds("strict")


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    save(tmp_path, ORIGINAL)
    (tmp_path / "inside").mkdir()
    with pytest.raises(UsageError, match="no threshold set"):
        load_thresholds("../quality-v1", tmp_path / "inside")


def test_comments_do_not_change_the_checksum_and_values_do(tmp_path: Path) -> None:
    same = load_thresholds("quality-v1", save(tmp_path, "# a remark\n" + ORIGINAL))
    assert same.checksum == load_thresholds("quality-v1").checksum
    changed = ORIGINAL.replace("blurry = 0.50", "blurry = 0.51")
    other = load_thresholds("quality-v1", save(tmp_path, changed))
    assert other.checksum != same.checksum
    assert other.values["blurry"] == 0.51


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("blurry = 0.50", "blury = 0.50", r"\[thresholds\] has unknown blury and missing blurry"),
        ("blurry = 0.50", "blurry = 1.5", "blurry must be a number from 0 to 1, is 1.5"),
        ("blurry = 0.50", "blurry = true", "blurry must be a number"),
        ("blurry = 0.50", "blurry = nan", "blurry must be a number"),
        ('author = "media-pipeline"', "", r"\[header\] has missing author"),
        ('name = "quality-v1"', 'name = "mine"', "names itself 'mine'"),
        ('"overexposed", "low_information"]', '"too_bright"]', "poor must be a list of tags"),
        ("fair_tags_for_poor = 2", 'fair_tags_for_poor = "two"', "fair_tags_for_poor must be"),
        ("[quality]", "[qualities]", "unknown qualities and missing quality"),
        ("[header]", "[header", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_and_what_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in ORIGINAL
    save(tmp_path, ORIGINAL.replace(old, new, 1))
    with pytest.raises(UsageError, match=message) as caught:
        load_thresholds("quality-v1", tmp_path)
    assert str(tmp_path) in str(caught.value)
