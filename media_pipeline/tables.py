"""The tables on disk: one Parquet file per stage, recipe and batch; nobody ever reads half of one.

    <root>/<stage>/<recipe8>/<batch>.parquet       one per batch
    <root>/<stage>/<recipe8>/library.parquet       one per whole-library stage
    <root>/<stage>/<recipe8>/.<batch>.partial      what an interrupted batch had finished

The root may be a local folder (temporary name, fsync, rename) or any fsspec URL (object stores show
an object only when it is complete).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from media_pipeline.errors import CorruptLibraryFile, LibraryTooNew
from media_pipeline.paths import write_atomically, writing
from media_pipeline.schema import TABLE_SCHEMA_VERSION

WHOLE = "library"
"""The key of a table that covers the whole library."""

FACTS_KEY = b"media_pipeline"
MAGIC = b"PAR1"


class TableStore:
    """Reads and writes the Parquet files under one root.

    Args:
        root: Local folder or URL.
    """

    def __init__(self, root: UPath) -> None:
        self.root = root
        self.is_local = root.protocol in ("", "file", "local")

    def path(self, stage: str, recipe: str, key: str = WHOLE) -> UPath:
        """Where the table of a batch lies."""
        return self.root / stage / recipe / f"{key}.parquet"

    def keys(self, stage: str, recipe: str) -> set[str]:
        """The batches that have a table under a recipe: one directory listing."""
        folder = self.root / stage / recipe
        return {name[: -len(".parquet")] for name in _names(folder) if name.endswith(".parquet")}

    def recipes_of(self, stage: str) -> list[str]:
        """Every recipe under which a stage has tables, sorted."""
        return sorted(n for n in _names(self.root / stage) if not n.startswith("."))

    def write(
        self, stage: str, recipe: str, key: str, table: pa.Table, facts: Mapping[str, Any]
    ) -> None:
        """Write one table.

        Args:
            stage: Stage name.
            recipe: 8 hex digits.
            key: Batch key, or `WHOLE`.
            table: Rows in the stage's schema.
            facts: JSON values kept in the file's metadata: what made it and from what.
        """
        self._put(self.path(stage, recipe, key), _encode(table, facts))
        self._partial(stage, recipe, key).unlink(missing_ok=True)

    def read(
        self, stage: str, recipe: str, key: str = WHOLE, columns: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Read one table, or `None` where there is none.

        Raises:
            CorruptLibraryFile: It cannot be read; it was set aside so that the next run makes it
                again.
        """
        return self._read(self.path(stage, recipe, key), columns)

    def row_count(self, stage: str, recipe: str, key: str = WHOLE) -> int:
        """The number of rows of a table, from its footer; 0 where there is none."""
        path = self.path(stage, recipe, key)
        if not path.exists():
            return 0
        try:
            with path.open("rb") as handle:
                return int(pq.read_metadata(handle).num_rows)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._set_aside(path, error) from error

    def stamp(self, stage: str, recipe: str, key: str) -> str:
        """A text that changes whenever the table of a batch is written again."""
        stat = self.path(stage, recipe, key).stat()
        return (
            f"{stage}/{recipe}/{key}:{stat.st_size}:{getattr(stat, 'st_mtime_ns', stat.st_mtime)}"
        )

    def write_partial(self, stage: str, recipe: str, key: str, table: pa.Table) -> None:
        """Keep the finished rows of an interrupted batch."""
        self._put(self._partial(stage, recipe, key), _encode(table, {}))

    def read_partial(self, stage: str, recipe: str, key: str) -> pa.Table | None:
        """The finished rows of an interrupted batch; an unreadable one is as good as none."""
        try:
            return self._read(self._partial(stage, recipe, key), None)
        except CorruptLibraryFile:
            return None

    def size_of(self, stage: str, recipe: str) -> int:
        """Bytes of everything under a recipe."""
        folder = self.root / stage / recipe
        return sum(int((folder / name).stat().st_size) for name in _names(folder))

    def remove(self, stage: str, recipe: str) -> None:
        """Remove every table of a recipe."""
        folder = self.root / stage / recipe
        for name in _names(folder):
            (folder / name).unlink()
        folder.rmdir()

    def check_footers(self, stage: str, recipe: str) -> None:
        """Look at the last bytes of every table of a recipe: a cut-off file has no footer.

        Raises:
            CorruptLibraryFile: For the first that is damaged; all damaged ones are set aside.
        """
        broken = [
            path
            for key in sorted(self.keys(stage, recipe))
            if not _has_footer(path := self.path(stage, recipe, key))
        ]
        errors = [self._set_aside(path, OSError("the footer is missing")) for path in broken]
        if errors:
            raise errors[0]

    def _partial(self, stage: str, recipe: str, key: str) -> UPath:
        return self.root / stage / recipe / f".{key}.partial"

    def _put(self, path: UPath, content: bytes) -> None:
        if self.is_local:
            from pathlib import Path

            write_atomically(Path(path.path), content)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _read(self, path: UPath, columns: Sequence[str] | None) -> pa.Table | None:
        if not path.exists():
            return None
        try:
            with path.open("rb") as handle:
                file = pq.ParquetFile(handle, page_checksum_verification=True, pre_buffer=False)
                _check_columns(file.schema_arrow)
                return file.read(columns=list(columns) if columns else None, use_threads=False)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise self._set_aside(path, error) from error

    def _set_aside(self, path: UPath, error: Exception) -> CorruptLibraryFile:
        aside = path.with_name(path.name + ".corrupt")
        with writing(path.path):
            path.rename(aside)
        return CorruptLibraryFile(
            f"{path} cannot be read ({error}) and was set aside as {aside.name}: run "
            "`media-pipeline run` and it is made anew; the originals are untouched"
        )


def _names(folder: UPath) -> list[str]:
    try:
        return [child.name for child in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _has_footer(path: UPath) -> bool:
    with path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        if size < 12:
            return False
        handle.seek(-4, os.SEEK_END)
        return bool(handle.read(4) == MAGIC)


def _columns_digest(schema: pa.Schema) -> str:
    """A checksum of the column names: pages carry checksums of their own, the footer has none."""
    text = " ".join(schema.names)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _check_columns(schema: pa.Schema) -> None:
    try:
        facts = json.loads((schema.metadata or {}).get(FACTS_KEY, b""))
    except ValueError as error:
        raise pa.ArrowInvalid("it does not say what made it") from error
    if int(facts.get("schema_version", 0)) > TABLE_SCHEMA_VERSION:
        raise LibraryTooNew(
            f"a table has schema {facts['schema_version']}, this program knows up to "
            f"{TABLE_SCHEMA_VERSION}: upgrade media-pipeline; nothing was changed"
        )
    if facts.get("columns", "") not in ("", _columns_digest(schema)):
        raise pa.ArrowInvalid("its columns are not those that were written")


def _encode(table: pa.Table, facts: Mapping[str, Any]) -> bytes:
    about = {"schema_version": TABLE_SCHEMA_VERSION, "columns": _columns_digest(table.schema)}
    text = json.dumps({**about, **facts}, sort_keys=True)
    metadata = {**(table.schema.metadata or {}), FACTS_KEY: text.encode()}
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        buffer,
        compression="zstd",
        write_page_checksum=True,
        use_compliant_nested_type=False,  # list items keep their name, so the schema comes back
    )
    return buffer.getvalue()
