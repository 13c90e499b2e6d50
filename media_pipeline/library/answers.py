"""What the rows of a stage say of each content, in one answer that can be compared and read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NSFW_THRESHOLD = 0.5
"""Where the caller names none."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What one table says of one thing.

    Attributes:
        value: What is compared; `None` where nothing is said.
        text: The same for people.
        numbers: Scores behind it, for people.
        frame: The frame that shows it best.
        is_counted: Whether it makes sense to count how often it is said.
    """

    value: Any
    text: str
    numbers: str = ""
    frame: int = 0
    is_counted: bool = True


Key = tuple[str, str]
"""A content, and what of it is meant."""

Reader = Callable[[pa.Table], dict[Key, Answer]]


def _best(rows: Iterable[Row], subject: str, score: Callable[[Row], float]) -> dict[Key, Answer]:
    """The best first-ranked label of every content, over its frames; per subject where named."""
    best: dict[Key, tuple[float, Row]] = {}
    for row in rows:
        key = (row["media_id"], row[subject] if subject else "")
        value = score(row) if row["label"] is not None else -2.0
        if key not in best or value > best[key][0]:
            best[key] = (value, row)
    return {key: _label(row) for key, (_, row) in best.items()}


def _label(row: Row) -> Answer:
    if row["label"] is None:
        return _silence(row)
    numbers = [f"{n} {row[n]:.3f}" for n in ("probability", "score") if row.get(n) is not None]
    return Answer(row["label"], row["label"], ", ".join(numbers), row["frame"])


def _silence(row: Row) -> Answer:
    """The answer of a row that says nothing: why it does not."""
    reason = row.get("reason")
    return Answer(
        None, reason.replace("_", " ") if reason else "nothing", frame=row.get("frame", 0)
    )


def _labels(table: pa.Table) -> dict[Key, Answer]:
    columns = ("media_id", "frame", "proposer", "rank", "label", "score", "probability", "reason")
    rows = _rows(table.filter(pc.field("rank") <= 1), columns)
    found = _best(rows, "proposer", lambda row: row["probability"] or row["score"] or 0.0)
    asked = {media_id for media_id, proposer in found if proposer}
    return {key: one for key, one in found.items() if key[1] or key[0] not in asked}


def _classifications(table: pa.Table) -> dict[Key, Answer]:
    columns = ("media_id", "frame", "rank", "label", "score", "reason")
    rows = _rows(table.filter(pc.field("rank") <= 1), columns)
    return _best(rows, "", lambda row: row["score"] or 0.0)


def _detections(table: pa.Table) -> dict[Key, Answer]:
    """The kinds seen in every content, with the most of each in one frame."""
    seen: dict[str, dict[int, Counter[str]]] = {}
    scores: dict[tuple[str, str], float] = {}
    silent: dict[str, Row] = {}
    for row in _rows(table, ("media_id", "frame", "kind", "score", "probability", "reason")):
        media_id, kind = row["media_id"], row["kind"]
        if kind is None:
            silent.setdefault(media_id, row)
            continue
        seen.setdefault(media_id, {}).setdefault(row["frame"], Counter())[kind] += 1
        score = row["probability"] if row["probability"] is not None else row["score"]
        scores[media_id, kind] = max(scores.get((media_id, kind), 0.0), score or 0.0)
    found = {(media_id, ""): _silence(row) for media_id, row in silent.items()}
    for media_id, frames in seen.items():
        most: Counter[str] = Counter()
        for counts in frames.values():
            most |= counts
        text = ", ".join(f"{count} {kind}" for kind, count in sorted(most.items()))
        numbers = ", ".join(f"{kind} {scores[media_id, kind]:.3f}" for kind in sorted(most))
        frame = max(frames, key=lambda number: len(frames[number]))
        found[media_id, ""] = Answer(frozenset(most), text, numbers, frame)
    return found


def _captions(table: pa.Table) -> dict[Key, Answer]:
    found = {}
    for row in _rows(table, ("media_id", "frame", "time_ms", "caption", "reason")):
        where = f"at {row['time_ms'] / 1000:.1f} s" if row["time_ms"] is not None else ""
        said = Answer(row["caption"], row["caption"] or "", frame=row["frame"], is_counted=False)
        found[row["media_id"], where] = said if said.value is not None else _silence(row)
    return found


def _safety(table: pa.Table, threshold: float) -> dict[Key, Answer]:
    """On which side of the threshold the worst frame of every content lies."""
    worst: dict[str, Row] = {}
    for row in _rows(table, ("media_id", "frame", "nsfw_score", "reason")):
        known = worst.get(row["media_id"])
        if known is None or (row["nsfw_score"] or -1.0) > (known["nsfw_score"] or -1.0):
            worst[row["media_id"]] = row
    return {(media_id, ""): _side(row, threshold) for media_id, row in worst.items()}


def _side(row: Row, threshold: float) -> Answer:
    score = row["nsfw_score"]
    if score is None:
        return _silence(row)
    side = "unsafe" if score >= threshold else "below the threshold"
    return Answer(side, side, f"score {score:.3f}, threshold {threshold:.2f}", row["frame"])


def _junk_flags(table: pa.Table) -> dict[Key, Answer]:
    """The highest flag of every content."""
    best: dict[str, Row] = {}
    for row in _rows(table, ("media_id", "flag", "score", "reason")):
        known = best.get(row["media_id"])
        if known is None or (row["score"] or -1.0) > (known["score"] or -1.0):
            best[row["media_id"]] = row
    return {
        (media_id, ""): Answer(row["flag"], row["flag"], f"score {row['score']:.3f}")
        if row["score"]
        else _silence({**row, "frame": 0})
        for media_id, row in best.items()
    }


VERDICTS = ("is_junk", "junk_kind", "label", "is_nsfw", "quality")
"""What of a verdict is compared."""


def _verdicts(table: pa.Table) -> dict[Key, Answer]:
    found = {}
    for row in _rows(table, ("media_id", *VERDICTS, "junk_evidence", "nsfw_score")):
        for name in VERDICTS:
            value = row[name]
            text = "not evaluated" if value is None else _plainly(name, value)
            found[row["media_id"], name] = Answer(
                None if value is None else text, text, _why(name, row)
            )
    return found


def _plainly(name: str, value: Any) -> str:
    words = {"is_junk": ("kept", "junk"), "is_nsfw": ("safe side", "unsafe")}
    return words[name][bool(value)] if name in words else str(value)


def _why(name: str, row: Row) -> str:
    if name in ("is_junk", "junk_kind"):
        rulings = sorted(row["junk_evidence"] or [], key=lambda one: -(one["score"] or 0.0))
        return ", ".join(f"{one['flag']} {one['score'] or 0.0:.3f}" for one in rulings[:2])
    score = row["nsfw_score"] if name == "is_nsfw" else None
    return f"score {score:.3f}" if score is not None else ""


def readers(nsfw_threshold: float = NSFW_THRESHOLD) -> dict[str, Reader]:
    """How each stage's answers are read from its table.

    Args:
        nsfw_threshold: From which on a safety score is unsafe.
    """
    return {
        "labels": _labels,
        "classifications": _classifications,
        "detections": _detections,
        "captions": _captions,
        "safety": lambda table: _safety(table, nsfw_threshold),
        "junk_flags": _junk_flags,
        "verdicts": _verdicts,
    }


def _rows(table: pa.Table, columns: Sequence[str]) -> Iterator[Row]:
    for batch in table.select(list(columns)).to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()
