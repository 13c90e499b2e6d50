"""How a library stands: every file in one state, every stage's work in the last run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from media_pipeline.library.opened import Library
from media_pipeline.library.plan import plan_batches, plan_library
from media_pipeline.paths import display
from media_pipeline.schema import STATES


@dataclass(frozen=True)
class StageStatus:
    """One stage.

    Attributes:
        rows: Rows in its tables as they are read now.
        computed, copied: Contents (rows for whole-library stages) of the last run.
        stale: Tables that are stale.
        due: Tables that are due.
    """

    rows: int
    computed: int
    copied: int
    stale: int
    due: int


@dataclass(frozen=True)
class Status:
    """How a library stands.

    Attributes:
        library: Absolute folder.
        files: Files with a recorded state; `ok + degraded + failed + skipped`.
        contents: Distinct contents.
        ok, degraded, failed, skipped: Files per state.
        pending: Files that were found and wait to be processed.
        offline: Files (among `files` and `pending`) whose drive or folder cannot be seen.
        missing: Files that are gone.
        batches: Closed batches.
        stale: Stale tables.
        stages: Each stage.
        reasons: Files per reason, for the states other than ok.
        quality: Contents per verdict.
        tags: Contents per tag.
        seen: Contents per kind of person or animal seen in them.
        labels: Contents per best label.
        junk: Contents per kind of junk, those that are protected left out.
        groups: Groups per kind of duplicate.
        offline_roots: Root id to why it is offline.
    """

    library: str
    files: int
    contents: int
    ok: int
    degraded: int
    failed: int
    skipped: int
    pending: int
    offline: int
    missing: int
    batches: int
    stale: int
    stages: dict[str, StageStatus]
    reasons: dict[str, int]
    quality: dict[str, int]
    tags: dict[str, int]
    seen: dict[str, int]
    labels: dict[str, int]
    junk: dict[str, int]
    groups: dict[str, int]
    offline_roots: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def read_status(library: Library) -> Status:
    """Count everything, from the ledger and the `files` table."""
    states, reasons, pending = _count_files(library)
    presence = library.ledger.presence_counts()
    stages = _stages(library)
    verdicts = (
        library.read_whole("verdicts")
        .select(["quality", "tags", "label", "seen", "is_junk", "junk_kind"])
        .to_pylist()
    )
    return Status(
        library=display(str(library.layout.root)),
        files=sum(states.values()),
        contents=library.ledger.content_count(),
        **states,
        pending=pending,
        offline=presence.get("offline", 0),
        missing=presence.get("missing", 0),
        batches=len(library.ledger.batches()),
        stale=sum(s.stale for s in stages.values()),
        stages=stages,
        reasons=dict(reasons.most_common()),
        quality=_most_first(v["quality"] for v in verdicts),
        tags=_most_first(tag for v in verdicts for tag in v["tags"] or ()),
        seen=_most_first(seen["kind"] for v in verdicts for seen in v["seen"] or ()),
        labels=_most_first(v["label"] for v in verdicts),
        junk=_most_first(v["junk_kind"] or "by your word" for v in verdicts if v["is_junk"]),
        groups=_groups(library),
        offline_roots={r: why for r, _, why in library.ledger.roots() if why},
    )


def _most_first(values: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(value for value in values if value is not None).most_common())


def _groups(library: Library) -> dict[str, int]:
    rows = library.read_whole("duplicates").select(["group_id", "kind"]).to_pylist()
    return _most_first(kind for _, kind in {(row["group_id"], row["kind"]) for row in rows})


def _count_files(library: Library) -> tuple[dict[str, int], Counter[str], int]:
    """Files per state and per reason, and how many have none yet."""
    table = library.read_whole("files").select(
        ["root_id", "relative_path", "media_id", "state", "reason"]
    )
    known = {
        (row["root_id"], row["relative_path"], row["media_id"]): (row["state"], row["reason"])
        for row in table.to_pylist()
    }
    states = dict.fromkeys(STATES, 0)
    reasons: Counter[str] = Counter()
    pending = 0
    roots = {root.root_id for root in library.config.roots}
    for path in (p for p in library.ledger.paths() if p.root_id in roots):
        if path.presence == "missing" or path.root_id not in roots:
            continue
        state, reason = known.get((path.root_id, path.relative, path.media_id), (None, None))
        if path.media_id is None:
            state, reason = path.state, path.reason
        if state is None:
            pending += 1
            continue
        states[state] += 1
        if reason is not None:
            reasons[reason] += 1
    return states, reasons, pending


def _stages(library: Library) -> dict[str, StageStatus]:
    names = [s.name for s in library.stages]
    batch_plan, whole_plan = plan_batches(library, names), plan_library(library, names)
    due = {**batch_plan.due, **whole_plan.due}
    stale = {**batch_plan.stale, **whole_plan.stale}
    run = library.ledger.last_run()
    work = library.ledger.work_of(run) if run else []
    return {
        stage.name: StageStatus(
            rows=_row_count(library, stage.name),
            computed=sum(w.computed for w in work if w.stage == stage.name),
            copied=sum(w.copied for w in work if w.stage == stage.name),
            stale=len(stale.get(stage.name, ())),
            due=len(due.get(stage.name, ())),
        )
        for stage in library.stages
    }


def _row_count(library: Library, name: str) -> int:
    stage = next(s for s in library.stages if s.name == name)
    if name == "catalog":
        return library.ledger.content_count() if library.layout.catalog.exists() else 0
    if not stage.per_batch:
        recipe = library.ledger.active().get(name) or library.recipes[name]
        return library.store.row_count(name, recipe)
    return sum(library.store.row_count(name, r, b) for b, r in library.chosen(name).items())
