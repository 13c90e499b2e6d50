"""Verdicts: what the scores mean under the threshold sets in use, and the user's word.

Reads   metadata, quality, labels, detections, safety, junk_flags, files, the user's decisions
Writes  verdicts (one row per content, with the evidence for everything that is said)
Cost    no pixel is touched; deciding again takes seconds
Fails   contents that could not be measured get a row that says why there is no verdict
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import dagster as dg

from media_pipeline.judging.junk_thresholds import JunkThresholds, load_junk_thresholds
from media_pipeline.judging.quality import decide
from media_pipeline.judging.ruling import (
    only_of_day,
    protections_of,
    rule_on_junk,
    safety_of,
    seen_of,
)
from media_pipeline.judging.showing import best_label, shown_labels
from media_pipeline.judging.thresholds import ThresholdSet, load_thresholds
from media_pipeline.library.decisions import Word
from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage
from media_pipeline.resources import library_asset, write_whole
from media_pipeline.schema import QUALITY, VERDICTS
from media_pipeline.vocabulary import Vocabulary

Row = dict[str, Any]

QUALITY_COLUMNS = tuple(
    c.name for c in QUALITY.columns if c.name not in ("message", "retryable", "recipe")
)
READ: Mapping[str, tuple[str, ...]] = {
    "metadata": ("media_id", "rating", "keywords"),
    "quality": QUALITY_COLUMNS,
    "labels": (
        "media_id", "frame", "time_ms", "proposer", "rank", "label", "concept", "score",
        "probability", "share", "is_backoff", "ancestors", "state",
    ),
    "detections": (
        "media_id", "frame", "time_ms", "number", "kind", "part_of", "score", "probability",
        "state",
    ),
    "safety": ("media_id", "frame", "nsfw_score", "state"),
    "junk_flags": ("media_id", "flag", "score", "state"),
}  # fmt: skip
"""What is read of each per-batch table."""

DATED = ("exif_original", "exif_digitized", "gps", "xmp", "iptc", "container")
"""Sources of a capture time that make a picture the only one of its day."""


@dataclass(frozen=True)
class Bench:
    """What every verdict is given under.

    Attributes:
        quality: Thresholds of technical quality.
        junk: Thresholds of junk, labels, people and safety.
        vocabulary: What labels are kinds of.
        usual_size_px: Median size in the library, `None` where nothing was measured.
        only_of: Content to its day, for contents that no other shares it with.
    """

    quality: ThresholdSet
    junk: JunkThresholds
    vocabulary: Vocabulary
    usual_size_px: float | None
    only_of: Mapping[str, str]


def make(library: Library, spec: Stage) -> Mapping[str, Any]:
    """Decide on every content."""
    table = VERDICTS.to_arrow_in_parts(verdict_rows(library))
    write_whole(library, spec, table)
    counts = {
        "quality": Counter(map(str, table["quality"].to_pylist())),
        "tags": Counter(tag for tags in table["tags"].to_pylist() for tag in tags or ()),
        "junk": Counter(
            str(kind)
            for kind, is_junk in zip(
                table["junk_kind"].to_pylist(), table["is_junk"].to_pylist(), strict=True
            )
            if is_junk
        ),
    }
    facts = {name: dg.MetadataValue.json(count) for name, count in counts.items()}
    return {"rows": table.num_rows, **facts}


def verdict_rows(library: Library) -> Iterator[Row]:
    """One row per content that has quality rows, in batch order."""
    bench = _bench(library)
    words = library.decisions
    chosen = {name: library.chosen(name) for name in READ}
    for batch in chosen["quality"]:
        rows = {name: _rows(library, name, chosen[name].get(batch), batch) for name in READ}
        for media_id, frames in rows["quality"].items():
            word = words.word(media_id)
            if word.forgotten:
                continue
            about = {name: found.get(media_id, []) for name, found in rows.items()}
            yield {
                "media_id": media_id,
                **decide(frames, bench.quality, bench.usual_size_px),
                **_understood(media_id, about, word, bench),
            }


def _bench(library: Library) -> Bench:
    sizes = library.read_stage("quality", ["size_px"])["size_px"].drop_null().to_pylist()
    return Bench(
        quality=load_thresholds(library.config.thresholds),
        junk=load_junk_thresholds(library.config.junk_thresholds),
        vocabulary=library.vocabulary,
        usual_size_px=median(map(float, filter(None, sizes))) if sizes else None,
        only_of=_only_of_their_day(library),
    )


def _only_of_their_day(library: Library) -> dict[str, str]:
    """Contents that are the only one of a day, by capture times that were recorded."""
    columns = ["media_id", "taken_local", "taken_source"]
    days: dict[str, set[str]] = {}
    for row in library.read_whole("files").select(columns).to_pylist():
        if row["media_id"] and row["taken_local"] and row["taken_source"] in DATED:
            days.setdefault(str(row["taken_local"])[:10], set()).add(row["media_id"])
    return {contents.pop(): day for day, contents in days.items() if len(contents) == 1}


def _rows(library: Library, name: str, recipe: str | None, batch: str) -> dict[str, list[Row]]:
    """The rows of one batch by content; none where the stage was not made yet."""
    table = library.store.read(name, recipe, batch, READ[name]) if recipe else None
    found: dict[str, list[Row]] = {}
    for row in table.to_pylist() if table is not None else ():
        found.setdefault(row["media_id"], []).append(row)
    return found


def _understood(media_id: str, about: dict[str, list[Row]], word: Word, bench: Bench) -> Row:
    """Who and what is in it, whether it is junk, and what the user said."""
    people, animals, seen = seen_of(about["detections"], bench.junk)
    nsfw_score, is_nsfw = safety_of(about["safety"], bench.junk)
    labels = shown_labels(
        about["labels"],
        bench.junk.labels,
        bench.vocabulary,
        word.labels,
        sorted(word.not_labels),
    )
    label = best_label(about["labels"], labels)
    metadata = about["metadata"][0] if about["metadata"] else None
    junk_rows = about["junk_flags"]
    protections = protections_of(metadata, seen, labels, junk_rows, word.decision, bench.junk)
    if media_id in bench.only_of:
        protections.append(only_of_day(bench.only_of[media_id]))
    return {
        **rule_on_junk(junk_rows, protections, word.decision, bench.junk),
        "junk_thresholds": bench.junk.name,
        "nsfw_score": nsfw_score,
        "is_nsfw": is_nsfw,
        "label": label,
        "labels": labels if label is not None else None,
        "people": people,
        "animals": animals,
        "seen": seen,
        "decision": word.decision,
    }


def build(library: Library) -> dg.AssetsDefinition:
    """The `verdicts` asset."""
    return library_asset(library, "verdicts", make)
