"""What this machine has: devices, codecs, formats, versions; a remedy for what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from media_pipeline.formats import FORMATS, Format
from media_pipeline.settings import read_settings, worker_limits

PACKAGES = (
    "media-pipeline", "dagster", "dagster-webserver", "duckdb", "pyarrow", "numpy", "pillow",
    "pillow-heif", "pillow-jxl-plugin", "opencv-python-headless", "av", "rawpy", "blake3",
    "pebble",
)  # fmt: skip
VIDEO_CODECS = (
    "h264", "hevc", "av1", "vp8", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "prores",
)  # fmt: skip
LOW_DISK_BYTES = 1 << 30
LOW_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: `system`, `device`, `package`, `format`, `codec` or `disk`.
        name: What was looked at.
        ok: Whether it can be used.
        detail: Version, size or decoder.
        remedy: What to do when it is not ok.
    """

    topic: str
    name: str
    ok: bool
    detail: str
    remedy: str = ""


def examine(library: Path) -> list[Finding]:
    """Look at everything."""
    return [
        *_system(),
        *_devices(),
        *(_package(name) for name in PACKAGES),
        *(_format(fmt) for fmt in FORMATS),
        *(_codec(name) for name in VIDEO_CODECS),
        _disk(library),
    ]


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON values."""
    return [asdict(finding) for finding in findings]


def _system() -> list[Finding]:
    import psutil

    limits = worker_limits(read_settings())
    memory = int(psutil.virtual_memory().total)
    supported = sys.platform in ("linux", "darwin")
    return [
        Finding("system", "platform", supported, platform.platform(), "use Linux or macOS"),
        Finding(
            "system", "python", sys.version_info >= (3, 11), platform.python_version(),
            "install Python 3.11 or newer",
        ),
        Finding(
            "system", "memory", memory >= LOW_MEMORY_BYTES, f"{memory / 1e9:.1f} GB",
            "close other programs, or set MEDIA_WORKERS=1",
        ),
        Finding(
            "system", "workers", True,
            f"{limits.workers} workers, each {limits.memory_bytes / 1e6:.0f} MB{_unenforced()}, "
            f"{limits.pixel_budget / 1e6:.0f} megapixels, {limits.cpu_s} CPU-s and "
            f"{limits.wall_s:.0f} s per file",
        ),
    ]  # fmt: skip


def _unenforced() -> str:
    return " (not enforced by macOS)" if sys.platform == "darwin" else ""


def _devices() -> list[Finding]:
    cuda = shutil.which("nvidia-smi")
    detail = "an NVIDIA driver is installed" if cuda else "no NVIDIA driver found; nothing needs it"
    return [Finding("device", "cpu", True, f"{os.cpu_count()} cores"),
            Finding("device", "cuda", True, detail)]  # fmt: skip


def _package(name: str) -> Finding:
    try:
        return Finding("package", name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            "package", name, False, "not installed", f"install it: uv pip install {name}"
        )


def _format(fmt: Format) -> Finding:
    detail = f"{fmt.reader} ({fmt.decoder}); {' '.join(fmt.extensions[:4])}"
    remedy = f"reinstall the package behind {fmt.reader}: `make demo` installs it"
    return Finding("format", fmt.name, _can_open(fmt), detail, remedy)


def _can_open(fmt: Format) -> bool:
    if fmt.reader == "pyav":
        import av

        return fmt.decoder in av.formats_available
    if fmt.reader == "rawpy":
        import rawpy

        return bool(rawpy.libraw_version)
    from PIL import Image

    from media_pipeline.imaging.decode import register_plugins

    register_plugins()
    return fmt.decoder in Image.OPEN


def _codec(name: str) -> Finding:
    import av

    remedy = "install a PyAV wheel built with it: uv pip install --reinstall av"
    try:
        av.Codec(name, "r")
    except ValueError:
        return Finding("codec", name, False, "no decoder", remedy)
    return Finding("codec", name, True, "decoder present")


def _disk(library: Path) -> Finding:
    place = library.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    remedy = "free some space, or choose another folder with --library"
    return Finding(
        "disk", str(library), free >= LOW_DISK_BYTES, f"{free / 1e9:.1f} GB free", remedy
    )
