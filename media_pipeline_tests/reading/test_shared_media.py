"""Real files: every one ends in a row or an item error, and states the size its oracle knows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from media_pipeline.errors import ItemError
from media_pipeline.reading.media import read_metadata
from media_pipeline.schema import REASONS
from media_pipeline_tests.reading.conftest import fits_schema

NO_MEDIA = (".json", ".xmp")


def with_oracle(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Media files of pigallery2's tests with the values it expects of them."""
    pairs = []
    for oracle in sorted(folder.rglob("*.json")):
        expected = json.loads(oracle.read_text())
        for path in sorted(oracle.parent.iterdir()):
            is_numbered = path.name.startswith(
                (f"{oracle.stem}_0", *(f"{oracle.stem}_{i}." for i in range(9)))
            )
            is_media = path.suffix.lower() not in NO_MEDIA
            if is_media and (
                path.stem == oracle.stem or (is_numbered and "orientation" in path.parts)
            ):
                pairs.append((path, expected))
    return pairs


def test_upright_sizes_agree_with_the_oracle(shared_media: Path) -> None:
    pairs = with_oracle(shared_media / "metadata")
    assert len(pairs) > 50

    for path, expected in pairs:
        row = read_metadata(bytes(path), os.fsencode(path.name))
        size = {"width": row["width_px"], "height": row["height_px"]}
        assert size == expected["size"], path


@pytest.mark.filterwarnings("ignore")
def test_every_file_ends_in_a_row_or_an_item_error(shared_media: Path) -> None:
    for path in sorted(shared_media.rglob("*")):
        if not path.is_file():
            continue
        try:
            row = read_metadata(bytes(path), os.fsencode(path.name))
        except ItemError as error:
            assert_known(error, path)
        else:
            assert fits_schema(row), path


def assert_known(error: ItemError, path: Path) -> None:
    assert error.reason in REASONS, path
