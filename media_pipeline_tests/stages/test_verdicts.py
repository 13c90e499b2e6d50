"""Verdicts out of tables: what the stage gives to the rulings."""

from __future__ import annotations

import pytest

from media_pipeline.batchwork import Row
from media_pipeline.library.decisions import Decision, append_decision
from media_pipeline.library.opened import Library
from media_pipeline.recipes import stage
from media_pipeline.stages.verdicts import verdict_rows

pytestmark = pytest.mark.slow


def protections(library: Library) -> dict[str, list[Row]]:
    """Protections by labels, per content."""
    return {
        row["media_id"]: [
            one for one in row["protections"] if one["protection"] in ("people", "animals")
        ]
        for row in verdict_rows(library)
    }


def test_a_label_that_the_user_gave_protects(copied: Library) -> None:
    first, second, *rest = sorted(protections(copied))
    append_decision(copied, Decision(first, "label", "Pug"))
    append_decision(copied, Decision(second, "label", "bride"))
    found = protections(copied)
    assert found[first] == [{"protection": "animals", "detail": "label 'pug' by the user"}]
    assert found[second] == [{"protection": "people", "detail": "label 'bride' by the user"}]
    assert not [one for media_id in rest for one in found[media_id]]


def test_a_label_that_is_shown_protects_and_one_that_is_not_does_not(copied: Library) -> None:
    batch, recipe = next(iter(copied.chosen("labels").items()))
    table = copied.store.read("labels", recipe, batch)
    assert table is not None
    sure, unsure, *rest = table.to_pylist()
    pug = {
        "proposer": "vocabulary", "rank": 1, "label": "pug", "concept": "pug.n.01", "score": 0.3,
        "ancestors": ["dog", "animal"], "is_backoff": False, "state": "ok", "reason": None,
    }  # fmt: skip
    rows = [{**sure, **pug, "share": 0.99}, {**unsure, **pug, "share": 0.01}, *rest]
    copied.store.write("labels", recipe, batch, stage("labels").table.to_arrow(rows), {})
    found = protections(copied)
    assert found[sure["media_id"]] == [
        {"protection": "animals", "detail": "label 'pug' by the vocabulary"}
    ]
    assert found[unsure["media_id"]] == []
