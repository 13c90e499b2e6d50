"""What the ledger's tables hold: their SQL, and one record type for each kind of row."""

from __future__ import annotations

from dataclasses import dataclass

LEDGER_VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS roots (
    root_id TEXT PRIMARY KEY, path TEXT NOT NULL,
    offline_because TEXT, scanned_at REAL);
CREATE TABLE IF NOT EXISTS paths (
    root_id TEXT NOT NULL, relative BLOB NOT NULL,
    size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, device INTEGER, inode INTEGER,
    media_id TEXT, previous_media_id TEXT,
    presence TEXT NOT NULL, missing_since REAL,
    state TEXT, reason TEXT, message TEXT, retryable INTEGER,
    PRIMARY KEY (root_id, relative)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS paths_by_media ON paths (media_id);
CREATE TABLE IF NOT EXISTS contents (
    sequence INTEGER PRIMARY KEY, media_id TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL, batch TEXT, added_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS contents_by_batch ON contents (batch);
CREATE TABLE IF NOT EXISTS batches (batch TEXT PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, stage TEXT NOT NULL, batch TEXT NOT NULL, why TEXT NOT NULL,
    UNIQUE (stage, batch));
CREATE TABLE IF NOT EXISTS active (stage TEXT PRIMARY KEY, recipe TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, started_at REAL NOT NULL, finished_at REAL);
CREATE TABLE IF NOT EXISTS work (
    run TEXT NOT NULL, stage TEXT NOT NULL, batch TEXT NOT NULL, rows INTEGER NOT NULL,
    computed INTEGER NOT NULL, copied INTEGER NOT NULL, seconds REAL NOT NULL);
"""

PATH_FIELDS = (
    "root_id, relative, size, mtime_ns, ctime_ns, device, inode, media_id, previous_media_id, "
    "presence, missing_since, state, reason, message, retryable"
)


@dataclass(slots=True)
class PathRow:
    """One path the ledger knows.

    Attributes:
        presence: `present`, `offline` (its root, or a folder above it, cannot be seen) or
            `missing`.
        state, reason, message, retryable: Why it has no content, where it has none.
    """

    root_id: str
    relative: bytes
    size: int
    mtime_ns: int
    ctime_ns: int = 0
    device: int = 0
    inode: int = 0
    media_id: str | None = None
    previous_media_id: str | None = None
    presence: str = "present"
    missing_since: float | None = None
    state: str | None = None
    reason: str | None = None
    message: str | None = None
    retryable: bool | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """One content and the batch it is in (`None` while its batch is open)."""

    sequence: int
    media_id: str
    size: int
    batch: str | None


@dataclass(frozen=True, slots=True)
class WorkRow:
    """What one run did for one stage and batch."""

    stage: str
    batch: str
    rows: int
    computed: int
    copied: int
    seconds: float
