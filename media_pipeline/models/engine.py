"""The engine: pictures go through a model at the speed of the hardware, answers come in order.

CPU     every worker thread reads, decodes, prepares and infers small chunks by itself, one
        inference of one thread each
CUDA    worker threads read, decode and prepare ahead, in bounded memory; batches go to the device,
        the next one is copied while one is computed
Fails   a picture that cannot be read comes back as a `Failure`; a batch that does not fit into the
        device's memory is halved; an error of the device ends the run

Threads are enough: decoding, resizing and inference all release the interpreter's lock.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from media_pipeline.errors import ItemError, ModelError, OutOfDeviceMemory
from media_pipeline.imaging.worker import Failure
from media_pipeline.models.protocols import Input, Pixels, VisionModel
from media_pipeline.models.sessions import lanes_of

K = TypeVar("K")
R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")

THREADS = "models"
"""How the engine's threads are called."""

AHEAD_BYTES = 1 << 30
"""Prepared inputs that may wait for the device."""

AT_ONCE = 4
"""Pictures that a worker thread prepares per task when another thread infers."""

PAYS = 1.05
"""A larger batch is kept when it is faster than the smaller one by this factor."""

TRIES = 2
"""Batches of one size before it is judged: the first one warms things up."""


class BatchSize:
    """How many pictures go into one inference: grows while that pays, halves when memory ends.

    Args:
        start: Pictures in the first batch.
        most: More are never tried.
        longest_s: A batch should not take longer, so that a stop is prompt.
    """

    def __init__(self, start: int, most: int, longest_s: float) -> None:
        self.now = start
        self._most = most
        self._longest_s = longest_s
        self._speeds: list[float] = []
        self._before = 0.0  # pictures per second at half the size
        self._settled = start >= most
        self._lock = threading.Lock()

    def worked(self, count: int, seconds: float) -> None:
        """Take note that a batch of `count` pictures took so long."""
        with self._lock:
            if count != self.now or self._settled:
                return
            self._speeds.append(count / max(seconds, 1e-9))
            if len(self._speeds) >= TRIES:
                self._judge(max(self._speeds))

    def _judge(self, speed: float) -> None:
        self._speeds = []
        pays = speed >= self._before * PAYS
        seconds = self.now / speed
        if not pays or seconds > self._longest_s:
            self.now = max(1, self.now // 2)
            self._settled = pays is False or self.now == 1 or seconds / 2 <= self._longest_s
            self._before = 0.0
        elif self.now * 2 > self._most or 2 * seconds > self._longest_s:
            self._settled = True
        else:
            self._before, self.now = speed, self.now * 2

    def halve(self, tried: int) -> None:
        """Take note that `tried` pictures were too many for the memory."""
        with self._lock:
            self._most = max(1, min(self._most, tried // 2))
            self.now = min(self.now, self._most)
            self._settled = True


_sizes: dict[tuple[str, bool], BatchSize] = {}
_sizes_lock = threading.Lock()


def run(
    model: VisionModel[R],
    sources: Iterable[tuple[K, Callable[[], Pixels]]],
    workers: int,
    batch: int = 0,
    stop: threading.Event | None = None,
) -> Generator[tuple[K, R | Failure], None, None]:
    """Take pictures through a model.

    Args:
        model: What looks at them.
        sources: Keys, and what reads and decodes the picture: called in a worker thread, raises
            `ItemError` for a picture that cannot be had.
        workers: Threads.
        batch: Pictures per inference; 0 lets the engine find out, and remember for the model.
        stop: Ends the run early when it is set.

    Yields:
        Every key with the model's answer or a `Failure`, in the order of the sources.

    Raises:
        ModelError: The device failed, or has no memory for a single picture.
    """
    size = _size_of(model, batch)
    with ExitStack() as stack:
        flow: _Flow[K, R] = _Flow(model, size, max(1, workers), stop or threading.Event())
        stack.callback(flow.close)
        yield from flow.in_threads(sources) if model.is_parallel else flow.in_batches(sources)


def _size_of(model: VisionModel[Any], batch: int) -> BatchSize:
    """The size that was asked for, or the one that was found for this model in this process."""
    if batch > 0:
        return BatchSize(batch, batch, longest_s=float("inf"))
    key = (model.card.id, model.is_parallel)
    with _sizes_lock:
        if key not in _sizes:
            # On CPU larger batches gain a tenth at most, so promptness decides.
            start, most, longest_s = (4, 8, 0.25) if model.is_parallel else (4, 256, 2.0)
            _sizes[key] = BatchSize(start, most, longest_s)
        return _sizes[key]


class _Flow(Generic[K, R]):
    """One run through a model."""

    def __init__(
        self, model: VisionModel[R], size: BatchSize, workers: int, stop: threading.Event
    ) -> None:
        self._model, self._size, self._workers, self._stop = model, size, workers, stop
        self._closing = threading.Event()
        self._lanes = 1 if model.is_parallel else lanes_of(model)
        self._pool = ThreadPoolExecutor(workers, THREADS)
        self._device = ThreadPoolExecutor(self._lanes, f"{THREADS}-device")
        self._input_bytes = 1

    def close(self) -> None:
        """Let the threads end; returns when they have."""
        self._closing.set()
        for pool in (self._pool, self._device):
            pool.shutdown(wait=True, cancel_futures=True)

    @property
    def _is_over(self) -> bool:
        return self._stop.is_set() or self._closing.is_set()

    def in_threads(
        self, sources: Iterable[tuple[K, Callable[[], Pixels]]]
    ) -> Iterator[tuple[K, R | Failure]]:
        """Every worker does everything."""
        chunks = _grouped(sources, lambda: self._size.now)
        for answers in self._in_order(self._pool, self._answer, chunks, lambda: 3 * self._workers):
            yield from answers

    def in_batches(
        self, sources: Iterable[tuple[K, Callable[[], Pixels]]]
    ) -> Iterator[tuple[K, R | Failure]]:
        """Workers prepare, the device's threads infer."""
        chunks = _grouped(sources, lambda: AT_ONCE)
        prepared = self._in_order(self._pool, self._prepare, chunks, self._chunks_ahead)
        batches = _grouped(
            (entry for entries in prepared for entry in entries), lambda: self._size.now
        )
        on_their_way = self._lanes + 1
        for answers in self._in_order(self._device, self._infer, batches, lambda: on_their_way):
            yield from answers

    def _chunks_ahead(self) -> int:
        """Tasks whose results may wait: enough for the next batches, within the memory."""
        wanted = (self._lanes + 1) * self._size.now + self._workers * AT_ONCE
        fitting = AHEAD_BYTES // self._input_bytes
        return max(1, min(wanted, fitting) // AT_ONCE)

    def _in_order(
        self,
        pool: Executor,
        function: Callable[[A], B],
        tasks: Iterator[A],
        ahead: Callable[[], int],
    ) -> Iterator[B]:
        """Results of a function over tasks, in order; ends early once a stop is asked for."""
        waiting: deque[Future[B]] = deque()
        while not self._is_over:
            for task in islice(tasks, max(0, ahead() - len(waiting))):
                waiting.append(pool.submit(function, task))
            if not waiting or self._is_over:
                return
            result = waiting.popleft().result()
            if self._is_over:  # the result may be cut short
                return
            yield result

    def _prepare(
        self, sources: Sequence[tuple[K, Callable[[], Pixels]]]
    ) -> list[tuple[K, Input | Failure]]:
        made: list[tuple[K, Input | Failure]] = []
        for key, read in sources:
            if self._is_over:
                break
            try:
                prepared = self._model.prepare(read())
            except ItemError as error:
                made.append((key, Failure(error.reason, error.message, error.retryable)))
                continue
            self._input_bytes = max(self._input_bytes, prepared.nbytes)
            made.append((key, prepared))
        return made

    def _infer(self, entries: Sequence[tuple[K, Input | Failure]]) -> list[tuple[K, R | Failure]]:
        inputs = [entry for _, entry in entries if not isinstance(entry, Failure)]
        if self._is_over:
            return []
        answers = iter(self._answers(inputs) if inputs else [])
        return [
            (key, entry if isinstance(entry, Failure) else next(answers)) for key, entry in entries
        ]

    def _answer(
        self, sources: Sequence[tuple[K, Callable[[], Pixels]]]
    ) -> list[tuple[K, R | Failure]]:
        return self._infer(self._prepare(sources))

    def _answers(self, inputs: Sequence[Input]) -> list[R]:
        """Infer, in halves where the whole does not fit."""
        try:
            started = time.perf_counter()
            answers = self._model.infer(inputs)
            self._size.worked(len(inputs), time.perf_counter() - started)
            return _checked(answers, len(inputs), self._model)
        except OutOfDeviceMemory as error:
            said = str(error)
        # After the `except`, so that no traceback holds the memory that is missing.
        if len(inputs) == 1:
            raise ModelError(
                f"{self._model.card.id} cannot look at even one picture ({said}): free memory of "
                "the device, or run with MEDIA_DEVICE=cpu"
            )
        self._size.halve(len(inputs))
        middle = len(inputs) // 2
        return self._answers(inputs[:middle]) + self._answers(inputs[middle:])


def _checked(answers: list[R], wanted: int, model: VisionModel[R]) -> list[R]:
    if len(answers) != wanted:
        raise ModelError(
            f"{model.card.id} gave {len(answers)} answers for {wanted} pictures: its loader is "
            "wrong; please report it"
        )
    return answers


def _grouped(items: Iterable[A], size: Callable[[], int]) -> Iterator[list[A]]:
    """Lists of `size()` items, the last one shorter."""
    rest = iter(items)
    while group := list(islice(rest, size())):
        yield group


def read_picture(jpeg: bytes, name: str = "the thumbnail") -> Pixels:
    """Decode one thumbnail.

    OpenCV: measured on 512-px thumbnails in one thread it takes 0.7 ms, Pillow with its copy into
    an array 0.8 to 2.0 ms; both release the interpreter's lock.

    Args:
        jpeg: The file; empty when it is missing.
        name: How messages call it.

    Returns:
        uint8 RGB, upright, shape (height, width, 3); grey becomes RGB.

    Raises:
        ItemError: `thumbnail_missing` or `undecodable`.
    """
    if not jpeg:
        raise ItemError("thumbnail_missing", f"no file at {name}", retryable=True)
    try:
        pixels = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ItemError("undecodable", f"{name}: {error.err}", retryable=True) from error
    if pixels is None:
        raise ItemError("undecodable", f"{name} is no JPEG", retryable=True)
    return np.asarray(pixels, dtype=np.uint8)
