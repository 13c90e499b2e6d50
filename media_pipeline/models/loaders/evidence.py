"""Where a face may be, and what speaks for it: scans by one cascade, questions to all the others.

A coarse scan of the whole picture proposes places; it is cheap and wrong in nine of ten. Each place
is then cut out at one size and shown to every other cascade: how often each says yes, at how many
sizes and shifts, is the evidence. Nothing is decided here.

Method: Viola and Jones 2001 (cascades of Haar features), Dalal and Triggs 2005 (histograms of
oriented gradients), both in OpenCV with the files in its wheel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from media_pipeline.imaging.geometry import Pixels
from media_pipeline.models.loaders.suppression import Rect, distinct, intersection_over_union
from media_pipeline.models.loaders.views import (
    FACE_PX,
    MARGIN,
    cut_out,
    detail_of,
    from_view,
    grouped,
    halvings,
    mirrored,
    pattern_of,
    scaled,
    tilted,
    view_of,
)

FILES = {
    "default": "frontalface_default",
    "alt": "frontalface_alt",
    "alt2": "frontalface_alt2",
    "strict": "frontalface_alt_tree",
    "profile": "profileface",
    "cat": "frontalcatface",
    "cat_extended": "frontalcatface_extended",
    "eye": "eye",
}
"""Cascades by the name they have here."""

Kind = Literal["face", "cat"]
KINDS: tuple[Kind, ...] = ("face", "cat")


@dataclass(frozen=True)
class Scan:
    """One pass over the picture.

    Attributes:
        kind: What it looks for.
        cascade: Key of FILES.
        smallest_px: Side of the smallest face it finds.
        is_mirrored: Whether it looks at the mirrored picture.
    """

    kind: Kind
    cascade: str
    smallest_px: int
    is_mirrored: bool = False


SCANS = (
    Scan("face", "alt2", 32),
    Scan("face", "profile", 56),
    Scan("face", "profile", 56, is_mirrored=True),  # the cascade knows left profiles only
    Scan("cat", "cat_extended", 56),
)
"""Chosen for what each adds on the photographs of the calibration, per millisecond."""

COARSE_STEP, FINE_STEP = 1.3, 1.12
"""Factors between scales: coarse for the smallest faces, which cost most, and fine for the rest."""

OCTAVE, ROOM = 1.99, 1.15
"""Largest by smallest window of one shrunk picture; how much larger its smallest is than needed."""

CLOSE_UP_SHARE = 0.6
"""Of the short side, the smallest face of a close-up."""

CLOSE_UP_SCAN_PX, CLOSE_UP_LOOK_PX = 38, 72
"""Side of that smallest face while it is looked for and while it is looked at."""

VIEWS_DEG = (-9.0, 0.0, 9.0)
"""Tilts at which close-ups are looked for."""

CENTRED_BY: Mapping[Kind, tuple[str, ...]] = {
    "face": ("default", "alt2"),
    "cat": ("cat", "cat_extended"),
}
"""Cascades whose windows say where exactly a face is; a profile where these see none."""

FACES = ("default", "alt", "alt2", "strict", "profile", "cat", "cat_extended")
"""Cascades that look at every place."""

SMALLEST_AGREEING, LARGEST_AGREEING = (30, 30), (66, 66)
"""Windows that may be about the face in the middle of a place."""

LEAST_HITS = 2
"""Of a fine look, below which a place is dropped: of single ones, one in twenty is right."""

TURNS_DEG = (-8.0, 0.0, 8.0)
"""A cat is still one when its head is tilted a little; what looks like one by chance is not."""

EYES_PX = 96
"""Side that a face is brought to before eyes are looked for in its upper part."""

WORTH_A_BODY = 3
"""Hits of faces from which it is worth looking for a body."""

LEAST_BODY = -1.0
"""Weight of a body from which the HOG detector is listened to."""

HEAD_PX = 13
"""Width of a face whose standing body fills the window of the HOG people detector."""


@dataclass(frozen=True)
class Candidate:
    """A place and what speaks for it.

    Attributes:
        kind: What was looked for.
        place: In pixels of the picture; may reach over its edge.
        evidence: Measures by name; counts as log(1 + count).
        pattern: Brightness, see `views.pattern_of`.
        body: The body below a face, in pixels, `None` where none agrees with it.
    """

    kind: Kind
    place: Rect
    evidence: Mapping[str, float]
    pattern: NDArray[np.float32]
    body: Rect | None = None


class Cascades:
    """OpenCV's detectors, loaded once. Not for two threads at a time: they keep buffers."""

    def __init__(self) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._by_name = {
            name: cv2.CascadeClassifier(str(folder / f"haarcascade_{file}.xml"))
            for name, file in FILES.items()
        }
        self._people = cv2.HOGDescriptor()
        self._people.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def candidates(self, grey: Pixels) -> Iterator[Candidate]:
        """Every place that a scan proposes and a fine look confirms.

        Args:
            grey: uint8, shape (height, width), any size.
        """
        halves = halvings(grey)
        for kind in KINDS:
            found = [self.scan(halves, one) for one in SCANS if one.kind == kind]
            looks = (self._look(grey, kind, place) for place in distinct(np.concatenate(found)))
            yield from (candidate for candidate in looks if candidate is not None)
        yield from self._close_ups(halves)

    def scan(self, halves: list[Pixels], scan: Scan) -> NDArray[np.float64]:
        """Places by one cascade, most often hit first: float64, shape (places, 4), in pixels.

        Octave by octave on a shrunk picture: OpenCV steps by 2 px below twice the window's size
        and by 1 px above, four times the work for places that neighbours would give as well.
        """
        classifier = self._by_name[scan.cascade]
        window_px = classifier.getOriginalWindowSize()[0]
        height, width = halves[0].shape
        smallest_px, step, hits = float(scan.smallest_px), COARSE_STEP, []
        while smallest_px < min(height, width):
            factor = min(1.0, ROOM * window_px / smallest_px)
            octave = scaled(halves, factor)
            if scan.is_mirrored:
                octave = mirrored(octave)
            if min(octave.shape) < window_px:
                break
            least, most = int(smallest_px * factor), int(OCTAVE * window_px)
            found = classifier.detectMultiScale(octave, step, 0, 0, (least, least), (most, most))
            hits += [np.asarray(hit, dtype=np.float64) / factor for hit in found]
            smallest_px, step = smallest_px * OCTAVE / ROOM, FINE_STEP
        places, _ = grouped(hits)
        if scan.is_mirrored:
            places[:, 0] = width - places[:, 0] - places[:, 2]
        return places

    def _close_ups(self, halves: list[Pixels]) -> Iterator[Candidate]:
        """A cat whose face fills the picture or reaches over its edge, upright or tilted."""
        face_px = CLOSE_UP_SHARE * min(halves[0].shape)
        if face_px < CLOSE_UP_SCAN_PX:
            return
        scanned, looked_at = CLOSE_UP_SCAN_PX / face_px, min(1.0, CLOSE_UP_LOOK_PX / face_px)
        small, larger = scaled(halves, scanned), scaled(halves, looked_at)
        for turn_deg in VIEWS_DEG:
            count, place = self._most_hit(view_of(small, turn_deg))
            if count < LEAST_HITS:
                continue
            there = _times(place, looked_at / scanned)
            candidate = self._look(view_of(larger, turn_deg), "cat", there)
            if candidate is not None:
                upright = from_view(candidate.place, larger.shape, turn_deg)
                yield replace(candidate, place=_times(upright, 1 / looked_at))

    def _most_hit(self, view: Pixels) -> tuple[int, Rect]:
        """How often the cat's face that is hit most is hit in a view, and where it is."""
        least = (CLOSE_UP_SCAN_PX, CLOSE_UP_SCAN_PX)
        hits = self._by_name["cat_extended"].detectMultiScale(view, FINE_STEP, 0, 0, least)
        places, counts = grouped([np.asarray(hit, dtype=np.float64) for hit in hits])
        if not len(places):
            return 0, (0.0, 0.0, 1.0, 1.0)
        left, top, width, height = map(float, places[0])
        return int(counts[0]), (left, top, width, height)

    def _look(self, grey: Pixels, kind: Kind, proposed: Rect) -> Candidate | None:
        place = self._centred(grey, kind, proposed)
        if place is None:
            return None
        near = cut_out(grey, place, FACE_PX, MARGIN)
        counts = {name: len(self._agreeing(name, near)) for name in FACES}
        counts["profile"] = max(counts["profile"], len(self._agreeing("profile", mirrored(near))))
        evidence = {name: math.log1p(count) for name, count in counts.items()}
        evidence["frontal"] = min(evidence[name] for name in ("default", "alt", "alt2"))
        evidence["eyes"] = math.log1p(self._eye_pairs(grey, place))
        evidence["detail"] = detail_of(near)
        body = None
        if kind == "cat":
            evidence["turned"] = math.log1p(self._turned(grey, place))
        else:
            evidence["body"] = LEAST_BODY
            if counts["default"] + counts["alt2"] + counts["profile"] >= WORTH_A_BODY:
                evidence["body"], body = self._body(grey, place)
        return Candidate(kind, place, evidence, pattern_of(near), body)

    def _centred(self, grey: Pixels, kind: Kind, place: Rect) -> Rect | None:
        """The place moved to the middle of what a fine look finds there, `None` for nothing."""
        near = cut_out(grey, place, FACE_PX, MARGIN)
        hits = [hit for name in CENTRED_BY[kind] for hit in self._agreeing(name, near)]
        if kind == "face" and not hits:
            hits = self._agreeing("profile", near)
            others = self._agreeing("profile", mirrored(near))
            hits += [(near.shape[1] - x - side, y, side, tall) for x, y, side, tall in others]
        if len(hits) < LEAST_HITS:
            return None
        x, y, side, _ = map(float, np.median(np.asarray(hits, dtype=np.float64), axis=0))
        unit = place[2] / FACE_PX
        left, top = place[0] - MARGIN * place[2], place[1] - MARGIN * place[3]
        return left + x * unit, top + y * unit, side * unit, side * unit

    def _agreeing(self, name: str, near: Pixels) -> list[Rect]:
        """The windows of a cascade that say yes and lie on the place in the middle."""
        margin = MARGIN * FACE_PX
        middle = (margin, margin, float(FACE_PX), float(FACE_PX))
        found = self._by_name[name].detectMultiScale(
            near, 1.08, 0, 0, SMALLEST_AGREEING, LARGEST_AGREEING
        )
        hits = [(float(x), float(y), float(w), float(h)) for x, y, w, h in found]
        return [hit for hit in hits if intersection_over_union(hit, middle) > 0.4]

    def _turned(self, grey: Pixels, place: Rect) -> int:
        """Hits of cats at the place when it is tilted, mirrored, or both."""
        room = 0.6  # for the corners of the tilted square
        wide, edge = cut_out(grey, place, FACE_PX, room), round((room - MARGIN) * FACE_PX)
        count = 0
        for turn_deg in TURNS_DEG:
            turned = np.ascontiguousarray(tilted(wide, turn_deg)[edge:-edge, edge:-edge])
            views = [mirrored(turned), turned] if turn_deg else [mirrored(turned)]
            count += sum(len(self._agreeing(name, v)) for name in CENTRED_BY["cat"] for v in views)
        return count

    def _eye_pairs(self, grey: Pixels, place: Rect) -> int:
        """The lesser of the hits in the left and in the right upper half of a face."""
        upper = cut_out(grey, place, EYES_PX, 0.0)[: 5 * EYES_PX // 8]
        found = self._by_name["eye"].detectMultiScale(upper, 1.1, 0, 0, (20, 20), (42, 42))
        left = sum(x + width / 2 < EYES_PX / 2 for x, _, width, _ in found)
        return int(min(left, len(found) - left))

    def _body(self, grey: Pixels, place: Rect) -> tuple[float, Rect | None]:
        """The best weight of a body whose head is this face, and that body.

        The HOG detector alone is wrong in two of three even where it is surest, so it is asked
        only here. Its window has the person in the middle 66 % and 84 %.
        """
        side_px, head = 176, (88.0, 34.0)
        unit = place[2] / HEAD_PX
        # never smaller than the detector's window of 64 x 128: OpenCV 4.14 crashes there
        around = cut_out(
            grey, _spread(place, head[0] / HEAD_PX, head[1] / HEAD_PX, 142 / HEAD_PX), side_px, 0.0
        )[:, 32:144]
        found, weights = self._people.detectMultiScale(around, LEAST_BODY, (4, 4), (0, 0), 1.1, 0)
        best, body = LEAST_BODY, None
        for (x, y, width, height), weight in zip(found, np.ravel(weights), strict=True):
            is_above = abs(x + width / 2 - 56) < 0.12 * width
            is_head = abs(y + 0.19 * height - head[1]) < 0.06 * height
            if is_above and is_head and weight > best:
                left = place[0] + place[2] / 2 + (x + 0.17 * width - 56) * unit
                top = place[1] + place[3] / 2 + (y + 0.08 * height - head[1]) * unit
                best, body = float(weight), (left, top, 0.66 * width * unit, 0.84 * height * unit)
        return best, body


def _times(place: Rect, factor: float) -> Rect:
    left, top, width, height = place
    return left * factor, top * factor, width * factor, height * factor


def _spread(place: Rect, left: float, above: float, below: float) -> Rect:
    """The square that reaches that many face widths from the middle of the face."""
    unit = place[2]
    middle_x, middle_y = place[0] + place[2] / 2, place[1] + place[3] / 2
    side = (above + below) * unit
    return middle_x - left * unit, middle_y - above * unit, side, side
