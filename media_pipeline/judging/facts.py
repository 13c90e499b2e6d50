"""Facts: what the tables record about one content, as far as a sentence may claim it.

Only what is recorded and trusted becomes a fact. That a detector found nobody is no fact; a time
that may be when a file was written, copied or scanned is none; of a degraded decode only kind, time
and place are. Text from the file itself (titles, camera names, keywords) never becomes one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from media_pipeline.formats import BY_NAME
from media_pipeline.judging.grammar import listed, plural
from media_pipeline.judging.places import Place, place_of
from media_pipeline.reading.capture import EARLIEST, UNSET_INSTANTS

Row = Mapping[str, Any]
Kind = Literal["photo", "picture", "animation", "video", "media file"]

LEAST_PROBABILITY = 0.5
"""Less sure than this, nothing is claimed; a score or share stands in for a missing probability."""

MOST_LABELS = 3
MOST_ANIMALS = 3

LONG_SHAPE = 2.5
"""Long over short side of a panorama; screens reach 2.4."""

# As the threshold set quality-v1 has them.
BLANK, DARK, OVEREXPOSED, COLOURLESS = 0.60, 0.59, 0.10, 0.80

CAMERA_SETTINGS = (
    "exposure_time_s", "f_number", "iso", "focal_length_mm", "flash_fired", "lens_model",
)  # fmt: skip
"""What only a camera records; maker and model alone may be those of a scanner."""

TAKEN_SOURCES = frozenset({"exif_original", "exif_digitized", "gps", "xmp", "iptc", "container"})
CAMERA_ONLY = frozenset({"exif_digitized"})
"""Sources that mean the shutter for a camera, and the scan for a scanned print."""

PARTS_OF_DAY = ((5, "night"), (12, "morning"), (17, "afternoon"), (22, "evening"), (24, "night"))
"""The hour before which each ends."""

OFFSETS = (timedelta(hours=-12), timedelta(hours=14))
"""The clocks farthest behind and ahead of UTC."""

PEOPLE = ("person", "face")

_CARD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KIND = re.compile(r"[a-z][a-z -]{0,29}")
_LABEL = re.compile(r"\w[\w '&./-]{0,39}")


@dataclass(frozen=True)
class Look:
    """How it looks as a whole: `word` as an adjective, `evidence` with the score."""

    word: str
    evidence: str


@dataclass(frozen=True)
class Seen:
    """People or animals of one kind: the most seen in one frame."""

    kind: str
    count: int
    evidence: str


@dataclass(frozen=True)
class Label:
    """Something it shows, by name."""

    name: str
    evidence: str


@dataclass(frozen=True)
class Moment:
    """When it was taken, as far as that is known.

    Attributes:
        year: The year.
        month: 1 to 12, `None` where only the year is certain.
        part_of_day: `morning`, `afternoon`, `evening` or `night` on the clock of the place.
        reading: The recorded time.
        source: Which record it is, such as `exif_original`.
    """

    year: int
    month: int | None
    part_of_day: str | None
    reading: str
    source: str


@dataclass(frozen=True)
class Facts:
    """What may be said about one content; whatever is not known is empty.

    Attributes:
        kind: What it is; a `picture` is not known to come from a camera.
        format: Name of its format, empty where unknown.
        duration_s: Of a video or animation.
        shape: `panoramic` or `tall`.
        size_px: Width and height that say so.
        looks: Light and colour.
        people: Everybody at once.
        animals: One per kind, most often seen first.
        labels: Likeliest first; nothing that people, animals or another label say already.
        place: From its coordinates.
        moment: When it was taken.
    """

    kind: Kind
    format: str = ""
    duration_s: float | None = None
    shape: str = ""
    size_px: tuple[int, int] = (0, 0)
    looks: tuple[Look, ...] = ()
    people: Seen | None = None
    animals: tuple[Seen, ...] = ()
    labels: tuple[Label, ...] = ()
    place: Place | None = None
    moment: Moment | None = None


def facts_of(
    metadata_row: Row | None,
    thumbnails_rows: Iterable[Row],
    quality_rows: Iterable[Row],
    label_rows: Iterable[Row],
    detection_rows: Iterable[Row],
    now: datetime | None = None,
) -> Facts:
    """What may be said about one content, or about one frame of it.

    Args:
        metadata_row: Its row of `metadata`, `None` where there is none.
        thumbnails_rows: Its rows of `thumbnails`: all of them, or that of one frame.
        quality_rows: Its rows of `quality`. Of this table and the next two, rows that are not `ok`
            or whose frame has no `ok` row of `thumbnails` are passed over.
        label_rows: Its rows of `labels`.
        detection_rows: Its rows of `detections`.
        now: The present, aware; a later time is not believed. By default the machine's clock.

    Raises:
        MediaPipelineError: There are coordinates and the places cannot be read.
    """
    metadata = metadata_row or {}
    thumbnails = list(thumbnails_rows)
    kind = _kind(metadata, thumbnails)
    whole = {row["frame"] for row in thumbnails if row["state"] == "ok"}
    people, animals = _seen(_usable(detection_rows, whole))
    shape, size_px = _shape(metadata, kind)
    name = metadata.get("format")
    return Facts(
        kind,
        format=name if name in BY_NAME else "",
        duration_s=_positive(metadata.get("duration_s")),
        shape=shape if whole else "",
        size_px=size_px,
        looks=_looks(_usable(quality_rows, whole)),
        people=people,
        animals=animals,
        labels=_labels(_usable(label_rows, whole), people, animals),
        place=_place(metadata),
        moment=_moment(metadata, now or datetime.now(UTC)),
    )


def _usable(rows: Iterable[Row], frames: set[int]) -> list[Row]:
    return [row for row in rows if row["state"] == "ok" and row["frame"] in frames]


def _kind(metadata: Row, thumbnails: Sequence[Row]) -> Kind:
    roles = {row["role"] for row in thumbnails}
    if metadata.get("kind") == "video" or roles & {"poster", "keyframe"}:
        return "video"
    if metadata.get("kind") != "image" and "still" not in roles:
        return "media file"
    if _positive(metadata.get("duration_s")) is not None:
        return "animation"
    return "photo" if _is_from_camera(metadata) else "picture"


def _is_from_camera(metadata: Row) -> bool:
    settings = any(metadata.get(name) is not None for name in CAMERA_SETTINGS)
    return settings or metadata.get("format") == "raw"


def _shape(metadata: Row, kind: Kind) -> tuple[str, tuple[int, int]]:
    width, height = metadata.get("width_px") or 0, metadata.get("height_px") or 0
    if kind not in ("photo", "picture") or not width or not height:
        return "", (0, 0)
    if width >= LONG_SHAPE * height:
        return "panoramic", (width, height)
    return ("tall" if height >= LONG_SHAPE * width else ""), (width, height)


def _looks(rows: Sequence[Row]) -> tuple[Look, ...]:
    """Light and colour that all frames share; frames that show nothing count only among others."""
    shown = [row for row in rows if not _reaches(row, "low_information_score", BLANK)]
    if not shown:
        return _shared(rows, "nearly blank", "low_information_score", BLANK)
    dark = _shared(shown, "dark", "low_light_score", DARK)
    bright = _shared(shown, "bright", "overexposure_score", OVEREXPOSED)
    return (dark or bright) + _shared(shown, "black-and-white", "grayscale_score", COLOURLESS)


def _shared(rows: Sequence[Row], word: str, score: str, threshold: float) -> tuple[Look, ...]:
    if not rows or not all(_reaches(row, score, threshold) for row in rows):
        return ()
    least = min(float(row[score]) for row in rows)
    return (Look(word, f"{score} {least:.2f}"),)


def _reaches(row: Row, name: str, threshold: float) -> bool:
    value = _finite(row[name])
    return value is not None and value >= threshold


def _seen(rows: Sequence[Row]) -> tuple[Seen | None, tuple[Seen, ...]]:
    """People, and animals by kind: of each the frame with the most."""
    frames: dict[int, list[Row]] = {}
    for row in rows:
        if _certainty(row) >= LEAST_PROBABILITY and _KIND.fullmatch(row["kind"] or ""):
            frames.setdefault(row["frame"], []).append(row)
    people: list[Row] = []
    animals: dict[str, list[Row]] = {}
    for found in frames.values():
        people = max(people, _people_of(found), key=len)
        for kind in {row["kind"] for row in found} - set(PEOPLE):
            alike = [row for row in found if row["kind"] == kind]
            animals[kind] = max(animals.get(kind, []), alike, key=len)
    by_count = sorted(animals.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_ANIMALS]
    everybody = Seen("person", len(people), _who(people)) if people else None
    return everybody, tuple(Seen(kind, len(found), _who(found)) for kind, found in by_count)


def _people_of(rows: Sequence[Row]) -> list[Row]:
    """Persons, and faces that belong to none of them."""
    persons = [row for row in rows if row["kind"] == "person"]
    numbers = {row["number"] for row in persons}
    faces = [row for row in rows if row["kind"] == "face" and row["part_of"] not in numbers]
    return persons + faces


def _certainty(row: Row) -> float:
    """Probability, else score; below everything where there is neither."""
    known = _finite(row["probability"])
    if known is None:
        known = _finite(row["score"])
    return -math.inf if known is None else known


def _who(rows: Sequence[Row]) -> str:
    """Such as `2 faces (opencv-people-cats, probability 0.91 to 0.97)`."""
    counts = Counter(str(row["kind"]) for row in rows)
    what = [f"{count} {kind if count == 1 else plural(kind)}" for kind, count in counts.items()]
    name = "score" if any(row["probability"] is None for row in rows) else "probability"
    values = [value for row in rows if (value := _finite(row[name])) is not None]
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    spread = f" to {high}" if low != high else ""
    return f"{listed(what)} ({_maker(rows[0])}{name} {low}{spread})"


def _maker(row: Row) -> str:
    """The card that said so and a comma; its name only where it is one."""
    model = row["model"]
    return f"{model}, " if model and _CARD.fullmatch(model) else ""


def _labels(rows: Sequence[Row], people: Seen | None, animals: Sequence[Seen]) -> tuple[Label, ...]:
    """The likeliest labels, without what is said already or more closely by another one."""
    best: dict[str, Row] = {}
    for row in rows:
        name = " ".join((row["label"] or "").split())
        if _LABEL.fullmatch(name) and _likelihood(row) >= LEAST_PROBABILITY:
            best[name] = max(best.get(name, row), row, key=_likelihood)
    said = {"person"} if people else set()
    said |= {seen.kind for seen in animals}
    said |= {plural(word) for word in said}
    for row in best.values():
        said.update(row["ancestors"] or ())
    said_lower = {word.lower() for word in said}
    shown = [(name, row) for name, row in best.items() if name.lower() not in said_lower]
    shown.sort(key=lambda item: (-_likelihood(item[1]), item[0]))
    return tuple(Label(name, _proposal(row)) for name, row in shown[:MOST_LABELS])


def _likelihood(row: Row) -> float:
    """Probability, else share; below everything where there is neither."""
    known = _finite(row["probability"])
    if known is None:
        known = _finite(row["share"])
    return -math.inf if known is None else known


def _proposal(row: Row) -> str:
    name = "share" if row["probability"] is None else "probability"
    return f"{_maker(row)}{name} {_likelihood(row):.2f}"


def _place(metadata: Row) -> Place | None:
    latitude = _finite(metadata.get("gps_latitude_deg"))
    longitude = _finite(metadata.get("gps_longitude_deg"))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return place_of(round(latitude, 3), round(longitude, 3))  # 110 m: neighbours share an answer


def _moment(metadata: Row, now: datetime) -> Moment | None:
    """The best recorded time that means when it was taken and is plausible."""
    sources = TAKEN_SOURCES if _is_from_camera(metadata) else TAKEN_SOURCES - CAMERA_ONLY
    moments = (
        _moment_of(one, now)
        for one in metadata.get("capture_times") or ()
        if one is not None and one["source"] in sources
    )
    return next((moment for moment in moments if moment is not None), None)


def _moment_of(one: Row, now: datetime) -> Moment | None:
    local, utc = _clock(one["local"]), _clock(one["utc"])
    reading = local or utc
    if reading is None or not EARLIEST <= reading <= now + timedelta(days=1):
        return None
    if reading in UNSET_INSTANTS:
        return None
    if local is None:
        return _moment_of_instant(reading, one["source"])
    text = local.replace(tzinfo=None).isoformat()
    if local.time() != time(0):  # midnight to the second stands for a date without a time
        return Moment(local.year, local.month, _part_of_day(local.hour), text, one["source"])
    # 1 January stands for a year without a month
    month = None if (local.month, local.day) == (1, 1) else local.month
    return Moment(local.year, month, None, text[:10], one["source"])


def _moment_of_instant(utc: datetime, source: str) -> Moment | None:
    """Of an instant the clock of the place is unknown: only what is so on every clock."""
    first, last = (utc + offset for offset in OFFSETS)
    if first.year != last.year:
        return None
    month = utc.month if first.month == last.month else None
    return Moment(utc.year, month, None, utc.replace(tzinfo=None).isoformat() + "Z", source)


def _clock(text: str | None) -> datetime | None:
    """A recorded time, with UTC standing in for its offset; `None` for what is no time."""
    try:
        return datetime.fromisoformat(text or "").replace(tzinfo=UTC)
    except ValueError:
        return None


def _part_of_day(hour: int) -> str:
    return next(part for end, part in PARTS_OF_DAY if hour < end)


def _positive(value: object) -> float | None:
    number = _finite(value)
    return number if number is not None and number > 0 else None


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
