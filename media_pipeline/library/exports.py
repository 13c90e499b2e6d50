"""Take the library elsewhere: one row per file, as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from media_pipeline.errors import UsageError
from media_pipeline.library.catalog import read_catalog
from media_pipeline.library.opened import Library
from media_pipeline.paths import csv_cell, display, write_atomically

ExportFormat = Literal["csv", "json", "parquet"]

QUERY = """
    SELECT f.path, f.media_id, f.state, f.stage, f.reason, f.presence, m.kind, m.format,
        m.width_px, m.height_px, m.duration_s, f.size_bytes, f.taken_local, f.taken_offset_min,
        f.taken_source, m.camera_make, m.camera_model, m.gps_latitude_deg, m.gps_longitude_deg,
        v.quality, v.tags, v.label, c.caption, v.people, v.animals, v.is_junk, v.junk_kind,
        v.is_nsfw, v.decision
    FROM files f
    LEFT JOIN metadata m USING (media_id)
    LEFT JOIN verdicts v USING (media_id)
    LEFT JOIN captions c ON c.media_id = f.media_id AND c.frame = 0
    ORDER BY f.root_id, f.relative_path
"""


def export(library: Library, kind: ExportFormat, target: Path, *, force: bool = False) -> int:
    """Write one entry per file.

    `csv`: quality verdict and tags (joined by `;`), text disarmed against formula injection.
    `json`: a list with the tags of each image. `parquet`: the same columns with their types.

    Returns:
        The number of entries.

    Raises:
        UsageError: The target exists or lies in a root, without `force`.
    """
    refuse_target(library, target, force=force)
    rows = read_catalog(library, QUERY)
    encode = {"csv": _csv, "json": _json, "parquet": _parquet}[kind]
    try:
        write_atomically(target.absolute(), encode(rows))
    except OSError as error:
        raise UsageError(
            f"cannot write {display(str(target))} ({error.strerror}): choose another place or name"
        ) from error
    return int(rows.num_rows)


def refuse_target(library: Library, target: Path, *, force: bool) -> None:
    """Refuse to write over a file, or among originals, unless forced.

    Raises:
        UsageError: The target exists or lies in a root, without `force`; or it is a folder.
    """
    if target.is_dir():
        raise UsageError(
            f"{display(str(target))} is a folder: name a file, as in {display(str(target))}/export"
        )
    if force:
        return
    if os.path.lexists(target):
        raise UsageError(
            f"{display(str(target))} exists: choose another name, or add --force to replace it"
        )
    place = os.path.realpath(target.parent)
    for root in library.config.roots:
        folder = os.path.realpath(root.path)
        if folder != "/" and os.path.commonpath([place, folder]) == folder:
            raise UsageError(
                f"{display(str(target))} lies inside the originals at {root.path}: choose a place "
                "outside, or add --force to write there all the same"
            )


def _csv(rows: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in rows.to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(value)
    return csv_cell(value) if isinstance(value, str) else value


def _json(rows: pa.Table) -> bytes:
    entries = [
        {**row, "tags": row["tags"] or []}
        for row in rows.to_pylist()
        if row["media_id"] is not None
    ]
    return json.dumps(entries, indent=1, ensure_ascii=False).encode()


def _parquet(rows: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd")
    return buffer.getvalue()
