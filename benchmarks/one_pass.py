"""One pass over a folder in this process, step by step: no workers, no tables, no Dagster.

python -m benchmarks.one_pass FOLDER    CPU milliseconds per image of every step, as JSON
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from media_pipeline.imaging import colors, hashing, thumbnail
from media_pipeline.imaging.picture import Decoded
from media_pipeline.judging import rating
from media_pipeline.paths import write_atomically
from media_pipeline.reading.media import read_metadata
from media_pipeline.recipes import stage
from media_pipeline.scan.identity import identify
from media_pipeline.scan.walk import look
from media_pipeline.settings import read_settings, worker_limits

DETAILS: tuple[tuple[str, Any, str], ...] = (
    ("decode", thumbnail, "decode_upright"),
    ("resize", Decoded, "srgb"),
    ("perceptual hash", hashing, "dihedral_hashes"),
    ("signature", hashing, "signature"),
    ("pixel hash", hashing, "pixel_hash"),
    ("thumbhash", colors, "thumbhash"),
    ("dominant colours", colors, "dominant_colors"),
    ("fine measures", thumbnail, "_fine_measures"),
    ("encode", thumbnail, "jpeg"),
    ("measures", rating, "measure_thumbnail"),
    ("scores", rating, "score_measures"),
)
"""Functions inside `make_thumbnails` and `rate_thumbnail`, as these look them up."""


class Clock:
    """Adds up the CPU seconds of every step; what else the machine does hardly shows in them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block."""
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] += time.process_time() - started

    def watch(self, name: str, owner: Any, attribute: str) -> None:
        """Time a function from now on, wherever it is looked up in `owner`."""
        function: Callable[..., Any] = getattr(owner, attribute)

        def timed(*arguments: Any, **options: Any) -> Any:
            with self.step(name):
                return function(*arguments, **options)

        setattr(owner, attribute, timed)


class Pass:
    """Everything that happens to one still on its way through the per-batch stages.

    Args:
        out: Folder for the thumbnails.
        clock: Takes the time of every step.
    """

    def __init__(self, out: Path, clock: Clock) -> None:
        self.out, self.clock = out, clock
        self.parameters = stage("thumbnails").parameters
        self.budget = worker_limits(read_settings()).pixel_budget

    def do(self, path: Path) -> None:
        """One file."""
        place, name, small = os.fsencode(path), os.fsencode(path.name), self.out / path.name
        step = self.clock.step
        with step("hash"):
            identify(os.fsencode(path.parent), look(place, name))
        with step("metadata"):
            read_metadata(place, name)
        with step("thumbnail"):
            row = thumbnail.make_thumbnails(place, name, self.parameters, self.budget)[0]
        with step("write"):
            write_atomically(small, row["jpeg"], durable=False)
        with step("quality"):
            rating.rate_thumbnail(small.read_bytes(), {"path": path.name, **row})


def main(folder: str) -> None:
    """Do every file of a folder twice, the second time with a clock on the details."""
    cv2.setNumThreads(1)  # as in the workers
    paths = sorted(Path(folder).iterdir())
    whole, details = Clock(), Clock()
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as out:
        Pass(Path(out), Clock()).do(paths[0])  # imports, tables of decoders
        for clock in (whole, details):
            if clock is details:
                for detail in DETAILS:
                    clock.watch(*detail)
            one = Pass(Path(out), clock)
            for path in paths:
                one.do(path)
    names = [name for name, _, _ in DETAILS]
    steps = {name: 1000 * s / len(paths) for name, s in whole.seconds.items()}
    parts = {name: 1000 * details.seconds[name] / len(paths) for name in names}
    print(json.dumps({"images": len(paths), "steps": steps, "details": parts}))


if __name__ == "__main__":
    main(sys.argv[1])
