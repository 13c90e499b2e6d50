"""Facts for junk: what header and quality scores say, as numbers with their reason in words.

A fact is known (a number) or not (absent). Nothing is judged here.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

SCREENS = Path(__file__).with_name("screens.csv")
"""Sizes of screens in px; `distinct` says that cameras and editors hardly ever make that size."""

EXPOSURE = ("exposure_time_s", "f_number", "iso", "focal_length_mm")
DRAWN_FORMATS = frozenset({"png", "gif", "bmp"})
"""Formats that programs write, and cameras do not."""

SCREENSHOT_WORDS = re.compile(
    r"screen ?-?(shot|capture|clip|rec)|snip(ping|paste)|snagit|greenshot|flameshot|sharex|"
    r"lightshot|spectacle|scrot|shutter ?\d|ksnip|obs studio|bildschirm(foto|aufnahme)",
    re.IGNORECASE,
)
SCANNER_WORDS = re.compile(
    r"scanner|\bscan\b|camscan|adobe scan|genius ?scan|scansnap|office lens|epson scan|vuescan|"
    r"tiny ?scan|xsane|naps2|simple-scan|scanjet|canoscan",
    re.IGNORECASE,
)
DRAWING_WORDS = re.compile(
    r"matplotlib|inkscape|illustrator|www\.inkscape|graphviz|gnuplot|draw\.?io|excalidraw|figma|"
    r"plantuml|r graphics|ggplot|canva\b|coreldraw|microsoft office|powerpoint|visio\b",
    re.IGNORECASE,
)

MEASURED_IN_QUALITY = (
    "low_light_score", "low_information_score", "blur_score", "tiny_size_score",
)  # fmt: skip

LONGEST_SCROLL = 8.0


@dataclass(frozen=True)
class Fact:
    """One thing that is known.

    Attributes:
        value: 0 or 1 for yes and no, else the number itself.
        detail: The same in words.
    """

    value: float
    detail: str


Facts = dict[str, Fact]


@lru_cache(maxsize=1)
def screens() -> Mapping[tuple[int, int], tuple[str, bool]]:
    """Short and long side of every known screen: what has it, and whether little else has."""
    with SCREENS.open(encoding="utf-8", newline="") as handle:
        return {
            (int(row["short_px"]), int(row["long_px"])): (row["what"], row["distinct"] == "yes")
            for row in csv.DictReader(handle)
        }


def facts_of(
    metadata: Mapping[str, Any] | None,
    thumbnails: Sequence[Mapping[str, Any]],
    quality: Sequence[Mapping[str, Any]],
) -> Facts:
    """Everything that is known without looking at pixels again.

    Args:
        metadata: Row of `schema.METADATA`, `None` where there is none.
        thumbnails: Rows of `schema.THUMBNAILS` of one content, of state ok, at least one.
        quality: Rows of `schema.QUALITY` of the same frames; may be empty.

    Returns:
        By name; facts that cannot be known are left out.
    """
    width, height = thumbnails[0]["source_width_px"], thumbnails[0]["source_height_px"]
    facts = {**_shape(width, height), **_mean_scores(quality)}
    if metadata is None or metadata["state"] not in ("ok", "degraded"):
        return {**facts, **_screen(width, height, "")}
    fmt = metadata["format"] or ""
    facts |= {**_screen(width, height, fmt), **_format(metadata), **_words(metadata)}
    if metadata["state"] == "ok":
        facts |= _camera(metadata)
    if metadata["kind"] == "video":
        facts.pop("common_screen_size", None)  # every camera films in such sizes
        if metadata["duration_s"] is not None:
            facts["duration_s"] = _number(metadata["duration_s"], "runs {:.2g} s")
    return facts


def _number(value: float, words: str) -> Fact:
    return Fact(float(value), words.format(value))


def _shape(width: int, height: int) -> Facts:
    return {
        "short_side_px": _number(min(width, height), "short side of {:d} px"),
        "tallness": _number(height / width, "{:.2f} times as tall as wide"),
    }


def _screen(width: int, height: int, fmt: str) -> Facts:
    """Whether the size is that of a screen, or of a page scrolled on one."""
    size = f"{width} x {height} px"
    short, long = sorted((width, height))
    known = screens().get((short, long))
    if known is not None:
        what, distinct = known
        name = "screen_size" if distinct else "common_screen_size"
        return {name: Fact(1.0, f"{size} is the screen of: {what}")}
    widths = {side for (side, _), (_, distinct) in screens().items() if distinct}
    if fmt in DRAWN_FORMATS and width in widths and 2.4 <= height / width <= LONGEST_SCROLL:
        return {"scrolled_screen": Fact(1.0, f"{size}: as wide as a phone's screen, and longer")}
    return {"no_screen_size": Fact(1.0, f"{size} is the size of no screen that is known")}


def _camera(metadata: Mapping[str, Any]) -> Facts:
    """Exposure says a camera took it; a name alone is also written by phones into screenshots."""
    name = " ".join(filter(None, (metadata["camera_make"], metadata["camera_model"])))
    exposure = [field for field in EXPOSURE if metadata[field] is not None]
    if exposure:
        return {"camera_data": Fact(1.0, f"{', '.join(exposure)} by {name or 'a camera'}")}
    if name:
        return {"camera_name": Fact(1.0, f"{name}, without exposure")}
    return {"no_camera_data": Fact(1.0, "no camera, no exposure")}


def _format(metadata: Mapping[str, Any]) -> Facts:
    found: Facts = {}
    if metadata["format"] in DRAWN_FORMATS:
        found["drawn_format"] = Fact(1.0, f"{metadata['format']}, which cameras do not write")
    if metadata["color_mode"] in ("P", "1", "PA"):
        found["palette"] = Fact(1.0, f"colour mode {metadata['color_mode']}")
    if metadata["has_alpha"]:
        found["transparency"] = Fact(1.0, "has a transparency channel")
    return found


def _words(metadata: Mapping[str, Any]) -> Facts:
    """What the program that wrote it, or a caption it wrote, is called."""
    texts = [metadata[field] or "" for field in ("software", "title", "description")]
    found: Facts = {}
    for name, words, where in (
        ("screenshot_words", SCREENSHOT_WORDS, texts),
        ("scanner_words", SCANNER_WORDS, [*texts[:1], metadata["camera_model"] or ""]),
        ("drawing_words", DRAWING_WORDS, texts[:1]),
    ):
        text = next((text for text in where if words.search(text)), None)
        if text is not None:
            found[name] = Fact(1.0, f"written by or called {text[:60]!r}")
    return found


def _mean_scores(quality: Sequence[Mapping[str, Any]]) -> Facts:
    found: Facts = {}
    for name in MEASURED_IN_QUALITY:
        values = [row[name] for row in quality if row.get(name) is not None]
        if values:
            found[name] = _number(math.fsum(values) / len(values), f"{name} {{:.3g}}")
    return found
