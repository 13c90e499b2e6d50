"""Batches: immutable lists of contents, each kept as a small JSON file beside the ledger.

The ledger commits first, the manifest follows; `write_missing_manifests` repairs a crash in
between, and `restore_lost` gives a lost ledger its batches back from the manifests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from media_pipeline.errors import CorruptLibraryFile
from media_pipeline.paths import write_atomically, writing
from media_pipeline.scan.ledger import Ledger
from media_pipeline.scan.rows import PathRow


@dataclass(frozen=True)
class Member:
    """One content of a batch.

    Attributes:
        media_id: The content.
        size: Bytes.
        root_id, relative: Where it was first seen; a hint, contents move.
    """

    media_id: str
    size: int
    root_id: str
    relative: bytes


def manifest_path(folder: Path, batch: str) -> Path:
    """Where the manifest of a batch lies."""
    return folder / f"{batch}.json"


def close_batches(ledger: Ledger, batch_size: int, *, leftover: bool) -> list[str]:
    """Close every full batch, and the last one too where `leftover` (inside a transaction)."""
    waiting = ledger.open_contents()
    closed = []
    while len(waiting) >= batch_size or (leftover and waiting):
        closed.append(ledger.close_batch(waiting[:batch_size]))
        waiting = waiting[batch_size:]
    return closed


def write_missing_manifests(ledger: Ledger, folder: Path) -> None:
    """Write the manifest of every closed batch that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    there = set(os.listdir(folder))
    for batch in ledger.batches():
        if f"{batch}.json" not in there:
            write_manifest(ledger, folder, batch)


def write_manifest(ledger: Ledger, folder: Path, batch: str) -> None:
    """Write the manifest of one batch."""
    contents = ledger.contents_of(batch)
    places = ledger.places([c.media_id for c in contents])
    members = []
    for content in contents:
        seen = places[content.media_id]
        members.append(
            {
                "media_id": content.media_id,
                "size_bytes": content.size,
                "root_id": seen[0].root_id if seen else "",
                "path": os.fsdecode(seen[0].relative) if seen else "",
            }
        )
    text = json.dumps({"batch": batch, "contents": members}, indent=1)
    write_atomically(manifest_path(folder, batch), text.encode())


def read_manifest(folder: Path, batch: str) -> list[Member]:
    """The contents of a batch in order.

    Raises:
        CorruptLibraryFile: The manifest is missing or cannot be read.
    """
    path = manifest_path(folder, batch)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return [
            Member(c["media_id"], c["size_bytes"], c["root_id"], os.fsencode(c["path"]))
            for c in raw["contents"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _set_aside(path, error) from error


def _set_aside(manifest: Path, error: Exception) -> CorruptLibraryFile:
    aside = manifest.with_name(manifest.name + ".corrupt")
    with writing(manifest.parent), suppress(FileNotFoundError):
        manifest.rename(aside)
        error = ValueError(f"{error}; set aside as {aside.name}")
    return CorruptLibraryFile(
        f"{manifest} cannot be read ({error}): run `media-pipeline run` and it is written anew "
        "from the ledger"
    )


def manifest_keys(folder: Path) -> set[str]:
    """The batches that have a manifest."""
    return {path.stem for path in folder.glob("b*.json")}


def restore_lost(ledger: Ledger, folder: Path, batches: Iterable[str]) -> None:
    """Give the ledger batches back that it does not know, from their manifests.

    A path of theirs that the ledger does not know is offline until a scan finds it, so that a
    drive that is away now is not forgotten.
    """
    with ledger.transaction():
        for batch in sorted(batches):
            members = read_manifest(folder, batch)
            ledger.restore_batch(batch, [(m.media_id, m.size) for m in members])
            ledger.put_paths(
                PathRow(m.root_id, m.relative, m.size, 0, media_id=m.media_id, presence="offline")
                for m in members
                if m.relative and ledger.path_row(m.root_id, m.relative) is None
            )
        ledger.touch()
