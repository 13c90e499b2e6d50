"""What the terminal shows of a library: tables and trees, every file name escaped."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from media_pipeline.library.catalog import read_catalog
from media_pipeline.library.doctor import Finding
from media_pipeline.library.opened import Library
from media_pipeline.library.status import Status
from media_pipeline.paths import display
from media_pipeline.schema import REASONS, STATES

FIRST = ("files", "verdicts", "duplicates")
"""What `explain` shows first; the stages follow."""

ONLY_IN_JSON = ("signature", "phash_variants", "thumbhash", "relative_path", "vector")
"""Values for machines, left to `explain --json`."""

LABELS_SHOWN = 10

EXAMPLES = """
    WITH shown AS (
        SELECT f.name, c.caption, v.seen, v.is_junk, v.junk_kind, v.junk_evidence, v.protections,
            coalesce(v.junk_kind, v.seen[1].kind, 'nothing') AS sort,
            row_number() OVER (PARTITION BY sort ORDER BY f.root_id, f.relative_path) AS place
        FROM verdicts v
        JOIN files f USING (media_id)
        LEFT JOIN captions c ON c.media_id = v.media_id AND c.frame = 0
        WHERE v.is_junk IS NOT NULL)
    SELECT * EXCLUDE (sort, place) FROM shown WHERE place = 1 ORDER BY is_junk, sort
"""
"""One content of every kind of junk and of everything that is seen, and one of neither."""

STATE_STYLES = {"ok": "green", "degraded": "yellow", "failed": "red", "skipped": "dim"}


def one_line(status: Status) -> str:
    """The library in one line."""
    states = ", ".join(f"{getattr(status, state):,} {state}" for state in STATES)
    extra = "".join(
        f", {count:,} {name}"
        for name, count in (
            ("pending", status.pending),
            ("offline", status.offline),
            ("missing", status.missing),
        )
        if count
    )
    total = status.files + status.pending
    return f"{total:,} files ({status.contents:,} contents): {states}{extra}"


def status_view(status: Status) -> Iterator[RenderableType]:
    """The library as tables."""
    yield Text(f"library {status.library}")
    yield Text(one_line(status))
    if status.quality:
        yield Text("quality: " + _counted(status.quality) + "; tags: " + _counted(status.tags))
    if status.seen:
        yield Text("seen in: " + _counted(status.seen))
    if status.labels:
        yield Text("labels: " + _counted(dict(list(status.labels.items())[:LABELS_SHOWN])))
    if status.junk:
        yield Text("junk: " + _counted(status.junk))
    if status.groups:
        yield Text("duplicates: groups of " + _counted(status.groups))
    yield _stages(status)
    if status.reasons:
        yield _reasons(status)
        yield Text("which files: `explain` one, `export csv` all, or ask the table `outcomes`")
    for root_id, why in status.offline_roots.items():
        yield Text(f"{root_id} is offline: {why}", style="yellow")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _stages(status: Status) -> Table:
    table = Table(title="stages", title_justify="left")
    table.add_column("stage")
    for name in ("rows", "computed", "copied", "stale", "due"):
        table.add_column(name, justify="right")
    for name, stage in status.stages.items():
        numbers = (stage.rows, stage.computed, stage.copied, stage.stale, stage.due)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    table.caption = "computed and copied: in the last run"
    return table


def _reasons(status: Status) -> Table:
    table = Table(title="why files are not ok", title_justify="left")
    table.add_column("reason")
    table.add_column("files", justify="right")
    table.add_column("meaning")
    for reason, count in status.reasons.items():
        table.add_row(reason, f"{count:,}", REASONS.get(reason, ""))
    return table


def pictures_view(library: Library) -> RenderableType:
    """Some contents with what is known of them: who is seen, the caption, junk and why."""
    table = Table(title="what is in the pictures, for example", title_justify="left")
    for name in ("file", "seen", "caption", "junk"):
        table.add_column(name)
    for row in read_catalog(library, EXAMPLES).to_pylist():
        junk = _junk(row)
        table.add_row(*map(Text, (row["name"], _seen(row), row["caption"] or "", junk)))
    return table


def _seen(row: dict[str, Any]) -> str:
    if row["seen"] is None:
        return "not evaluated"
    return ", ".join(f"{one['count']} {one['kind']}" for one in row["seen"]) or "nobody found"


def _junk(row: dict[str, Any]) -> str:
    """The flag that fired highest with its numbers, and what stands against it."""
    names = (one["protection"] for one in row["protections"] or ())
    protected = ", ".join(dict.fromkeys(names))
    fired = [one for one in row["junk_evidence"] or () if one["flag"] == row["junk_kind"]]
    if not fired:
        return f"no; protected by {protected}" if protected else "no"
    (one,) = fired
    verdict = "" if row["is_junk"] else f", but protected by {protected}"
    return f"{one['flag']} {one['score']:.2f} >= {one['threshold']:.2f}{verdict}"


def explain_view(answer: dict[str, Any]) -> RenderableType:
    """Everything about a file as a tree."""
    known = answer["media_id"] is not None
    title = f"media_id {answer['media_id']}  batch {answer['batch']}" if known else "no content"
    tree = Tree(Text(title))
    for name in sorted(answer, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        rows = answer[name]
        if isinstance(rows, list) and rows:
            branch = tree.add(Text(name, style="bold"))
            for number, row in enumerate(rows):
                _add_row(branch, row, number, len(rows))
    if known:
        _add_made_with(tree, answer["made_with"])
    return tree


def _add_made_with(tree: Tree, made_with: dict[str, Any]) -> None:
    made = tree.add(Text("made_with", style="bold"))
    for stage, facts in made_with.items():
        stale = facts["active_recipe"] not in (None, facts["wanted_recipe"])
        text = f"{stage} version {facts['version']} recipe {facts['active_recipe']}"
        by = f" by {facts['model']}" if facts["model"] else ""
        made.add(Text(text + (f" (stale, wanted {facts['wanted_recipe']}{by})" if stale else by)))


def _add_row(branch: Tree, row: dict[str, Any], number: int, count: int) -> None:
    place = branch.add(Text(f"row {number}")) if count > 1 else branch
    for name, value in row.items():
        if name in ONLY_IN_JSON:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            branch_of = place.add(Text(name))
            for one in value:
                branch_of.add(_ruling(one) if "fired" in one else Text(display(_short(one))))
        elif name == "state":
            place.add(Text(f"state {value}", style=STATE_STYLES.get(str(value), "")))
        else:
            place.add(Text(display(f"{name} {_short(value)}")))


def _ruling(one: dict[str, Any]) -> Text:
    score = "not measured" if one["score"] is None else f"{one['score']:.3f}"
    what = one.get("tag") or one["flag"]
    text = f"{what}: score {score}, threshold {one['threshold']:.3f}, {one['rule']}"
    return Text(text, style="bold" if one["fired"] else "dim")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_short(one) for one in value)
    if isinstance(value, dict):
        return " ".join(f"{k}={_short(v)}" for k, v in value.items() if v is not None)
    return str(value)


def doctor_view(findings: list[Finding]) -> RenderableType:
    """What this machine has as a table; what is missing stands out with its remedy."""
    table = Table()
    for name in ("topic", "name", "", "detail"):
        table.add_column(name)
    for finding in findings:
        mark = Text("ok", style="green") if finding.ok else Text("missing", style="red")
        detail = finding.detail if finding.ok else f"{finding.detail}: {finding.remedy}"
        table.add_row(finding.topic, Text(finding.name), mark, Text(detail))
    return table


def next_steps(library: Library, originals: Path) -> RenderableType:
    """The next things to type."""
    folder = shlex.quote(os.path.relpath(library.layout.root))
    photo = next((p for p in sorted(originals.rglob("*blur*")) if p.is_file()), originals)
    program = ".venv/bin/media-pipeline"
    return Group(
        Text("\nfour things to type next:"),
        Text(f"  {program} explain {shlex.quote(str(photo))} --library {folder}"),
        Text(f"  {program} mark {shlex.quote(str(photo))} keep --library {folder}"),
        Text(
            f"  {program} export csv {os.path.dirname(folder) or '.'}/photos.csv --library {folder}"
        ),
        Text(f"  make dev MEDIA_LIBRARY={folder}"),
    )
