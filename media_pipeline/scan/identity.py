"""What an entry is: a content with an identity, or a reason why it has none.

Identity is content: the first 16 bytes of the BLAKE3 hash of all bytes, in hex. The name only
helps to decide whether a file is worth reading at all.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from blake3 import blake3

from media_pipeline.errors import ItemError
from media_pipeline.formats import (
    HEAD_BYTES,
    UNSUPPORTED_EXTENSIONS,
    extension,
    format_of_name,
    sniff,
)
from media_pipeline.paths import item_error_of, open_original
from media_pipeline.scan.walk import Entry

BLOCK_BYTES = 1 << 20
SHARED_ENDINGS = ("mpeg-ts",)
"""Formats whose file name endings (.ts) mostly mean something else: only content counts."""

ATTEMPTS = 2
"""A file that changes while it is read is read once more, then recorded as growing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an entry turned out to be.

    Attributes:
        entry: As walked, with size and times as they were when the bytes were read.
        media_id: Its content, or `None`.
        state: `skipped` or `failed` where there is no content, else `None`.
        reason, message, retryable: Why there is no content.
    """

    entry: Entry
    media_id: str | None = None
    state: str | None = None
    reason: str | None = None
    message: str | None = None
    retryable: bool = False


def identify(root: bytes, entry: Entry) -> Finding:
    """Find out what an entry is; reads the whole file when it may be a photo or a video."""
    rule = _skip_rule(entry)
    if rule is not None:
        ending = extension(entry.name)
        message = f"{ending} files are not read" if rule == "unsupported_format" else None
        return Finding(entry, state="skipped", reason=rule, message=message)
    try:
        if entry.error:
            raise item_error_of(OSError(entry.error, os.strerror(entry.error)))
        return _read(os.path.join(root, entry.relative), entry)
    except ItemError as error:
        return Finding(
            entry,
            state="failed",
            reason=error.reason,
            message=error.message,
            retryable=error.retryable,
        )


def _skip_rule(entry: Entry) -> str | None:
    if entry.error:
        return None
    if stat.S_ISLNK(entry.mode):
        return "symlink"
    if not stat.S_ISREG(entry.mode):
        return "not_a_regular_file"
    if entry.name.startswith(b"._"):
        return "apple_double"
    if extension(entry.name) in UNSUPPORTED_EXTENSIONS:
        return "unsupported_format"
    return None


def _read(path: bytes, entry: Entry) -> Finding:
    promise = format_of_name(entry.name)
    promised = promise is not None and promise.name not in SHARED_ENDINGS
    if entry.size == 0 and not promised:
        return Finding(entry, state="skipped", reason="not_media")
    for _ in range(ATTEMPTS):
        with open_original(path) as handle:
            before = os.fstat(handle.fileno())
            try:
                head = handle.read(HEAD_BYTES)
                if not promised and sniff(head, entry.name) is None:
                    return Finding(entry, state="skipped", reason="not_media")
                digest = blake3(head)
                while block := handle.read(BLOCK_BYTES):
                    digest.update(block)
                after = os.fstat(handle.fileno())
            except OSError as error:
                raise item_error_of(error) from error
        if _same(before, after):
            return _found(entry, after, digest.digest(length=16).hex())
    raise ItemError("growing", "the file kept changing while it was being read", retryable=True)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def _found(entry: Entry, now: os.stat_result, media_id: str) -> Finding:
    if now.st_size == 0:
        raise ItemError("empty_file", "the file has zero bytes")
    seen = Entry(
        entry.relative,
        now.st_mode,
        now.st_size,
        now.st_mtime_ns,
        now.st_ctime_ns,
        now.st_dev,
        now.st_ino,
        now.st_nlink,
    )
    return Finding(seen, media_id)
