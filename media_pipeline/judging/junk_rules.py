"""Rules for junk: which clue speaks for or against which kind, and how much.

A clue turns one measure or fact into a strength in [0, 1] on a straight ramp from `low` (0) to
`high` (1; below `low` for a falling ramp) and adds strength times `weight` to the log-odds of its
kind. Weights of what the pixels show were fitted by logistic regression to public pictures without
camera data (docs/measurements.md); weights of facts were set by hand, for want of public pictures
that carry them. Changing any of this changes what `junk_flags` writes: raise its version in
`recipes.STAGES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Clue:
    """One clue.

    Attributes:
        name: The measure (`junk_measures`) or fact (`junk_facts`) it looks at.
        low: Value of strength 0.
        high: Value of strength 1.
        weight: What full strength adds to the log-odds.
    """

    name: str
    low: float
    high: float
    weight: float

    def strength(self, value: float) -> float:
        """How far the clue holds, in [0, 1]."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True)
class Rule:
    """What makes one kind of junk.

    Attributes:
        base: Log-odds before anything is known.
        clues: What is added to them.
        for_video: Whether it is asked of videos, too.
    """

    base: float
    clues: tuple[Clue, ...]
    for_video: bool = False


def _fact(name: str, weight: float) -> Clue:
    return Clue(name, 0.0, 1.0, weight)


RULES: Mapping[str, Rule] = {
    "screenshot": Rule(
        base=-4.6,
        clues=(
            Clue("flat_fraction", 0.25, 0.60, 2.4),
            Clue("straight_lines", 2, 14, 2.5),
            Clue("text_lines", 3, 18, 1.0),
            Clue("text_fraction", 0.01, 0.07, 1.0),
            Clue("main_color_fraction", 0.15, 0.50, 0.4),
            Clue("colors_for_90", 100, 20, 0.4),
            Clue("detail_fraction", 0.75, 0.40, 0.7),
            Clue("aligned_text_fraction", 0.10, 0.25, -0.8),
            _fact("camera_data", -6.0),
            _fact("camera_name", -0.5),
            _fact("screen_size", 3.0),
            _fact("common_screen_size", 1.5),
            _fact("scrolled_screen", 2.0),
            _fact("no_screen_size", -0.9),
            _fact("drawn_format", 1.0),
            _fact("transparency", -1.0),
            _fact("screenshot_words", 5.0),
        ),
        for_video=True,
    ),
    "document": Rule(
        base=-4.4,
        clues=(
            Clue("aligned_text_fraction", 0.002, 0.06, 1.2),
            Clue("text_fraction", 0.02, 0.14, 2.8),
            Clue("text_lines", 4, 20, 1.2),
            Clue("paper_fraction", 0.30, 0.85, 0.5),
            Clue("colors_for_90", 80, 10, 1.4),
            Clue("straight_lines", 10, 30, -0.5),
            Clue("tallness", 1.15, 1.28, 0.5),
            Clue("text_block_aspect", 1.5, 2.2, -1.2),
            _fact("scanner_words", 2.0),
            _fact("screen_size", -2.0),
            _fact("common_screen_size", -1.0),
            _fact("screenshot_words", -3.0),
        ),
    ),
    "receipt": Rule(
        base=-6.3,
        clues=(
            Clue("aligned_text_fraction", 0.002, 0.06, 0.8),
            Clue("text_lines", 5, 20, 1.8),
            Clue("paper_fraction", 0.30, 0.85, 1.9),
            Clue("colors_for_90", 60, 8, 2.1),
            Clue("text_block_aspect", 1.3, 1.9, 3.4),
            Clue("straight_lines", 10, 30, -1.7),
            _fact("scanner_words", 0.5),
            _fact("screen_size", -3.0),
            _fact("common_screen_size", -1.0),
            _fact("screenshot_words", -3.0),
        ),
    ),
    "meme": Rule(
        base=-4.0,
        clues=(
            Clue("caption_letters", 2, 12, 6.0),
            Clue("caption_band_fraction", 0.05, 0.10, 5.0),
            Clue("text_lines", 10, 25, -3.0),
            _fact("camera_data", -4.0),
            _fact("drawn_format", 0.7),
        ),
    ),
    "graphic": Rule(
        base=-5.0,
        clues=(
            Clue("flat_fraction", 0.40, 0.70, 1.0),
            Clue("main_color_fraction", 0.30, 0.65, 3.0),
            Clue("colors_for_90", 60, 10, 0.5),
            Clue("straight_lines", 2, 14, 1.5),
            Clue("text_fraction", 0.10, 0.25, -0.5),
            _fact("camera_data", -6.0),
            _fact("camera_name", -1.0),
            _fact("drawn_format", 2.1),
            _fact("palette", 1.0),
            _fact("transparency", 1.0),
            _fact("drawing_words", 3.0),
            _fact("screen_size", -1.5),
            _fact("common_screen_size", -0.8),
        ),
    ),
    "blank": Rule(
        base=-6.0,
        clues=(
            Clue("detail_fraction", 0.05, 0.005, 4.0),
            Clue("luma_span", 60, 15, 3.0),
            Clue("luma_span", 80, 120, -6.0),
            Clue("main_color_fraction", 0.50, 0.95, 2.0),
            Clue("text_lines", 0, 2, -4.0),
        ),
        for_video=True,
    ),
    "tiny": Rule(
        base=-4.0,
        clues=(
            Clue("tiny_size_score", 0.60, 0.85, 7.0),
            Clue("short_side_px", 40, 16, 5.0),
        ),
        for_video=True,
    ),
    "accidental": Rule(
        base=-6.0,
        clues=(
            Clue("low_light_score", 0.75, 0.95, 4.0),
            Clue("luma_peak", 120, 50, 2.0),
            Clue("luma_peak", 70, 120, -5.0),
            Clue("low_information_score", 0.45, 0.75, 3.0),
            Clue("blur_score", 0.60, 0.90, 3.0),
            Clue("detail_fraction", 0.15, 0.01, 2.0),
            Clue("duration_s", 1.0, 0.6, 2.0),
            _fact("screen_size", -3.0),
            _fact("drawn_format", -3.0),
        ),
        for_video=True,
    ),
}
"""By kind, in the order of `schema.JUNK_KINDS`."""
