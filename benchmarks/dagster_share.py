"""Dagster's own share of the time of a batch.

python -m benchmarks.dagster_share FOLDER LIBRARY    seconds of two runs, printed as JSON

The share is what a Dagster run of the per-batch stages takes beyond the stages' own work, asset
checks included. First one batch in a run of its own, as a trickle of new files makes it; then
eight batches in one run, as a large folder does. Workers are warm and the graph is loaded, so
nothing hides it. Measured in a process of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.corpus import READ_AND_RATED, Corpus
from benchmarks.processes import PYTHON, fresh_library, run
from benchmarks.report import Figure

MOST_PERCENT = 5.0
CORES = 2


def measure(corpus: Corpus) -> Iterator[Figure]:
    """The share of each run, with photographs of 0.2 megapixels and two workers."""
    with fresh_library() as library:
        command = [PYTHON, "-m", "benchmarks.dagster_share", str(corpus.batches), str(library)]
        runs = json.loads(run(command, count=CORES).output.splitlines()[-1])
    for one in runs:
        own_s = one["dagster_s"] - one["work_s"]
        batches, each = one["batches"], one["items"] // one["batches"]
        yield Figure(
            f"Dagster's share, {batches} batch{'es' * (batches > 1)} of {each} in one run",
            100 * own_s / one["dagster_s"],
            "%",
            most=MOST_PERCENT,
            note=f"{own_s:.2f} of {one['dagster_s']:.1f} s; 0.2 MP, {one['stages']} stages",
        )


def time_runs(folder: Path, library_folder: Path) -> list[dict[str, Any]]:
    """Seconds inside Dagster and in the stages' own work: one batch, then eight."""
    from media_pipeline.batchwork import Control
    from media_pipeline.library.opened import create_library
    from media_pipeline.library.plan import BATCHES_PER_RUN
    from media_pipeline.recipes import with_inputs
    from media_pipeline.runner import GraphRunner, RunRequest, scan_only

    library, control = create_library(library_folder), Control(run="benchmark")
    below = library.add_roots([folder.absolute()])
    scan_only(library, RunRequest(stages=[], below=below), control)
    with library.ledger.transaction():
        library.ledger.start_run("benchmark")
    list(control.sandbox.run(len, [(None, (b"",))] * CORES))
    runner = GraphRunner(library, control)
    names = with_inputs(READ_AND_RATED.split(","))
    sizes = library.ledger.batches()
    waiting = iter(sizes)
    found: list[dict[str, Any]] = []
    while batches := list(islice(waiting, BATCHES_PER_RUN if found else 1)):
        dagster_s, work_s = runner.seconds, control.work_seconds
        runner.run(names, batches)
        found.append(
            {
                "batches": len(batches),
                "items": sum(sizes[batch] for batch in batches),
                "stages": len(names),
                "dagster_s": runner.seconds - dagster_s,
                "work_s": control.work_seconds - work_s,
            }
        )
    runner.close()
    control.close()
    return found


if __name__ == "__main__":
    print(json.dumps(time_runs(Path(sys.argv[1]), Path(sys.argv[2]))))
