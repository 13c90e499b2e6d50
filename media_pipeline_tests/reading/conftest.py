from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from media_pipeline.reading.media import read_metadata
from media_pipeline.schema import METADATA

settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")

Reader = Callable[..., dict[str, Any]]


def fits_schema(row: dict[str, Any]) -> bool:
    """Whether a row is one that the metadata table takes."""
    table = METADATA.to_arrow([{**row, "media_id": "0" * 32, "recipe": "0" * 8}])
    table.validate(full=True)
    return set(row) == {c.name for c in METADATA.columns} - {"media_id", "recipe"}


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """A function that writes bytes to a file and reads their metadata."""

    def read_bytes(content: bytes, name: str = "file") -> dict[str, Any]:
        path = tmp_path / name
        path.write_bytes(content)
        row = read_metadata(bytes(path), name.encode())
        assert fits_schema(row)
        return row

    return read_bytes
