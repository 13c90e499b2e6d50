"""What runs inside a sandbox worker: its limits, and where an error becomes a `Failure`."""

from __future__ import annotations

import ctypes
import errno
import math
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil

from media_pipeline.errors import ItemError

R = TypeVar("R")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""malloc.h"""

NO_MEMORY = (
    "out of memory",  # Pillow, libtiff
    "insufficient memory",  # OpenCV
    "unsufficient memory",  # LibRaw
    "cannot allocate memory",  # FFmpeg
    "memory allocation",  # libheif
    "bad_alloc",
)
"""How decoders say in words that an allocation failed."""


DISK_ERRORS = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT)


@dataclass(frozen=True)
class Failure:
    """Why an item has no result.

    Attributes:
        reason: One of `schema.REASONS`.
        message: What was wrong, with the value.
        retryable: Whether trying again later could succeed without the bytes changing.
    """

    reason: str
    message: str
    retryable: bool = False


def start_worker(memory_bytes: int) -> None:
    """Prepare this process to be a worker: it dies with its parent and has bounded memory.

    Args:
        memory_bytes: Address space it may add to what it has now.
    """
    import cv2  # has been imported by the fork server

    # pebble's own handler is Python code, which never runs while a decoder hangs in C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    _die_with_parent()
    _keep_freed_memory()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(memory_bytes)
    _silence_decoders()


def call(function: Callable[..., R], arguments: tuple[Any, ...], cpu_s: int) -> R | Failure:
    """Call a function under a CPU limit; what it raises comes back as a `Failure`.

    Args:
        function: Called with `arguments`.
        arguments: Positional arguments.
        cpu_s: CPU seconds it may use; the process ends by SIGXCPU when they are spent.
    """
    try:
        with _cpu_limit(cpu_s):
            return function(*arguments)
    except ItemError as error:
        return Failure(error.reason, error.message, error.retryable)
    except Exception as error:  # the one place where any error of an item becomes a row
        if memory_exhausted(error):
            return Failure("out_of_memory", _named(error))
        return Failure("internal_error", _named(error))


def memory_exhausted(error: BaseException) -> bool:
    """Whether an error means that an allocation failed, in whichever words a decoder puts it."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    text = str(error).lower()
    return any(words in text for words in NO_MEMORY)


def disk_failed(error: OSError) -> bool:
    """Whether an error is the disk's or network's; broken bytes make decoders raise others."""
    return error.errno in DISK_ERRORS


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()


def _keep_freed_memory() -> None:
    """Let malloc keep what a picture used for the next one.

    By default glibc gives buffers of megapixels back to the system and gets them again page by
    page: 17 ms for each 12-megapixel JPEG, half as long as decoding it.
    """
    with suppress(AttributeError, OSError):  # musl and macOS have no mallopt
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most that glibc accepts
        libc.mallopt(M_TRIM_THRESHOLD, 128 << 20)


def _silence_decoders() -> None:
    """Send standard error nowhere: libtiff and others print what strangers wrote into a file.

    What an item's error is comes home as a `Failure`.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _limit_memory(memory_bytes: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + memory_bytes
    with suppress(ValueError, OSError):  # macOS refuses; wall clock and pixel budget remain
        resource.setrlimit(resource.RLIMIT_AS, (_at_most(wanted, hard), hard))


@contextmanager
def _cpu_limit(cpu_s: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    wanted = math.ceil(usage.ru_utime + usage.ru_stime) + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _at_most(value: int, limit: int) -> int:
    return value if limit == resource.RLIM_INFINITY else min(value, limit)
