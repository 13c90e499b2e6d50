"""Threshold files for junk: what is accepted, what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_pipeline.errors import UsageError
from media_pipeline.judging.junk_thresholds import load_junk_thresholds
from media_pipeline.judging.thresholds import FOLDER, load_thresholds
from media_pipeline.schema import JUNK_KINDS
from media_pipeline.settings import LibraryConfig

ORIGINAL = (FOLDER / "junk-v1.toml").read_text(encoding="utf-8")


def save(folder: Path, text: str, name: str = "junk-v1") -> Path:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_default_set_of_a_library_ships_with_the_package() -> None:
    thresholds = load_junk_thresholds(LibraryConfig().junk_thresholds)
    assert thresholds.name == "junk-v1"
    assert len(thresholds.checksum) == 8
    assert set(thresholds.flags) == set(JUNK_KINDS)


def test_sets_for_quality_and_for_junk_are_not_mistaken_for_each_other() -> None:
    with pytest.raises(UsageError, match=r"'quality-v1'.*there is junk-v1.*`junk_thresholds`"):
        load_junk_thresholds("quality-v1")
    with pytest.raises(UsageError, match=r"'junk-v1'.*there is quality-v1.*`thresholds`"):
        load_thresholds("junk-v1")


def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    save(tmp_path, ORIGINAL)
    (tmp_path / "inside").mkdir()
    with pytest.raises(UsageError, match="no threshold set"):
        load_junk_thresholds("../junk-v1", tmp_path / "inside")


def test_comments_do_not_change_the_checksum_and_values_do(tmp_path: Path) -> None:
    same = load_junk_thresholds("junk-v1", save(tmp_path, "# a remark\n" + ORIGINAL))
    assert same == load_junk_thresholds("junk-v1")
    for old, new in (("meme = 0.60", "meme = 0.61"), ("nsfw_score = 0.50", "nsfw_score = 0.9")):
        assert old in ORIGINAL
        other = load_junk_thresholds("junk-v1", save(tmp_path, ORIGINAL.replace(old, new)))
        assert other.checksum != same.checksum


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("meme = 0.60", "mem = 0.60", r"\[junk\] has unknown mem and missing meme"),
        ("meme = 0.60", "meme = 1.5", "meme must be a number from 0 to 1, is 1.5"),
        ("meme = 0.60", "meme = true", "meme must be a number"),
        ("meme = 0.60", "meme = nan", "meme must be a number"),
        ("least_rating = 1 ", "least_rating = 6 ", "least_rating must be a number from 0 to 5"),
        ("[labels]", "[label]", "unknown label and missing labels"),
        ('name = "junk-v1"', 'name = "mine"', "names itself 'mine'"),
        ("[junk]", "[junk", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_and_what_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in ORIGINAL
    save(tmp_path, ORIGINAL.replace(old, new, 1))
    with pytest.raises(UsageError, match=message) as caught:
        load_junk_thresholds("junk-v1", tmp_path)
    assert str(tmp_path) in str(caught.value)
