"""The demo collection's folder: built once, and left alone when it is there.

Reads   the photographs in scikit-image's wheel
Writes  the folder, and beside it <folder>.collection.json: which version of it lies there
Cost    a few seconds, about 10 MB; nothing when it is there already
Fails   with UsageError in a folder that holds other files
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from media_pipeline import paths
from media_pipeline.demo.case import Case, Maker
from media_pipeline.demo.copies import copy_cases
from media_pipeline.demo.expected import Expected
from media_pipeline.demo.oddities import LOCKED, oddity_cases
from media_pipeline.demo.pictures import picture_cases
from media_pipeline.errors import UsageError

VERSION = 2
"""Raised when files of the collection change, so that folders built before are built anew."""

MODIFIED = datetime(2024, 3, 1, 10, tzinfo=UTC).timestamp()
"""Modification time of every file: the same collection on every machine and every day."""

TEMPORARY = ".building"

REFUSALS = frozenset(
    (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EILSEQ, errno.EMLINK)
)
"""How file systems say that they have no FIFOs, hard links, permissions or such names."""

logger = logging.getLogger(__name__)


def build_collection(folder: Path) -> list[Expected]:
    """Build what is missing of the demo collection.

    Every file is made under a temporary name and renamed when it is finished; a finished file is
    never touched again. What the file system refuses (a FIFO, a name that is not UTF-8) is left
    out with a warning; where it has no hard links a copy takes their place.

    Args:
        folder: The collection's folder; made if it does not exist.

    Returns:
        The files that are there with the outcome that each must have for this user.

    Raises:
        UsageError: `folder` holds files and is no demo collection.
        LibraryError: It cannot be written, or the disk is full.
    """
    with paths.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder)
        there = {case.expected.path for case in all_cases() if _build(folder, case)}
    locked = folder / os.fsdecode(LOCKED)
    outcomes = expected_outcomes(is_root=os.access(locked, os.R_OK))
    return [outcome for path, outcome in outcomes.items() if path in there]


def expected_outcomes(*, is_root: bool) -> dict[bytes, Expected]:
    """Every file's outcome by its path below the collection's folder.

    Args:
        is_root: Whether permissions do not stop the user, so that the mode-000 file is read.
    """
    outcomes = {case.expected.path: case.expected for case in all_cases()}
    if is_root:
        outcomes[LOCKED] = replace(outcomes[LOCKED], state="ok", reason=None, stage=None)
    return outcomes


def all_cases() -> Iterator[Case]:
    """All files of the collection, copies and links after their originals."""
    yield from picture_cases()
    yield from copy_cases()
    yield from oddity_cases()


def _claim(folder: Path) -> None:
    """Make sure that the folder is ours, and empty of what another version has built in it."""
    marker = folder.with_name(f"{folder.name}.collection.json")
    wanted = {
        "version": VERSION,
        "files": [os.fsdecode(case.expected.path) for case in all_cases()],
    }
    found = _read_marker(marker)
    if found == wanted:
        return
    if found is None and any(folder.iterdir()):
        raise UsageError(
            f"{paths.display(str(folder))} holds files and is no demo collection: "
            "give a folder that is empty or does not exist"
        )
    for name in found["files"] if found else ():
        _remove(folder, name)
    paths.write_atomically(marker, json.dumps(wanted, indent=1).encode())


def _read_marker(marker: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(marker.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), list) else None


def _remove(folder: Path, name: str) -> None:
    if not Path(name).is_absolute() and ".." not in Path(name).parts:
        (folder / name).unlink(missing_ok=True)


def _build(folder: Path, case: Case) -> bool:
    """Make one file unless it is there; tell whether it is there now."""
    target = folder / os.fsdecode(case.expected.path)
    if os.path.lexists(target):
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _make(case.make, folder, target)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        what = "replaced by a copy" if case.or_else else "left out"
        logger.warning("%s is %s: %s", paths.display(case.expected.path), what, error.strerror)
        if case.or_else is None:
            return False
        _make(case.or_else, folder, target)
    return True


def _make(make: Maker, folder: Path, target: Path) -> None:
    temporary = folder / TEMPORARY
    temporary.unlink(missing_ok=True)  # of a build that was killed
    make(folder, temporary)
    os.utime(temporary, (MODIFIED, MODIFIED), follow_symlinks=False)
    try:
        temporary.rename(target)
    except OSError:
        temporary.unlink()
        raise
