"""Rulings: which junk flags fire, what protects a picture from them, who is seen, what is unsafe.

The user's word wins over everything: `keep` is never junk, `junk` always is, whoever is in it.
Without a word a picture is junk when a flag reaches its threshold and nothing protects it. Every
protection vetoes every flag - a face in a screenshot or a meme protects it too, because a picture
wrongly called junk costs more than one wrongly kept - except `only_of_day`, which is about photos
and vetoes `blank`, `tiny` and `accidental` only. Nothing is ever removed because of a ruling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from media_pipeline.judging.junk_thresholds import JunkThresholds
from media_pipeline.schema import JUNK_KINDS

PHOTO_FLAGS = frozenset({"blank", "tiny", "accidental"})
"""Flags of pictures that somebody took, not made or saved."""

FAVOURITE_WORDS = frozenset({"favorite", "favourite", "favorites", "favourites", "★"})
"""Keywords that say so, in any case."""

PERSON, FACE = "person", "face"
PROTECTING_KINDS = {"person": "people", "animal": "animals"}
"""The protection that a label gives, by what it is called or is a kind of."""

Decision = Literal["keep", "junk"]
Row = Mapping[str, Any]
Protection = dict[str, str]


def protections_of(
    metadata: Row | None,
    seen: Sequence[Row] | None,
    labels: Sequence[Row],
    junk_rows: Sequence[Row],
    decision: Decision | None,
    thresholds: JunkThresholds,
) -> list[Protection]:
    """What speaks against throwing a content away.

    Args:
        metadata: Its row of `schema.METADATA`, `None` where there is none.
        seen: What `seen_of` gave; `None` where nobody looked, which protects nothing.
        labels: Its `shown_labels`, those of the user among them; a pug without a box is a pug.
        junk_rows: Its rows of `schema.JUNK_FLAGS`.
        decision: The user's word.
        thresholds: The set in use.

    Returns:
        Entries of `schema.VERDICTS.protections`; `only_of_day` is for the caller to add.
    """
    found = [_protection("keep", "the user said so")] if decision == "keep" else []
    found += _of_seen(seen or ())
    found += _of_labels(labels)
    found += _of_metadata(metadata or {}, thresholds.least_rating)
    if any(row["state"] == "degraded" for row in junk_rows):
        found.append(_protection("degraded", "it was decoded in part: nobody knows what is in it"))
    return found


def only_of_day(day: str) -> Protection:
    """The protection of the only picture of a day; which that is takes the whole library to know.

    Args:
        day: ISO 8601, such as 2026-11-20.
    """
    return _protection("only_of_day", f"no other picture is of {day}")


def _protection(name: str, detail: str) -> Protection:
    return {"protection": name, "detail": detail}


def _of_seen(seen: Sequence[Row]) -> list[Protection]:
    """People (faces too), then animals, each with what it was seen by."""
    found = []
    for one in seen:
        name = "people" if one["kind"] in (PERSON, FACE) else "animals"
        sure = one["probability"]
        how = f"score {one['score']:.2f}" if sure is None else f"probability {sure:.2f}"
        found.append(_protection(name, f"{one['count']} {one['kind']}, {how}"))
    return found


def _of_labels(labels: Sequence[Row]) -> list[Protection]:
    """People and animals that no box says but a label does, each with who proposed it."""
    return [
        _protection(protection, f"label {one['label']!r} by the {one['proposer']}")
        for kind, protection in PROTECTING_KINDS.items()
        for one in labels
        if kind in (one["label"], *one["ancestors"])
    ]


def _of_metadata(metadata: Row, least_rating: float) -> list[Protection]:
    found = []
    rating = metadata.get("rating")
    if rating is not None and rating >= least_rating:
        found.append(_protection("rating", f"{rating} of 5 stars"))
    words = [w for w in metadata.get("keywords") or () if w.casefold() in FAVOURITE_WORDS]
    if words:
        found.append(_protection("favourite", f"keyword {words[0]!r}"))
    return found


def rule_on_junk(
    junk_rows: Sequence[Row],
    protections: Sequence[Protection],
    decision: Decision | None,
    thresholds: JunkThresholds,
) -> dict[str, Any]:
    """Rule on one content.

    Args:
        junk_rows: Its rows of `schema.JUNK_FLAGS`.
        protections: What `protections_of` gave.
        decision: The user's word.
        thresholds: The set in use.

    Returns:
        `is_junk` (null where nothing was scored and the user said nothing), `junk_kind` (the flag
        that fired highest, protected or not), `junk_evidence` and `protections` of
        `schema.VERDICTS`.
    """
    scored = {row["flag"]: row["score"] for row in junk_rows if row["score"] is not None}
    names = [one["protection"] for one in protections]
    evidence = [
        _ruling(kind, scored[kind], thresholds.flags[kind], names)
        for kind in JUNK_KINDS
        if kind in scored
    ]
    fired = [item for item in evidence if item["fired"]]
    highest = max(fired, key=lambda item: item["score"], default=None)
    return {
        "is_junk": _is_junk(fired, names, decision, is_known=bool(scored) or "degraded" in names),
        "junk_kind": highest["flag"] if highest else None,
        "junk_evidence": evidence,
        "protections": list(protections),
    }


def _is_junk(
    fired: Sequence[Row], names: Sequence[str], decision: Decision | None, *, is_known: bool
) -> bool | None:
    if decision is not None:
        return decision == "junk"
    if not is_known:
        return None
    return any(not _vetoes(item["flag"], names) for item in fired)


def _vetoes(flag: str, names: Iterable[str]) -> list[str]:
    """The protections among these that hold against a flag."""
    return [n for n in dict.fromkeys(names) if n != "only_of_day" or flag in PHOTO_FLAGS]


def _ruling(flag: str, score: float, threshold: float, names: Sequence[str]) -> dict[str, Any]:
    fired = score >= threshold
    rule = "score >= threshold"
    against = _vetoes(flag, names)
    if fired and against:
        rule += f", but protected by {', '.join(against)}"
    return {"flag": flag, "score": score, "threshold": threshold, "fired": fired, "rule": rule}


def seen_of(
    detection_rows: Sequence[Row], thresholds: JunkThresholds
) -> tuple[int | None, list[str] | None, list[dict[str, Any]] | None]:
    """Who is seen in a content.

    A box counts from its threshold on. People are persons, and faces whose person was not found;
    of a video the frame with most counts, so that nobody is counted twice.

    Args:
        detection_rows: Its rows of `schema.DETECTIONS`, of all frames.
        thresholds: The set in use.

    Returns:
        `people`, `animals` (kinds, sorted) and `seen` of `schema.VERDICTS`; all `None` where no
        detector was asked, or none could answer.
    """
    looked_at = [row for row in detection_rows if row["state"] in ("ok", "degraded")]
    if not looked_at:
        return None, None, None
    sure = [row for row in looked_at if row["kind"] is not None and _is_seen(row, thresholds)]
    by_frame: dict[int, list[Row]] = {}
    by_kind: dict[str, list[Row]] = {}
    for row in sure:
        by_frame.setdefault(row["frame"], []).append(row)
        by_kind.setdefault(row["kind"], []).append(row)
    people = max((_people_in(rows) for rows in by_frame.values()), default=0)
    animals = sorted(by_kind.keys() - {PERSON, FACE})
    order = [kind for kind in (PERSON, FACE, *animals) if kind in by_kind]
    return people, animals, [_seen(kind, by_kind[kind]) for kind in order]


def _is_seen(row: Row, thresholds: JunkThresholds) -> bool:
    if row["probability"] is not None:
        return bool(row["probability"] >= thresholds.seen_probability)
    return row["score"] is not None and row["score"] >= thresholds.seen_score


def _people_in(rows: Sequence[Row]) -> int:
    """Persons of one frame, and faces of no person that counts."""
    persons = {row["number"] for row in rows if row["kind"] == PERSON}
    faces = [row for row in rows if row["kind"] == FACE]
    return len(persons) + sum(face["part_of"] not in persons for face in faces)


def _seen(kind: str, rows: Sequence[Row]) -> dict[str, Any]:
    frames = [row["frame"] for row in rows]
    best = max(rows, key=lambda row: (row["probability"] or 0.0, row["score"] or 0.0))
    return {
        "kind": kind,
        "count": max(frames.count(frame) for frame in set(frames)),
        "probability": best["probability"],
        "score": best["score"],
        "times_ms": sorted({row["time_ms"] for row in rows if row["time_ms"] is not None}),
    }


def safety_of(
    safety_rows: Sequence[Row], thresholds: JunkThresholds
) -> tuple[float | None, bool | None]:
    """How far a content is unsafe for work, apart from junk.

    Args:
        safety_rows: Its rows of `schema.SAFETY`, of all frames.
        thresholds: The set in use.

    Returns:
        `nsfw_score` (the highest of its frames) and `is_nsfw` of `schema.VERDICTS`; both `None`
        where nothing was rated, which is never "safe".
    """
    scores = [row["nsfw_score"] for row in safety_rows if row["nsfw_score"] is not None]
    if not scores:
        return None, None
    return max(scores), max(scores) >= thresholds.nsfw_threshold
