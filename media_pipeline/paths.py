"""Names and places: bytes from strangers, and the layout of a library folder.

File names are bytes that other people chose. They are kept as bytes, opened as bytes, and turned
into text only to be shown: `display` for the terminal and tables, `csv_cell` for spreadsheets.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from media_pipeline.errors import DiskFull, ItemError, LibraryNotWritable

MARKER = ".media-library"
"""A folder that holds a file of this name is a library; a scan never descends into it."""

FULL_BELOW_BYTES = 64 << 10
"""With less free space than this a failed writing is put down to the full disk."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def display(name: bytes | str) -> str:
    r"""Text that is safe to print for a file name: one line, no control characters, valid Unicode.

    Bytes that are not UTF-8 show as `\xNN`, control and format characters as `\uNNNN`;
    everything else, emoji included, stays as it is.
    """
    text = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    return "".join(_printable(character) for character in text)


def _printable(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: one byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != "\u200d":
        return f"\\u{code:04x}"
    return character


def csv_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP: a leading quote disarms it)."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def open_original(path: bytes) -> BinaryIO:
    """Open somebody's original, read-only.

    Never follows a symlink at the last component and never blocks on a FIFO that took the
    file's place since it was scanned.

    Raises:
        ItemError: `original_unavailable`, `permission_denied`, `not_a_regular_file` or
            `io_error`.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise item_error_of(error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ItemError("not_a_regular_file", "only regular files are read")
    return os.fdopen(descriptor, "rb")


def item_error_of(error: OSError) -> ItemError:
    """The item error that an operating system error on an original means."""
    what = error.strerror or str(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ItemError("original_unavailable", f"the file is gone: {what}", retryable=True)
    if error.errno in (errno.EACCES, errno.EPERM):
        return ItemError("permission_denied", f"the file cannot be read: {what}", retryable=True)
    if error.errno == errno.ELOOP:
        return ItemError("not_a_regular_file", "a symlink took the file's place")
    if error.errno == errno.ENAMETOOLONG:
        return ItemError("name_too_long", f"the file cannot be reached: {what}")
    return ItemError("io_error", f"the file cannot be read: {what}", retryable=True)


@contextmanager
def writing(place: Path | str) -> Iterator[None]:
    """Turn operating system errors of writing under `place` into messages with a remedy.

    Raises:
        DiskFull: No space (or quota) left.
        LibraryNotWritable: Permission denied or a read-only file system.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(place) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise LibraryNotWritable(
                f"cannot write under {display(str(place))} ({error.strerror}): make it "
                "writable for this user or choose another folder with --library"
            ) from error
        raise


def disk_full(place: Path | str) -> DiskFull:
    """The error that says so, and what to do."""
    return DiskFull(
        f"no space left while writing under {display(str(place))}: free some space, then run the "
        "same command again; nothing that was finished is lost"
    )


def is_disk_full(folder: Path, error: Exception) -> bool:
    """Whether an error of a database means that no space is left where it lies.

    SQLite and DuckDB say so in words, or report an I/O error while the disk is full.
    """
    if any(words in str(error).lower() for words in ("disk is full", "no space left")):
        return True
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize < FULL_BELOW_BYTES


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file so that nobody ever reads half of it: temporary name, fsync, rename."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(temporary, "wb") as handle:
                handle.write(content)
                if durable:
                    handle.flush()
                    os.fsync(handle.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Layout:
    """Where things are kept inside one library folder."""

    root: Path

    @property
    def marker(self) -> Path:
        """The empty file that says: this folder is a library."""
        return self.root / MARKER

    @property
    def config(self) -> Path:
        """Roots, profile, batch size, thresholds in use; read by `settings.read_config`."""
        return self.root / "library.toml"

    @property
    def ledger(self) -> Path:
        """SQLite: paths, contents, batches and orders."""
        return self.root / "ledger.sqlite"

    @property
    def batches(self) -> Path:
        """Immutable manifests, one file per batch."""
        return self.root / "batches"

    @property
    def tables(self) -> Path:
        """Parquet, in one folder per stage and recipe."""
        return self.root / "tables"

    @property
    def catalog(self) -> Path:
        """DuckDB, rebuilt from the tables."""
        return self.root / "catalog.duckdb"

    @property
    def dagster(self) -> Path:
        """The Dagster instance: this library's DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def decisions(self) -> Path:
        """The user's word, append-only: one JSON object per line."""
        return self.root / "decisions.jsonl"

    @property
    def vocabulary(self) -> Path:
        """The user's own terms, one per line."""
        return self.root / "vocabulary.txt"

    @property
    def models(self) -> Path:
        """Files of fetched models, one folder per card; the user's cards are in `cards`."""
        return self.root / "models"

    @property
    def reports(self) -> Path:
        """Pages for people."""
        return self.root / "reports"

    @property
    def locks(self) -> Path:
        """Files that are only ever locked, never read."""
        return self.root / "locks"
