"""Models and batches: every thumbnail of a batch goes through a model, answers come per content."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from upath import UPath

from media_pipeline.batchwork import Batch, Compute, Control, Row, failed_row
from media_pipeline.errors import ItemError, MachineryFailed
from media_pipeline.imaging.worker import Failure
from media_pipeline.library.opened import Library
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.engine import read_picture, run
from media_pipeline.models.loading import load
from media_pipeline.models.protocols import Box, Pixels, VisionModel
from media_pipeline.recipes import stage
from media_pipeline.settings import read_settings

R = TypeVar("R")

Frame = dict[str, Any]
"""A row of `thumbnails`."""

FRAME_COLUMNS = ("media_id", "frame", "time_ms", "path", "state", "reason", "message")
"""What a stage needs to know of a thumbnail to write a row about it."""

NO_INPUT = Failure("input_failed", "there is no thumbnail to look at", False)


def frames_of(
    library: Library, batch: Batch, columns: Sequence[str] = FRAME_COLUMNS
) -> dict[str, list[Frame]]:
    """The thumbnails of every content of a batch, in the order of its items.

    Args:
        library: Opened library.
        batch: Which contents.
        columns: Columns of `thumbnails`; `media_id` is among them.

    Raises:
        MachineryFailed: The batch has no thumbnails yet.
    """
    return _by_content(library, "thumbnails", batch, columns)


def _by_content(
    library: Library, name: str, batch: Batch, columns: Sequence[str]
) -> dict[str, list[Row]]:
    table = library.store.read(name, library.recipes[name], batch.key, columns)
    if table is None:
        raise MachineryFailed(
            f"{batch.key} needs its {name} first: materialise `{name}` of the same partition, or "
            "run `media-pipeline run`"
        )
    found: dict[str, list[Row]] = {item.media_id: [] for item in batch.items}
    for row in table.to_pylist():
        if row["media_id"] in found:
            found[row["media_id"]].append(row)
    return found


def pictures_through(
    library: Library, control: Control, batch: Batch, model: VisionModel[R]
) -> Iterator[tuple[str, list[tuple[Frame, R | Failure]]]]:
    """Take every thumbnail of a batch through a model.

    Args:
        library: Opened library.
        control: The running process; its workers are the threads.
        batch: Which contents.
        model: What looks at them.

    Yields:
        Every media_id with its frames and their answers, in the order of the batch's items. Ends
        early once a stop is asked for.

    Raises:
        MachineryFailed: The batch has no thumbnails yet.
        ModelError: The device failed.
    """
    frames = frames_of(library, batch)
    reader = _reader(library)
    sources = (
        (None, _picture(reader, frame["path"]))
        for item in batch.items
        for frame in frames[item.media_id]
        if frame["path"] is not None
    )
    size = read_settings().model_batch
    answers = run(model, sources, control.limits.workers, size, control.stop)
    try:
        for item in batch.items:
            seen: list[tuple[Frame, R | Failure]] = []
            for frame in frames[item.media_id]:
                if frame["path"] is None:
                    seen.append((frame, NO_INPUT))
                    continue
                answer = next(answers, None)
                if answer is None:
                    return
                seen.append((frame, _finite(answer[1], model.card)))
            yield item.media_id, seen
    finally:
        answers.close()


def _finite(answer: R | Failure, card: ModelCard) -> R | Failure:
    """The answer, or why it cannot be used."""
    if isinstance(answer, Failure) or is_finite(answer):
        return answer
    message = f"{card.id} answered with numbers that are not finite"
    return Failure("non_finite", message, False)


def is_finite(answer: object) -> bool:
    """Whether every number in a model's answer is finite; text has none."""
    if isinstance(answer, np.ndarray | np.generic):
        return bool(np.isfinite(answer).all())
    if isinstance(answer, float):
        return math.isfinite(answer)
    if isinstance(answer, Box):
        numbers = (answer.left, answer.top, answer.width, answer.height, answer.score)
        is_known = answer.probability is None or math.isfinite(answer.probability)
        return is_known and all(map(math.isfinite, numbers))
    if isinstance(answer, list | tuple):
        return all(map(is_finite, answer))
    return True


def _picture(read: Callable[[str], bytes], path: str) -> Callable[[], Pixels]:
    return lambda: read_picture(read(path), path)


def _reader(library: Library) -> Callable[[str], bytes]:
    """What reads a thumbnail by its path in the table; empty bytes for one that is missing."""
    if library.store.is_local:
        folder = library.thumbnails.path
        return lambda path: _read_local(os.path.join(folder, path), path)
    return lambda path: _read_remote(library.thumbnails, path)


def _read_local(place: str, path: str) -> bytes:
    try:
        with open(place, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_remote(folder: UPath, path: str) -> bytes:
    try:
        return bytes((folder / path).read_bytes())
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> ItemError:
    what = error.strerror or str(error)
    return ItemError("io_error", f"the thumbnail {path} cannot be read: {what}", retryable=True)


def asks_model(name: str, rows_of: Callable[[Any, Any, Mapping[str, Any]], list[Row]]) -> Compute:
    """How a stage is computed that asks its model about every thumbnail.

    Args:
        name: The stage; it has a task.
        rows_of: Makes rows (without their place and outcome) of the model, its answer about one
            thumbnail, and the stage's parameters; may raise `ItemError`.
    """

    def compute(
        library: Library, control: Control, batch: Batch
    ) -> Iterator[tuple[str, list[Row]]]:
        spec = stage(name, library.stages)
        card = library.card_of(spec)
        empty = {key: 0 for key in spec.table.key if key != "media_id"}
        if card is None:
            yield from not_evaluated(library, batch, spec.task, empty)
            return
        model = load(card, library.models, read_settings().device)
        for media_id, answers in pictures_through(library, control, batch, model):
            rows: list[Row] = []
            for frame, answer in answers:
                made = _made(lambda a: rows_of(model, a, spec.parameters), answer)
                place = {"frame": frame["frame"], "time_ms": frame["time_ms"]}
                outcome = {key: frame[key] for key in ("state", "reason", "message")}
                rows += [{**empty, **place, **outcome, **row} for row in made]
            yield media_id, rows

    return compute


def _made(rows_of: Callable[[Any], list[Row]], answer: Any) -> list[Row]:
    """The rows of an answer, or the one that says why there is none."""
    if isinstance(answer, Failure):
        return [failed_row(answer)]
    try:
        return rows_of(answer)
    except ItemError as error:
        return [failed_row(error)]


def not_evaluated(
    library: Library, batch: Batch, task: str, empty: Mapping[str, Any]
) -> Iterator[tuple[str, list[Row]]]:
    """A row per content that says that the profile has no model for it, which decides nothing.

    Args:
        library: Opened library.
        batch: Which contents.
        task: What there is no model for.
        empty: The rest of the key, filled.
    """
    profile = library.config.profile
    message = f"no {task} model is chosen (profile {profile!r}); `profile standard` chooses one"
    outcome = {"state": "skipped", "reason": "not_evaluated", "message": message}
    for item in batch.items:
        yield item.media_id, [{**empty, **outcome, "retryable": False}]


def through_workers(
    library: Library,
    control: Control,
    batch: Batch,
    frames: Mapping[str, list[Frame]],
    measure: Callable[[bytes, Frame], R],
) -> Iterator[tuple[str, list[tuple[Frame, R | Failure]]]]:
    """Run a function over every thumbnail of a batch in the decode workers.

    Args:
        library: Opened library.
        control: The running process.
        batch: Which contents.
        frames: Their rows of `thumbnails`.
        measure: Given the thumbnail's bytes (empty where it is missing) and its row.

    Yields:
        As `pictures_through`.
    """
    unreadable: dict[tuple[str, int], Failure] = {}

    def tasks() -> Iterator[tuple[tuple[str, int], tuple[bytes, Frame]]]:
        for item in batch.items:
            for frame in frames[item.media_id]:
                place = (item.media_id, frame["frame"])
                if frame["path"] is None:
                    unreadable[place] = NO_INPUT
                    continue
                try:
                    jpeg = read_thumbnail(library, frame["path"])
                except ItemError as error:
                    unreadable[place] = Failure(error.reason, error.message, error.retryable)
                    continue
                yield place, (jpeg, frame)

    answers = control.sandbox.run(measure, tasks(), control.stop)
    ahead = next(answers, None)
    for item in batch.items:
        seen: list[tuple[Frame, R | Failure]] = []
        for frame in frames[item.media_id]:
            place = (item.media_id, frame["frame"])
            if ahead is not None and ahead[0] == place:
                seen.append((frame, ahead[1]))
                ahead = next(answers, None)
            elif place in unreadable:
                seen.append((frame, unreadable[place]))
            else:
                return
        yield item.media_id, seen


def rows_of_batch(library: Library, name: str, batch: Batch) -> dict[str, list[Row]]:
    """The rows that another per-batch stage made of each content of a batch.

    Raises:
        MachineryFailed: It has made none yet.
    """
    columns = [column.name for column in stage(name, library.stages).table.columns]
    return _by_content(library, name, batch, columns)


def read_thumbnail(library: Library, path: str) -> bytes:
    """A thumbnail's file; empty where it is missing."""
    return _reader(library)(path)
