"""How fast, beside the bare decode and cleanvision, and how much memory a worker takes.

Ours is the real `media-pipeline run` on a fresh library. *Stages* is the hash of every file (as in
`one_pass`) and the per-batch stages' own seconds from the ledger, the start of the workers
included; *command* is the wall clock of everything, the whole-library stages and Dagster included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.corpus import READ_AND_RATED, Corpus
from benchmarks.processes import fresh_library, media_pipeline, module
from benchmarks.report import Figure
from media_pipeline.library.opened import Library, open_library

MOST_DECODES = 2.0
LEAST_CLEANVISION = 10.0
LEAST_SMALL_PER_S = 60.0
LEAST_SPEEDUP = 1.7
MOST_MEMORY_MIB = 1024.0
CLEANVISION_IMAGES = {"12 MP": 20, "0.2 MP": 300}
"""It is slow and its time per image does not change, so it sees the first files only."""

ADDED = {
    "metadata": "workers, pipes, table; starts the workers",
    "thumbnails": "workers, pipes, table, fsync",
    "quality": "workers, pipes, table",
}


@dataclass(frozen=True)
class Ours:
    """One run of ours.

    Attributes:
        images: How many there were.
        seconds: Of each per-batch stage.
        command_s: Seconds of the command.
        rss_mib, uss_mib: Largest memory of a worker, with and without shared pages.
    """

    images: int
    seconds: dict[str, float]
    command_s: float
    rss_mib: float
    uss_mib: float

    @property
    def stages_s(self) -> float:
        """Seconds of all per-batch stages."""
        return sum(self.seconds.values())


def measure(corpus: Corpus) -> Iterator[Figure]:
    """Both sizes."""
    yield from measure_size("12 MP", corpus.large)
    yield from measure_size("0.2 MP", corpus.small)


def measure_size(size: str, folder: Path) -> Iterator[Figure]:
    """Everything about one folder; the bare decode is taken before and after ours."""
    before = _seconds_each("decode", folder)
    one, two = run_ours(folder, 1), run_ours(folder, 2)
    decode_s = fmean([before, _seconds_each("decode", folder)])
    cleanvision_s = _seconds_each("cleanvision", folder, CLEANVISION_IMAGES[size])
    one_pass = module("benchmarks.one_pass", folder)
    each_s = one.stages_s / one.images + one_pass["steps"]["hash"] / 1000
    is_large = size == "12 MP"

    def rate(what: str, seconds_each: float, **more: Any) -> Figure:
        return Figure(f"{size}: {what}", 1 / seconds_each, "images/s", **more)

    def ratio(what: str, value: float, **more: Any) -> Figure:
        return Figure(f"{size}: {what}", value, "x", **more)

    pass_s = sum(one_pass["steps"].values()) / 1000
    yield rate("ours, stages, one core", each_s, least=None if is_large else LEAST_SMALL_PER_S)
    yield rate("ours, the whole command, one core", one.command_s / one.images)
    yield rate("ours, the functions alone, one core", pass_s, note="CPU time, no workers")
    yield rate("bare decode, one core", decode_s, note="Pillow, long side of at least 2000 px")
    yield rate("cleanvision, one core", cleanvision_s, note=f"{CLEANVISION_IMAGES[size]} images")
    yield ratio("time of ours over the bare decode", each_s / decode_s,
                most=MOST_DECODES if is_large else None)  # fmt: skip
    yield ratio("rate of ours over cleanvision", cleanvision_s / each_s,
                least=LEAST_CLEANVISION if is_large else None)  # fmt: skip
    yield ratio("two cores over one, stages", one.stages_s / two.stages_s, least=LEAST_SPEEDUP)
    yield ratio("two cores over one, the whole command", one.command_s / two.command_s)
    yield Figure(f"{size}: memory of a worker", one.rss_mib, "MiB", most=MOST_MEMORY_MIB,
                 note=f"peak RSS; {one.uss_mib:.0f} MiB of it not shared")  # fmt: skip
    yield from breakdown(size, one, one_pass)


def breakdown(size: str, ours: Ours, one_pass: dict[str, Any]) -> Iterator[Figure]:
    """Where the milliseconds of an image go: functions (CPU time), then what stages add to them."""
    steps, details = one_pass["steps"], one_pass["details"]
    other = steps["thumbnail"] + steps["quality"] - sum(details.values())
    named = {
        "hash": steps["hash"],
        "metadata": steps["metadata"],
        **details,
        "the rest of thumbnail and quality": other,
        "write": steps["write"],
    }
    for name, ms in named.items():
        yield Figure(f"{size}: {name}", ms, "ms/image")
    inside = {
        "metadata": steps["metadata"],
        "thumbnails": steps["thumbnail"] + steps["write"],
        "quality": steps["quality"],
    }
    for stage, seconds in ours.seconds.items():
        added = 1000 * seconds / ours.images - inside[stage]
        yield Figure(f"{size}: added by the stage {stage}", added, "ms/image", note=ADDED[stage])


def run_ours(folder: Path, count: int) -> Ours:
    """Take a folder through `media-pipeline run` on some cores."""
    with fresh_library() as library:
        finished = media_pipeline(
            "run", folder, "--library", library, "--stages", READ_AND_RATED, count=count
        )
        opened = open_library(library)
        seconds = batch_seconds(opened)
        images = opened.ledger.content_count()
        opened.close()
    memory = (finished.child_rss_bytes, finished.child_uss_bytes)
    return Ours(images, seconds, finished.seconds, *(size / (1 << 20) for size in memory))


def batch_seconds(library: Library) -> dict[str, float]:
    """Seconds of every per-batch stage in the last run."""
    work = library.ledger.work_of(library.ledger.last_run() or "")
    seconds = {
        s.name: sum(w.seconds for w in work if w.stage == s.name) for s in library.batch_stages()
    }
    return {name: each for name, each in seconds.items() if each}


def _seconds_each(peer: str, folder: Path, limit: int = 1_000_000) -> float:
    found = module("benchmarks.peers", peer, folder, str(limit))
    return float(found["seconds"] / found["images"])
