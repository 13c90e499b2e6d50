"""Real and hostile files through the real sandbox: each ends in rows or a reason, none hangs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_pipeline import recipes, schema
from media_pipeline.imaging.sandbox import Failure, Sandbox
from media_pipeline.imaging.thumbnail import make_thumbnails
from media_pipeline.settings import WorkerLimits

pytestmark = pytest.mark.slow

LIMITS = WorkerLimits(workers=2, memory_bytes=1 << 30, cpu_s=20, wall_s=30.0)
UNREADABLE = {
    "formats/heic/multilayer004.heic": "undecodable",  # AVC inside HEIF: no decoder in the wheels
    "video/exo_invalid-bitstream.webm": "no_frame",
    "video/exo_sample_fragmented_clearkey.mp4": "encrypted",
    "video/exo_sample_opus.mp4": "no_video_track",
}
UNEXPECTED = {"internal_error", "timeout", "cpu_limit", "worker_killed", "worker_exited"}
"""Reasons that would say that our limits or our code, not the file, decided."""

Result = list[dict[str, Any]] | Failure


@pytest.fixture(scope="module")
def results(shared_media: Path) -> dict[str, Result]:
    parameters = dict(recipes.stage("thumbnails").parameters)

    def items() -> Iterator[tuple[str, tuple[object, ...]]]:
        for folder in ("bad", "formats", "video", "orientation"):
            for path in sorted(p for p in (shared_media / folder).rglob("*") if p.is_file()):
                name = str(path.relative_to(shared_media))
                encoded = os.fsencode(path)
                yield name, (encoded, os.path.basename(encoded), parameters, LIMITS.pixel_budget)

    with Sandbox(LIMITS) as sandbox:
        return dict(sandbox.run(make_thumbnails, items()))


def test_every_file_gives_rows_or_a_known_reason(results: dict[str, Result]) -> None:
    assert len(results) > 150
    for name, result in results.items():
        if isinstance(result, Failure):
            assert result.reason in schema.REASONS.keys() - UNEXPECTED, f"{name}: {result}"
            assert result.message, name
        else:
            assert {row["state"] for row in result} <= {"ok", "degraded"}, name


def test_everything_readable_is_read(results: dict[str, Result]) -> None:
    failed = {
        name: result.reason
        for name, result in results.items()
        if not name.startswith("bad/") and isinstance(result, Failure)
    }
    assert failed == UNREADABLE


def test_the_truncated_photo_is_degraded(results: dict[str, Result]) -> None:
    rows = results["bad/00090.jpg"]
    assert not isinstance(rows, Failure)
    assert (rows[0]["state"], rows[0]["reason"]) == ("degraded", "truncated")


@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_of_every_orientation_look_the_same(
    results: dict[str, Result], shape: str, orientation: int
) -> None:
    reference, turned = (
        results[f"orientation/{shape}_{number}.jpg"] for number in (0, orientation)
    )
    assert not isinstance(reference, Failure)
    assert not isinstance(turned, Failure)
    first, second = (
        np.asarray(Image.open(BytesIO(rows[0]["jpeg"])).convert("L")).astype(int)
        for rows in (reference, turned)
    )
    assert first.shape == second.shape
    assert np.abs(first - second).mean() < 6
