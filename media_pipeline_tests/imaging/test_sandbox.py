"""The sandbox: one bad item costs one item."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from media_pipeline.errors import ItemError, MachineryFailed
from media_pipeline.imaging import sandbox as sandbox_module
from media_pipeline.imaging.sandbox import Failure, Sandbox
from media_pipeline.settings import WorkerLimits

LIMITS = WorkerLimits(workers=2, memory_bytes=512 << 20, cpu_s=20, wall_s=3.0)
HUGE_PX = 40_000


def square(number: int) -> int:
    return number * number


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def own_signal(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


def leave(code: int) -> None:
    os._exit(code)


def raise_item_error() -> None:
    raise ItemError("truncated", "half of it", retryable=True)


def raise_something() -> None:
    raise KeyError("left")


def spin() -> None:
    while True:
        pass


def allocate_with_numpy() -> None:
    np.ones(1 << 28)


def allocate_with_pillow() -> None:
    Image.new("RGB", (HUGE_PX, HUGE_PX))


def allocate_with_opencv() -> None:
    cv2.resize(np.zeros((2, 2, 3), np.uint8), (HUGE_PX, HUGE_PX))


def cannot_start(_: int) -> None:
    os._exit(1)


BAD: dict[str, tuple[Callable[..., object], tuple[object, ...], str, bool]] = {
    "segfault": (own_signal, (signal.SIGSEGV,), "worker_crashed", False),
    "abort": (own_signal, (signal.SIGABRT,), "worker_crashed", False),
    "bus": (own_signal, (signal.SIGBUS,), "worker_crashed", False),
    "killed": (own_signal, (signal.SIGKILL,), "worker_killed", True),
    "exit": (leave, (3,), "worker_exited", False),
    "hang": (sleep, (100,), "timeout", True),
    "numpy": (allocate_with_numpy, (), "out_of_memory", False),
    "pillow": (allocate_with_pillow, (), "out_of_memory", False),
    "opencv": (allocate_with_opencv, (), "out_of_memory", False),
    "item": (raise_item_error, (), "truncated", True),
    "bug": (raise_something, (), "internal_error", False),
}


def call(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    return function(*arguments)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as made:
        yield made


@pytest.fixture(scope="module")
def mixed(sandbox: Sandbox) -> dict[object, object]:
    """Results of 50 good items with every kind of bad one between them."""
    items: list[tuple[object, tuple[object, ...]]] = [(n, (square, (n,))) for n in range(50)]
    for place, (name, (function, arguments, _, _)) in enumerate(BAD.items()):
        items.insert(5 * place, (name, (function, arguments)))
    return dict(sandbox.run(call, items))


def test_results_come_in_the_order_of_the_items(sandbox: Sandbox) -> None:
    waits = [(n, (0.02 * (5 - n % 5),)) for n in range(15)]
    assert [key for key, _ in sandbox.run(sleep, waits)] == list(range(15))


def test_good_items_among_bad_ones_all_succeed(mixed: dict[object, object]) -> None:
    assert {n: mixed[n] for n in range(50)} == {n: n * n for n in range(50)}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_item_comes_back_with_its_reason(mixed: dict[object, object], name: str) -> None:
    failure = mixed[name]
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.retryable) == BAD[name][2:]
    assert failure.message


def test_a_crash_names_its_signal(mixed: dict[object, object]) -> None:
    failure = mixed["segfault"]
    assert isinstance(failure, Failure)
    assert "SIGSEGV" in failure.message


def test_a_worker_that_ran_out_of_memory_still_works(sandbox: Sandbox) -> None:
    items = [(n, (allocate_with_numpy, ()) if n % 2 else (square, (n,))) for n in range(20)]
    results = [result for _, result in sandbox.run(call, items)]
    assert results[::2] == [n * n for n in range(0, 20, 2)]
    assert {getattr(result, "reason", None) for result in results[1::2]} == {"out_of_memory"}


def test_once_stopped_no_further_item_is_handed_out(sandbox: Sandbox) -> None:
    stop = threading.Event()
    handed_out = []

    def items() -> Iterator[tuple[int, tuple[float]]]:
        for number in range(1000):
            handed_out.append(number)
            yield number, (0.01,)

    done = []
    for key, _ in sandbox.run(sleep, items(), stop):
        done.append(key)
        if key == 5:
            stop.set()
    assert done == handed_out
    assert len(done) < 30


def test_idle_workers_that_are_killed_are_replaced(sandbox: Sandbox) -> None:
    pids = {pid for _, pid in sandbox.run(sleep, [(n, (0.05,)) for n in range(4)])}
    for pid in pids:
        psutil.Process(pid).kill()
    assert [value for _, value in sandbox.run(square, [(n, (n,)) for n in range(9)])] == [
        n * n for n in range(9)
    ]


def test_an_item_that_computes_for_ever_meets_its_cpu_limit() -> None:
    # a wall clock far behind it, so that a busy machine decides nothing
    with Sandbox(WorkerLimits(workers=1, memory_bytes=1 << 30, cpu_s=1, wall_s=60.0)) as limited:
        items = [("good", (square, (3,))), ("bad", (spin, ())), ("after", (square, (4,)))]
        results = dict(limited.run(call, items))
    assert (results["good"], results["after"]) == (9, 16)
    failure = results["bad"]
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.retryable) == ("cpu_limit", False)


def test_a_slow_item_does_not_keep_the_other_worker_idle(sandbox: Sandbox) -> None:
    waits = [(n, (1.5 if n == 0 else 0.01,)) for n in range(40)]
    pids = dict(sandbox.run(sleep, waits))
    # more than could wait in line: only the other worker was free for them
    assert sum(pid != pids[0] for pid in pids.values()) > 20


def test_workers_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "start_worker", cannot_start)
    with (
        pytest.raises(MachineryFailed, match="doctor"),
        Sandbox(WorkerLimits(1, 1 << 30, 1, 1.0)) as broken,
    ):
        list(broken.run(square, [(0, (0,))]))


def test_an_item_outside_the_with_block_is_an_error() -> None:
    with pytest.raises(MachineryFailed, match="closed"):
        list(Sandbox(LIMITS).run(square, [(0, (0,))]))


PARENT = """
    import sys, threading, signal, time
    from media_pipeline.imaging.sandbox import Sandbox
    from media_pipeline.settings import WorkerLimits
    import psutil

    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    with Sandbox(WorkerLimits(2, 1 << 29, 30, 60.0)) as sandbox:
        list(sandbox.run(time.sleep, [(n, (0.01,)) for n in range(2)]))
        print(*(p.pid for p in psutil.Process().children(recursive=True)), flush=True)
        items = ((n, (float(sys.argv[1]),)) for n in range(1000))
        results = [result for _, result in sandbox.run(time.sleep, items, stop)]
    print(len(results), set(results), flush=True)
"""


@pytest.fixture
def start_parent() -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    """Starts a program that has two workers sleep; it comes through standard input."""
    started = []

    def start(seconds: float) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-", str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        started.append(program)
        assert program.stdin is not None
        program.stdin.write(textwrap.dedent(PARENT))
        program.stdin.close()
        return program

    yield start
    for program in started:
        program.kill()
        program.wait()
        assert program.stdout is not None
        program.stdout.close()


def pids_of(program: subprocess.Popen[str]) -> list[int]:
    assert program.stdout is not None
    return [int(pid) for pid in program.stdout.readline().split()]


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_parent(
    start_parent: Callable[[float], subprocess.Popen[str]],
) -> None:
    program = start_parent(1000.0)
    pids = pids_of(program)
    assert len(pids) >= 3  # the fork server and two workers
    time.sleep(0.3)
    program.kill()
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.slow
def test_ctrl_c_stops_after_the_items_that_are_out(
    start_parent: Callable[[float], subprocess.Popen[str]],
) -> None:
    program = start_parent(0.4)
    pids_of(program)
    time.sleep(0.2)
    os.killpg(program.pid, signal.SIGINT)
    assert program.stdout is not None
    count, results = program.stdout.readline().split()
    assert 2 <= int(count) <= 12
    assert results == "{None}"
    assert program.wait() == 0
