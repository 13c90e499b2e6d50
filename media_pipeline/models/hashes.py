"""SHA-256 of files, computed once: a file is hashed again when its size, time or inode changed.

What was found lies in `hashes.json` beside the files, so that a look at gigabytes costs nothing
after the first one; where that cannot be written, the process remembers it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from media_pipeline.errors import DamagedWeights, DiskFull, LibraryNotWritable
from media_pipeline.models.pins import HASHES
from media_pipeline.paths import write_atomically

SETTLED_NS = 2_000_000_000
"""A file that changed less than this ago may change again without another time: clocks of file
systems tick in steps of up to two seconds (FAT). Its hash is not kept."""

_remembered: dict[Path, dict[str, Any]] = {}


def sha256_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files, in hex digits.

    Args:
        folder: Where they lie; `hashes.json` is kept there.
        names: Files in it.

    Returns:
        Name to hash.

    Raises:
        DamagedWeights: A file cannot be read.
    """
    known = {**_read(folder), **_remembered.get(folder, {})}
    found: dict[str, str] = {}
    fresh: dict[str, Any] = {}
    for name in names:
        try:
            stamp = _stamp(folder / name)
            entry = known.get(name)
            if isinstance(entry, dict) and entry.get("stamp") == stamp and "sha256" in entry:
                found[name] = str(entry["sha256"])
                continue
            is_settled = abs(time.time_ns() - stamp[1]) > SETTLED_NS
            found[name] = file_sha256(folder / name)
            if is_settled and _stamp(folder / name) == stamp:
                fresh[name] = {"stamp": stamp, "sha256": found[name]}
        except OSError as error:
            raise DamagedWeights(
                f"{folder / name} cannot be read ({error.strerror}): make it readable, or fetch it "
                f"again with `media-pipeline models fetch {folder.name}`"
            ) from error
    if fresh:
        _keep(folder, {**known, **fresh})
    return found


def file_sha256(path: Path) -> str:
    """SHA-256 of one file, computed now."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _stamp(path: Path) -> list[int]:
    """Size, time of the last change and inode: a list, as JSON has it."""
    facts = os.stat(path)
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino]


def _read(folder: Path) -> dict[str, Any]:
    """What was found earlier; nothing where the file is damaged, it is only a shortcut."""
    try:
        found = json.loads((folder / HASHES).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(folder: Path, entries: dict[str, Any]) -> None:
    content = json.dumps(entries, indent=1, sort_keys=True).encode()
    try:
        write_atomically(folder / HASHES, content, durable=False)
    except (DiskFull, LibraryNotWritable):  # a shared folder, say: nothing but time is lost
        _remembered[folder] = entries
