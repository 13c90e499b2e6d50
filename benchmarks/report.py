"""Numbers beside their targets, as one Markdown table for docs/measurements.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

PEERS = ("dagster", "pillow", "opencv-python-headless", "cleanvision")


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: What was measured, on what.
        value: The number, in `unit`.
        unit: Unit of `value`.
        least, most: What it should at least or at most be; neither for a number without a target.
        note: How to read it.
    """

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, `None` where there is none."""
        if self.least is None and self.most is None:
            return None
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)

    def cells(self) -> tuple[str, ...]:
        """Name, value, target, verdict and note, as text."""
        verdict = {None: "", True: "met", False: "**missed**"}[self.is_met]
        return (self.name, f"{_number(self.value)} {self.unit}", self._target(), verdict, self.note)

    def _target(self) -> str:
        if self.least is not None:
            return f">= {_number(self.least)}"
        return "" if self.most is None else f"<= {_number(self.most)}"


def _number(value: float) -> str:
    """Three significant digits; whole numbers from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def report(figures: Iterable[Figure]) -> str:
    """When, where, and every number: Markdown."""
    header = ("measured", "value", "target", "", "note")
    rows = [header, ("---",) * len(header), *(figure.cells() for figure in figures)]
    return f"{_where()}\n\n" + "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _where() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS)
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores of {_cpu_model()}, "
        f"{memory_gib:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}"
    )


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")  # Linux only
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
