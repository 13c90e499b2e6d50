"""One file of the demo collection: its known outcome, and the ways in which a file is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from media_pipeline.demo.expected import DecidingStage, Expected, State

Content = Callable[[], bytes]
"""Makes the bytes of a file."""

Maker = Callable[[Path, Path], None]
"""Makes a file, link or FIFO: given the collection's folder and the temporary place to put it."""


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        expected: The outcome for a user whom permissions stop.
        make: Puts it at a temporary place.
        or_else: Makes a substitute of the same outcome where the file system refuses `make`.
    """

    expected: Expected
    make: Maker
    or_else: Maker | None = None


def picture(expected: Expected, content: Content) -> Case:
    """A photo, drawing or video."""
    return Case(expected, written(content))


def trouble(
    path: bytes, shows: str, make: Maker, outcome: tuple[State, str, DecidingStage]
) -> Case:
    """A file that must not end `ok`; `outcome` is its state, reason and deciding stage."""
    return Case(Expected(path, shows, *outcome), make)


def written(content: Content, mode: int = 0o644) -> Maker:
    """Makes a regular file of these bytes and permissions."""

    def make(_: Path, place: Path) -> None:
        place.write_bytes(content())
        place.chmod(mode)

    return make


def copied(path: bytes) -> Maker:
    """Makes a copy of another file of the collection."""

    def make(folder: Path, place: Path) -> None:
        place.write_bytes((folder / os.fsdecode(path)).read_bytes())

    return make


def linked(path: bytes) -> Maker:
    """Makes a hard link to another file of the collection."""

    def make(folder: Path, place: Path) -> None:
        os.link(folder / os.fsdecode(path), place)

    return make


def symlink(target: str) -> Maker:
    """Makes a symbolic link; a relative target counts from the folder the link will lie in."""

    def make(_: Path, place: Path) -> None:
        place.symlink_to(target)

    return make


def fifo(_: Path, place: Path) -> None:
    """Makes a named pipe."""
    os.mkfifo(place)
