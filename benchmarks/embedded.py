"""What the profile `embedded` adds to a library: every per-batch stage, on every core.

The real command on a folder of photographs; each stage's own seconds come from the ledger. A stage
without a model writes a row per content that says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.corpus import Corpus
from benchmarks.processes import fresh_library, media_pipeline
from benchmarks.report import Figure
from benchmarks.throughput import batch_seconds
from media_pipeline.library.opened import open_library


def measure(corpus: Corpus) -> Iterator[Figure]:
    """Rate of every stage, and of all together."""
    cores = os.cpu_count() or 1
    with fresh_library() as folder:
        finished = media_pipeline("run", corpus.small, "--library", folder, count=cores)
        library = open_library(folder)
        seconds, images = batch_seconds(library), library.ledger.content_count()
        library.close()
    for name, each in seconds.items():
        note = f"{1000 * each / images:.2g} ms/image on {cores} cores"
        yield Figure(f"embedded, 0.2 MP: stage {name}", images / each, "images/s", note=note)
    yield Figure("embedded, 0.2 MP: all stages", images / sum(seconds.values()), "images/s")
    yield Figure("embedded, 0.2 MP: the whole command", images / finished.seconds, "images/s")
