"""A stage on a sample: what a change would do, before the whole library is computed.

Nothing of it is written into the library: the tables of the sample live in a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from media_pipeline.batchwork import Batch, Compute, Control, Row, locate
from media_pipeline.errors import Interrupted, UsageError
from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage, stage, with_inputs
from media_pipeline.scan.batches import Member, read_manifest
from media_pipeline.stages import (
    captions,
    classifications,
    detections,
    embeddings,
    junk_flags,
    labels,
    quality,
    safety,
)
from media_pipeline.tables import TableStore

KEY = "sample"

COMPUTES: Mapping[str, Compute] = {
    "quality": quality.compute_rows,
    "embeddings": embeddings.compute_rows,
    "classifications": classifications.compute_rows,
    "labels": labels.compute_rows,
    "detections": detections.compute_rows,
    "safety": safety.compute_rows,
    "captions": captions.compute_rows,
    "junk_flags": junk_flags.compute_rows,
}
"""Stages that read no original, so that a sample of them costs little and changes nothing."""


def sample_rows(
    library: Library, control: Control, name: str, count: int
) -> tuple[pa.Table, pa.Table]:
    """The rows of a sample of contents: as they are read now, and under the wanted recipe.

    Args:
        library: Opened library.
        control: The running process.
        name: A stage of `COMPUTES`.
        count: Contents in the sample.

    Raises:
        UsageError: The stage reads originals, or nothing was made yet.
        Interrupted: The user asked to stop.
    """
    if name not in COMPUTES:
        raise UsageError(
            f"no sample of {name!r} can be made: there is one of {', '.join(COMPUTES)}"
        )
    members = _sample(library, count)
    ids = [member.media_id for member in members]
    batch = Batch(KEY, tuple(locate(library, members)))
    before = pa.concat_tables(
        [
            stage(name, library.stages).table.arrow.empty_table(),
            *(_only(table, ids) for table in library.batch_tables(name)),
        ]
    )
    with tempfile.TemporaryDirectory(prefix="media-sample-") as folder:
        scratch = _scratch(library, Path(folder))
        for one in with_inputs([name], library.stages):
            _make(library, scratch, control, stage(one, library.stages), batch)
        after = scratch.store.read(name, scratch.recipes[name], KEY)
    return before, after if after is not None else before.slice(0, 0)


def _sample(library: Library, count: int) -> list[Member]:
    """The contents of the smallest ids: they are hashes, so that is a fair draw."""
    members = [
        m for b in library.ledger.batches() for m in read_manifest(library.layout.batches, b)
    ]
    members = [m for m in members if m.media_id not in library.decisions.forgotten]
    if not members:
        raise UsageError("nothing was scanned yet: run `media-pipeline run FOLDER` first")
    return sorted(members, key=lambda member: member.media_id)[:count]


def _scratch(library: Library, folder: Path) -> Library:
    """The same library with an empty table store of its own; thumbnails are the real ones."""
    scratch = Library(library.layout, library.config, library.stages)
    scratch.store = TableStore(UPath(folder))
    return scratch


def _make(library: Library, scratch: Library, control: Control, spec: Stage, batch: Batch) -> None:
    """Copy the rows that are there under the wanted recipe, or compute them."""
    table = _there(library, spec, batch)
    if table is None and spec.name not in COMPUTES:
        raise UsageError(
            f"{spec.name} is not complete under its recipe: run `media-pipeline run --stages "
            f"{spec.name} --stale` first; only stages above it can be sampled"
        )
    if table is None:
        table = _computed(scratch, control, spec, batch)
    scratch.store.write(spec.name, scratch.recipes[spec.name], KEY, table, {"stage": spec.name})


def _there(library: Library, spec: Stage, batch: Batch) -> pa.Table | None:
    recipe = library.recipes[spec.name]
    ids = [item.media_id for item in batch.items]
    parts = []
    for key in sorted(library.store.keys(spec.name, recipe) & library.ledger.batches().keys()):
        table = library.store.read(spec.name, recipe, key)
        if table is not None:
            parts.append(_only(table, ids).replace_schema_metadata(None))
    if not parts:
        return None
    found = pa.concat_tables(parts)
    return found if set(found["media_id"].to_pylist()) == set(ids) else None


def _computed(scratch: Library, control: Control, spec: Stage, batch: Batch) -> pa.Table:
    control.on_total(spec.name, len(batch.items))
    made: list[Row] = []
    done = 0
    for media_id, rows in COMPUTES[spec.name](scratch, control, batch):
        facts = {"media_id": media_id, "recipe": scratch.recipes[spec.name]}
        made.extend({**spec.table.empty_row(), **row, **facts} for row in rows)
        control.on_progress(spec.name, 1)
        done += 1
    if done < len(batch.items):
        raise Interrupted("stopped; nothing was written")
    return spec.table.to_arrow(made)


def _only(table: pa.Table, ids: list[str]) -> pa.Table:
    return table.filter(pc.field("media_id").isin(ids))
