"""A finished library, made once per module, and copies of it to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from media_pipeline_tests.command_line import tables_of
from media_pipeline_tests.damage import Tables, finished_library


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished library of three batches that no test changes, beside its `originals`."""
    return finished_library(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def album(undisturbed: Path) -> Path:
    return undisturbed.with_name("originals")


@pytest.fixture(scope="module")
def expected(undisturbed: Path) -> Tables:
    return tables_of(undisturbed)


@pytest.fixture
def library(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of the finished library, to be damaged."""
    return Path(shutil.copytree(undisturbed, tmp_path / "library"))
