"""How a batch becomes a table: what is copied, what is computed, what an interruption leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from media_pipeline.batchwork import Batch, BatchReport, Control, Row, locate, make_table
from media_pipeline.errors import Interrupted
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import groups, order_stale, plan_batches, switch_recipes
from media_pipeline.recipes import Stage, stage
from media_pipeline.scan.batches import read_manifest
from media_pipeline.stages.metadata import compute_rows as compute_metadata
from media_pipeline_tests.conftest import draw, scan_everything

METADATA = stage("metadata")


class Fake:
    """A computation that counts, and fails where it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.key: Row = {}
        self.failing: dict[bytes, Row] = {}
        self.stop_after: int | None = None

    def __call__(
        self, library: Library, control: Control, batch: Batch
    ) -> Iterator[tuple[str, list[Row]]]:
        for number, item in enumerate(batch.items):
            if number == self.stop_after:
                control.stop.set()
                return
            self.asked.append(item.media_id)
            row: Row = {"state": "ok"}
            if item.path is None:
                row = {"state": "failed", "reason": "original_unavailable", "retryable": True}
            yield item.media_id, [{**self.key, **self.failing.get(item.name, row)}]


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def filled(library: Library, originals: Path) -> Library:
    """A library of one batch of four pictures."""
    for number in range(4):
        draw(originals / f"{number}.jpg", seed=number)
    scan_everything(library)
    return library


def make(library: Library, fake: Fake, spec: Stage = METADATA) -> BatchReport:
    return make_table(library, Control(), spec, "b000000", fake)


def states(library: Library, spec: Stage = METADATA) -> list[tuple[str, str | None]]:
    table = library.store.read(spec.name, library.recipes[spec.name], "b000000")
    assert table is not None
    return [(row["state"], row["recipe"]) for row in table.to_pylist()]


def test_every_content_gets_its_rows_in_the_order_of_the_manifest(
    filled: Library, fake: Fake
) -> None:
    report = make(filled, fake)
    assert (report.rows, report.computed, report.copied) == (4, 4, 0)
    assert fake.asked == [m.media_id for m in read_manifest(filled.layout.batches, "b000000")]


def test_the_second_time_everything_is_copied(filled: Library, fake: Fake) -> None:
    make(filled, fake)
    stamp = filled.store.stamp("metadata", filled.recipes["metadata"], "b000000")
    report = make(filled, fake)
    assert (report.computed, report.copied) == (0, 4)
    assert filled.store.stamp("metadata", filled.recipes["metadata"], "b000000") == stamp


def test_only_retryable_failures_are_tried_again(filled: Library, fake: Fake) -> None:
    fake.failing = {
        b"1.jpg": {"state": "failed", "reason": "timeout", "retryable": True},
        b"2.jpg": {"state": "failed", "reason": "undecodable", "retryable": False},
    }
    make(filled, fake)
    fake.failing = {}
    report = make(filled, fake)
    assert (report.computed, report.copied) == (1, 3)
    assert report.states == {"ok": 3, "failed": 1}


def test_an_interruption_keeps_what_was_finished(filled: Library, fake: Fake) -> None:
    fake.stop_after = 3
    with pytest.raises(Interrupted, match="run again to resume"):
        make(filled, fake)
    assert filled.store.keys("metadata", filled.recipes["metadata"]) == set()
    fake.stop_after = None
    report = make(filled, fake)
    assert (report.computed, report.copied) == (1, 3)
    assert len(fake.asked) == 4


def test_two_makers_of_one_batch_compute_nothing_twice(filled: Library, fake: Fake) -> None:
    reports: list[BatchReport] = []

    def work() -> None:
        try:
            reports.append(make(filled, fake))
        finally:
            filled.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.computed for r in reports) == [0, 4]
    assert len(fake.asked) == 4


def bumped(library: Library, version: int) -> Library:
    """The same library under a later version of `metadata`."""
    stages = [replace(s, version=version) if s.name == "metadata" else s for s in library.stages]
    return Library(library.layout, library.config, tuple(stages))


def test_a_good_row_survives_an_original_that_is_away(
    filled: Library, fake: Fake, originals: Path
) -> None:
    make(filled, fake)
    switch_recipes(filled)
    old = filled.recipes["metadata"]
    originals.rename(originals.with_name("away"))
    later = bumped(filled, 2)
    scan_everything(later)
    report = make(later, fake)
    assert report.states == {"ok": 4}
    assert states(later) == [("ok", old)] * 4
    assert later.ledger.orders() == set()

    originals.with_name("away").rename(originals)
    scan_everything(later)
    assert later.ledger.orders() == {("metadata", "b000000")}
    assert make(later, fake).computed == 4
    assert states(later) == [("ok", later.recipes["metadata"])] * 4
    later.close()


def test_rows_made_again_are_looked_at_again_by_their_readers(filled: Library, fake: Fake) -> None:
    """Ratings of a thumbnail that was made again are made again too, once."""
    thumbnails, quality = stage("thumbnails"), stage("quality")
    fake.key = {"frame": 0}
    fake.failing = {b"1.jpg": {"state": "failed", "reason": "timeout", "retryable": True}}
    make(filled, fake, thumbnails)
    fake.failing = {b"1.jpg": {"state": "failed", "reason": "input_failed", "retryable": False}}
    make(filled, fake, quality)
    assert filled.ledger.orders() == set()
    fake.failing = {}
    assert make(filled, fake, thumbnails).computed == 1
    readers = [one.name for one in filled.stages if one.per_batch and "thumbnails" in one.inputs]
    assert filled.ledger.orders() == {(name, "b000000") for name in readers}
    filled.ledger.add_orders("quality", ["b000000"], "unfinished")
    assert make(filled, fake, quality).computed == 1, "only what was made again"
    filled.ledger.fill_orders("quality", ["b000000"])
    assert make(filled, fake, quality).computed == 0


def test_a_good_row_survives_the_pruning_of_its_recipe(
    filled: Library, fake: Fake, originals: Path
) -> None:
    make(filled, fake)
    old = filled.recipes["metadata"]
    originals.rename(originals.with_name("away"))
    later = bumped(filled, 2)
    scan_everything(later)
    make(later, fake)
    later.store.remove("metadata", old)
    assert make(later, fake).states == {"ok": 4}
    assert states(later) == [("ok", old)] * 4
    later.close()


def test_originals_that_return_while_their_batch_is_made_are_tried_again(
    filled: Library, fake: Fake, originals: Path
) -> None:
    originals.rename(originals.with_name("away"))
    scan_everything(filled)

    def return_late(
        library: Library, control: Control, batch: Batch
    ) -> Iterator[tuple[str, list[Row]]]:
        assert all(item.path is None for item in batch.items)
        originals.with_name("away").rename(originals)
        scan_everything(library)
        yield from fake(library, control, batch)

    report = make_table(filled, Control(), METADATA, "b000000", return_late)
    assert report.states == {"failed": 4}
    assert filled.ledger.orders("returned") == {("metadata", "b000000")}
    assert make(filled, fake).states == {"ok": 4}


def test_an_order_that_comes_in_while_another_is_carried_out_stays(filled: Library) -> None:
    ledger = filled.ledger
    with ledger.transaction():
        ledger.add_orders("metadata", ["b000000", "b000001"], "unfinished")
        ledger.add_orders("metadata", ["b000001"], "returned")
        ledger.fill_orders("metadata", ["b000000", "b000001"])
    assert ledger.orders() == {("metadata", "b000001")}


def test_contents_are_found_wherever_they_are_now(filled: Library, originals: Path) -> None:
    (originals / "2.jpg").rename(originals / "moved.jpg")
    scan_everything(filled)
    items = list(locate(filled, read_manifest(filled.layout.batches, "b000000")))
    assert [item.name for item in items] == [b"0.jpg", b"1.jpg", b"moved.jpg", b"3.jpg"]


def test_progress_and_work_are_recorded(filled: Library, fake: Fake) -> None:
    told: list[tuple[str, int]] = []
    control = Control(run="r1", on_progress=lambda stage, items: told.append((stage, items)))
    make_table(filled, control, METADATA, "b000000", fake)
    assert sum(items for _, items in told) == 4
    work = filled.ledger.work_of("r1")
    assert [(w.stage, w.computed, w.copied) for w in work] == [("metadata", 4, 0)]


# -- what is due ---------------------------------------------------------------------------------


def test_missing_tables_are_due_and_stale_ones_wait(filled: Library, fake: Fake) -> None:
    plan = plan_batches(filled, ["metadata", "thumbnails", "quality"])
    assert plan.due == {name: ["b000000"] for name in ("metadata", "thumbnails", "quality")}
    make(filled, fake)
    later = bumped(filled, 2)
    plan = plan_batches(later, ["metadata"])
    assert (plan.due["metadata"], plan.stale["metadata"]) == ([], ["b000000"])
    plan = plan_batches(later, ["metadata"], with_stale=True)
    assert (plan.due["metadata"], plan.stale["metadata"]) == (["b000000"], [])
    later.close()


def test_stale_work_that_was_ordered_is_due(filled: Library, fake: Fake) -> None:
    make(filled, fake)
    later = bumped(filled, 2)
    ordered = order_stale(later, ["metadata"])
    assert ordered.due == {"metadata": ["b000000"]}
    assert plan_batches(later, ["metadata"]).due["metadata"] == ["b000000"]
    later.close()


def test_a_missing_table_above_a_stale_one_waits_with_it(filled: Library, fake: Fake) -> None:
    fake.key = {"frame": 0}
    make(filled, fake, stage("thumbnails"))
    stages = tuple(replace(s, version=9) if s.name == "thumbnails" else s for s in filled.stages)
    later = Library(filled.layout, filled.config, stages)
    plan = plan_batches(later, ["thumbnails", "quality"])
    assert plan.due == {"thumbnails": [], "quality": []}
    assert plan.stale == {"thumbnails": ["b000000"], "quality": ["b000000"]}
    later.close()


def test_groups_are_contiguous_of_one_kind_and_at_most_eight(library: Library) -> None:
    from media_pipeline.library.plan import Group, Plan

    batches = [f"b{n:06d}" for n in range(12)]
    plan = Plan(due={"metadata": batches[:10] + batches[11:], "quality": batches[:2]})
    assert groups(plan, batches) == [
        Group(("metadata", "quality"), tuple(batches[:2])),
        Group(("metadata",), tuple(batches[2:10])),
        Group(("metadata",), (batches[11],)),
    ]
    assert library.ledger.batches() == {}


def test_the_recipe_in_use_switches_when_the_new_one_is_complete(
    filled: Library, fake: Fake, originals: Path
) -> None:
    make(filled, fake)
    switch_recipes(filled)
    old = filled.recipes["metadata"]
    draw(originals / "new.jpg", seed=99)
    scan_everything(filled)
    later = bumped(filled, 2)
    make_table(later, Control(), stage("metadata", later.stages), "b000001", fake)
    switch_recipes(later)
    new = later.recipes["metadata"]
    assert later.chosen("metadata") == {"b000000": old, "b000001": new}
    make(later, fake, stage("metadata", later.stages))
    switch_recipes(later)
    assert later.chosen("metadata") == {"b000000": new, "b000001": new}
    later.close()


def test_a_file_that_changed_since_the_scan_gives_no_row_under_the_old_identity(
    filled: Library, originals: Path
) -> None:
    control = Control()
    draw(originals / "1.jpg", seed=77, size=(40, 30))
    try:
        report = make_table(filled, control, METADATA, "b000000", compute_metadata)
    finally:
        control.close()
    assert report.states == {"ok": 3, "failed": 1}
    table = filled.store.read("metadata", filled.recipes["metadata"], "b000000")
    assert table is not None
    assert [r["reason"] for r in table.to_pylist() if r["state"] == "failed"] == [
        "original_changed"
    ]
