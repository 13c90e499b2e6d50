"""Scan: compare the disk with the ledger and write down what changed.

Stats first, reads only what is new or changed. A root that cannot be reached, or from which most
files vanish at once, is offline and nothing of it is called missing. Batches are closed while the
scan goes on, so that work can start before it ends.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from media_pipeline.scan.batches import close_batches, write_missing_manifests
from media_pipeline.scan.identity import Finding, identify
from media_pipeline.scan.ledger import Ledger
from media_pipeline.scan.rows import PathRow
from media_pipeline.scan.walk import Entry, look, walk
from media_pipeline.settings import Root

LISTED = "listed"
"""The root of files that were named one by one; its folder is `/` and it is never walked."""

FLUSH_EVERY_S = 1.0
READERS = 2
IN_FLIGHT = 64
VANISHED_SHARE = 0.5
VANISHED_AT_LEAST = 10


@dataclass
class ScanReport:
    """What a scan found.

    Attributes:
        seen: Entries looked at.
        read: Files whose bytes were read.
        read_bytes: Bytes of these.
        new_contents: Contents not known before.
        moved: Paths that are gone, while their content was found at another.
        missing, returned: Paths that are gone, or there again.
        offline: Root id and why, for each root that cannot be seen.
        batches: Batches that were closed.
        stopped: Whether the user stopped it.
        is_done: Whether it has come to its end.
    """

    seen: int = 0
    read: int = 0
    read_bytes: int = 0
    new_contents: int = 0
    moved: int = 0
    missing: int = 0
    returned: int = 0
    offline: dict[str, str] = field(default_factory=dict)
    batches: list[str] = field(default_factory=list)
    stopped: bool = False
    is_done: bool = False


@dataclass(frozen=True)
class ScanJob:
    """What to scan and how.

    Attributes:
        ledger: Open ledger, owned by the calling thread.
        manifests: Folder of the batch manifests.
        roots: Every root of the library.
        below: Root id to relative folders or files to look at; a root that is not named is
            walked whole, unless `only` is set.
        only: Root ids to scan, `None` for all.
        batch_size: Contents per batch.
        accept_missing: Believe it when most of a root vanished.
        stop: Set to stop after the current file.
        progress: Called with the report after every flush and every 1,000 entries.
        settle_s: Leave files alone that changed within this many seconds (0: take all).
    """

    ledger: Ledger
    manifests: Path
    roots: tuple[Root, ...]
    batch_size: int
    below: dict[str, list[bytes]] = field(default_factory=dict)
    only: frozenset[str] | None = None
    accept_missing: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[ScanReport], None] = lambda report: None
    settle_s: float = 0.0


def scan(job: ScanJob) -> ScanReport:
    """Scan every root of the job; leaves the last batch open."""
    report = ScanReport()
    write_missing_manifests(job.ledger, job.manifests)
    for root in job.roots:
        if job.only is None or root.root_id in job.only:
            if job.stop.is_set():
                break
            _RootScan(job, root, report).run()
    report.stopped, report.is_done = job.stop.is_set(), True
    job.progress(report)
    return report


def close_leftover(ledger: Ledger, manifests: Path, batch_size: int) -> list[str]:
    """Close the last, unfilled batch."""
    with ledger.transaction():
        closed = close_batches(ledger, batch_size, leftover=True)
    write_missing_manifests(ledger, manifests)
    return closed


def has_changes(ledger: Ledger, roots: Iterable[Root], settle_s: float) -> bool:
    """Whether a stat of the roots differs from the ledger; unsettled files do not count."""
    roots = tuple(roots)
    now = time.time()
    for root in roots:
        known = {row.relative: row for row in ledger.paths(root.root_id)}
        try:
            for entry in _entries(root, roots, [b""], known):
                row = known.pop(entry.relative, None)
                if _differs(row, entry) and not _is_unsettled(entry, now, settle_s):
                    return True
        except OSError:
            continue
        if any(row.presence == "present" for row in known.values()):
            return True
    return False


class _RootScan:
    """The scan of one root."""

    def __init__(self, job: ScanJob, root: Root, report: ScanReport) -> None:
        self.job, self.root, self.report = job, root, report
        self.folder = os.fsencode(root.path)
        self.known = {row.relative: row for row in job.ledger.paths(root.root_id)}
        self.below = job.below.get(root.root_id, [b""])
        self.unseen_folders: list[bytes] = []
        self.moved_here: set[str] = set()
        self.links: dict[tuple[int, int], tuple[int, str]] = {}
        self.findings: list[Finding] = []
        self.seen: set[bytes] = set()
        self.flushed_at = time.monotonic()

    def run(self) -> None:
        """Look at every entry, then decide what became of those that were not seen."""
        try:
            for finding in self._findings():
                self.findings.append(finding)
                full = len(self.findings) >= self.job.batch_size
                if full or time.monotonic() - self.flushed_at > FLUSH_EVERY_S:
                    self._flush()
        except OSError as error:
            self._flush()
            self._go_offline(f"{self.root.path} cannot be listed: {error.strerror}")
            return
        self._flush()
        if not self.job.stop.is_set():
            self._settle_unseen()

    def _findings(self) -> Iterator[Finding]:
        """What each new or changed entry turned out to be, in walking order."""
        with ThreadPoolExecutor(READERS) as readers:
            pending: deque[Future[Finding]] = deque()
            for entry in self._changed_entries():
                pending.append(readers.submit(self._identify, entry))
                while len(pending) >= IN_FLIGHT:
                    yield pending.popleft().result()
            while pending:
                future = pending.popleft()
                if not (self.job.stop.is_set() and future.cancel()):
                    yield future.result()

    def _changed_entries(self) -> Iterator[Entry]:
        now = time.time()
        for entry in _entries(self.root, self.job.roots, self.below, self.known):
            if self.job.stop.is_set():
                return
            self.report.seen += 1
            self.seen.add(entry.relative)
            if entry.is_unreadable_folder:
                self.unseen_folders.append(entry.relative + b"/")
            if self.report.seen % 1000 == 0:
                self.job.progress(self.report)
            if not _is_unchanged(self.known.get(entry.relative), entry) and not _is_unsettled(
                entry, now, self.job.settle_s
            ):
                yield entry

    def _identify(self, entry: Entry) -> Finding:
        known = self.known.get(entry.relative)
        if known is not None and known.media_id and _same_stat(known, entry):
            return Finding(entry, media_id=known.media_id)  # it was away and is here again
        key = (entry.device, entry.inode)
        if entry.links > 1 and stat.S_ISREG(entry.mode):
            seen = self.links.get(key)
            if seen is not None and seen[0] == entry.ctime_ns:
                return Finding(entry, media_id=seen[1])
        finding = identify(self.folder, entry)
        if finding.media_id and entry.links > 1:
            self.links[key] = (finding.entry.ctime_ns, finding.media_id)
        return finding

    def _flush(self) -> None:
        """Write down what was found so far."""
        self.flushed_at = time.monotonic()
        findings, self.findings = self.findings, []
        rows = [row for f in findings if (row := self._row(f)) != self.known.get(row.relative)]
        contents = [(f.media_id, f.entry.size) for f in findings if f.media_id]
        if rows:
            with self.job.ledger.transaction():
                self.job.ledger.put_paths(rows)
                new = self.job.ledger.add_contents(contents)
                self.report.new_contents += new
                self.report.batches += close_batches(
                    self.job.ledger, self.job.batch_size, leftover=False
                )
                if new < len(contents):  # a known content, perhaps one that was waited for
                    self.job.ledger.originals_returned()
                self.job.ledger.touch()
            write_missing_manifests(self.job.ledger, self.job.manifests)
        self.report.read += len(contents)
        self.report.read_bytes += sum(size for _, size in contents)
        self.moved_here |= {media_id for media_id, _ in contents}
        self.job.progress(self.report)

    def _row(self, finding: Finding) -> PathRow:
        """The ledger's row for a finding; what is known is not replaced by a failure to look."""
        entry = finding.entry
        known = self.known.get(entry.relative)
        if known is not None and known.presence != "present":
            self.report.returned += 1
        if known is not None and known.media_id and finding.media_id is None and finding.retryable:
            same_file = (known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)
            if same_file or entry.error:
                return replace(known, presence="offline", message=finding.message)
        previous = known.previous_media_id if known else None
        if known is not None and known.media_id and known.media_id != finding.media_id:
            previous = known.media_id
        return PathRow(
            self.root.root_id,
            entry.relative,
            entry.size,
            entry.mtime_ns,
            entry.ctime_ns,
            entry.device,
            entry.inode,
            finding.media_id,
            previous,
            state=finding.state,
            reason=finding.reason,
            message=finding.message,
            retryable=finding.retryable if finding.media_id is None else None,
        )

    def _settle_unseen(self) -> None:
        """Decide about known paths that this scan did not see."""
        below = frozenset(self.below)
        unseen = [
            row
            for relative, row in self.known.items()
            if relative not in self.seen and _is_below(relative, below)
        ]
        hidden = [r for r in unseen if self._is_hidden(r.relative)]
        hidden_keys = {row.relative for row in hidden}
        gone = [r for r in unseen if r.relative not in hidden_keys]
        why = None if self.job.accept_missing else self._vanished(gone)
        if why is not None:
            self._go_offline(why, {row.relative for row in gone + hidden})
            return
        now = time.time()
        moved = [r for r in gone if r.presence != "missing" and r.media_id in self.moved_here]
        gone_to = {r.relative for r in moved}
        lost = [r for r in gone if r.media_id and r.presence != "missing"]
        lost = [r for r in lost if r.relative not in gone_to]
        away = [r for r in hidden if r.media_id and r.presence == "present"]
        forgotten = [r for r in gone if not r.media_id]
        online = self._was_offline()
        with self.job.ledger.transaction():
            self.job.ledger.put_paths(
                [replace(r, presence="missing", missing_since=now) for r in lost]
                + [replace(r, presence="offline") for r in away]
            )
            self.job.ledger.drop_paths(forgotten + moved)
            self.job.ledger.set_root(self.root.root_id, self.root.path, None)
            if lost or away or forgotten or moved or online:
                self.job.ledger.touch()
        self.report.missing += len(lost)
        self.report.moved += len(moved)

    def _is_hidden(self, relative: bytes) -> bool:
        """Whether the folder of a path cannot be seen; of listed files only the folder is known."""
        if self.root.root_id == LISTED:
            return not os.path.isdir(os.path.dirname(os.path.join(self.folder, relative)))
        return relative.startswith(tuple(self.unseen_folders))

    def _was_offline(self) -> bool:
        return any(
            root_id == self.root.root_id and why for root_id, _, why in self.job.ledger.roots()
        )

    def _vanished(self, gone: list[PathRow]) -> str | None:
        """Why so many missing files look like a missing drive, or `None`."""
        if self.root.root_id == LISTED:
            return None
        there = [r for r in self.known.values() if r.media_id and r.presence != "missing"]
        elsewhere = self.moved_here | {r.media_id for r in there if r.relative in self.seen}
        lost = [
            r
            for r in gone
            if r.presence != "missing" and r.media_id and r.media_id not in elsewhere
        ]
        nothing_left = bool(lost) and not self.seen and b"" in self.below
        many = len(lost) >= VANISHED_AT_LEAST and len(lost) > VANISHED_SHARE * len(there)
        if not (nothing_left or many):
            return None
        return (
            f"{len(lost)} of {len(there)} files vanished at once from {self.root.path}: taken for "
            "an unmounted drive; if they are really gone, run "
            "`media-pipeline scan --accept-missing`"
        )

    def _go_offline(self, why: str, unseen: set[bytes] | None = None) -> None:
        """Call the root, or the unseen part of it, offline; nothing becomes missing."""
        rows = [
            replace(row, presence="offline")
            for relative, row in self.known.items()
            if row.presence == "present"
            and row.media_id
            and relative not in self.seen
            and (unseen is None or relative in unseen)
        ]
        changed = bool(rows) or not self._was_offline()
        with self.job.ledger.transaction():
            self.job.ledger.put_paths(rows)
            self.job.ledger.set_root(self.root.root_id, self.root.path, why)
            if changed:
                self.job.ledger.touch()
        self.report.offline[self.root.root_id] = why


def _entries(
    root: Root, roots: Iterable[Root], below: list[bytes], known: dict[bytes, PathRow]
) -> Iterator[Entry]:
    """The entries to look at: a walk, or one look at each listed path."""
    folder = os.fsencode(root.path)
    if root.root_id == LISTED:
        named = {b for b in below if b}
        for relative in sorted(set(known) | named):
            entry = look(os.path.join(folder, relative), relative)
            if relative in named or entry.error not in (errno.ENOENT, errno.ENOTDIR):
                yield entry
        return
    skip = frozenset(os.fsencode(r.path) for r in roots if r.root_id not in (root.root_id, LISTED))
    for start in below:
        top = look(os.path.join(folder, start), start) if start else None
        if top is not None and not stat.S_ISDIR(top.mode):
            yield top
        else:
            yield from walk(folder, start, skip)


def _is_below(relative: bytes, below: frozenset[bytes]) -> bool:
    """Whether a path or any folder above it is among `below`; the empty path is above all."""
    while relative not in below and relative:
        relative = os.path.dirname(relative)
    return relative in below


def _is_unchanged(row: PathRow | None, entry: Entry) -> bool:
    """Whether the ledger already knows this very entry."""
    if row is None or row.presence != "present" or row.retryable:
        return False
    return _same_stat(row, entry)


def _differs(row: PathRow | None, entry: Entry) -> bool:
    """Whether a scan would find something new; what failed before and looks the same would not."""
    if row is None or row.presence == "missing" or not _same_stat(row, entry):
        return True
    return row.presence == "offline" and row.message is None  # not known to be unreadable


def _same_stat(row: PathRow, entry: Entry) -> bool:
    return (row.size, row.mtime_ns, row.ctime_ns) == (entry.size, entry.mtime_ns, entry.ctime_ns)


def _is_unsettled(entry: Entry, now: float, settle_s: float) -> bool:
    return settle_s > 0 and abs(now - entry.ctime_ns / 1e9) < settle_s
