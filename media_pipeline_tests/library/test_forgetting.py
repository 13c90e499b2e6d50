"""Forgetting a picture: nothing that was made from it is left, and everything else is."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from media_pipeline.errors import UsageError
from media_pipeline.library import forgetting
from media_pipeline.library.decisions import read_decisions
from media_pipeline.library.forgetting import Forgotten, forget, remember
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import plan_batches
from media_pipeline.tables import FACTS_KEY
from media_pipeline_tests.running import run

pytestmark = pytest.mark.slow


def somebody(library: Library) -> tuple[str, str]:
    """A content of the second batch: media id and batch."""
    content = library.ledger.contents()[5]
    assert content.batch is not None
    return content.media_id, content.batch


def traces(library: Library, media_id: str) -> list[str]:
    """Every file of the library that holds the id, apart from those that list files."""
    lists = {"decisions.jsonl", "batches"}
    found = []
    for file in sorted(library.layout.root.rglob("*")):
        below = file.relative_to(library.layout.root).parts[0]
        if not file.is_file() or below in lists or below.startswith("ledger.sqlite"):
            continue
        if below == "tables":
            continue  # compressed: looked at row by row
        if media_id in file.name or media_id.encode() in file.read_bytes():
            found.append(str(file.relative_to(library.layout.root)))
    for stage in library.stages:
        for recipe in library.store.recipes_of(stage.name):
            for key in library.store.keys(stage.name, recipe):
                for table in (
                    library.store.read(stage.name, recipe, key),
                    library.store.read_partial(stage.name, recipe, key),
                ):
                    if table is not None and media_id in table["media_id"].to_pylist():
                        found.append(f"{stage.name}/{recipe}/{key}")
    return found


def all_rows(library: Library) -> dict[str, pa.Table]:
    found = {}
    for stage in library.stages:
        for recipe in library.store.recipes_of(stage.name):
            for key in sorted(library.store.keys(stage.name, recipe)):
                table = library.store.read(stage.name, recipe, key)
                assert table is not None
                found[f"{stage.name}/{recipe}/{key}"] = table
    return found


def test_nothing_made_from_it_is_left_and_all_other_rows_are(copied: Library) -> None:
    media_id, _ = somebody(copied)
    before = all_rows(copied)
    assert traces(copied, media_id)
    gone = forget(copied, media_id)
    assert traces(copied, media_id) == []
    assert gone.thumbnails == 1
    after = all_rows(copied)
    assert after.keys() == before.keys()
    lost = 0
    for name, table in before.items():
        rest = [row for row in table.to_pylist() if row["media_id"] != media_id]
        assert after[name].to_pylist() == rest, name
        assert after[name].schema.metadata[FACTS_KEY] == table.schema.metadata[FACTS_KEY]
        lost += table.num_rows - len(rest)
    assert gone.rows == lost > 3


def test_the_original_stays(copied: Library) -> None:
    media_id, _ = somebody(copied)
    originals = Path(copied.config.roots[0].path)
    before = {path: path.read_bytes() for path in sorted(originals.rglob("*")) if path.is_file()}
    forget(copied, media_id)
    assert {p: p.read_bytes() for p in sorted(originals.rglob("*")) if p.is_file()} == before


def test_tables_of_other_recipes_partial_damaged_ones_and_reports_go_too(
    copied: Library,
) -> None:
    media_id, batch = somebody(copied)
    store, recipe = copied.store, copied.recipes["quality"]
    table = store.read("quality", recipe, batch)
    assert table is not None
    store.write("quality", "0ld0ld00", batch, table, {"stage": "quality"})
    store.write_partial("quality", recipe, batch, table)
    aside = store.path("quality", recipe, batch).with_name(f"{batch}.parquet.corrupt")
    aside.write_bytes(b"damaged " + media_id.encode())
    reports = copied.layout.reports
    reports.mkdir(exist_ok=True)
    (reports / "shows-it.html").write_text(f"<p>{media_id}</p>")
    (reports / "other.html").write_text("<p>others</p>")
    gone = forget(copied, media_id)
    assert traces(copied, media_id) == []
    assert (gone.damaged, gone.reports) == (1, 1)
    assert (reports / "other.html").exists()
    partial = store.read_partial("quality", recipe, batch)
    assert partial is not None
    assert partial.num_rows == table.num_rows - 1


def test_asking_again_finds_nothing_more_and_says_it_once(copied: Library) -> None:
    media_id, _ = somebody(copied)
    assert forget(copied, media_id).rows > 0
    again = forget(copied, media_id)
    assert again == Forgotten()
    assert str(again).startswith("removed 0 rows, 0 thumbnails")
    assert copied.layout.decisions.read_text().count('"forget"') == 1


def test_a_crash_half_way_is_finished_by_asking_again(
    copied: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    media_id, _ = somebody(copied)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "_remove_thumbnails", crash)
        with pytest.raises(KeyboardInterrupt):
            forget(copied, media_id)
    assert read_decisions(copied.layout.decisions).forgotten == {media_id}
    assert traces(copied, media_id)
    forget(copied, media_id)
    assert traces(copied, media_id) == []


def test_remembering_orders_everything_of_its_batch_again(copied: Library) -> None:
    media_id, batch = somebody(copied)
    assert remember(copied, media_id) is False
    forget(copied, media_id)
    assert remember(copied, media_id) is True
    assert copied.decisions.forgotten == frozenset()
    names = [stage.name for stage in copied.batch_stages()]
    due = plan_batches(copied, names).due
    assert {name: list(due[name]) for name in names} == {name: [batch] for name in names}


def test_an_id_that_the_library_does_not_know_is_refused(copied: Library) -> None:
    for ask in (forget, remember):
        with pytest.raises(UsageError, match="has no content '0000"):
            ask(copied, "0" * 32)
    assert not copied.layout.decisions.exists()


def test_a_run_makes_nothing_of_it_again_until_it_is_remembered(copied: Library) -> None:
    media_id, _ = somebody(copied)
    before = copied.store.read("quality", copied.recipes["quality"], somebody(copied)[1])
    forget(copied, media_id)
    run(copied)
    states = {row["media_id"]: row["state"] for row in copied.read_whole("files").to_pylist()}
    assert states[media_id] == "skipped"
    assert media_id not in copied.read_stage("quality", ["media_id"])["media_id"].to_pylist()
    assert not list(copied.thumbnails.glob(f"{media_id[:2]}/{media_id}*"))
    remember(copied, media_id)
    run(copied)
    after = copied.store.read("quality", copied.recipes["quality"], somebody(copied)[1])
    assert before is not None
    assert after is not None
    assert after.to_pylist() == before.to_pylist()
