"""What a second run costs: 20,000 files that did not change, then all of them under other names.

Everything goes through the command line, on every core.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.corpus import READ_AND_RATED, TREE, Corpus
from benchmarks.processes import Finished, fresh_library, media_pipeline
from benchmarks.report import Figure
from media_pipeline.recipes import STAGES

MOST_UNCHANGED_S = 5.0
RENAMED = "renamed"


def measure(corpus: Corpus) -> Iterator[Figure]:
    """A first run, an unchanged one, and one after a rename of the whole tree."""
    with fresh_library() as library:
        first, status = _run(corpus.many, library)
        files = status["files"]
        yield Figure(f"{files:,} files: first run", first.seconds, "s")
        yield Figure(f"{files:,} files: first run", files / first.seconds, "files/s")
        again, status = _run(corpus.many, library)
        yield Figure("unchanged: second run", again.seconds, "s", most=MOST_UNCHANGED_S)
        yield Figure("unchanged: computed", computed(status), "items", most=0)
        yield Figure("unchanged: rows of whole-library tables made", whole(status), "rows", most=0)
        yield from _renamed(corpus.many, library)


def _renamed(folder: Path, library: Path) -> Iterator[Figure]:
    os.rename(folder / TREE, folder / RENAMED)
    try:
        finished, status = _run(folder, library)
    finally:
        os.rename(folder / RENAMED, folder / TREE)
    yield Figure("tree renamed: run", finished.seconds, "s", note="every file is hashed again")
    yield Figure("tree renamed: computed", computed(status), "items", most=0)
    yield Figure("tree renamed: rows of whole-library tables made", whole(status), "rows",
                 note="paths are theirs to know")  # fmt: skip


def _run(folder: Path, library: Path) -> tuple[Finished, dict[str, Any]]:
    count = os.cpu_count() or 1
    finished = media_pipeline(
        "run", folder, "--library", library, "--stages", READ_AND_RATED, count=count
    )
    status = media_pipeline("status", "--json", "--library", library, count=count)
    return finished, json.loads(status.output)


def computed(status: dict[str, Any]) -> int:
    """Contents that the per-batch stages computed in the last run."""
    return sum(status["stages"][s.name]["computed"] for s in STAGES if s.per_batch)


def whole(status: dict[str, Any]) -> int:
    """Rows that the whole-library stages made in the last run."""
    return sum(status["stages"][s.name]["computed"] for s in STAGES if not s.per_batch)
