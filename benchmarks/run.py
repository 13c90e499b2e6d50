"""Every number of docs/measurements.md: `python -m benchmarks.run` (`make bench`).

Prints each number as it is known, then one Markdown table, which also goes to data/bench/report.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

from benchmarks import dagster_share, embedded, incremental, throughput
from benchmarks.corpus import BENCH, Corpus, build
from benchmarks.report import Figure, report

Measure = Callable[[Corpus], Iterator[Figure]]

PARTS: dict[str, Measure] = {
    "throughput": throughput.measure,
    "dagster_share": dagster_share.measure,
    "incremental": incremental.measure,
    "embedded": embedded.measure,
}


def main() -> None:
    """Measure what was asked for and report it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="only this part")
    parser.add_argument("--quick", action="store_true", help="a small corpus, to try it out")
    chosen = parser.parse_args()
    started = time.monotonic()
    corpus = build(quick=chosen.quick)
    figures = []
    for name in [chosen.only] if chosen.only else PARTS:
        print(f"\n{name}", flush=True)
        for figure in PARTS[name](corpus):
            figures.append(figure)
            print("  " + "  ".join(cell for cell in figure.cells() if cell), flush=True)
    text = report(figures)
    (BENCH / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\n{time.monotonic() - started:.0f} s in all; written to {BENCH / 'report.md'}")


if __name__ == "__main__":
    main()
