"""Settings: the environment (read here and nowhere else) and a library's own `library.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import psutil
import tomlkit
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from media_pipeline.errors import CorruptLibraryFile, LibraryTooNew, UsageError
from media_pipeline.paths import Layout, write_atomically

LIBRARY_SCHEMA_VERSION = 1
"""Raised when the layout of a library changes; an older program refuses a newer library."""

MEBIBYTE = 1 << 20
MAX_BATCH_SIZE = 4096

CUDA_DEVICES = ("/dev/nvidia0", "/dev/dxg")
"""What NVIDIA's driver shows, the second under WSL."""


class Settings(BaseSettings):
    """What the environment decides. Each name is read from `MEDIA_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="MEDIA_", extra="ignore")

    library: Path = Field(Path("data/library"), description="The library folder (MEDIA_LIBRARY).")
    workers: int = Field(
        0, ge=0, le=256, description="Decode worker processes; 0 takes one per usable CPU core."
    )
    worker_memory_mib: int = Field(
        0, ge=0, description="Memory one decode worker may use in MiB; 0 derives it from the RAM."
    )
    item_timeout_s: float = Field(
        60.0, gt=0, description="Wall-clock seconds one file may take in a worker."
    )
    item_cpu_s: int = Field(45, ge=1, description="CPU seconds one file may take in a worker.")
    models: Path | None = Field(
        None, description="Folder of model files, shared by libraries; default: in the library."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="What models run on; `auto` takes CUDA where it is present."
    )
    model_batch: int = Field(
        0, ge=0, le=4096, description="Pictures per inference; 0 lets the program choose."
    )


@dataclass(frozen=True)
class WorkerLimits:
    """What one decode worker process may use.

    Attributes:
        workers: Number of processes.
        memory_bytes: Address space a worker may add to what it started with.
        cpu_s: CPU seconds per file.
        wall_s: Wall-clock seconds per file.
    """

    workers: int
    memory_bytes: int
    cpu_s: int
    wall_s: float

    @property
    def pixel_budget(self) -> int:
        """Pixels that may be decoded at once: memory over 12 bytes each.

        RGB as decoded, an upright copy, a float or 16-bit intermediate and its result are alive
        together at the worst moment; 12 bytes per pixel was the measured peak.
        """
        return self.memory_bytes // 12


def environment(**extra: str) -> dict[str, str]:
    """The environment for a child process, with more variables."""
    return {**os.environ, **extra}


def read_settings() -> Settings:
    """Read the environment.

    Raises:
        UsageError: A variable has a value that cannot be meant.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"MEDIA_{first['loc'][0]}".upper()
        raise UsageError(f"{name}={first['input']!r}: {first['msg']}; correct it") from error


def worker_limits(settings: Settings) -> WorkerLimits:
    """The limits of a worker on this machine: a share of the RAM, between 512 MiB and 1.5 GiB."""
    workers = settings.workers or _usable_cpus()
    memory = settings.worker_memory_mib * MEBIBYTE
    if memory == 0:
        share = psutil.virtual_memory().total // (4 * workers)
        memory = min(max(share, 512 * MEBIBYTE), 1536 * MEBIBYTE)
    return WorkerLimits(workers, memory, settings.item_cpu_s, settings.item_timeout_s)


def may_use_cuda(settings: Settings) -> bool:
    """Whether models may run on a GPU here: by the driver's device, without importing torch."""
    return settings.device != "cpu" and any(Path(device).exists() for device in CUDA_DEVICES)


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux has it, macOS does not
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Root:
    """A place that is scanned.

    Attributes:
        root_id: `r0001`, `r0002`, ...; `listed` for files named one by one.
        path: Absolute folder, UTF-8.
    """

    root_id: str
    path: str


@dataclass(frozen=True)
class LibraryConfig:
    """The contents of `library.toml`.

    Attributes:
        schema_version: Layout version of the library.
        profile: Which models are used.
        batch_size: Contents per batch, 1 to `MAX_BATCH_SIZE`.
        batch_wait_minutes: How long an unfilled batch may wait in the daemon.
        settle_s: Seconds a file must be unchanged before the sensor takes it.
        thresholds: Name of the threshold set that verdicts use for quality.
        junk_thresholds: Name of the set they use for junk, labels and safety.
        storage: Where tables and thumbnails go: empty for the library folder, or a URL.
        models: Task to the model card that is used instead of the profile's.
        roots: Places that are scanned.
    """

    schema_version: int = LIBRARY_SCHEMA_VERSION
    profile: str = "embedded"
    batch_size: int = 512
    batch_wait_minutes: float = 60.0
    settle_s: float = 10.0
    thresholds: str = "quality-v1"
    junk_thresholds: str = "junk-v1"
    storage: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    roots: tuple[Root, ...] = field(default=())

    def with_root(self, root: Root) -> LibraryConfig:
        """The same library with one more place to scan."""
        return replace(self, roots=(*self.roots, root))


def read_config(layout: Layout) -> LibraryConfig:
    """Read `library.toml`.

    Raises:
        CorruptLibraryFile: Not TOML, or a key of the wrong type.
        LibraryTooNew: Written by a newer program.
    """
    try:
        raw = tomllib.loads(layout.config.read_text(encoding="utf-8"))
        version = int(raw.get("schema_version", LIBRARY_SCHEMA_VERSION))
        if version > LIBRARY_SCHEMA_VERSION:
            raise LibraryTooNew(
                f"{layout.root} has library schema {version}, this program knows up to "
                f"{LIBRARY_SCHEMA_VERSION}: upgrade media-pipeline; nothing was changed"
            )
        roots = tuple(Root(str(r["id"]), str(r["path"])) for r in raw.pop("roots", []))
        if len({root.root_id for root in roots}) != len(roots):
            raise ValueError("two roots have the same id")
        config = LibraryConfig(roots=roots, **raw)
        _check_values(config)
        return config
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ValueError, KeyError) as error:
        raise CorruptLibraryFile(
            f"{layout.config} cannot be read ({error}): correct it by hand, or delete it and run "
            "again with the folders to scan; tables and batches are kept"
        ) from error


def _check_values(config: LibraryConfig) -> None:
    """Raise ValueError for a value of another type than the default's, or out of range."""
    for name, default in vars(LibraryConfig()).items():
        value = getattr(config, name)
        expected = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, expected) or isinstance(value, bool):
            raise ValueError(f"{name} must be like {default!r}, is {value!r}")
    if not all(isinstance(card, str) for card in config.models.values()):
        raise ValueError(f"[models] must give each task the id of a card, is {config.models!r}")
    if not 1 <= config.batch_size <= MAX_BATCH_SIZE:
        raise ValueError(f"batch_size must be 1 to {MAX_BATCH_SIZE}, is {config.batch_size}")


def write_config(layout: Layout, config: LibraryConfig) -> None:
    """Write `library.toml` atomically."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment("What this library is made of. Edited by media-pipeline and by you.")
    )
    for name in (
        "schema_version",
        "profile",
        "batch_size",
        "batch_wait_minutes",
        "settle_s",
        "thresholds",
        "junk_thresholds",
        "storage",
    ):
        document.add(name, getattr(config, name))
    if config.models:
        document.add("models", dict(config.models))
    roots = tomlkit.aot()
    for root in config.roots:
        table = tomlkit.table()
        table.add("id", root.root_id)
        table.add("path", root.path)
        roots.append(table)
    if config.roots:
        document.add("roots", roots)
    write_atomically(layout.config, tomlkit.dumps(document).encode())
