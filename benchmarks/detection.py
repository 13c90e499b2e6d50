r"""How good the embedded detector is, and how its weights and calibration are fitted.

    python -m benchmarks.detection                                  # ../shared/media/photos
    python -m benchmarks.detection PHOTOS --labels LABELS           # YOLO boxes, 0 person, 15 cat
    python -m benchmarks.detection --fit PHOTOS --labels LABELS --hold-out TEST \
        --shows cat=FOLDER:2 --shows nothing=FOLDER --unknown FILE

`--shows` adds a folder in which every picture shows a `person`, a `cat` or `nothing` of both;
`:2` takes every second picture. `--unknown` lists file names whose people nobody has looked for.
`--hold-out` leaves out pictures that have the name of one in that folder. Fitting takes about
2 minutes for 2,500 pictures on one core. Runs without dagster.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.detection_fit import Sample, fit
from media_pipeline.imaging.geometry import Pixels, luma, shrunk_to
from media_pipeline.models.cards import SHIPPED, ModelCard, read_card
from media_pipeline.models.loaders.cascades import load
from media_pipeline.models.loaders.evidence import Candidate, Cascades
from media_pipeline.models.loaders.suppression import Rect, intersection_over_union
from media_pipeline.models.protocols import Box

SHARED = Path(__file__).parents[2] / "shared" / "media"
CARD = SHIPPED / "opencv-people-cats.toml"
YOLO = {0: "person", 15: "cat"}
Named = tuple[str, Rect]
"""A kind and a box as YOLO writes it: the middle, then width and height."""

WHOLE: Rect = (0.0, 0.0, 1.0, 1.0)
THUMBNAIL_PX = 512
NOT_IN_MANIFEST = {"raccoon-19.jpg": "person", "raccoon-167.jpg": "person"}
"""Looked at: a man under a raccoon, a hand with a bottle; the manifest names the animal only."""


@dataclass(frozen=True)
class Known:
    """A picture with its answer.

    Attributes:
        path: The file.
        boxes: What it shows by kind, in fractions; `None` where nobody has looked.
        has_boxes: Whether `boxes` are drawn, and not the whole picture.
    """

    path: Path
    boxes: dict[str, tuple[Rect, ...] | None]
    has_boxes: bool


def labelled(photos: Path, labels: Path) -> Iterator[Known]:
    """Pictures with a YOLO file of the same name anywhere below `labels`."""
    files = {path.stem: path for path in labels.rglob("*.txt")}
    for path in sorted(photos.rglob("*.jpg")):
        if path.stem in files:
            rows = [line.split() for line in files[path.stem].read_text().splitlines()]
            named = [(YOLO.get(int(row[0]), ""), _numbers(row[1:5])) for row in rows if row]
            yield Known(path, _by_kind(named), has_boxes=True)


def from_manifest(media: Path) -> Iterator[Known]:
    """The photographs of the shared pack."""
    with (media / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            if not row["path"].startswith("photos/"):
                continue
            path = media / row["path"]
            parts = [part.split() for part in row["expected"].split(";")]
            named = [(part[0], _numbers(part[1:])) for part in parts if len(part) == 5]
            boxes = _by_kind(named)
            seen = NOT_IN_MANIFEST.get(path.name)
            if seen is not None:
                boxes[seen] = (WHOLE,)
            yield Known(path, boxes, has_boxes=seen is None)


def folder_of(wish: str) -> Iterator[Known]:
    """The pictures of `--shows KIND=FOLDER[:EVERY]`."""
    kind, _, place = wish.partition("=")
    if kind not in ("person", "cat", "nothing") or not place:
        raise SystemExit(f"--shows {wish}: expected person=, cat= or nothing= and a folder")
    folder, _, every = place.rpartition(":")
    if not every.isdigit():
        folder, every = place, "1"
    shown: dict[str, tuple[Rect, ...] | None] = {
        one: (WHOLE,) if one == kind else () for one in YOLO.values()
    }
    for path in sorted(Path(folder).rglob("*.jpg"))[:: int(every)]:
        yield Known(path, dict(shown), has_boxes=False)


def _numbers(words: Sequence[str]) -> Rect:
    x, y, width, height = map(float, words)
    return x, y, width, height


def _by_kind(named: Sequence[Named]) -> dict[str, tuple[Rect, ...] | None]:
    return {
        kind: tuple((x - w / 2, y - h / 2, w, h) for name, (x, y, w, h) in named if name == kind)
        for kind in YOLO.values()
    }


def thumbnail(path: Path) -> Pixels | None:
    """The picture as the stage `thumbnails` would show it, `None` for what cannot be read."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        return None
    return shrunk_to(np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8), THUMBNAIL_PX)


@dataclass
class Tally:
    """Right answers among those given and those to be given."""

    name: str
    right: int = 0
    given: int = 0
    found: int = 0
    there: int = 0

    def row(self) -> str:
        """One line of the table."""
        return (
            f"| {self.name} | {_share(self.right, self.given)} | {_share(self.found, self.there)} |"
        )


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    z, share = 1.96, right / count
    middle = share + z * z / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max((middle - reach) / scale, 0.0), min((middle + reach) / scale, 1.0)


def _share(right: int, count: int) -> str:
    low, high = wilson(right, count)
    value = f"{right / count:.3f}" if count else "-"
    return f"{value} ({right} of {count}; {low:.2f}-{high:.2f})"


def judge(known: Sequence[Known], answers: Sequence[list[Box]]) -> list[Tally]:
    """Compare the answers with what the pictures show."""
    tallies = [
        *(_picture_level(kind, known, answers) for kind in YOLO.values()),
        _faces(known, answers),
        _counted("person", known, answers),
        _counted("person", known, answers, least_overlap=0.3),
        _counted("cat", known, answers),
    ]
    return tallies


def _picture_level(kind: str, known: Sequence[Known], answers: Sequence[list[Box]]) -> Tally:
    tally = Tally(f"pictures with a {kind}")
    for picture, boxes in zip(known, answers, strict=True):
        truth = picture.boxes[kind]
        if truth is None:
            continue
        said = any(box.kind == kind for box in boxes)
        tally.given += said
        tally.there += bool(truth)
        tally.right += said and bool(truth)
        tally.found += said and bool(truth)
    return tally


def _faces(known: Sequence[Known], answers: Sequence[list[Box]]) -> Tally:
    """A face is right when its middle lies in a person; no data here has boxes of faces."""
    tally = Tally("face boxes (middle in a person)")
    for picture, boxes in zip(known, answers, strict=True):
        truth = picture.boxes["person"]
        if truth is None or not picture.has_boxes:
            continue
        faces = [box for box in boxes if box.kind == "face"]
        tally.given += len(faces)
        tally.right += sum(any(_has_middle(place, face) for place in truth) for face in faces)
        tally.there += len(truth)
        tally.found += sum(any(_has_middle(place, face) for face in faces) for place in truth)
    return tally


def _counted(
    kind: str, known: Sequence[Known], answers: Sequence[list[Box]], least_overlap: float = 0.0
) -> Tally:
    """Every true box may be found once, by the likeliest answer that fits it."""
    how = f"overlap >= {least_overlap}" if least_overlap else "middle inside"
    tally = Tally(f"{kind} boxes ({how}, each once)")
    for picture, boxes in zip(known, answers, strict=True):
        truth = picture.boxes[kind]
        if truth is None or not picture.has_boxes:
            continue
        free = list(truth)
        for box in (box for box in boxes if box.kind == kind):
            tally.given += 1
            fitting = [place for place in free if _fits(place, box, least_overlap)]
            if fitting:
                free.remove(min(fitting, key=lambda place: place[2] * place[3]))
                tally.right += 1
        tally.there += len(truth)
        tally.found += len(truth) - len(free)
    return tally


def _fits(place: Rect, box: Box, least_overlap: float) -> bool:
    if least_overlap:
        there = (box.left, box.top, box.width, box.height)
        return intersection_over_union(place, there) >= least_overlap
    return _has_middle(place, box)


def _has_middle(place: Rect, box: Box) -> bool:
    x, y = box.left + box.width / 2, box.top + box.height / 2
    return place[0] <= x <= place[0] + place[2] and place[1] <= y <= place[1] + place[3]


def evaluate(known: Sequence[Known], card: ModelCard, *, verbose: bool) -> None:
    """Print precision, recall and time."""
    detector = load(card)
    answers, spent_s = [], 0.0
    for picture in known:
        pixels = thumbnail(picture.path)
        began = time.process_time()
        boxes = [] if pixels is None else detector.infer([detector.prepare(pixels)])[0]
        spent_s += time.process_time() - began
        answers.append(boxes)
        if verbose:
            _say(picture, boxes)
    print(f"\n{len(known)} pictures, {1000 * spent_s / max(len(known), 1):.0f} CPU-ms each\n")
    print(
        "| what | precision (right of given; 95 %) | recall (found of there; 95 %) |\n|---|---|---|"
    )
    for tally in judge(known, answers):
        print(tally.row())


def _say(picture: Known, boxes: list[Box]) -> None:
    truth = {kind: len(places) for kind, places in picture.boxes.items() if places}
    seen = ", ".join(f"{b.kind} {b.probability:.2f}" for b in boxes if b.kind != "face")
    if truth or seen:
        print(f"{picture.path.name}: shows {truth or 'neither'}; found {seen or 'nothing'}")


def samples(known: Sequence[Known]) -> Iterator[Sample]:
    """Every place that the scans propose in pictures whose answer is known."""
    cascades = Cascades()
    for picture in known:
        pixels = thumbnail(picture.path)
        if pixels is None:
            continue
        for candidate in cascades.candidates(luma(pixels)):
            truth = picture.boxes["person" if candidate.kind == "face" else "cat"]
            if truth is not None:
                is_right = any(_is_in(place, candidate, pixels) for place in truth)
                yield Sample(picture.path.name, candidate, is_right)


def _is_in(place: Rect, candidate: Candidate, pixels: Pixels) -> bool:
    height, width = pixels.shape[:2]
    left, top, side, tall = candidate.place
    x, y = (left + side / 2) / width, (top + tall / 2) / height
    return bool(place[0] <= x <= place[0] + place[2] and place[1] <= y <= place[1] + place[3])


def gathered(options: argparse.Namespace) -> list[Known]:
    """The pictures that the options name."""
    known: list[Known] = []
    if options.photos and options.labels:
        known += labelled(options.photos, options.labels)
    elif not options.shows:
        known += from_manifest(SHARED)
    for wish in options.shows:
        known += folder_of(wish)
    held = {p.name for p in options.hold_out.rglob("*")} if options.hold_out else set()
    unknown = set(options.unknown.read_text().split()) if options.unknown else set()
    return [
        Known(one.path, {**one.boxes, "person": None}, one.has_boxes)
        if one.path.name in unknown
        else one
        for one in known
        if one.path.name not in held
    ]


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?", help="folder of JPEG")
    parser.add_argument("--labels", type=Path, help="folder of YOLO label files")
    parser.add_argument("--shows", action="append", default=[], help="KIND=FOLDER[:EVERY]")
    parser.add_argument("--hold-out", type=Path, help="folder whose file names are left out")
    parser.add_argument("--unknown", type=Path, help="file of names whose people are not known")
    parser.add_argument("--card", type=Path, default=CARD, help="card to use")
    parser.add_argument("--fit", action="store_true", help="fit; prints the card's numbers as TOML")
    parser.add_argument("--verbose", action="store_true", help="a line per picture")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    known = gathered(options)
    if options.fit:
        fit(list(samples(known)))
    else:
        evaluate(known, read_card(options.card), verbose=options.verbose)


if __name__ == "__main__":
    main()
