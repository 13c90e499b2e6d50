"""Two tables of a stage compared, and the page that shows it."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from media_pipeline.errors import UnknownStage, UsageError
from media_pipeline.library.changes import (
    Changes,
    Item,
    Section,
    compare,
    recipes_of,
    tables_between,
)
from media_pipeline.library.changes_page import SHOWN_PER_SECTION, render
from media_pipeline.library.opened import Library
from media_pipeline.schema import TABLES
from media_pipeline_tests.conftest import draw, scan_everything

A, B, C = (letter * 32 for letter in "abc")


def rows(stage: str, *given: dict[str, Any]) -> pa.Table:
    """Rows of a stage; what is not given is null, frames are 0 and states ok."""
    table = TABLES[stage]
    common = {"frame": 0, "state": "ok", "recipe": "00000000"}
    filled = [{**table.empty_row(), **common, **row} for row in given]
    return table.to_arrow([{k: r.get(k) for k in table.arrow.names} for r in filled])


def label(media_id: str, name: str | None, **more: Any) -> dict[str, Any]:
    base = {"media_id": media_id, "proposer": "vocabulary", "rank": 1, "label": name, "score": 0.2}
    return {**base, **more}


def verdict(media_id: str, **more: Any) -> dict[str, Any]:
    return {"media_id": media_id, "thresholds": "t", "junk_thresholds": "j", **more}


def items(changes: Changes, title: str) -> list[tuple[str, str, str]]:
    found = [section for section in changes.sections if section.title == title]
    return [(one.media_id, one.before, one.after) for section in found for one in section.items]


def not_asked(media_id: str, **more: Any) -> dict[str, Any]:
    base = {"media_id": media_id, "rank": 0, "proposer": "", "state": "skipped"}
    return {**base, "reason": "not_evaluated", **more}


def test_labels_are_gained_lost_changed_or_the_same() -> None:
    before = rows("labels", label(A, "pug"), label(B, "beach"), label(C, None, rank=0))
    after = rows("labels", label(A, "cat"), label(B, None, rank=0), label(C, "cat"))
    found = compare(before, after, "labels")
    assert items(found, "changed") == [(A, "pug", "cat")]
    assert items(found, "lost") == [(B, "beach", "nothing")]
    assert items(found, "gained") == [(C, "nothing", "cat")]
    assert (found.contents, found.compared, found.same) == (3, 3, 0)
    tallies = [(tally.name, tally.before, tally.after) for tally in found.tallies]
    assert tallies[0] == ("cat (vocabulary)", 0, 2)
    assert ("pug (vocabulary)", 1, 0) in tallies


def test_equal_tables_differ_in_nothing() -> None:
    table = rows("labels", label(A, "pug"), label(B, None, rank=0))
    found = compare(table, table, "labels")
    assert found.sections == ()
    assert found.same == found.compared == 2


def test_only_contents_in_both_tables_are_compared() -> None:
    found = compare(
        rows("labels", label(A, "pug"), label(B, "beach")),
        rows("labels", label(A, "pug")),
        "labels",
    )
    assert (found.contents, found.compared, found.same) == (1, 1, 1)


def test_empty_tables_can_be_compared() -> None:
    for stage in ("labels", "classifications", "detections", "captions", "safety", "verdicts"):
        assert compare(rows(stage), rows(stage), stage).compared == 0


def test_only_the_best_label_of_all_frames_counts_and_it_names_its_frame() -> None:
    before = rows("labels", label(A, "pug", probability=0.9), label(A, "pet", rank=2))
    after = rows(
        "labels",
        label(A, "pug", probability=0.3),
        label(A, "cat", probability=0.8, frame=3),
        label(A, "tabby", rank=2, probability=0.99),
    )
    found = compare(before, after, "labels")
    assert items(found, "changed") == [(A, "pug", "cat")]
    item = found.sections[0].items[0]
    assert item.frame == 3
    assert item.evidence == "probability 0.900, score 0.200 → probability 0.800, score 0.200"


def test_each_proposer_is_compared_with_itself() -> None:
    def table(shown: str) -> pa.Table:
        proposed = label(A, "a dog"), label(A, shown, proposer="classifier", score=0.7)
        return rows("labels", *proposed)

    found = compare(table("pug"), table("boxer"), "labels")
    assert items(found, "changed") == [(A, "pug", "boxer")]
    assert found.sections[0].items[0].subject == "classifier"


def test_what_was_not_evaluated_is_not_called_nothing() -> None:
    found = compare(rows("labels", not_asked(A)), rows("labels", not_asked(A)), "labels")
    assert found.same == 1
    gained = compare(
        rows("classifications", {"media_id": A, "rank": 0, "reason": "not_evaluated"}),
        rows("classifications", {"media_id": A, "rank": 1, "label": "pug", "score": 0.5}),
        "classifications",
    )
    assert items(gained, "gained") == [(A, "not evaluated", "pug")]


def test_kinds_of_people_and_animals_are_compared_not_their_boxes() -> None:
    def box(media_id: str, number: int, kind: str | None, score: float = 0.5) -> dict[str, Any]:
        return {"media_id": media_id, "number": number, "kind": kind, "score": score}

    before = rows("detections", box(A, 1, "person"), box(A, 2, "person"), box(B, 0, None))
    after = rows("detections", box(A, 1, "person", 0.9), box(B, 1, "cat"), box(B, 2, "person"))
    found = compare(before, after, "detections")
    assert items(found, "changed") == []
    assert items(found, "gained") == [(B, "nothing", "1 cat, 1 person")]
    assert found.same == 1
    assert [(t.name, t.before, t.after) for t in found.tallies] == [
        ("person", 1, 2),
        ("cat", 0, 1),
    ]


def test_captions_are_compared_word_for_word_and_frame_for_frame() -> None:
    def said(media_id: str, caption: str, **more: Any) -> dict[str, Any]:
        return {"media_id": media_id, "caption": caption, **more}

    before = rows(
        "captions", said(A, "A cat."), said(B, "A dog."), said(B, "Rain.", frame=1, time_ms=1500)
    )
    after = rows(
        "captions", said(A, "A cat."), said(B, "A dog."), said(B, "Sun.", frame=1, time_ms=1500)
    )
    found = compare(before, after, "captions")
    assert items(found, "changed") == [(B, "Rain.", "Sun.")]
    assert found.sections[0].items[0].subject == "at 1.5 s"
    assert found.tallies == ()


def test_safety_tells_only_of_scores_that_cross_the_threshold() -> None:
    def rated(media_id: str, score: float | None, frame: int = 0) -> dict[str, Any]:
        return {"media_id": media_id, "nsfw_score": score, "frame": frame}

    before = rows("safety", rated(A, 0.1), rated(B, 0.69), rated(C, None))
    after = rows("safety", rated(A, 0.6), rated(B, 0.2), rated(B, 0.7, frame=4), rated(C, 0.0))
    found = compare(before, after, "safety", nsfw_threshold=0.7)
    assert items(found, "changed") == [(B, "below the threshold", "unsafe")]
    assert found.sections[0].items[0].frame == 4
    assert "score 0.700, threshold 0.70" in found.sections[0].items[0].evidence
    assert items(found, "gained") == [(C, "nothing", "below the threshold")]


def test_junk_verdicts_that_flip_are_shown_with_their_evidence() -> None:
    def ruled(score: float) -> list[dict[str, Any]]:
        return [{"flag": "receipt", "score": score, "threshold": 0.8, "fired": score > 0.8}]

    before = rows("verdicts", verdict(A, is_junk=False, junk_evidence=ruled(0.7), label="pug"))
    after = rows(
        "verdicts",
        verdict(A, is_junk=True, junk_kind="receipt", junk_evidence=ruled(0.9), label="pug"),
    )
    found = compare(before, after, "verdicts")
    assert items(found, "changed") == [(A, "kept", "junk")]
    assert items(found, "gained") == [(A, "not evaluated", "receipt")]
    assert found.sections[0].items[0].evidence == "receipt 0.700 → receipt 0.900"
    assert found.same == 3


def test_the_highest_junk_flag_of_a_content_counts() -> None:
    def flagged(flag: str, score: float) -> dict[str, Any]:
        return {"media_id": A, "flag": flag, "score": score}

    before = rows("junk_flags", flagged("receipt", 0.9), flagged("meme", 0.1))
    after = rows("junk_flags", flagged("receipt", 0.2), flagged("meme", 0.6))
    assert items(compare(before, after, "junk_flags"), "changed") == [(A, "receipt", "meme")]


def test_embeddings_are_counted_and_never_compared() -> None:
    vector = {"media_id": A, "dim": 2, "vector": np.array([1, 0], np.float16)}
    found = compare(rows("embeddings", vector), rows("embeddings", vector), "embeddings")
    assert found.sections == ()
    assert "cosine means nothing" in found.note
    assert [(t.name, t.before, t.after) for t in found.tallies] == [("vectors", 1, 1)]


def test_a_stage_of_which_nothing_can_be_shown_is_refused() -> None:
    with pytest.raises(UsageError, match="there is labels"):
        compare(rows("metadata"), rows("metadata"), "metadata")


# -- which tables, and the page ------------------------------------------------------------------


@pytest.fixture
def scanned(library: Library, originals: Path) -> Library:
    """Two pictures with tables of labels under an old and the wanted recipe."""
    draw(originals / "holiday.jpg", seed=1)
    draw(originals / "<script>alert(1)</script> & co.jpg", seed=2)
    scan_everything(library)
    library.recipes = {stage.name: f"{n:08x}" for n, stage in enumerate(library.stages, 1)}
    ids = media_ids(library)
    make(library, "labels", "00000000", rows("labels", *(label(one, "pug") for one in ids)))
    return library


def media_ids(library: Library) -> list[str]:
    return sorted(content.media_id for content in library.ledger.contents())


def make(library: Library, stage: str, recipe: str, table: pa.Table) -> None:
    library.store.write(stage, recipe, batch(library), table, {})


def batch(library: Library) -> str:
    return next(iter(library.ledger.batches()))


def activate(library: Library, stage: str, recipe: str) -> None:
    with library.ledger.transaction():
        library.ledger.set_active(stage, recipe)


def test_by_default_the_recipe_in_use_is_compared_with_the_wanted(scanned: Library) -> None:
    activate(scanned, "labels", "00000000")
    assert recipes_of(scanned, "labels") == ("00000000", scanned.recipes["labels"])


def test_after_the_switch_the_recipe_made_last_before_it_is_compared(scanned: Library) -> None:
    wanted = scanned.recipes["labels"]
    make(scanned, "labels", "0000000a", rows("labels", label(A, "pug")))
    make(scanned, "labels", wanted, rows("labels", label(A, "cat")))
    os.utime(scanned.layout.tables / "labels" / "00000000", (1, 1))
    activate(scanned, "labels", wanted)
    assert recipes_of(scanned, "labels") == ("0000000a", wanted)


def test_recipes_are_named_by_their_first_digits(scanned: Library) -> None:
    assert recipes_of(scanned, "labels", "0000", "000") == ("00000000", "00000000")
    with pytest.raises(UsageError, match="'ff': there is 00000000"):
        recipes_of(scanned, "labels", "ff")


def test_a_stage_made_once_only_has_nothing_to_compare_with(scanned: Library) -> None:
    with pytest.raises(UsageError, match="one recipe only"):
        recipes_of(scanned, "captions")
    with pytest.raises(UnknownStage):
        recipes_of(scanned, "portraits")


def test_batches_with_tables_under_both_recipes_are_read(scanned: Library) -> None:
    wanted = scanned.recipes["labels"]
    with pytest.raises(UsageError, match="--sample"):
        tables_between(scanned, "labels", "00000000", wanted)
    make(scanned, "labels", wanted, rows("labels", label(A, "cat")))
    before, after = tables_between(scanned, "labels", "00000000", wanted)
    assert before["label"].to_pylist() == ["pug", "pug"]
    assert after["label"].to_pylist() == ["cat"]


def test_the_page_holds_pictures_words_and_counts_and_needs_nothing_else(
    scanned: Library, tmp_path: Path
) -> None:
    ids = media_ids(scanned)
    thumbnails = [{"media_id": one, "role": "still", "path": f"{one}.jpg"} for one in ids]
    make(scanned, "thumbnails", scanned.recipes["thumbnails"], rows("thumbnails", *thumbnails))
    folder = Path(scanned.thumbnails.path)
    folder.mkdir()
    Image.new("RGB", (512, 300), (200, 30, 30)).save(folder / f"{ids[0]}.jpg")
    before = rows("labels", *(label(one, "pug") for one in ids))
    after = rows("labels", *(label(one, "<b>cat</b>") for one in ids))
    found = replace(compare(before, after, "labels"), origin="00000000", target="00000001")
    render([found], scanned, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert page.count("no thumbnail") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co.jpg" in page
    assert "<script" not in page
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "holiday.jpg" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "changed: 2" in page


def test_a_long_section_says_how_many_it_leaves_out(library: Library, tmp_path: Path) -> None:
    library.recipes = {stage.name: "00000001" for stage in library.stages}
    many = tuple(Item(f"{n:032x}", 0, "", "pug", "cat", "") for n in range(SHOWN_PER_SECTION + 7))
    render([Changes("labels", 207, 207, 0, (Section("changed", many),))], library, tmp_path / "p")
    page = (tmp_path / "p").read_text()
    assert page.count('class="item"') == SHOWN_PER_SECTION
    assert "and 7 more that are not shown" in page


def test_a_page_without_differences_says_so(library: Library, tmp_path: Path) -> None:
    library.recipes = {stage.name: "00000001" for stage in library.stages}
    render([Changes("labels", 2, 2, 2)], library, tmp_path / "p.html")
    assert "Nothing differs." in (tmp_path / "p.html").read_text()
