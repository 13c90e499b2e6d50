"""The numbers of docs/measurements.md: `python -m benchmarks.run`, peers in the same run."""
