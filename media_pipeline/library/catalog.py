"""The catalogue: every table in one DuckDB file that people query.

It is a product, never a truth: copied, the changed batches replaced, and swapped in, so that a
reader sees the old one or the new one and nothing in between. It can be deleted at any time.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from media_pipeline.errors import CorruptLibraryFile, LibraryBusy, LibraryError
from media_pipeline.library.opened import Library
from media_pipeline.paths import fsync_folder, is_disk_full, writing
from media_pipeline.recipes import Stage
from media_pipeline.schema import TABLES, Column, Table

if TYPE_CHECKING:
    import duckdb

MEDIA_COLUMNS: tuple[tuple[str, str], ...] = (
    *(
        ("metadata", name)
        for name in (
            "media_id", "kind", "format", "mime_type", "size_bytes", "width_px", "height_px",
            "duration_s", "frame_rate_fps", "video_codec", "audio_codec", "camera_make",
            "camera_model", "lens_model", "exposure_time_s", "f_number", "iso",
            "focal_length_mm", "gps_latitude_deg", "gps_longitude_deg", "gps_altitude_m",
            "title", "description", "keywords", "rating", "creator",
        )
    ),
    *(
        ("files", name)
        for name in (
            "path", "presence", "taken_local", "taken_offset_min", "taken_at_utc", "taken_source",
            "taken_confidence", "state", "stage", "reason",
        )
    ),
    *(("thumbnails", name) for name in ("thumbhash", "phash", "dominant_colors")),
    *(
        ("verdicts", name)
        for name in (
            "quality", "tags", "label", "people", "animals", "is_junk", "junk_kind", "is_nsfw",
            "decision",
        )
    ),
    ("captions", "caption"),
)  # fmt: skip
"""Columns of `media` and the table each comes from; plus `thumbnail`, `files` and `batch`."""

MEDIA_EXTRA = {
    "thumbnail": "Thumbnail of the still or poster, relative to the thumbnails folder",
    "files": "Number of files that hold this content",
    "batch": "The batch it is in",
}

EXTRA_TYPES: dict[str, pa.DataType] = {
    "thumbnail": pa.string(),
    "files": pa.int64(),
    "batch": pa.string(),
}

OUTCOME_COLUMNS = (
    "root_id", "relative_path", "path", "media_id", "presence", "state", "stage", "reason",
    "message", "retryable",
)  # fmt: skip

TABLE_MEANINGS = {
    "media": "One row per content: what it is and shows, when and where it was taken, how good",
    "outcomes": "One row per file: the one state it ended in, and why",
}


def build_catalog(library: Library) -> dict[str, int]:
    """Build the catalogue aside and swap it in; returns the rows of each table."""
    target = library.layout.catalog
    temporary = target.with_name(f".catalog.{os.getpid()}.duckdb")
    with writing(target.parent):
        for leftover in target.parent.glob(".catalog.*"):  # of a run that was killed
            leftover.unlink()
        try:
            counts = _build(library, target, temporary)
            os.replace(temporary, target)
            fsync_folder(target.parent)
        finally:
            _discard(temporary)
    return counts


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def _build(library: Library, old: Path, new: Path) -> dict[str, int]:
    import duckdb

    if old.exists():
        shutil.copyfile(old, new)
    try:
        with duckdb.connect(str(new)) as db:
            return _fill(library, db)
    except duckdb.Error as error:
        if is_disk_full(new.parent, error):
            raise OSError(errno.ENOSPC, str(error)) from error
        if not old.exists():  # nothing was read but our own tables
            raise
        raise _set_aside(old, error) from error


def _unreadable(catalog: Path, error: Exception) -> LibraryError:
    if "could not set lock" in str(error).lower():
        return LibraryBusy(
            f"{catalog} is open for writing in another program: close it there, or open it with "
            "`duckdb -readonly`"
        )
    return _set_aside(catalog, error)


def _set_aside(catalog: Path, error: Exception) -> CorruptLibraryFile:
    aside = catalog.with_name(catalog.name + ".corrupt")
    if catalog.exists():
        os.replace(catalog, aside)
    first_line = str(error).splitlines()[0]
    return CorruptLibraryFile(
        f"{catalog} cannot be read ({first_line}) and was set aside as {aside.name}: run "
        "`media-pipeline run` again and it is rebuilt from the tables; nothing is lost"
    )


def _fill(library: Library, db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    db.execute("SET TimeZone = 'UTC'")
    db.execute("BEGIN")
    for stage in library.batch_stages():
        if stage.table.in_catalog:
            _update_batches(library, db, stage)
    for stage in library.stages:
        if stage.name != "catalog" and not stage.per_batch:
            _replace_whole(library, db, stage)
    _make_media(library, db)
    _make_outcomes(db)
    db.execute("COMMIT")
    names = [s.name for s in library.stages if s.has_table and s.table.in_catalog]
    names += ["media", "outcomes"]
    return {name: _count(db, name) for name in names}


def _count(db: duckdb.DuckDBPyConnection, table: str) -> int:
    row = db.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    return int(row[0]) if row else 0


def _update_batches(library: Library, db: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    """Replace the batches of a stage whose Parquet file changed since the last catalogue."""
    db.execute("CREATE TABLE IF NOT EXISTS _made_from (stage TEXT, batch TEXT, stamp TEXT)")
    chosen = library.chosen(stage.name)
    stamps = {b: library.store.stamp(stage.name, r, b) for b, r in chosen.items()}
    have = dict(
        db.execute("SELECT batch, stamp FROM _made_from WHERE stage = ?", [stage.name]).fetchall()
    )
    if not _matches(db, stage.table):
        _create(library, db, stage.table)
        have = {}
    changed = [batch for batch, stamp in stamps.items() if have.get(batch) != stamp]
    gone = [batch for batch in have if stamps.get(batch) != have[batch]]
    db.execute(f'DELETE FROM "{stage.name}" WHERE list_contains(?, batch)', [gone])
    for batch in changed:
        rows = library.store.read(stage.name, chosen[batch], batch)
        if rows is not None:
            names = ", ".join(f'"{c.name}"' for c in stage.table.columns)
            db.register("new_rows", rows)
            db.execute(
                f'INSERT INTO "{stage.name}" SELECT ? AS batch, {names} FROM new_rows', [batch]
            )
            db.unregister("new_rows")
    db.execute("DELETE FROM _made_from WHERE stage = ?", [stage.name])
    if stamps:
        db.executemany(
            "INSERT INTO _made_from VALUES (?, ?, ?)",
            [(stage.name, b, s) for b, s in stamps.items()],
        )


def _matches(db: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Whether the catalogue's table has exactly the declared columns."""
    found = db.execute(
        "SELECT column_name FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
        [table.name],
    ).fetchall()
    return [name for (name,) in found] == ["batch", *(c.name for c in table.columns)]


def _create(library: Library, db: duckdb.DuckDBPyConnection, table: Table) -> None:
    db.register("no_rows", table.arrow.empty_table())
    db.execute(f"CREATE OR REPLACE TABLE \"{table.name}\" AS SELECT '' AS batch, * FROM no_rows")
    db.unregister("no_rows")
    _comment(db, table.name, table.meaning, table.columns)
    db.execute(f"COMMENT ON COLUMN \"{table.name}\".batch IS 'The batch the content is in'")


def _replace_whole(library: Library, db: duckdb.DuckDBPyConnection, stage: Stage) -> None:
    rows = library.read_whole(stage.name)
    db.register("new_rows", rows)
    db.execute(f'CREATE OR REPLACE TABLE "{stage.name}" AS SELECT * FROM new_rows')
    db.unregister("new_rows")
    _comment(db, stage.name, stage.table.meaning, stage.table.columns)


def _comment(
    db: duckdb.DuckDBPyConnection, table: str, meaning: str, columns: Iterable[Column]
) -> None:
    db.execute(f'COMMENT ON TABLE "{table}" IS {_quoted(meaning)}')
    for column in columns:
        text = _quoted(column.description)
        db.execute(f'COMMENT ON COLUMN "{table}"."{column.name}" IS {text}')


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _make_media(library: Library, db: duckdb.DuckDBPyConnection) -> None:
    short = {"metadata": "m", "files": "f", "thumbnails": "t", "verdicts": "v", "captions": "c"}
    columns = ", ".join(f'{short[table]}."{name}"' for table, name in MEDIA_COLUMNS)
    db.execute(
        f"""
        CREATE OR REPLACE TABLE media AS
        WITH first_file AS (
            SELECT *, count(*) OVER (PARTITION BY media_id) AS files,
                row_number() OVER (
                    PARTITION BY media_id ORDER BY presence = 'present' DESC, path) AS place
            FROM files WHERE media_id IS NOT NULL)
        SELECT {columns}, t.path AS thumbnail, coalesce(f.files, 0) AS files, m.batch
        FROM metadata m
        LEFT JOIN first_file f ON f.media_id = m.media_id AND f.place = 1
        LEFT JOIN thumbnails t ON t.media_id = m.media_id AND t.frame = 0
        LEFT JOIN verdicts v ON v.media_id = m.media_id
        LEFT JOIN captions c ON c.media_id = m.media_id AND c.frame = 0
        ORDER BY m.batch, m.media_id
        """
    )
    declared = {s.name: s.table for s in library.stages if s.name in short}
    columns_of = [declared[table][name] for table, name in MEDIA_COLUMNS]
    _comment(db, "media", TABLE_MEANINGS["media"], columns_of)
    for name, meaning in MEDIA_EXTRA.items():
        db.execute(f'COMMENT ON COLUMN media."{name}" IS {_quoted(meaning)}')


def _make_outcomes(db: duckdb.DuckDBPyConnection) -> None:
    from media_pipeline.schema import FILES

    names = ", ".join(OUTCOME_COLUMNS)
    db.execute(f"CREATE OR REPLACE TABLE outcomes AS SELECT {names} FROM files")
    _comment(db, "outcomes", TABLE_MEANINGS["outcomes"], [FILES[n] for n in OUTCOME_COLUMNS])


def read_catalog(library: Library, query: str) -> pa.Table:
    """What a query finds in the catalogue.

    Raises:
        CorruptLibraryFile: It cannot be read; it was set aside.
        LibraryError: There is none yet.
    """
    import duckdb

    with open_catalog(library) as db:
        try:
            found: pa.Table = db.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise _unreadable(library.layout.catalog, error) from error
    return found


def check_catalog(library: Library) -> None:
    """Look whether the catalogue, if there is one, can be opened.

    Raises:
        CorruptLibraryFile: It cannot; it was set aside.
    """
    if library.layout.catalog.exists():
        with suppress(LibraryBusy):  # it is copied and swapped, whoever has it open
            open_catalog(library).close()


def media_columns() -> list[Column]:
    """The columns of `media`, in order."""
    extra = [Column(name, EXTRA_TYPES[name], meaning) for name, meaning in MEDIA_EXTRA.items()]
    return [*(TABLES[table][name] for table, name in MEDIA_COLUMNS), *extra]


def open_catalog(library: Library) -> duckdb.DuckDBPyConnection:
    """Open the catalogue for reading.

    Raises:
        CorruptLibraryFile: It cannot be read; it was set aside.
        LibraryBusy: Another program has it open for writing.
        LibraryError: There is none yet.
    """
    import duckdb

    if not library.layout.catalog.exists():
        raise LibraryError(
            f"{library.layout.catalog} is not there yet: run `media-pipeline run` to build it"
        )
    try:
        return duckdb.connect(str(library.layout.catalog), read_only=True)
    except duckdb.ConnectionException:  # this very process has it open for writing
        raise
    except duckdb.Error as error:  # a checksum that does not match is a plain Error
        raise _unreadable(library.layout.catalog, error) from error
