"""How a batch becomes a table: copy what is good, compute the rest, keep what an interruption left.

One function, `make_table`, is shared by every per-batch stage. It holds a lock per stage and batch,
so a daemon and a command line that meet on the same batch compute nothing twice: the second finds
the rows of the first and copies them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from media_pipeline.errors import Interrupted, ItemError
from media_pipeline.imaging.sandbox import Failure, Sandbox
from media_pipeline.library.older_rows import older_rows
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import pace_of
from media_pipeline.recipes import Stage
from media_pipeline.scan.batches import Member, read_manifest
from media_pipeline.scan.rows import PathRow, WorkRow
from media_pipeline.settings import WorkerLimits, read_settings, worker_limits

Row = dict[str, Any]


class Control:
    """What a running process shares with its stages: who asked, when to stop, whom to tell.

    Args:
        run: Name under which the work is recorded; `None` takes Dagster's run id.
        on_progress: Called with (stage, items done since the last call).
        on_total: Called with (stage, items to do in all) whenever that becomes known.
    """

    def __init__(
        self,
        run: str | None = None,
        on_progress: Callable[[str, int], None] = lambda stage, items: None,
        on_total: Callable[[str, int], None] = lambda stage, items: None,
    ) -> None:
        self.run = run
        self.stop = threading.Event()
        self.on_progress = on_progress
        self.on_total = on_total
        self.failure: BaseException | None = None
        self.work_seconds = 0.0
        self._sandbox: Sandbox | None = None

    @property
    def limits(self) -> WorkerLimits:
        """Limits of the workers of this process."""
        return worker_limits(read_settings())

    @property
    def sandbox(self) -> Sandbox:
        """The decode workers of this process, started when first needed."""
        if self._sandbox is None:
            self._sandbox = Sandbox(self.limits)
            self._sandbox.__enter__()
        return self._sandbox

    def close(self) -> None:
        """Stop the workers."""
        if self._sandbox is not None:
            self._sandbox.__exit__(None, None, None)
            self._sandbox = None


@dataclass(frozen=True)
class Item:
    """One content of a batch and where it lies now.

    Attributes:
        media_id: The content.
        size: Bytes.
        path: Absolute path that can be opened, or `None` when none is present.
        name: File name.
        mtime_ns: Modification time when the content was identified.
    """

    media_id: str
    size: int
    path: bytes | None
    name: bytes
    mtime_ns: int = 0

    @property
    def is_unchanged(self) -> bool:
        """Whether the path still holds the file that was identified, by a stat."""
        try:
            now = os.lstat(self.path or b"")
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(frozen=True)
class Batch:
    """One batch, ready to be worked on."""

    key: str
    items: tuple[Item, ...]


@dataclass
class BatchReport:
    """What became of one batch.

    Attributes:
        rows: Rows in the table.
        computed, copied: Contents that were computed, and whose rows were taken over.
        seconds: Time it took.
        states: Number of contents per state.
    """

    batch: str
    rows: int
    computed: int
    copied: int
    seconds: float
    states: dict[str, int] = field(default_factory=dict)


Compute = Callable[[Library, Control, Batch], Iterator[tuple[str, list[Row]]]]
"""Yields, in the order of the batch's items, each media_id with its rows."""


def make_table(
    library: Library, control: Control, stage: Stage, key: str, compute: Compute
) -> BatchReport:
    """Make (or complete) the table of one stage and batch.

    Args:
        library: Opened library.
        control: The running process.
        stage: What is made.
        key: Batch key.
        compute: Computes the rows of the items it is given.

    Returns:
        What became of it.

    Raises:
        Interrupted: The user asked to stop; finished rows are kept and copied by the next run.
    """
    started = time.monotonic()
    with library.locked(f"{stage.name}-{key}"):
        maker = _Maker(library, control, stage, key)
        maker.compute_missing(compute)
        report = maker.write(time.monotonic() - started)
    control.work_seconds += time.monotonic() - started
    return report


class _Maker:
    """The making of one table."""

    def __init__(self, library: Library, control: Control, stage: Stage, key: str) -> None:
        self.library, self.control, self.stage, self.key = library, control, stage, key
        self.recipe = library.recipes[stage.name]
        forgotten = library.decisions.forgotten
        manifest = read_manifest(library.layout.batches, key)
        self.members = [m for m in manifest if m.media_id not in forgotten]
        existing = library.store.read(stage.name, self.recipe, key)
        partial = library.store.read_partial(stage.name, self.recipe, key)
        self.is_complete = existing is not None
        self.before = {**_by_content(existing), **_by_content(partial)}
        again = self._with_new_input()
        self.rows = {m: r for m, r in self.before.items() if m not in again and self._is_usable(r)}
        self.fresh: set[str] = set()
        self.unseen: set[str] = set()
        self.copied = len(self.rows)
        self.computed = 0

    def _with_new_input(self) -> set[str]:
        """Contents that something this stage reads was made again for."""
        noted = self.library.ledger.fact(_new_input(self.stage.name, self.key))
        if noted is None and (self.stage.name, self.key) in self.library.ledger.orders("%input"):
            return set(self.before)
        return set((noted or "").split())

    def _is_usable(self, rows: list[Row]) -> bool:
        return not _again(rows, self.recipe) and self.library.has_thumbnails(rows)

    def compute_missing(self, compute: Compute) -> None:
        """Compute what has no usable row yet."""
        todo = [m for m in self.members if m.media_id not in self.rows]
        self.control.on_progress(self.stage.name, len(self.members) - len(todo))
        if not todo:
            return
        batch = Batch(self.key, tuple(locate(self.library, todo)))
        self.unseen = {item.media_id for item in batch.items if item.path is None}
        try:
            self._take(compute(self.library, self.control, batch))
        finally:  # whatever ends it, an error or the termination of its run
            if any(m.media_id not in self.rows for m in self.members):
                self._keep_partial()
        if any(m.media_id not in self.rows for m in self.members):
            raise Interrupted(f"stopped in {self.stage.name} of {self.key}; run again to resume")

    def _take(self, results: Iterator[tuple[str, list[Row]]]) -> None:
        for media_id, rows in results:
            made = {"media_id": media_id, "recipe": self.recipe}
            self.rows[media_id] = [{**self.stage.table.empty_row(), **row, **made} for row in rows]
            self.computed += 1
            self.fresh.add(media_id)
            self.control.on_progress(self.stage.name, 1)

    def _keep_partial(self) -> None:
        rows = [row for rows in self.rows.values() if not rows[0]["retryable"] for row in rows]
        if self.computed:
            table = self.stage.table.to_arrow(rows)
            self.library.store.write_partial(self.stage.name, self.recipe, self.key, table)

    def write(self, seconds: float) -> BatchReport:
        """Write the table unless it is there and nothing was computed."""
        self._keep_good_rows()
        self._order_readers()
        rows = [row for m in self.members for row in self.rows[m.media_id]]
        if self.computed or not self.is_complete:
            facts = {"stage": self.stage.name, "recipe": self.recipe, "batch": self.key}
            table = self.stage.table.to_arrow(rows)
            self.library.store.write(self.stage.name, self.recipe, self.key, table, facts)
        report = BatchReport(
            self.key, len(rows), self.computed, self.copied, seconds, self._states()
        )
        self._record(report)
        return report

    def _keep_good_rows(self) -> None:
        """Never replace a good row because of a failure that may pass."""
        failed = [m for m, rows in self.rows.items() if rows[0]["retryable"]]
        if not failed:
            return
        for media_id, rows in older_rows(self.library, self.stage, self.key, failed).items():
            self.rows[media_id] = rows
        away = [m for m in failed if self.rows[m][0]["reason"] in AWAY or m in self.unseen]
        for media_id in failed:
            if _is_good(self.before.get(media_id, [])):
                self.rows[media_id] = self.before[media_id]
        if not away:
            return
        self._order_again("away")
        if any(item.path for item in locate(self.library, self._members(self.unseen))):
            self._order_again("returned")  # a scan found it while this batch was under way

    def _order_again(self, why: str) -> None:
        with self.library.ledger.transaction():
            self.library.ledger.add_orders(self.stage.name, [self.key], why)

    def _members(self, media_ids: set[str]) -> list[Member]:
        return [m for m in self.members if m.media_id in media_ids]

    def _order_readers(self) -> None:
        """Rows of a finished table changed, so whoever has read it looks at them again."""
        if not (self.computed and self.is_complete):
            return
        readers = [s.name for s in self.library.batch_stages() if self.stage.name in s.inputs]
        ledger = self.library.ledger
        with ledger.transaction():
            for name in readers:
                noted = (ledger.fact(_new_input(name, self.key)) or "").split()
                ledger.set_fact(_new_input(name, self.key), " ".join({*noted, *self.fresh}))
                ledger.add_orders(name, [self.key], "input")

    def _states(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for rows in self.rows.values():
            state = str(rows[0]["state"])
            counts[state] = counts.get(state, 0) + 1
        return counts

    def _record(self, report: BatchReport) -> None:
        work = WorkRow(
            self.stage.name, self.key, report.rows, report.computed, report.copied, report.seconds
        )
        ledger = self.library.ledger
        card = self.library.card_of(self.stage)
        with ledger.transaction():
            ledger.add_work(self.control.run or "", work)
            ledger.set_fact(_new_input(self.stage.name, self.key), "")
            if card is not None and report.computed:
                ledger.set_fact(pace_of(card.id), f"{report.seconds / report.computed:.6f}")


def _new_input(stage: str, key: str) -> str:
    """The ledger's name for the contents that a stage has to look at again in a batch."""
    return f"new_input:{stage}:{key}"


def locate(library: Library, members: Iterable[Member]) -> Iterator[Item]:
    """Where contents lie now: any path that is present."""
    members = list(members)
    roots = {root.root_id: os.fsencode(root.path) for root in library.config.roots}
    places = library.ledger.places([m.media_id for m in members])
    for member in members:
        place = _first_present(places[member.media_id], roots)
        if place is None:
            yield Item(member.media_id, member.size, None, os.path.basename(member.relative))
        else:
            path = os.path.join(roots[place.root_id], place.relative)
            name = os.path.basename(place.relative)
            yield Item(member.media_id, member.size, path, name, place.mtime_ns)


def _first_present(places: list[PathRow], roots: dict[str, bytes]) -> PathRow | None:
    for place in places:
        if place.presence == "present" and place.root_id in roots:
            return place
    return None


def _by_content(table: pa.Table | None) -> dict[str, list[Row]]:
    """The rows of a table per content."""
    found: dict[str, list[Row]] = {}
    for row in table.to_pylist() if table is not None else ():
        found.setdefault(row["media_id"], []).append(row)
    return found


def _again(rows: list[Row], recipe: str) -> bool:
    """Whether a content should be tried again: a retryable failure, or rows of an older recipe.

    What failed for want of an input is looked at again; it costs nothing while that is missing.
    """
    return any(
        r["recipe"] != recipe
        or (r["state"] == "failed" and (r["retryable"] or r["reason"] == "input_failed"))
        for r in rows
    )


def _is_good(rows: list[Row]) -> bool:
    return bool(rows) and rows[0]["state"] in ("ok", "degraded")


def failed_row(error: ItemError | Failure) -> Row:
    """The row of an item that could not be computed."""
    return {
        "state": "failed",
        "reason": error.reason,
        "message": error.message,
        "retryable": error.retryable,
    }


UNAVAILABLE = Failure("original_unavailable", "no path of this content can be seen now", True)
CHANGED = Failure("original_changed", "the file was changed or removed since it was scanned", True)
AWAY = ("original_unavailable", "original_changed", "permission_denied", "io_error")
"""Reasons that say nothing about the content: a good row wins, and the original is waited for."""


def in_sandbox(
    control: Control,
    function: Callable[..., Any],
    items: Iterable[Item],
    arguments: Callable[[Item], tuple[Any, ...]],
) -> Iterator[tuple[Item, Any]]:
    """Run a function over originals in the decode workers, in order.

    Args:
        control: The running process.
        function: Top-level function.
        items: What to run it over.
        arguments: Its arguments for an item that has a path.

    Yields:
        Each item with the function's result or a `Failure`, which is also what a file gives that
        is no longer the one that was identified. Ends early once a stop is asked for.
    """
    items = list(items)
    here = [item for item in items if item.path is not None]
    results = control.sandbox.run(function, ((i, arguments(i)) for i in here), control.stop)
    for item in items:
        if item.path is None:
            yield item, UNAVAILABLE
            continue
        answer = next(results, None)
        if answer is None:
            return
        yield answer if item.is_unchanged else (item, CHANGED)
