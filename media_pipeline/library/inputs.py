"""What a person points at: folders, files, and lists of files."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from media_pipeline.errors import UnknownPath, UsageError
from media_pipeline.library.opened import Library
from media_pipeline.paths import display

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image")
"""Columns of a CSV file that may hold the paths."""


def named_paths(paths: Sequence[Path], list_file: Path | None) -> list[Path]:
    """Every path a person named, absolute; nothing is changed on disk.

    Args:
        paths: Folders and files.
        list_file: Text or CSV file of paths, or `None`. A path in it that does not exist is
            recorded as such.

    Raises:
        UnknownPath: One of `paths` does not exist.
        UsageError: The list cannot be read or names nothing.
    """
    listed = read_list(list_file) if list_file is not None else []
    return [*map(_named, check_paths(paths)), *map(_absolute, listed)]


def below_of(library: Library, named: Sequence[Path]) -> dict[str, list[bytes]]:
    """Make paths part of the library.

    Args:
        library: Opened library.
        named: Absolute folders and files.

    Returns:
        Root id to relative paths to scan; empty for every known root.

    Raises:
        UsageError: Nothing was named and the library knows no root.
    """
    if not named and not library.config.roots:
        raise UsageError(
            "nothing to scan: name a folder, as in `media-pipeline run ~/Pictures`; it is then "
            "known to the library"
        )
    return library.add_roots(named)


def check_paths(paths: Sequence[Path]) -> list[Path]:
    """The same paths, when all of them exist.

    Raises:
        UnknownPath: For the first that does not.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise UnknownPath(
                f"{display(str(path))} does not exist: give an existing folder or file"
            )
    return list(paths)


def _named(path: Path) -> Path:
    """A folder that was named is meant, even when its name is a link to it."""
    return Path(os.path.realpath(path)) if path.is_dir() else _absolute(path)


def _absolute(path: Path) -> Path:
    """Absolute, without `.` and `..`, links left as they are."""
    return Path(os.path.abspath(path))


def read_list(list_file: Path) -> list[Path]:
    """The paths in a text file (one per line) or a CSV file (a column such as `path`).

    Relative paths are taken from the list's own folder; empty lines and repeats are left out.

    Raises:
        UsageError: The list cannot be read or names nothing.
    """
    try:
        content = list_file.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise UsageError(
            f"the list {display(str(list_file))} cannot be read ({error.strerror}): give a text or "
            "CSV file with one path per line"
        ) from error
    if b"\0" in content:
        raise UsageError(
            f"the list {display(str(list_file))} is not text: give a text or CSV file with one "
            "path per line"
        )
    if list_file.suffix.lower() == ".csv":
        names = _column(os.fsdecode(content), list_file)
    else:
        names = [os.fsdecode(line).strip() for line in content.splitlines()]
    folder = list_file.absolute().parent
    found = list(dict.fromkeys(folder / name for name in names if name))
    if not found:
        raise UsageError(
            f"the list {display(str(list_file))} names no path: one per line is expected"
        )
    return found


def _column(text: str, list_file: Path) -> list[str]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise UsageError(
            f"{display(str(list_file))} is not CSV ({error}): give one path per line"
        ) from error
    if not rows:
        return []
    header = [cell.strip().lower() for cell in rows[0]]
    for name in PATH_COLUMNS:
        if name in header:
            place = header.index(name)
            return [row[place] for row in rows[1:] if len(row) > place]
    if len(header) == 1:
        return [row[0] for row in rows]
    raise UsageError(
        f"{display(str(list_file))} has the columns {', '.join(header)}: one of them must be "
        f"called {', '.join(PATH_COLUMNS)}"
    )
