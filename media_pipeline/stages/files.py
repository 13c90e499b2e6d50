"""Files: one row per path - where a content was seen, when it was taken, what became of it.

Reads   the ledger (paths, contents, roots), the outcome of every per-batch stage, the user's word
Writes  files (one row per path that is present or offline)
Cost    no file is opened
Fails   nothing here fails per file: this is where every file gets its one state
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from media_pipeline.library.opened import Library
from media_pipeline.paths import display
from media_pipeline.reading.capture import best_capture_time
from media_pipeline.reading.pairs import Pair, find_pairs
from media_pipeline.recipes import Stage, stage
from media_pipeline.resources import library_asset, write_whole
from media_pipeline.scan.rows import PathRow
from media_pipeline.schema import FILES

DECIDING = tuple(stage(one).name for one in stage("files").inputs)
"""Stages whose rows decide what became of a file, in the order data flows."""

READING = ("metadata", "thumbnails")
"""Stages that say of every content whether it could be read at all."""

OUTCOME = ("media_id", "state", "reason", "message", "retryable")
TROUBLED = ("degraded", "failed")

Outcome = dict[str, Any]

FORGOTTEN: Outcome = {
    "state": "skipped",
    "stage": "scan",
    "reason": "forgotten",
    "message": "`media-pipeline forget --undo` takes it up again",
    "retryable": False,
}


def make(library: Library, spec: Stage) -> Mapping[str, Any]:
    """Derive the table from the ledger and the per-batch tables."""
    table = FILES.to_arrow_in_parts(file_rows(library))
    write_whole(library, spec, table)
    counts = Counter(map(str, table["state"].to_pylist()))
    return {"rows": table.num_rows, "states": dg.MetadataValue.json(counts)}


def file_rows(library: Library) -> Iterator[dict[str, Any]]:
    """One row per path whose outcome is known, roots and paths in byte order."""
    outcomes = outcomes_of_contents(library)
    recorded = _capture_times(library)
    pixels = _pixel_hashes(library)
    roots = {root.root_id: os.fsencode(root.path) for root in library.config.roots}
    paths = [p for p in library.ledger.paths() if p.presence != "missing" and p.root_id in roots]
    context = _Neighbours(paths, roots)
    for path in paths:
        outcome = _outcome(path, outcomes)
        if outcome is not None:
            yield {
                **_place(path, context),
                **_taken(path, recorded),
                **_history(path, pixels),
                **outcome,
            }


class _Neighbours:
    """What a path can only know by looking at the others: copies, hard links, pairs."""

    def __init__(self, paths: list[PathRow], roots: dict[str, bytes]) -> None:
        self.roots = roots
        self.first_copy: dict[str, bytes] = {}
        self.first_link: dict[tuple[str, int, int], bytes] = {}
        by_root: dict[str, list[bytes]] = {}
        for path in paths:
            by_root.setdefault(path.root_id, []).append(path.relative)
            if path.media_id is not None:
                self.first_copy.setdefault(path.media_id, self.full(path))
                self.first_link.setdefault(_link(path), self.full(path))
        self.pairs: dict[str, dict[bytes, Pair]] = {
            root_id: find_pairs(relative) for root_id, relative in by_root.items()
        }

    def full(self, path: PathRow) -> bytes:
        """The absolute path."""
        return os.path.join(self.roots[path.root_id], path.relative)

    def pair(self, path: PathRow) -> tuple[str | None, str | None]:
        """Kind and printable path of the neighbour it pairs with."""
        pair = self.pairs[path.root_id].get(path.relative)
        if pair is None:
            return None, None
        return pair.kind, display(os.path.join(self.roots[path.root_id], pair.other))


def _link(path: PathRow) -> tuple[str, int, int]:
    """What hard links share; device numbers are used again, so the content belongs to it."""
    return str(path.media_id), path.device, path.inode


def _place(path: PathRow, context: _Neighbours) -> dict[str, Any]:
    full = context.full(path)
    link = context.first_link.get(_link(path)) if path.media_id else None
    copy = context.first_copy.get(path.media_id) if path.media_id else None
    is_link = link is not None and link != full and path.inode != 0
    pair_kind, pair_with = context.pair(path)
    return {
        "root_id": path.root_id,
        "relative_path": path.relative,
        "path": display(full),
        "name": display(os.path.basename(path.relative)),
        "media_id": path.media_id,
        "size_bytes": path.size,
        "modified_at_utc": _utc(path.mtime_ns),
        "presence": path.presence,
        "hard_link_of": display(link) if is_link and link else None,
        "copy_of": display(copy) if copy not in (None, full) and not is_link and copy else None,
        "pair_kind": pair_kind,
        "pair_with": pair_with,
    }


def _utc(mtime_ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _taken(path: PathRow, recorded: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    if path.media_id is None:
        return {}
    best = best_capture_time(
        recorded.get(path.media_id, []), os.path.basename(path.relative), path.mtime_ns
    )
    return {
        "taken_local": best.local,
        "taken_offset_min": best.offset_min,
        "taken_at_utc": best.at_utc,
        "taken_source": best.source,
        "taken_confidence": best.confidence,
    }


def _history(path: PathRow, pixels: dict[str, str]) -> dict[str, Any]:
    """Succession: same path, new content; equal pixels mean that only data about it changed."""
    before = path.previous_media_id
    if before is None or path.media_id is None or before == path.media_id:
        return {}
    old, new = pixels.get(before), pixels.get(path.media_id)
    same = old == new if old is not None and new is not None else None
    return {"previous_media_id": before, "previous_same_pixels": same}


def _outcome(path: PathRow, outcomes: dict[str, Outcome]) -> Outcome | None:
    if path.media_id is not None:
        return outcomes.get(path.media_id)
    return {
        "state": path.state,
        "stage": "scan",
        "reason": path.reason,
        "message": path.message,
        "retryable": bool(path.retryable),
    }


@dataclass(frozen=True, slots=True)
class StageRow:
    """What a deciding stage says about a content."""

    stage: str
    state: str
    reason: str | None
    message: str | None
    retryable: bool | None


def outcomes_of_contents(library: Library) -> dict[str, Outcome]:
    """What became of every content that any deciding stage has looked at."""
    seen: dict[str, dict[str, StageRow]] = {}
    for name in DECIDING:
        for table in library.batch_tables(name, OUTCOME):
            if name not in READING:  # most rows say nothing; they need not become objects
                table = table.filter(pc.field("state").isin(TROUBLED))
            for row in table.to_pylist():
                rows = seen.setdefault(row.pop("media_id"), {})
                rows.setdefault(name, StageRow(name, **row))
    outcomes = {media_id: decide_outcome(rows) for media_id, rows in seen.items()}
    return outcomes | dict.fromkeys(library.decisions.forgotten, FORGOTTEN)


def decide_outcome(rows: Mapping[str, StageRow]) -> Outcome:
    """One state from the rows of the deciding stages.

    Without a thumbnail a content failed, and the first stage that failed says why. With one it is
    ok when every stage is, else degraded by the first that is not.
    """
    troubled = [rows[s] for s in DECIDING if s in rows and rows[s].state != "ok"]
    troubled = [row for row in troubled if row.reason != "input_failed"] or troubled
    if not troubled:
        return {"state": "ok", "stage": None, "reason": None, "message": None, "retryable": None}
    visible = rows.get("thumbnails", rows.get("metadata"))
    is_failed = visible is not None and visible.state == "failed"
    cause = next((row for row in troubled if is_failed and row.state == "failed"), troubled[0])
    return {
        "state": "failed" if is_failed else "degraded",
        "stage": cause.stage,
        "reason": cause.reason,
        "message": cause.message,
        "retryable": bool(cause.retryable),
    }


def _capture_times(library: Library) -> dict[str, list[dict[str, Any]]]:
    rows: Iterable[dict[str, Any]] = library.read_stage(
        "metadata", ("media_id", "capture_times")
    ).to_pylist()
    return {row["media_id"]: row["capture_times"] or [] for row in rows}


def _pixel_hashes(library: Library) -> dict[str, str]:
    table = library.read_stage("thumbnails", ("media_id", "frame", "pixel_hash"))
    rows = table.to_pylist()
    return {r["media_id"]: r["pixel_hash"] for r in rows if r["frame"] == 0 and r["pixel_hash"]}


def build(library: Library) -> dg.AssetsDefinition:
    """The `files` asset."""
    return library_asset(library, "files", make)
