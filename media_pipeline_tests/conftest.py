"""What tests all over the house ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_pipeline.library.opened import Library, create_library
from media_pipeline.scan.scanner import ScanJob, ScanReport, close_leftover, scan
from media_pipeline.settings import write_config

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real photos, videos and bad input that lies beside some checkouts."""
    folder = REPOSITORY.parent / "shared" / "media"
    if not folder.is_dir():
        pytest.skip("no ../shared/media beside this checkout")
    return folder


@pytest.fixture(scope="session")
def is_root() -> bool:
    """Whether file modes do not stop this process from reading."""
    return os.geteuid() == 0


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """An empty folder for originals."""
    folder = tmp_path / "originals"
    folder.mkdir()
    return folder


@pytest.fixture
def library(tmp_path: Path, originals: Path) -> Iterator[Library]:
    """A new library with `originals` as its root and batches of 4."""
    made = create_library(tmp_path / "library")
    made.config = replace(made.config, batch_size=4, settle_s=0.0, batch_wait_minutes=0.0)
    made.add_roots([originals])
    write_config(made.layout, made.config)
    yield made
    made.close()


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library of three batches (4, 4 and 2 contents) that was run; tests work on copies."""
    from media_pipeline_tests.running import new_library, run

    library = new_library(tmp_path_factory.mktemp("ran"), pictures=10)
    run(library)
    yield library
    library.close()


@pytest.fixture
def copied(ran: Library, tmp_path: Path) -> Iterator[Library]:
    """A copy of the library that was run, on the same originals."""
    from media_pipeline_tests.running import copy_of

    library = copy_of(ran, tmp_path / "library")
    yield library
    library.close()


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (96, 64)) -> Path:
    """A small JPEG of random blocks, different for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def scan_everything(library: Library) -> ScanReport:
    """Scan every root and close the last batch."""
    report = scan(
        ScanJob(
            library.ledger,
            library.layout.batches,
            library.config.roots,
            library.config.batch_size,
        )
    )
    close_leftover(library.ledger, library.layout.batches, library.config.batch_size)
    return report
