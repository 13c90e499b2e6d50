"""The user's word: `decisions.jsonl`, one JSON object per line, only ever appended to.

    {"at": "2026-11-20T12:00:00+00:00", "media_id": "…", "what": "label", "value": "our garden",
     "name": "IMG_1234.jpg"}

It is keyed by content, so it follows a picture wherever it is moved. A later line wins over an
earlier one. An append holds a lock and is fsynced before anybody is told that it is done. What a
crash cut off has no line break at its end: it is not read, and the next append takes its place.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from media_pipeline.errors import CorruptLibraryFile, UsageError
from media_pipeline.paths import display, fsync_folder, writing
from media_pipeline.vocabulary.user_terms import UNKNOWN, folded

if TYPE_CHECKING:
    from media_pipeline.library.opened import Library

What = Literal["keep", "junk", "undecided", "label", "not-label", "forget", "remember"]
"""What a decision says; `undecided` takes `keep` and `junk` back, `remember` takes `forget`."""

WITH_VALUE: frozenset[str] = frozenset({"label", "not-label"})
MARKS = ("keep", "junk", "undecided", "label", "not-label")
"""What `parse_mark` takes; `forget` and `remember` are commands of their own."""

KNOWN = frozenset(get_args(What))
LONGEST_LABEL = 100
LONGEST_NAME = 255

NOTHING = "none"
"""The stamp of a library without decisions."""

MEDIA_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Decision:
    """One line.

    Attributes:
        media_id: The content, 32 hex digits.
        what: What is said of it.
        value: The label, for `label` and `not-label`; else empty.
        name: The file it was said of, for people who read the file; not used.
        at: When, ISO 8601 with offset; empty is now.
    """

    media_id: str
    what: What
    value: str = ""
    name: str = ""
    at: str = ""


@dataclass(frozen=True)
class Word:
    """What the user's word on one content comes to.

    Attributes:
        decision: `keep`, `junk` or `None`.
        labels: Labels the user gave, in the order they were first given.
        not_labels: Labels the user took away, as `folded` compares them.
        forgotten: Whether everything made from it is to be gone.
    """

    decision: Literal["keep", "junk"] | None = None
    labels: tuple[str, ...] = ()
    not_labels: frozenset[str] = frozenset()
    forgotten: bool = False


SILENCE = Word()


@dataclass(frozen=True)
class Decisions:
    """Every decision of a library.

    Attributes:
        words: What was said, by content.
        stamp: A text that changes with the file.
    """

    words: Mapping[str, Word] = field(default_factory=dict)
    stamp: str = NOTHING

    def word(self, media_id: str) -> Word:
        """The user's word on a content; an empty one where nothing was said."""
        return self.words.get(media_id, SILENCE)

    @property
    def forgotten(self) -> frozenset[str]:
        """Contents that everything made from is to be gone of."""
        return frozenset(media_id for media_id, word in self.words.items() if word.forgotten)


def parse_mark(text: str) -> tuple[What, str]:
    """What the user typed after the file: `keep`, `junk`, `undecided`, `label:...`, ...

    Returns:
        What is decided, and the label (stripped, in Unicode's composed form, else empty).

    Raises:
        UsageError: It is none of them, or its label is empty, reserved, too long or not printable.
    """
    what, colon, value = text.partition(":")
    if what not in MARKS or bool(colon) != (what in WITH_VALUE):
        raise UsageError(
            f"cannot mark as {display(text)!r}: it takes keep, junk, undecided, label:NAME or "
            "not-label:NAME"
        )
    return cast(What, what), _label(value) if colon else ""


def _label(value: str) -> str:
    if display(value) != value:  # control and format characters; a joined emoji is none
        raise UsageError(
            f"the label {display(value)!r} holds characters that cannot be printed: leave them out"
        )
    label = unicodedata.normalize("NFC", " ".join(value.split()))
    if not label:
        raise UsageError("the label is empty: write its name after the colon, as in label:pug")
    if folded(label) == UNKNOWN:
        raise UsageError(
            f"the label {label!r} is reserved, it is that of pictures that show nothing for sure: "
            "choose another word"
        )
    if len(label) > LONGEST_LABEL:
        raise UsageError(
            f"the label {label[:20]!r}... has {len(label)} characters: it takes at most "
            f"{LONGEST_LABEL}"
        )
    return label


def append_decision(library: Library, decision: Decision) -> None:
    """Write one decision behind the others; it is on disk when this returns.

    Raises:
        UsageError: The media id or the value cannot be meant.
        DiskFull: No space is left; nothing of it is read back.
        LibraryNotWritable: The file cannot be written.
    """
    _check(decision)
    path = library.layout.decisions
    with writing(path):
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _append(descriptor, _encode(decision))
        finally:
            os.close(descriptor)  # which also ends the lock
        if is_new:
            fsync_folder(path.parent)


def _check(decision: Decision) -> None:
    if not MEDIA_ID.fullmatch(decision.media_id):
        raise UsageError(
            f"{display(decision.media_id)!r} is no media id: it takes 32 hex digits; "
            "`media-pipeline explain FILE` shows that of a file"
        )
    if decision.what in WITH_VALUE:
        _label(decision.value)
    elif decision.value:
        raise UsageError(f"{decision.what} takes no value, is given {display(decision.value)!r}")


def _append(descriptor: int, line: bytes) -> None:
    end = _mend_end(descriptor)
    try:
        left = memoryview(line)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)  # half a line must not be taken for a damaged file
        raise


def _mend_end(descriptor: int) -> int:
    """Give the file a line break as its last byte, or nothing; returns its size then.

    A last line without one is kept where it can be read (an editor saved it so), else it is what a
    crash left of a decision that nobody was told of, and goes.
    """
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    last = os.pread(descriptor, size, 0).rpartition(b"\n")[2]
    if _decoded(last) is not None:
        os.write(descriptor, b"\n")
    else:
        os.ftruncate(descriptor, size - len(last))
    return os.fstat(descriptor).st_size


def _encode(decision: Decision) -> bytes:
    entry = {
        "at": decision.at or datetime.now(UTC).isoformat(timespec="seconds"),
        "media_id": decision.media_id,
        "what": decision.what,
        "value": decision.value,
        "name": display(decision.name)[:LONGEST_NAME],
    }
    return json.dumps(entry).encode("ascii") + b"\n"


def read_decisions(path: Path) -> Decisions:
    """Every decision of a file; none where there is no file.

    Raises:
        CorruptLibraryFile: A line before the last cannot be read, or says what nobody knows.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return Decisions()
    with os.fdopen(descriptor, "rb") as handle:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # nobody is in the middle of a line
        content = handle.read()
        stamp = _stamp(os.fstat(descriptor))
    said: dict[str, _Said] = {}
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        entry = _decoded(line)
        if entry is not None:
            media_id = entry["media_id"]
            if media_id not in said:
                said[media_id] = _Said()
            _hear(said[media_id], entry)
        elif line.strip() and number < len(lines):
            raise _corrupt(path, number, line)
    return Decisions({media_id: one.word() for media_id, one in said.items()}, stamp)


def stamp_of(path: Path) -> str:
    """A text that changes whenever something is decided, without reading the file."""
    try:
        return _stamp(path.stat())
    except FileNotFoundError:
        return NOTHING


def _stamp(stat: os.stat_result) -> str:
    return f"decisions:{stat.st_size}:{stat.st_mtime_ns}"


def _corrupt(path: Path, number: int, line: bytes) -> CorruptLibraryFile:
    return CorruptLibraryFile(
        f"{path}, line {number} is no decision ({display(line[:40])!r}): each line is a JSON "
        f"object with media_id, what (one of {', '.join(get_args(What))}) and value; correct or "
        "delete that line, then run again; the other lines are kept"
    )


def _decoded(line: bytes) -> dict[str, Any] | None:
    """The decision of a line, `None` where it holds none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # also what is not UTF-8, or nested without end
        return None
    if not isinstance(entry, dict):
        return None
    what, value = entry.get("what"), entry.setdefault("value", "")
    if not (isinstance(what, str) and isinstance(value, str) and what in KNOWN):
        return None
    is_whole = isinstance(entry.get("media_id"), str) and bool(value) == (what in WITH_VALUE)
    return entry if is_whole else None


@dataclass
class _Said:
    """What was said so far of one content; labels by how they compare."""

    decision: Literal["keep", "junk"] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    not_labels: set[str] = field(default_factory=set)
    forgotten: bool = False

    def word(self) -> Word:
        labels = tuple(self.labels.values())
        return Word(self.decision, labels, frozenset(self.not_labels), self.forgotten)


def _hear(said: _Said, entry: Mapping[str, Any]) -> None:
    """Let one more line have its say."""
    what, label = entry["what"], entry["value"]
    if what in ("keep", "junk"):
        said.decision = what
    elif what == "undecided":
        said.decision = None
    elif what == "label":
        said.labels[folded(label)] = unicodedata.normalize("NFC", label)
        said.not_labels.discard(folded(label))
    elif what == "not-label":
        said.not_labels.add(folded(label))
        said.labels.pop(folded(label), None)
    else:
        said.forgotten = what == "forget"
