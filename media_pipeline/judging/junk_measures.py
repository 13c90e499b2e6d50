"""Measures for junk: flat areas, palette, straight lines, lines of text, paper, captions.

All are taken on the 512-px thumbnail, so that a number means the same for every picture. Nothing
is judged here; `judging.junk` turns measures and recorded facts into scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ItemError
from media_pipeline.imaging.geometry import luma

Gray = NDArray[np.uint8]
Rgb = NDArray[np.uint8]
Mask = NDArray[np.uint8]

MEASURES = (
    "flat_fraction", "main_color_fraction", "colors_for_90", "straight_lines", "text_lines",
    "text_fraction", "aligned_text_fraction", "text_block_aspect", "paper_fraction",
    "white_fraction", "caption_letters", "caption_band_fraction", "detail_fraction", "luma_span",
    "luma_peak",
)  # fmt: skip
"""What `measure_junk` gives."""

FLAT_STEP = 1
"""Neighbours that differ by no more in any channel are flat; a JPEG keeps flat blocks flat."""

EDGE_STEP = 14
"""Luma step of an edge that can be part of a straight line."""

LINE_SHARE = 0.15
"""Share of the side that a straight line must run along."""

STROKE_CONTRAST = 22
"""Luma by which a stroke of text stands out from what is around it."""

STROKE_SPAN_PX = 7
"""Strokes are thinner than this."""

WORD_GAP_PX = 9
"""Strokes closer than this are one line of text."""

GAP_STROKES = 0.2
"""Share of strokes in the rows beside a line of text: only tails reach that far."""

UNEVEN_GROUND = 0.3
"""Standard deviation between the strokes over their contrast: paper and screens are even."""

LINE_HEIGHT_PX = (3, 22)
LINE_LEAST_WIDTH_PX = 18

FEWEST_LINES = 6
"""Fewer lines of text than this have no shape together."""

PAPER_OF_LIGHTEST = 0.78
"""Paper is at least so light, of the 95th percentile of luma: shadows fall on it."""

PAPER_CHROMA = 36

LETTER_HEIGHT = (0.035, 0.2)
"""Height of a caption's letter as a share of the picture's."""

CAPTION_ZONE = 0.36
"""Captions stand within this share of the height from the top or the bottom."""

LETTER_LIGHT, OUTLINE_DARK = 215, 90
LETTERS_IN_ROW = 4


def measure_junk(jpeg: bytes, frame: Mapping[str, Any]) -> dict[str, float]:
    """The measures of one thumbnail; runs in the workers.

    Args:
        jpeg: The thumbnail; empty when it is missing.
        frame: Its row of `thumbnails`; only `path` is read, for messages.

    Returns:
        Every name of `MEASURES`, finite.

    Raises:
        ItemError: `thumbnail_missing` or `undecodable`.
    """
    if not jpeg:
        raise ItemError("thumbnail_missing", f"no file at {frame['path']}", retryable=True)
    bgr = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ItemError("undecodable", f"{frame['path']} is no JPEG", retryable=True)
    return measure_pixels(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8))


def measure_pixels(rgb: Rgb) -> dict[str, float]:
    """The measures of a picture.

    Args:
        rgb: uint8 sRGB, shape (height, width, 3), long side about 512 px, at least 1 x 1.
    """
    gray = luma(rgb)
    lines = _text_lines(gray)
    lowest, light, highest = _percentiles(gray, (0.1, 95, 99.9))
    return {
        "flat_fraction": _flat_fraction(rgb),
        **_palette(rgb),
        "straight_lines": float(_straight_lines(gray)),
        **_text(lines, gray.size),
        "paper_fraction": _paper_fraction(rgb, gray, light),
        "white_fraction": float(np.mean(gray >= 245)),
        "caption_letters": float(_caption_letters(gray)),
        "caption_band_fraction": _caption_band(rgb, gray),
        "detail_fraction": _detail_fraction(gray),
        "luma_span": highest - lowest,
        "luma_peak": highest,
    }


def _percentiles(gray: Gray, percents: tuple[float, ...]) -> list[float]:
    """For each the lowest level that at least so many per cent of the pixels do not exceed."""
    cumulated = np.cumsum(np.bincount(gray.ravel(), minlength=256)) / gray.size
    return [float(np.searchsorted(cumulated, percent / 100 - 1e-9)) for percent in percents]


def _flat_fraction(rgb: Rgb) -> float:
    """Share of pixels that equal their right and lower neighbours within `FLAT_STEP`."""
    if min(rgb.shape[:2]) < 2:
        return 1.0
    here = rgb[:-1, :-1]
    steps = cv2.max(cv2.absdiff(here, rgb[:-1, 1:]), cv2.absdiff(here, rgb[1:, :-1]))
    red, green, blue = cv2.split(steps)
    return float(np.mean(cv2.max(cv2.max(red, green), blue) <= FLAT_STEP))


def _palette(rgb: Rgb) -> dict[str, float]:
    """Share of the commonest colour, and how many cover 90 %, at 4 bits per channel."""
    bins = [16, 16, 16]
    counts = cv2.calcHist([rgb], [0, 1, 2], None, bins, [0, 256, 0, 256, 0, 256]).ravel()
    counts = np.sort(counts[counts > 0])[::-1].astype(np.float64)
    shares = np.cumsum(counts) / counts.sum()
    return {
        "main_color_fraction": float(shares[0]),
        "colors_for_90": float(np.searchsorted(shares, 0.9) + 1),
    }


def _straight_lines(gray: Gray) -> int:
    """Number of horizontal and vertical edges that run straight along much of a side."""
    return _horizontal_lines(gray) + _horizontal_lines(np.ascontiguousarray(gray.T))


def _horizontal_lines(gray: Gray) -> int:
    height, width = gray.shape
    length = max(8, round(LINE_SHARE * width))
    if height < 2 or width < length:
        return 0
    edges = (cv2.absdiff(gray[1:], gray[:-1]) >= EDGE_STEP).astype(np.uint8)
    runs = cv2.morphologyEx(edges, cv2.MORPH_OPEN, np.ones((1, length), dtype=np.uint8))
    rows = np.asarray(runs.max(axis=1) > 0)
    # Neighbouring rows are the two flanks of one line.
    return int(rows[:1].sum() + (rows[1:] & ~rows[:-1]).sum())


@dataclass(frozen=True)
class TextLine:
    """Where something lies that looks like a line of text, in pixels of the thumbnail."""

    left: int
    top: int
    width: int
    height: int


def _text_lines(gray: Gray) -> list[TextLine]:
    """Lines of text, dark on light or light on dark; also those too large for one scale."""
    large = [line for line in _lines_at(_halved(gray)) if line.height > LINE_HEIGHT_PX[1] // 2]
    return _lines_at(gray) + [
        TextLine(2 * line.left, 2 * line.top, 2 * line.width, 2 * line.height) for line in large
    ]


def _halved(gray: Gray) -> Gray:
    height, width = gray.shape
    half = (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(gray, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _lines_at(gray: Gray) -> list[TextLine]:
    if min(gray.shape) < STROKE_SPAN_PX:
        return []
    kernel = np.ones((STROKE_SPAN_PX, STROKE_SPAN_PX), dtype=np.uint8)
    found: list[TextLine] = []
    for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT):
        strokes = (cv2.morphologyEx(gray, kind, kernel) >= STROKE_CONTRAST).astype(np.uint8)
        found += [line for line in _lines_of(strokes) if _looks_written(gray, strokes, line)]
    return found


def _lines_of(strokes: Mask) -> list[TextLine]:
    """Strokes joined across the gaps of a line, and cut where only a tail reaches the next one."""
    joined = cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, np.ones((1, WORD_GAP_PX), dtype=np.uint8))
    lone = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((1, WORD_GAP_PX + 4), dtype=np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(lone, connectivity=4)
    return [
        TextLine(left, top, width, height)
        for left, top, width, height, area in boxes[1:].tolist()
        if LINE_HEIGHT_PX[0] <= height <= LINE_HEIGHT_PX[1]
        and width >= max(LINE_LEAST_WIDTH_PX, 2.5 * height)
        and area >= 0.45 * width * height
    ]


def _looks_written(gray: Gray, strokes: Mask, line: TextLine) -> bool:
    """Whether strokes are many and stand on an even ground, with a gap above and below.

    Rules and bars have few strokes; grass, bricks and hair have an uneven ground, or no gap.
    """
    rows = slice(line.top, line.top + line.height)
    columns = slice(line.left, line.left + line.width)
    window, levels = strokes[rows, columns], gray[rows, columns]
    covered = float(window.mean())
    changes = np.count_nonzero(window[:, 1:] != window[:, :-1], axis=1)
    if not 0.2 <= covered <= 0.85 or float(changes.max()) / 2 < max(4, line.width / 14):
        return False
    beside = (line.top - 1, line.top + line.height)
    inside = [row for row in beside if 0 <= row < len(strokes)]
    if any(float(strokes[row, columns].mean()) > GAP_STROKES for row in inside):
        return False
    near = cv2.dilate(window, np.ones((3, 3), dtype=np.uint8))
    ground = levels[near == 0] if np.count_nonzero(near == 0) >= 8 else levels[window == 0]
    contrast = abs(float(ground.mean()) - float(levels[window > 0].mean()))
    return contrast >= STROKE_CONTRAST and float(ground.std()) <= UNEVEN_GROUND * contrast


def _text(lines: list[TextLine], size_px: int) -> dict[str, float]:
    """How many pieces of lines there are, and what all and the aligned ones cover.

    Words that stand far apart are pieces of their own, and what is found at both scales counts
    twice, so the shares are measures of text and no areas; they may exceed 1.
    """
    area = sum(line.width * line.height for line in lines)
    aligned = sum(line.width * line.height for line in _aligned(lines))
    return {
        "text_lines": float(len(lines)),
        "text_fraction": area / size_px,
        "aligned_text_fraction": aligned / size_px,
        "text_block_aspect": _block_aspect(lines),
    }


def _block_aspect(lines: list[TextLine]) -> float:
    """Height over width of what most of the text covers; 0 where there are too few lines."""
    if len(lines) < FEWEST_LINES:
        return 0.0
    edges = np.array([(n.left, n.top, n.left + n.width, n.top + n.height) for n in lines])
    left, top = np.percentile(edges[:, :2], 5, axis=0)
    right, bottom = np.percentile(edges[:, 2:], 95, axis=0)
    return float((bottom - top) / max(1.0, right - left))


def _aligned(lines: list[TextLine]) -> list[TextLine]:
    """Lines with another of their kind close below or above, at the same left edge or centre."""
    ordered = sorted(lines, key=lambda line: line.top)
    paired: set[TextLine] = set()
    for place, line in enumerate(ordered):
        for other in ordered[place + 1 :]:
            if other.top - line.top > 5 * line.height + 4:
                break
            if other.top >= line.top + line.height - 1 and _is_of_one_text(line, other):
                paired |= {line, other}
    return sorted(paired, key=lambda line: line.top)


def _is_of_one_text(one: TextLine, other: TextLine) -> bool:
    heights = sorted((one.height, other.height))
    centres = abs(2 * one.left + one.width - 2 * other.left - other.width) / 2
    aligned = abs(one.left - other.left) <= 4 or centres <= 4
    return heights[1] <= 1.6 * heights[0] + 1 and aligned


def _paper_fraction(rgb: Rgb, gray: Gray, lightest: float) -> float:
    """Share of pixels that are light for this picture and without much colour."""
    if lightest < 110:
        return 0.0
    red, green, blue = cv2.split(rgb)
    chroma = cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue)
    return float(np.mean((gray >= PAPER_OF_LIGHTEST * lightest) & (chroma <= PAPER_CHROMA)))


def _caption_letters(gray: Gray) -> int:
    """Light letters with a dark outline, in rows near the top or the bottom."""
    height = gray.shape[0]
    light = (gray >= LETTER_LIGHT).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(light, connectivity=4)
    letters = []
    for label in range(1, count):
        left, top, width, tall, area = boxes[label].tolist()
        sized = LETTER_HEIGHT[0] * height <= tall <= LETTER_HEIGHT[1] * height
        middle = (top + tall / 2) / height
        in_zone = min(middle, 1 - middle) <= CAPTION_ZONE
        if sized and in_zone and width <= 1.6 * tall and area >= 0.25 * width * tall:
            box = (left, top, width, tall)
            if _is_outlined(gray, np.asarray(labels), label, box):
                letters.append(box)
    return _in_rows(letters)


def _is_outlined(
    gray: Gray, labels: NDArray[Any], label: int, box: tuple[int, int, int, int]
) -> bool:
    """Whether most of what touches a letter from outside is dark."""
    left, top, width, tall = box
    reach = 3
    rows = slice(max(0, top - reach), top + tall + reach)
    columns = slice(max(0, left - reach), left + width + reach)
    letter = (labels[rows, columns] == label).astype(np.uint8)
    near = cv2.dilate(letter, np.ones((5, 5), dtype=np.uint8)) - cv2.dilate(
        letter, np.ones((3, 3), dtype=np.uint8)
    )
    ring = gray[rows, columns][near > 0]
    return bool(len(ring)) and float(np.mean(ring <= OUTLINE_DARK)) >= 0.6


def _in_rows(letters: list[tuple[int, int, int, int]]) -> int:
    """How many letters stand in a row of at least `LETTERS_IN_ROW` of about one height."""
    in_rows = 0
    for _, top, _, tall in letters:
        row = [
            other
            for other in letters
            if abs(other[1] + other[3] / 2 - top - tall / 2) <= tall / 3
            and 0.7 * tall <= other[3] <= tall / 0.7
        ]
        in_rows += len(row) >= LETTERS_IN_ROW
    return in_rows


def _caption_band(rgb: Rgb, gray: Gray) -> float:
    """Height, as a share, of a plain white or black band with writing above or below a picture.

    0 where there is none, where it holds no writing, or where the rest is as plain as the band.
    """
    height = len(gray)
    if height < 32:
        return 0.0
    found = 0.0
    for flipped in (gray, gray[::-1]):
        rows = _band_rows(flipped)
        share = rows / height
        if 0.06 <= share <= 0.45 and _has_writing(flipped[:rows], height):
            rest = rgb[rows:] if flipped is gray else rgb[: height - rows]
            if _flat_fraction(rest) <= 0.45:
                found = max(found, share)
    return found


def _band_rows(gray: Gray) -> int:
    """How many rows from the top on have a margin of white, or of black, at one end."""
    margin = max(1, gray.shape[1] // 50)
    left, right = gray[:, :margin], gray[:, -margin:]
    white = (left.min(axis=1) >= 240) | (right.min(axis=1) >= 240)
    black = (left.max(axis=1) <= 15) | (right.max(axis=1) <= 15)
    for plain in (white, black):
        rows = len(plain) if plain.all() else int(np.argmin(plain))
        if rows:
            return rows
    return 0


def _has_writing(band: Gray, height: int) -> bool:
    """Whether a band is one level with a row of letters on it, apart from what is below it."""
    base = float(np.median(band))
    apart = np.abs(band.astype(np.float32) - base)
    marks = (apart >= 100).astype(np.uint8)
    share, plain = float(marks.mean()), float(np.mean(apart <= 12))
    gap = float(np.mean(apart[-6:-2] >= 50))  # the last two rows carry the codec's ringing
    if not 0.03 <= share <= 0.35 or plain < 0.55 or share + plain < 0.8 or gap > 0.002:
        return False
    _, _, boxes, _ = cv2.connectedComponentsWithStats(marks, connectivity=4)
    letters = [
        (left, top, width, tall)
        for left, top, width, tall, _ in boxes[1:].tolist()
        if 0.015 * height <= tall <= LETTER_HEIGHT[1] * height and width <= 2 * tall
    ]
    return _in_rows(letters) >= 2 * LETTERS_IN_ROW


def _detail_fraction(gray: Gray) -> float:
    """Share of 8 x 8 blocks with a standard deviation of 4 grey levels and more."""
    rows, columns = gray.shape[0] // 8, gray.shape[1] // 8
    if not rows or not columns:
        return 0.0
    blocks = gray[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).astype(np.float32)
    return float(np.mean(blocks.std(axis=(1, 3)) >= 4))
