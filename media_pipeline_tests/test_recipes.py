"""Recipes: a change shows in everything below it and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from media_pipeline.errors import UnknownStage
from media_pipeline.recipes import STAGES, recipes, stage, with_inputs


def changed(name: str, **changes: object) -> set[str]:
    """The stages whose recipe changes when one stage does."""
    before = recipes(STAGES)
    after = recipes([replace(s, **changes) if s.name == name else s for s in STAGES])
    return {s for s in before if before[s] != after[s]}


def test_a_version_bump_changes_the_recipe_of_everything_below() -> None:
    assert changed("quality", version=99) == {
        "quality", "captions", "junk_flags", "files", "duplicates", "verdicts", "catalog",
    }  # fmt: skip


def test_a_parameter_changes_the_recipe() -> None:
    assert changed("duplicates", parameters={"max_distance_bits": 1}) == {"duplicates", "catalog"}


def test_what_stands_outside_the_stage_list_can_change_a_recipe() -> None:
    before, after = recipes(STAGES), recipes(STAGES, {"verdicts": "another threshold set"})
    assert {s for s in before if before[s] != after[s]} == {"verdicts", "catalog"}


def test_recipes_are_eight_hex_digits_and_differ() -> None:
    made = recipes(STAGES)
    assert all(len(r) == 8 and int(r, 16) >= 0 for r in made.values())
    assert len(set(made.values())) == len(made)


def test_inputs_stand_before_what_reads_them() -> None:
    seen: set[str] = set()
    for one in STAGES:
        assert set(one.inputs) <= seen, one.name
        seen.add(one.name)


def test_a_stage_is_asked_for_with_everything_it_reads() -> None:
    assert with_inputs(["quality"]) == ["thumbnails", "quality"]
    assert with_inputs([]) == [s.name for s in STAGES]


def test_an_unknown_stage_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownStage, match="no stage 'qualty': the stages are metadata"):
        stage("qualty")
