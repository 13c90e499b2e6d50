"""Rows of the tables, drawn with known content, for the tests of composed captions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from media_pipeline.judging.composing import compose, facts_of
from media_pipeline.schema.models import DETECTIONS, LABELS
from media_pipeline.schema.pictures import METADATA, QUALITY, THUMBNAILS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUSTON = {"gps_latitude_deg": 29.76, "gps_longitude_deg": -95.36}
CAMERA = {"exposure_time_s": 0.01}


def row(table: Any, **values: Any) -> dict[str, Any]:
    """An `ok` row of a table, null where nothing is said."""
    return {**table.empty_row(), "media_id": "m", "state": "ok", "recipe": "r", **values}


def image(**values: Any) -> dict[str, Any]:
    """A row of `metadata`."""
    size = {"width_px": 4000, "height_px": 3000}
    return row(METADATA, **{"kind": "image", "format": "jpeg", **size, **values})


def photo(**values: Any) -> dict[str, Any]:
    """The same, of a camera."""
    return image(**{**CAMERA, **values})


def video(**values: Any) -> dict[str, Any]:
    """The same, of a video."""
    return image(**{"kind": "video", "format": "mp4", **values})


def taken(local: str | None, source: str = "exif_original", utc: str | None = None) -> Any:
    """A value of `capture_times`."""
    return [{"source": source, "local": local, "offset_min": None, "utc": utc}]


def thumbnail(frame: int = 0, **values: Any) -> dict[str, Any]:
    """A row of `thumbnails`."""
    role = "still" if frame == 0 else "keyframe"
    return row(THUMBNAILS, **{"frame": frame, "role": role, **values})


def quality(frame: int = 0, **values: Any) -> dict[str, Any]:
    """A row of `quality` without defects."""
    scores = {column.name: 0.0 for column in QUALITY.columns if column.name.endswith("_score")}
    return row(QUALITY, **{"frame": frame, **scores, **values})


def seen(kind: str | None, number: int = 1, **values: Any) -> dict[str, Any]:
    """A row of `detections`."""
    base = {"frame": 0, "number": number, "kind": kind, "model": "cascade", "probability": 0.97}
    return row(DETECTIONS, **{**base, **values})


def label(name: str, probability: float | None = 0.8, **values: Any) -> dict[str, Any]:
    """A row of `labels`."""
    base = {"frame": 0, "proposer": "vocabulary", "rank": 1, "model": "siglip"}
    return row(LABELS, **{**base, "label": name, "probability": probability, **values})


def composed(metadata: Any, *rows: dict[str, Any]) -> tuple[str, list[str]]:
    """The caption of one content; rows are told apart by their columns."""
    thumbnails = [one for one in rows if "thumbhash" in one] or [thumbnail()]
    return compose(
        facts_of(
            metadata,
            thumbnails,
            [one for one in rows if "blur_score" in one],
            [one for one in rows if "proposer" in one],
            [one for one in rows if "part_of" in one],
            NOW,
        )
    )


def sentence(metadata: Any, *rows: dict[str, Any]) -> str:
    """The sentence alone."""
    return composed(metadata, *rows)[0]
