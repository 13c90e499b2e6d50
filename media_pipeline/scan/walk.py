"""Walk a root: every entry that is not a folder, once, in a fixed order, following nothing.

Symbolic links are entries, never followed, so there are no loops and no way out of the root. A
folder that holds a library marker is not entered; a folder that cannot be listed is an entry.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from media_pipeline.paths import MARKER

MARKER_BYTES = os.fsencode(MARKER)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a walk.

    Attributes:
        relative: Path below the root, bytes as on disk.
        mode: `st_mode`, not following links.
        size, mtime_ns, ctime_ns, device, inode, links: As `lstat` gave them.
        error: Error number where the entry could not be looked at, else 0.
    """

    relative: bytes
    mode: int
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    device: int = 0
    inode: int = 0
    links: int = 1
    error: int = 0

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return os.path.basename(self.relative)

    @property
    def is_unreadable_folder(self) -> bool:
        """Whether this is a folder whose contents could not be listed."""
        return self.error != 0 and stat.S_ISDIR(self.mode)


def walk(root: bytes, below: bytes = b"", skip: frozenset[bytes] = frozenset()) -> Iterator[Entry]:
    """Every entry below `root`, folders in byte order.

    Args:
        root: Absolute path of the root.
        below: Relative folder to start from, empty for the whole root.
        skip: Absolute folders that are not entered (other roots inside this one).

    Yields:
        Entries with paths relative to `root`; nothing for a folder that is a library.

    Raises:
        OSError: The starting folder itself cannot be listed.
    """
    start = os.path.join(root, below) if below else root
    pending = _children(start, below)
    while pending:
        relative, child = pending.pop()
        if not _is_folder(child):
            yield look(child.path, relative)
        elif child.path not in skip:
            try:
                pending.extend(_children(child.path, relative))
            except OSError as error:
                yield Entry(relative, stat.S_IFDIR, error=error.errno or errno.EIO)


def _children(folder: bytes, relative: bytes) -> list[tuple[bytes, os.DirEntry[bytes]]]:
    """What a folder holds, last name first; nothing for a library."""
    with os.scandir(folder) as entries:
        children = sorted(entries, key=lambda entry: entry.name, reverse=True)
    if any(child.name == MARKER_BYTES for child in children):
        return []
    return [(os.path.join(relative, child.name), child) for child in children]


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def look(path: bytes, relative: bytes) -> Entry:
    """The entry of one path, by `lstat`; an error becomes part of it."""
    try:
        found = os.lstat(path)
    except OSError as error:
        return Entry(relative, 0, error=error.errno or errno.EIO)
    return Entry(
        relative,
        found.st_mode,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_dev,
        found.st_ino,
        found.st_nlink,
    )
