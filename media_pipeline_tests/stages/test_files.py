"""The one state of a file, and what only its path knows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from media_pipeline.batchwork import Control, make_table
from media_pipeline.library.opened import Library
from media_pipeline.recipes import stage
from media_pipeline.stages import metadata, thumbnails
from media_pipeline.stages.files import StageRow, decide_outcome, file_rows
from media_pipeline_tests.conftest import draw, scan_everything


def row(stage_name: str, state: str, reason: str | None = None) -> StageRow:
    return StageRow(stage_name, state, reason, None, retryable=False)


@pytest.mark.parametrize(
    ("rows", "state", "stage_name", "reason"),
    [
        ([row("metadata", "ok"), row("thumbnails", "ok"), row("quality", "ok")], "ok", None, None),
        (
            [row("metadata", "failed", "damaged"), row("thumbnails", "failed", "undecodable")],
            "failed", "metadata", "damaged",
        ),
        (
            [row("metadata", "ok"), row("thumbnails", "failed", "too_many_pixels"),
             row("quality", "failed", "input_failed")],
            "failed", "thumbnails", "too_many_pixels",
        ),
        (
            [row("metadata", "failed", "damaged"), row("thumbnails", "ok")],
            "degraded", "metadata", "damaged",
        ),
        (
            [row("metadata", "ok"), row("thumbnails", "degraded", "truncated"),
             row("quality", "degraded", "truncated")],
            "degraded", "thumbnails", "truncated",
        ),
        (
            [row("metadata", "degraded", "encrypted"), row("thumbnails", "failed", "no_frame")],
            "failed", "thumbnails", "no_frame",
        ),
        (
            [row("metadata", "ok"), row("thumbnails", "ok"),
             row("quality", "failed", "thumbnail_missing")],
            "degraded", "quality", "thumbnail_missing",
        ),
        ([row("metadata", "failed", "no_video_track")], "failed", "metadata", "no_video_track"),
    ],
)  # fmt: skip
def test_a_file_has_one_state_and_the_stage_that_decided_it(
    rows: list[StageRow], state: str, stage_name: str | None, reason: str | None
) -> None:
    outcome = decide_outcome({r.stage: r for r in rows})
    assert (outcome["state"], outcome["stage"], outcome["reason"]) == (state, stage_name, reason)


def process(library: Library) -> dict[str, dict[str, Any]]:
    """Scan, make metadata and thumbnails, and give the rows of `files` by name."""
    scan_everything(library)
    control = Control()
    try:
        for batch in library.ledger.batches():
            for name, compute in (
                ("metadata", metadata.compute_rows),
                ("thumbnails", thumbnails.compute_rows),
            ):
                make_table(library, control, stage(name), batch, compute)
    finally:
        control.close()
    return {r["name"]: r for r in file_rows(library)}


def test_copies_hard_links_and_pairs_are_recognised(library: Library, originals: Path) -> None:
    first = draw(originals / "a.jpg", seed=1)
    (originals / "b.jpg").write_bytes(first.read_bytes())
    os.link(first, originals / "c.jpg")
    (originals / "a.xmp").write_text("<x/>")
    files = process(library)
    assert files["b.jpg"]["copy_of"] == str(first)
    assert files["b.jpg"]["hard_link_of"] is None
    assert files["c.jpg"]["hard_link_of"] == str(first)
    assert files["c.jpg"]["copy_of"] is None
    assert (files["a.jpg"]["pair_kind"], files["a.jpg"]["pair_with"]) == (
        "sidecar", str(originals / "a.xmp"),
    )  # fmt: skip
    assert (files["a.xmp"]["state"], files["a.xmp"]["reason"]) == ("skipped", "not_media")


def test_a_rating_written_into_a_file_is_a_new_content_with_the_same_pixels(
    library: Library, originals: Path
) -> None:
    path = draw(originals / "a.jpg", seed=1)
    other = draw(originals / "b.jpg", seed=2)
    process(library)
    path.write_bytes(path.read_bytes() + b"a note behind the picture")
    draw(other, seed=3)
    files = process(library)
    assert files["a.jpg"]["previous_media_id"] is not None
    assert files["a.jpg"]["previous_same_pixels"] is True
    assert files["b.jpg"]["previous_same_pixels"] is False


def test_the_time_of_a_file_name_beats_the_clock_of_the_disk(
    library: Library, originals: Path
) -> None:
    draw(originals / "IMG_20190704_123000.jpg", seed=1)
    file = process(library)["IMG_20190704_123000.jpg"]
    assert file["taken_local"] == "2019-07-04T12:30:00"
    assert file["taken_source"] == "file_name"
    assert 0 < file["taken_confidence"] < 1
