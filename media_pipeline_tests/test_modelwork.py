"""Thumbnails of a batch through a model: order, frames, failures, stopping."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from upath import UPath

from media_pipeline.batchwork import Batch, Control, Row, locate, make_table
from media_pipeline.errors import MachineryFailed, ModelError
from media_pipeline.imaging.worker import Failure
from media_pipeline.library.opened import Library
from media_pipeline.models.protocols import Box, Input
from media_pipeline.modelwork import frames_of, is_finite, pictures_through
from media_pipeline.recipes import stage
from media_pipeline.scan.batches import read_manifest
from media_pipeline_tests.conftest import draw, scan_everything
from media_pipeline_tests.models.fake_models import Adder

KEY = "b000000"
FRAMES = {b"0.jpg": 1, b"1.jpg": 3, b"2.jpg": 1, b"3.jpg": 2}
"""Thumbnails per file; those of 2.jpg could not be made."""


def grey(level: int) -> bytes:
    """A JPEG of one pixel; its sum is 3 * level."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def thumbnails_by_hand(
    library: Library, control: Control, batch: Batch
) -> Iterator[tuple[str, list[Row]]]:
    """Thumbnails whose grey level is 10 * number of the file + frame."""
    for item in batch.items:
        if item.name == b"2.jpg":
            yield item.media_id, [{"frame": 0, "state": "failed", "reason": "undecodable"}]
            continue
        rows: list[Row] = []
        for frame in range(FRAMES[item.name]):
            path = f"{item.media_id[:2]}/{item.media_id}-{frame}.jpg"
            target = library.thumbnails / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(grey(10 * int(item.name[:1]) + frame))
            rows.append({"frame": frame, "path": path, "state": "ok"})
        yield item.media_id, rows


@pytest.fixture
def filled(library: Library, originals: Path) -> Library:
    """A library of one batch of four files with thumbnails."""
    for name in FRAMES:
        draw(originals / name.decode(), seed=int(name[:1]))
    scan_everything(library)
    make_table(library, Control(), stage("thumbnails"), KEY, thumbnails_by_hand)
    return library


def batch_of(library: Library) -> Batch:
    return Batch(KEY, tuple(locate(library, read_manifest(library.layout.batches, KEY))))


def answers_of(library: Library, model: Any = None, control: Control | None = None) -> Any:
    batch = batch_of(library)
    names = {item.media_id: item.name.decode() for item in batch.items}
    through = pictures_through(library, control or Control(), batch, model or Adder())
    return [
        (names[media_id], [(frame["frame"], answer) for frame, answer in seen])
        for media_id, seen in through
    ]


NO_INPUT = Failure("input_failed", "there is no thumbnail to look at", False)
EXPECTED = [
    ("0.jpg", [(0, 0.0)]),
    ("1.jpg", [(0, 30.0), (1, 33.0), (2, 36.0)]),
    ("2.jpg", [(0, NO_INPUT)]),
    ("3.jpg", [(0, 90.0), (1, 93.0)]),
]


@pytest.mark.parametrize("is_parallel", [True, False])
def test_every_frame_is_answered_under_its_content(filled: Library, is_parallel: bool) -> None:
    assert answers_of(filled, Adder(is_parallel)) == EXPECTED


def test_remote_thumbnails_are_read_too(filled: Library) -> None:
    remote = UPath("memory://modelwork")
    for path in Path(filled.thumbnails.path).rglob("*.jpg"):
        relative = path.relative_to(filled.thumbnails.path)
        (remote / "thumbnails" / str(relative)).write_bytes(path.read_bytes())
    for path in Path(filled.store.root.path).rglob("*.parquet"):
        relative = path.relative_to(filled.store.root.path)
        (remote / "tables" / str(relative)).write_bytes(path.read_bytes())
    away = Library(filled.layout, replace(filled.config, storage="memory://modelwork"))
    assert answers_of(away) == EXPECTED
    away.close()


def test_an_empty_batch_gives_nothing(filled: Library) -> None:
    assert list(pictures_through(filled, Control(), Batch(KEY, ()), Adder())) == []


def test_without_thumbnails_the_message_says_what_to_run(library: Library) -> None:
    with pytest.raises(MachineryFailed, match="b000007 needs its thumbnails first"):
        frames_of(library, Batch("b000007", ()))


def test_frames_have_the_columns_that_were_asked_for(filled: Library) -> None:
    batch = batch_of(filled)
    frames = frames_of(filled, batch, ("media_id", "state"))
    assert [len(frames[item.media_id]) for item in batch.items] == [1, 3, 1, 2]
    assert frames[batch.items[2].media_id] == [
        {"media_id": batch.items[2].media_id, "state": "failed"}
    ]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [("gone", "thumbnail_missing"), ("empty", "thumbnail_missing"), ("cut", "undecodable"),
     ("folder", "io_error")],
)  # fmt: skip
def test_a_thumbnail_that_cannot_be_read_fails_alone(
    filled: Library, damage: str, reason: str
) -> None:
    path = next(Path(filled.thumbnails.path).rglob("*-2.jpg"))
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"empty": b"", "cut": whole[:30]}[damage])
    answers = answers_of(filled)
    ((_, failure),) = answers[1][1][2:]
    assert (failure.reason, failure.retryable) == (reason, True)
    assert path.name in failure.message
    answers[1][1][2] = (2, 36.0)
    assert answers == EXPECTED


def test_answers_that_are_not_finite_become_a_failure(filled: Library) -> None:
    class Broken(Adder):
        def infer(self, inputs: Sequence[Input]) -> list[float]:
            return [float("nan") if sum == 33.0 else sum for sum in super().infer(inputs)]

    model = Broken()
    answers = answers_of(filled, model)
    message = f"{model.card.id} answered with numbers that are not finite"
    assert answers[1][1][1] == (1, Failure("non_finite", message, False))
    answers[1][1][1] = (1, 33.0)
    assert answers == EXPECTED


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("answer", "finite"),
    [
        (np.array([1.0, 2.0], dtype=np.float32), True),
        (np.array([1.0, NAN], dtype=np.float32), False),
        (np.array([1.0, -INF], dtype=np.float32), False),
        (np.float32(NAN), False),
        (0.5, True),
        (INF, False),
        ("a dog on a sofa", True),
        ([], True),
        ([Box("dog", 0.1, 0.1, 0.2, 0.2, 0.9, 0.8)], True),
        ([Box("dog", 0.1, 0.1, 0.2, 0.2, NAN)], False),
        ([Box("dog", 0.1, NAN, 0.2, 0.2, 0.9)], False),
        ([Box("dog", 0.1, 0.1, 0.2, 0.2, 0.9, NAN)], False),
    ],
)
def test_an_answer_is_finite_when_all_its_numbers_are(answer: Any, finite: bool) -> None:
    assert is_finite(answer) is finite


def test_a_stop_ends_early_between_contents(filled: Library) -> None:
    control = Control()
    through = pictures_through(filled, control, batch_of(filled), Adder())
    media_id, _ = next(through)
    assert media_id == batch_of(filled).items[0].media_id
    control.stop.set()
    assert len(list(through)) < 3


def test_a_device_that_fails_ends_the_batch(filled: Library) -> None:
    with pytest.raises(ModelError, match="device lost"):
        answers_of(filled, Adder(is_parallel=False, fails_after=0))
