"""The sandbox: functions that touch strangers' bytes run in worker processes that may die.

Starts  `workers` processes from a fork server that has the decoders imported already
Limits  address space, CPU seconds and wall-clock seconds per item; no core dumps
Cost    0.2 to 0.4 ms per item, and 0.1 s for every worker that has to be replaced
Fails   an item that raises, crashes, hangs or eats memory comes back as a `Failure`; the others
        are untouched. Only workers that cannot be started at all raise `MachineryFailed`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from types import ModuleType, TracebackType
from typing import Any, Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from media_pipeline.errors import MachineryFailed
from media_pipeline.imaging.worker import Failure, call, start_worker
from media_pipeline.settings import WorkerLimits

__all__ = ["Failure", "Sandbox"]

K = TypeVar("K")
R = TypeVar("R")

PRELOAD = ("media_pipeline.imaging.thumbnail",)
"""Modules the fork server imports once, so that a new worker starts with them."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Numeric libraries read these when they are loaded; our parallelism comes from processes."""

AHEAD = 256
"""Results that may wait for an earlier, slower item before no more items are handed out."""

ITEMS_PER_WORKER = 2000
"""A worker is replaced after so many items, which bounds what decoders leak."""

SENDS = 3
"""How often an item is handed out whose workers were all killed from outside."""

BREAKS = 5
"""Pools that may break in a row, without one result between them, before we give up."""

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


class Sandbox:
    """A pool of worker processes with limits, to be used as a context manager.

    One sandbox serves any number of `run` calls of a process.

    Args:
        limits: What one worker may use, and how many there are.
        preload: Modules the fork server imports before it starts workers.
    """

    def __init__(self, limits: WorkerLimits, preload: tuple[str, ...] = PRELOAD) -> None:
        self._limits = limits
        self._preload = preload
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._breaks = 0
        self._has_worked = False

    def __enter__(self) -> Sandbox:
        _start_fork_server(self._preload)
        with self._lock:
            self._pool = self._new_pool()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            _end(pool)

    def run(
        self,
        function: Callable[..., R],
        items: Iterable[tuple[K, tuple[Any, ...]]],
        stop: threading.Event | None = None,
    ) -> Iterator[tuple[K, R | Failure]]:
        """Call `function(*arguments)` in a worker for every `(key, arguments)`.

        Args:
            function: Found at the top level of a module; its result must be picklable.
            items: Read as workers become free, in the calling thread.
            stop: Once set, no further item is handed out; those already out are finished.

        Yields:
            `(key, result)` or `(key, Failure)`, in the order of `items`.

        Raises:
            MachineryFailed: Workers cannot be started.
        """
        source = iter(items)
        flights: deque[_Flight[K, R]] = deque()
        out = _Out(2 * self._limits.workers + 2)
        exhausted = False
        while True:
            while not exhausted and out.has_room() and len(flights) < AHEAD:
                item = None if stop is not None and stop.is_set() else next(source, None)
                exhausted = item is None
                if item is not None:
                    flights.append(self._send(function, item[0], item[1], out))
            if not flights:
                return
            out.wait(flights[0].future, or_room=not exhausted and len(flights) < AHEAD)
            while flights and flights[0].future.done():
                flight = flights.popleft()
                result = self._result(function, flight, out)
                yield flight.key, result

    def _send(
        self, function: Callable[..., R], key: K, arguments: tuple[Any, ...], out: _Out
    ) -> _Flight[K, R]:
        while True:
            pool = self._current_pool()
            try:
                future: Future[Any] = pool.schedule(
                    call,
                    args=(function, arguments, self._limits.cpu_s),
                    timeout=self._limits.wall_s,
                )
            except RuntimeError:  # the pool broke since the last item
                self._replace(pool)
                continue
            out.add(future)
            return _Flight(key, arguments, pool, future)

    def _result(self, function: Callable[..., R], flight: _Flight[K, R], out: _Out) -> R | Failure:
        error = flight.future.exception()
        sends = 1
        while isinstance(error, BrokenProcessPool) and sends < SENDS:
            self._replace(flight.pool)
            flight = self._send(function, flight.key, flight.arguments, out)
            error = flight.future.exception()
            sends += 1
        if not isinstance(error, BrokenProcessPool):
            self._breaks, self._has_worked = 0, True
        elif not self._has_worked:
            raise _cannot_start()
        return flight.future.result() if error is None else self._failure(error)

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, TimeoutError):
            return Failure("timeout", f"took longer than {self._limits.wall_s:g} s", True)
        if isinstance(error, ProcessExpired):
            return _exit_failure(error.exitcode)
        if isinstance(error, BrokenProcessPool):
            return Failure("worker_killed", "its workers were killed from outside", True)
        if isinstance(error, SystemExit):
            return Failure("worker_exited", f"asked to exit with {error.code!r}")
        return Failure("internal_error", f"{type(error).__name__}: {error}")

    def _current_pool(self) -> ProcessPool:
        with self._lock:
            if self._pool is None:
                raise MachineryFailed("the sandbox is closed: run inside its `with` block")
            return self._pool

    def _replace(self, broken: ProcessPool) -> None:
        with self._lock:
            if self._pool is not broken:
                return  # another item has replaced it already
            _end(broken)
            self._breaks += 1
            if self._breaks > BREAKS:
                raise _cannot_start()
            self._pool = self._new_pool()

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._limits.workers,
            max_tasks=ITEMS_PER_WORKER,
            initializer=start_worker,
            initargs=(self._limits.memory_bytes,),
            context=_WorkerContext(),
        )


class _Worker(ForkServerProcess):
    """A process that does not import the parent's main script again.

    multiprocessing does that so that functions defined in the script can be called. Ours live in
    modules; a script without a main guard, or one read from standard input, must work as well.
    """

    def start(self) -> None:
        script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = script


class _WorkerContext(ForkServerContext):
    Process = _Worker


@dataclass(frozen=True)
class _Flight(Generic[K, R]):
    """One item on its way through the workers."""

    key: K
    arguments: tuple[Any, ...]
    pool: ProcessPool
    future: Future[R | Failure]


class _Out:
    """Counts the items that are out, and wakes the caller when one comes home."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._count = 0
        self._changed = threading.Condition()

    def has_room(self) -> bool:
        return self._count < self._room

    def add(self, future: Future[Any]) -> None:
        with self._changed:
            self._count += 1
        future.add_done_callback(self._home)

    def wait(self, future: Future[Any], or_room: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: future.done() or (or_room and self.has_room()))

    def _home(self, _: Future[Any]) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()


def _cannot_start() -> MachineryFailed:
    return MachineryFailed(
        "decode workers end before they finish anything: run `media-pipeline doctor`, or give them "
        "more memory (MEDIA_WORKER_MEMORY_MIB)"
    )


def _exit_failure(exit_code: int) -> Failure:
    if exit_code >= 0:
        return Failure("worker_exited", f"the worker ended with exit code {exit_code}")
    number = -exit_code
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == signal.SIGXCPU:
        return Failure("cpu_limit", "decoding took more CPU time than a file may use (SIGXCPU)")
    if number in CRASHES:
        return Failure("worker_crashed", f"the decoder crashed with {name}")
    return Failure("worker_killed", f"the worker was ended by {name}", True)


def _start_fork_server(preload: tuple[str, ...]) -> None:
    """Start the process that workers are forked from, deaf to Ctrl-C and single-threaded.

    A worker lives in the terminal's process group and so does its parent: SIGINT is blocked before
    the fork server starts, and every worker inherits that, so that Ctrl-C ends no item.
    """
    forkserver.set_forkserver_preload(list(preload))
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts, so it goes first
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _environment(dict.fromkeys(ONE_THREAD, "1")):
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
