"""The demo collection: a small mixed folder in which every file's outcome is known beforehand."""

from media_pipeline.demo.collection import build_collection, expected_outcomes
from media_pipeline.demo.expected import Expected, expected_page, expected_table

__all__ = [
    "Expected",
    "build_collection",
    "expected_outcomes",
    "expected_page",
    "expected_table",
]
