"""Threshold sets for junk, what is seen, labels and safety: versioned files, read as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from media_pipeline.judging.showing import LabelThresholds
from media_pipeline.judging.thresholds import (
    FOLDER,
    HEADER,
    JUNK_PREFIX,
    checksum,
    find_set,
    number,
    read_set,
)
from media_pipeline.schema import JUNK_KINDS

PROTECTION = frozenset({"seen_probability", "seen_score", "least_rating"})
NSFW = frozenset({"nsfw_score"})
LABELS = frozenset({"label_probability", "label_share"})

MOST_STARS = 5.0
MOST_LABELS = 5
"""Labels shown per content, beside the user's."""


@dataclass(frozen=True)
class JunkThresholds:
    """What decides over junk, people, labels and safety.

    Attributes:
        name: Name of the set and of its file.
        checksum: First 8 hex digits of the hash of everything that decides; comments do not.
        flags: Score at which a junk flag fires, by kind.
        seen_probability: Probability from which a person or animal counts as seen.
        seen_score: Score from which it does, where the detector has no calibration.
        least_rating: Stars from which a rating protects.
        nsfw_threshold: `nsfw_score` from which a picture is unsafe for work.
        label_probability: Probability from which a label is shown.
        label_share: Share from which it is, where the model has no calibration.
    """

    name: str
    checksum: str
    flags: Mapping[str, float]
    seen_probability: float
    seen_score: float
    least_rating: float
    nsfw_threshold: float
    label_probability: float
    label_share: float

    @property
    def labels(self) -> LabelThresholds:
        """What decides over labels."""
        return LabelThresholds(self.label_probability, self.label_share, MOST_LABELS)


def load_junk_thresholds(name: str, folder: Path = FOLDER) -> JunkThresholds:
    """Read a threshold set.

    Args:
        name: File name without `.toml`, beginning with `junk-`.
        folder: Where sets lie; those that ship with the package by default.

    Raises:
        UsageError: There is no such set, or it is not what a set must be.
    """
    known = sorted(path.stem for path in folder.glob(f"{JUNK_PREFIX}*.toml"))
    path = find_set(name, known, folder, "junk_thresholds")
    sections = {"junk": frozenset(JUNK_KINDS), "protection": PROTECTION, "nsfw": NSFW}
    raw = read_set(path, {"header": HEADER, **sections, "labels": LABELS})
    flags = {kind: number(raw["junk"][kind], kind, path) for kind in JUNK_KINDS}
    singles = {
        key: number(value, key, path, MOST_STARS if key == "least_rating" else 1.0)
        for section in ("protection", "nsfw", "labels")
        for key, value in raw[section].items()
    }
    digest = checksum([name, sorted(flags.items()), sorted(singles.items())])
    nsfw_threshold = singles.pop("nsfw_score")
    return JunkThresholds(name, digest, flags, nsfw_threshold=nsfw_threshold, **singles)
