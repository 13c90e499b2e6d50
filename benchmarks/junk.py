"""How good the junk flags are: what they find per kind, and how often they are wrong on photos.

    python -m benchmarks.junk [--media FOLDER] [KIND=FOLDER ...]

Every picture goes from its file through the functions that the stages call; nobody is protected by
people or pets that are seen. KIND is a kind of junk, or `photo` for pictures that are none; without
any, `../shared/media` is looked at where it lies beside the checkout (or `--media`). Prints
Markdown tables; about 0.1 s per picture on one core. What the pixels' weights in
`judging.junk_rules` were fitted to, and what was held out, is in docs/measurements.md.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.calibrate import GOOD, NOT_GOOD, SHARED, Pictures, read_all, table
from media_pipeline.errors import ItemError
from media_pipeline.imaging import measures
from media_pipeline.imaging.geometry import luma
from media_pipeline.imaging.thumbnail import jpeg, make_thumbnails
from media_pipeline.judging.junk import measure_junk, score_junk
from media_pipeline.judging.junk_thresholds import load_junk_thresholds
from media_pipeline.judging.rating import rate_thumbnail
from media_pipeline.reading.media import read_metadata
from media_pipeline.recipes import stage
from media_pipeline.schema import JUNK_KINDS

PHOTO = "photo"
THRESHOLDS = load_junk_thresholds("junk-v1").flags
PARAMETERS = stage("thumbnails").parameters
PIXEL_BUDGET = 1 << 27


@dataclass(frozen=True)
class Scored:
    """One picture with what it should be and what it scored.

    Attributes:
        name: Path, for people.
        kind: A kind of junk, or `photo`.
        source: Where it comes from.
        scores: By kind of junk.
    """

    name: str
    kind: str
    source: str
    scores: Mapping[str, float]

    @property
    def fired(self) -> list[str]:
        """Flags that reach their threshold, highest first."""
        found = [kind for kind, score in self.scores.items() if score >= THRESHOLDS[kind]]
        return sorted(found, key=lambda kind: -self.scores[kind])


def scores_of(path: Path) -> dict[str, float] | None:
    """Junk scores of a file, as the stages make them; `None` where it cannot be read whole."""
    place, name = os.fsencode(path), os.fsencode(path.name)
    try:
        metadata = [read_metadata(place, name)]
        frames = make_thumbnails(place, name, PARAMETERS, PIXEL_BUDGET)
    except ItemError:
        return None
    return _scores(metadata, [(frame, frame.pop("jpeg")) for frame in frames])


def scores_of_pixels(rgb: np.ndarray, like: Path) -> dict[str, float] | None:
    """Junk scores that a file would have if it held other pixels of the same size."""
    place, name = os.fsencode(like), os.fsencode(like.name)
    metadata = [read_metadata(place, name)]
    (frame,) = make_thumbnails(place, name, PARAMETERS, PIXEL_BUDGET)
    small = cv2.resize(rgb, (frame["width_px"], frame["height_px"]), interpolation=cv2.INTER_AREA)
    gray = luma(rgb)
    frame |= {
        "tile_sharpness": measures.tile_sharpness(gray),
        "fine_noise_sigma": measures.noise_sigma(gray),
        "fine_blockiness": measures.blockiness(gray),
    }
    return _scores(metadata, [(frame, jpeg(small, PARAMETERS["jpeg_quality"]))])


def _scores(
    metadata: list[dict[str, Any]], frames: Sequence[tuple[dict[str, Any], bytes]]
) -> dict[str, float] | None:
    rated, answers = [], []
    for frame, content in frames:
        frame["path"] = "thumbnail"
        rated.append({"frame": frame["frame"], **rate_thumbnail(content, frame)})
        answers.append(measure_junk(content, frame))
    rows = score_junk(metadata, [frame for frame, _ in frames], rated, answers)
    return {row["flag"]: row["score"] for row in rows if row["score"] is not None} or None


def score_folder(folder: Path, kind: str) -> Iterator[Scored]:
    """Every picture below a folder that can be read."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        scores = scores_of(path)
        if scores is not None:
            yield Scored(str(path.relative_to(folder)), kind, folder.name, scores)


def score_shared(media: Path) -> Iterator[Scored]:
    """The pack for tests: what its manifest expects, and photographs that nothing is wrong with."""
    with (media / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        expected = {row["path"]: row["expected"] for row in csv.DictReader(handle)}
    kinds = {name: kind for name, kind in expected.items() if kind in JUNK_KINDS}
    for pattern in GOOD:
        photos = (str(path.relative_to(media)) for path in sorted(media.glob(pattern)))
        kinds |= {n: PHOTO for n in photos if n not in kinds and not any(x in n for x in NOT_GOOD)}
    for name, kind in kinds.items():
        scores = scores_of(media / name) if (media / name).is_file() else None
        if scores is not None and name.rpartition(".")[2] != "xmp":
            yield Scored(name, kind, name.partition("/")[0], scores)


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, "Probable inference")."""
    if total == 0:
        return 0.0, 1.0
    share, spread = count / total, z * z / total
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / total + spread / (4 * total))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return max(0.0, low), min(1.0, high)


def found_per_kind(scored: Sequence[Scored]) -> Iterator[Sequence[Any]]:
    """For each kind: how many were flagged as it, as anything, and what fired highest."""
    for kind in JUNK_KINDS:
        mine = [one for one in scored if one.kind == kind]
        if mine:
            own = sum(kind in one.fired for one in mine)
            some = sum(bool(one.fired) for one in mine)
            first = Counter(one.fired[0] for one in mine if one.fired)
            confused = ", ".join(f"{name} {count}" for name, count in first.most_common())
            yield kind, len(mine), own / len(mine), some / len(mine), confused


def false_alarms(scored: Iterable[Scored]) -> tuple[int, int, list[Scored]]:
    """Photographs that got any flag: how many, of how many, and which."""
    photos = [one for one in scored if one.kind == PHOTO]
    wrong = [one for one in photos if one.fired]
    return len(wrong), len(photos), wrong


def _alarms_per_kind(scored: Sequence[Scored]) -> Iterator[Sequence[Any]]:
    count, total, _ = false_alarms(scored)
    for name, wrong in (
        *((k, sum(k in s.fired for s in scored if s.kind == PHOTO)) for k in JUNK_KINDS),
        ("any", count),
    ):
        low, high = wilson(wrong, total)
        yield name, wrong, total, wrong / max(1, total), f"{low:.2%} to {high:.2%}"


ACCIDENTS = {
    "in a pocket (2 % of the light, grain)": lambda rgb: _pocket(rgb),
    "smeared (blur of 6 % of the long side, a third of the light)": lambda rgb: _smear(rgb) // 3,
    "dark, but a picture (15 % of the light)": lambda rgb: (rgb * 0.15).astype(np.uint8),
    "out of focus (blur of 1 %)": lambda rgb: _blurred(rgb, 0.01),
}
"""Known changes of photographs: the first two are accidents, the others are not."""


def _pocket(rgb: np.ndarray) -> np.ndarray:
    grain = np.random.default_rng(0).normal(0, 1.5, rgb.shape)
    return np.clip(rgb * 0.02 + grain, 0, 255).astype(np.uint8)


def _blurred(rgb: np.ndarray, share: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), share * max(rgb.shape)), dtype=np.uint8)


def _smear(rgb: np.ndarray) -> np.ndarray:
    return _blurred(rgb, 0.06)


def accidents(media: Path, pictures: Pictures) -> Iterator[Sequence[Any]]:
    """How often photographs changed by known amounts are called an accident, or anything."""
    for name, change in ACCIDENTS.items():
        all_scores = [scores_of_pixels(change(rgb), media / k) for k, rgb in pictures.items()]
        fired = [Scored("", PHOTO, "", scores).fired for scores in all_scores if scores]
        flagged = sum("accidental" in one for one in fired)
        yield name, len(fired), flagged / len(fired), sum(map(bool, fired)) / len(fired)


def main() -> None:
    """Print the tables for the folders that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--media", type=Path, default=SHARED, help="folder of real media")
    parser.add_argument("folders", nargs="*", metavar="KIND=FOLDER", help="pictures of one kind")
    asked = parser.parse_args()
    started, scored = time.monotonic(), []
    for word in asked.folders:
        kind, _, folder = word.partition("=")
        if kind not in (*JUNK_KINDS, PHOTO) or not Path(folder).is_dir():
            parser.error(f"{word!r} is no KIND=FOLDER: kinds are {PHOTO}, {', '.join(JUNK_KINDS)}")
        scored += score_folder(Path(folder), kind)
    if not asked.folders and asked.media.is_dir():
        scored += score_shared(asked.media)
    if not scored:
        parser.error(f"no pictures: name KIND=FOLDER, or --media (there is no {asked.media})")
    print(f"{len(scored)} pictures in {time.monotonic() - started:.0f} s")
    header = ("kind", "pictures", "flagged as it", "flagged", "highest flag")
    table("Junk that is found", header, found_per_kind(scored))
    header = ("flag", "wrong", "photographs", "share", "95 % interval")
    table("False alarms on photographs", header, _alarms_per_kind(scored))
    for one in false_alarms(scored)[2]:
        print(f"  {one.source}/{one.name}: {one.fired[0]} {one.scores[one.fired[0]]:.2f}")
    if not asked.folders:
        header = ("change", "photographs", "flagged accidental", "flagged")
        pictures = read_all(asked.media, ("photos/*",))
        table("Photographs changed by known amounts", header, accidents(asked.media, pictures))


if __name__ == "__main__":
    main()
