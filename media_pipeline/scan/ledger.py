"""The ledger: which paths hold which contents, which contents are in which batch, what is due.

SQLite in WAL mode on a local disk. It can be rebuilt: batches from their manifests, paths by a
scan. Every method is one transaction unless its name says otherwise; a ledger object belongs to
one thread.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from media_pipeline.errors import CorruptLibraryFile, LibraryTooNew
from media_pipeline.paths import is_disk_full, writing
from media_pipeline.scan.rows import (
    LEDGER_VERSION,
    PATH_FIELDS,
    TABLES,
    Content,
    PathRow,
    WorkRow,
)


class Ledger:
    """An open ledger.

    Args:
        path: `ledger.sqlite`; created when absent.

    Raises:
        CorruptLibraryFile: The file is no healthy database; it was set aside.
        LibraryTooNew: A newer program wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path.parent), _healthy(path):
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(TABLES)
            self.set_fact("ledger_version", str(LEDGER_VERSION), only_if_absent=True)
            version = int(self.fact("ledger_version") or 0)
        if version > LEDGER_VERSION:
            raise LibraryTooNew(
                f"{path} has version {version}, this program knows up to {LEDGER_VERSION}: upgrade "
                "media-pipeline; nothing was changed"
            )

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def check(self) -> None:
        """Look for damage.

        Raises:
            CorruptLibraryFile: The file is damaged; it was set aside.
        """
        with _healthy(self.path):
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together or not at all."""
        with writing(self.path.parent), _healthy(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with writing(self.path.parent), _healthy(self.path):
            return self._db.execute(query, values).fetchall()

    # -- facts ---------------------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """A remembered value, or `None`."""
        rows = self._rows("SELECT value FROM facts WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_fact(self, name: str, value: str, *, only_if_absent: bool = False) -> None:
        """Remember a value."""
        verb = "INSERT OR IGNORE" if only_if_absent else "INSERT OR REPLACE"
        self._db.execute(f"{verb} INTO facts VALUES (?, ?)", (name, value))

    @property
    def generation(self) -> int:
        """Rises with every change to paths, contents or roots."""
        return int(self.fact("generation") or 0)

    def touch(self) -> None:
        """Say that paths, contents or roots changed (inside a transaction)."""
        self.set_fact("generation", str(self.generation + 1))

    # -- roots ---------------------------------------------------------------------------------

    def set_root(self, root_id: str, path: str, offline_because: str | None) -> None:
        """Record a root and whether it can be seen."""
        self._db.execute(
            "INSERT OR REPLACE INTO roots VALUES (?, ?, ?, ?)",
            (root_id, path, offline_because, time.time()),
        )

    def roots(self) -> list[tuple[str, str, str | None]]:
        """Every root: id, path, why it is offline (or `None`)."""
        return self._rows("SELECT root_id, path, offline_because FROM roots ORDER BY root_id")

    # -- paths ---------------------------------------------------------------------------------

    def paths(self, root_id: str | None = None) -> list[PathRow]:
        """Every known path, in byte order per root."""
        where, values = ("WHERE root_id = ?", (root_id,)) if root_id else ("", ())
        query = f"SELECT {PATH_FIELDS} FROM paths {where} ORDER BY root_id, relative"
        return [PathRow(*row) for row in self._rows(query, values)]

    def path_row(self, root_id: str, relative: bytes) -> PathRow | None:
        """One path, or `None`."""
        query = f"SELECT {PATH_FIELDS} FROM paths WHERE root_id = ? AND relative = ?"
        rows = self._rows(query, (root_id, relative))
        return PathRow(*rows[0]) if rows else None

    def put_paths(self, rows: Iterable[PathRow]) -> None:
        """Insert or replace paths."""
        marks = ", ".join("?" * 15)
        self._db.executemany(
            f"INSERT OR REPLACE INTO paths ({PATH_FIELDS}) VALUES ({marks})",
            [tuple(getattr(row, name) for name in PathRow.__slots__) for row in rows],
        )

    def drop_paths(self, rows: Iterable[PathRow]) -> None:
        """Forget paths that never had a content."""
        self._db.executemany(
            "DELETE FROM paths WHERE root_id = ? AND relative = ?",
            [(row.root_id, row.relative) for row in rows],
        )

    def places(self, media_ids: Sequence[str]) -> dict[str, list[PathRow]]:
        """Where contents lie, paths that are present first."""
        found: dict[str, list[PathRow]] = {media_id: [] for media_id in media_ids}
        for start in range(0, len(media_ids), 500):
            chunk = media_ids[start : start + 500]
            marks = ", ".join("?" * len(chunk))
            query = (
                f"SELECT {PATH_FIELDS} FROM paths WHERE media_id IN ({marks}) "
                "ORDER BY presence = 'present' DESC, root_id, relative"
            )
            for row in self._rows(query, tuple(chunk)):
                place = PathRow(*row)
                found[str(place.media_id)].append(place)
        return found

    def presence_counts(self) -> dict[str, int]:
        """How many paths are present, offline, missing."""
        query = "SELECT presence, count(*) FROM paths GROUP BY presence"
        return {str(presence): int(count) for presence, count in self._rows(query)}

    # -- contents and batches ------------------------------------------------------------------

    def add_contents(self, contents: Iterable[tuple[str, int]]) -> int:
        """Append new contents `(media_id, size)` in order; returns how many were new."""
        before = self._db.total_changes
        now = time.time()
        self._db.executemany(
            "INSERT OR IGNORE INTO contents (media_id, size, added_at) VALUES (?, ?, ?)",
            [(media_id, size, now) for media_id, size in contents],
        )
        return self._db.total_changes - before

    def contents(self) -> list[Content]:
        """Every content in the order it was found."""
        query = "SELECT sequence, media_id, size, batch FROM contents ORDER BY sequence"
        return [Content(*row) for row in self._rows(query)]

    def contents_of(self, batch: str) -> list[Content]:
        """The contents of one batch in order."""
        query = "SELECT sequence, media_id, size, batch FROM contents WHERE batch = ? ORDER BY 1"
        return [Content(*row) for row in self._rows(query, (batch,))]

    def content_count(self) -> int:
        """How many contents are known."""
        return int(self._rows("SELECT count(*) FROM contents")[0][0])

    def open_contents(self) -> list[Content]:
        """Contents whose batch is still open, in order."""
        query = (
            "SELECT sequence, media_id, size, batch FROM contents WHERE batch IS NULL ORDER BY 1"
        )
        return [Content(*row) for row in self._rows(query)]

    def oldest_open_age_s(self) -> float:
        """Seconds the oldest content has waited for its batch; 0 where none waits."""
        (oldest,) = self._rows("SELECT min(added_at) FROM contents WHERE batch IS NULL")[0]
        return max(0.0, time.time() - float(oldest)) if oldest is not None else 0.0

    def close_batch(self, contents: Sequence[Content]) -> str:
        """Make an immutable batch of contents (inside a transaction); returns its key."""
        (last,) = self._rows("SELECT max(batch) FROM batches")[0]
        free = int(last[1:]) + 1 if last else 0
        batch = f"b{max(free, int(self.fact('first_free_batch') or 0)):06d}"
        self.restore_batch(batch, [(c.media_id, c.size) for c in contents])
        return batch

    def restore_batch(self, batch: str, contents: Sequence[tuple[str, int]]) -> None:
        """Record a batch of `(media_id, size)` (inside a transaction)."""
        self.add_contents(contents)
        self._db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?)", (batch, len(contents)))
        self._db.executemany(
            "UPDATE contents SET batch = ? WHERE media_id = ?", [(batch, m) for m, _ in contents]
        )

    def never_use_again(self, batches: Iterable[str]) -> None:
        """Keep new batches from taking these keys (inside a transaction): tables have them."""
        free = max((int(batch[1:]) + 1 for batch in batches), default=0)
        if free > int(self.fact("first_free_batch") or 0):
            self.set_fact("first_free_batch", str(free))

    def batches(self) -> dict[str, int]:
        """Every closed batch and its number of contents, in order."""
        rows = self._rows("SELECT batch, size FROM batches ORDER BY batch")
        return {str(batch): int(size) for batch, size in rows}

    # -- orders: work that is due although a table is there ----------------------------------------

    def add_orders(self, stage: str, batches: Iterable[str], why: str) -> None:
        """Order a stage to be run again for batches.

        Args:
            stage: Stage name.
            batches: Batch keys.
            why: `stale` (asked for), `unfinished` (a run that was cut off), `away` (originals that
                could not be opened; not due until they return), `returned`, `input` (rows it
                reads were made again) or `lost` (thumbnails it wrote are gone). Only `input` is
                remembered by an `unfinished` that replaces it: nothing may be copied then.
        """
        self._db.executemany(
            "INSERT INTO orders (stage, batch, why) VALUES (?, ?, ?) ON CONFLICT (stage, batch) "
            "DO UPDATE SET why = excluded.why || "
            "iif(excluded.why = 'unfinished' AND why LIKE '%input', ' input', '')",
            [(stage, batch, why) for batch in batches],
        )

    def orders(self, why: str | None = None) -> set[tuple[str, str]]:
        """Every order that can be carried out (or only those of one kind), as (stage, batch)."""
        query = "SELECT stage, batch FROM orders WHERE why <> 'away' AND why LIKE ?"
        rows = self._rows(query, (f"{why}%" if why else "%",))
        return {(str(s), str(b)) for s, b in rows}

    def originals_returned(self) -> None:
        """Make the orders that wait for originals due."""
        self._db.execute("UPDATE orders SET why = 'returned' WHERE why = 'away'")

    def fill_orders(self, stage: str, batches: Iterable[str]) -> None:
        """Strike orders that are carried out; one that came in meanwhile stays."""
        self._db.executemany(
            "DELETE FROM orders WHERE stage = ? AND batch = ? AND why LIKE 'unfinished%'",
            [(stage, b) for b in batches],
        )

    # -- recipes in use ------------------------------------------------------------------------

    def active(self) -> dict[str, str]:
        """The recipe each stage is read under."""
        return {str(s): str(r) for s, r in self._rows("SELECT stage, recipe FROM active")}

    def set_active(self, stage: str, recipe: str) -> None:
        """Read a stage under this recipe from now on."""
        self._db.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (stage, recipe))

    # -- what runs did -------------------------------------------------------------------------

    def start_run(self, run: str) -> None:
        """Remember that a run started; keeps the work of the last 50."""
        self._db.execute(
            "INSERT OR IGNORE INTO runs (run, started_at) VALUES (?, ?)", (run, time.time())
        )
        self._db.execute(
            "DELETE FROM runs WHERE run NOT IN "
            "(SELECT run FROM runs ORDER BY started_at DESC LIMIT 50)"
        )
        self._db.execute("DELETE FROM work WHERE run NOT IN (SELECT run FROM runs)")

    def finish_run(self, run: str) -> None:
        """Remember that a run came to its end."""
        self._db.execute("UPDATE runs SET finished_at = ? WHERE run = ?", (time.time(), run))

    def add_work(self, run: str, row: WorkRow) -> None:
        """Remember what a run did for a stage and batch."""
        self._db.execute(
            "INSERT INTO work VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run, row.stage, row.batch, row.rows, row.computed, row.copied, row.seconds),
        )

    def last_run(self) -> str | None:
        """The run that started last, or `None`."""
        rows = self._rows("SELECT run FROM runs ORDER BY started_at DESC LIMIT 1")
        return str(rows[0][0]) if rows else None

    def work_of(self, run: str) -> list[WorkRow]:
        """What a run did."""
        query = (
            "SELECT stage, batch, rows, computed, copied, seconds FROM work WHERE run = ? "
            "ORDER BY rowid"
        )
        return [WorkRow(*row) for row in self._rows(query, (run,))]

    def seconds_per_row(self, stage: str) -> float | None:
        """Seconds a computed row of a stage took lately, or `None` where nothing was computed."""
        query = "SELECT sum(seconds), sum(computed) FROM work WHERE stage = ? AND computed > 0"
        seconds, computed = self._rows(query, (stage,))[0]
        return float(seconds) / int(computed) if computed else None


@contextmanager
def _healthy(path: Path) -> Iterator[None]:
    """Turn damage into a message, with the damaged file set aside."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "readonly" in str(error) or "unable to open" in str(error):
            raise PermissionError(errno.EACCES, f"{error}", str(path)) from error
        if is_disk_full(path.parent, error):
            raise OSError(errno.ENOSPC, "the disk is full", str(path)) from error
        raise
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise
        raise set_ledger_aside(path, str(error)) from error


def set_ledger_aside(path: Path, why: str) -> CorruptLibraryFile:
    """Rename a damaged ledger and its journals, and say so."""
    aside = f".corrupt-{time.time_ns()}"
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        damaged = path.with_name(name)
        if damaged.exists():
            damaged.rename(damaged.with_name(name + aside))
    return CorruptLibraryFile(
        f"{path} is damaged ({why}) and was set aside as {path.name}{aside}: run "
        "`media-pipeline run` and it is rebuilt from the batch manifests and a new scan; tables "
        "are kept"
    )
