"""What must become of each file of the demo collection, and the page that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from media_pipeline import paths

State = Literal["ok", "degraded", "failed", "skipped"]
DecidingStage = Literal["scan", "metadata", "thumbnails"]

DEFECTS = ("blurry", "low_light", "overexposed", "low_contrast", "noisy", "over_compressed")
"""Tags that call a picture spoiled."""

NOT_ON_A_GOOD_PHOTO = (*DEFECTS, "low_information", "odd_aspect_ratio", "odd_size")
"""Tags that no good photograph may carry; one in colour may not be `grayscale` either."""


@dataclass(frozen=True)
class Expected:
    """One file of the collection and its known outcome.

    Where a field is empty or `None` nothing is claimed, except for `reason` and `stage`, which
    are `None` exactly where `state` is `ok`.

    Attributes:
        path: Path below the collection's folder, the bytes as they are on disk.
        shows: What it shows or is, one sentence without its full stop.
        state: What must become of it.
        reason: Code from `schema.REASONS`.
        stage: The stage that decides a state other than `ok`.
        tags_include: Quality tags that must hold.
        tags_exclude: Quality tags that must not hold.
        people: How many people must be seen; `None` claims nothing.
        animals: Kinds of animals that must be seen, and no others where `people` is given.
        junk: The kind of junk it must be called.
        keep: Whether it must not be called junk.
        same_picture_as: Path of the picture that it shows too, perhaps turned or mirrored.
        same_bytes_as: Path of the file that it is an exact copy or a hard link of.
        not_same_as: Path of a picture that is close, and yet another one.
    """

    path: bytes
    shows: str
    state: State = "ok"
    reason: str | None = None
    stage: DecidingStage | None = None
    tags_include: tuple[str, ...] = ()
    tags_exclude: tuple[str, ...] = ()
    people: int | None = None
    animals: tuple[str, ...] = ()
    junk: str | None = None
    keep: bool = False
    same_picture_as: bytes | None = None
    same_bytes_as: bytes | None = None
    not_same_as: bytes | None = None


def expected_table(expected: Iterable[Expected]) -> list[dict[str, str]]:
    """Rows for people.

    Returns:
        One row per file with `name` (safe to print), `shows` and `outcome`, all plain text.
    """
    return [
        {"name": paths.display(e.path), "shows": e.shows, "outcome": outcome_text(e)}
        for e in expected
    ]


def outcome_text(expected: Expected) -> str:
    """The outcome as one line: state, reason and stage, tags, relations to other files."""
    parts: list[str] = [expected.state]
    if expected.reason:
        parts[0] += f": {expected.reason} ({expected.stage})"
    parts += [", ".join(expected.tags_include)] if expected.tags_include else []
    if expected.people:
        parts.append("1 person" if expected.people == 1 else f"{expected.people} people")
    parts += [", ".join(expected.animals)] if expected.animals else []
    parts += [f"junk: {expected.junk}"] if expected.junk else []
    if expected.same_bytes_as:
        parts.append(f"same bytes as {paths.display(expected.same_bytes_as)}")
    if expected.same_picture_as:
        parts.append(f"same picture as {paths.display(expected.same_picture_as)}")
    if expected.not_same_as:
        parts.append(f"not the same picture as {paths.display(expected.not_same_as)}")
    return "; ".join(parts)


def expected_page(expected: Iterable[Expected]) -> str:
    """The page docs/demo-collection.md, in Markdown."""
    rows = expected_table(expected)
    lines = [
        "<!-- Made by `python -m media_pipeline.demo > docs/demo-collection.md`: do not edit. -->",
        "",
        "# The demo collection",
        "",
        f"`media-pipeline demo` builds these {len(rows)} files from the photographs in",
        "scikit-image's wheel and from what is drawn in code. Cameras, dates and places in their",
        "EXIF data are invented. Each file has one outcome, known beforehand; a test runs the",
        "pipeline and compares. The mode-000 file is `ok` for root, whom permissions do not stop.",
        "Tags that good photographs must not get are not listed.",
        "",
        "| File | What it shows | Outcome |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{_cell(r['name'])}` | {_cell(r['shows'])} | {_cell(r['outcome'])} |" for r in rows
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
