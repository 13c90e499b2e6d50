"""Ways to damage a library's own files, and what it must be like when it is repaired."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from media_pipeline.library.opened import create_library
from media_pipeline.settings import write_config
from media_pipeline_tests.command_line import call, status, succeeded, tables_of
from media_pipeline_tests.conftest import draw

PICTURES = 10
BATCHES = 3

Tables = dict[str, list[dict[str, Any]]]


def finished_library(folder: Path) -> Path:
    """Draw `originals` and take them into `library`, three batches, nothing left in journals."""
    for number in range(PICTURES):
        draw(folder / "originals" / f"{number}.jpg", seed=number)
    made = create_library(folder / "library")
    write_config(made.layout, replace(made.config, batch_size=4))
    succeeded(call("run", folder / "originals", "--library", made.layout.root))
    made.ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    assert status(made.layout.root)["batches"] == BATCHES
    return made.layout.root


def table_files(library: Path, stage: str) -> list[Path]:
    return sorted((library / "tables" / stage).rglob("*.parquet"))


def cut(path: Path, share: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def scramble(path: Path, start: int, length: int = 16) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + length] = bytes(b ^ 0x5A for b in content[start : start + length])
    path.write_bytes(content)


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 1000)


def repaired(library: Path, expected: Tables) -> None:
    """The same command again repairs everything, and a third time there is nothing to do."""
    succeeded(call("run", "--library", library))
    assert tables_of(library) == expected
    assert status(library)["ok"] == PICTURES
    succeeded(call("run", "--library", library))
    assert {s["computed"] for s in status(library)["stages"].values()} == {0}
