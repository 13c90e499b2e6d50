"""People and cats by the detectors in OpenCV's wheel: no download, no GPU, precision before recall.

What is found, and what a box means:

- `face`: a human face, from the front or the side.
- `person`: every face belongs to one person and every person has one face (`part_of` of the face
  is the person's place in the answer), so the persons are the people that can be counted. The box
  is what was seen of them: the standing body where the HOG detector finds one under the face,
  otherwise the face itself. No box is guessed. A body without a face is not reported: where the
  HOG detector is surest it is still wrong in two of three photographs, on kangaroos and lamps.
- `cat`: the face of a cat; cats from behind or lying on their side are not found.

So an answer without a person does not say that nobody is there: it is a person from behind, in the
distance (faces below 32 px of 512), bowed, masked or in the dark. Every place that a scan proposes
is weighed by a logistic model over the evidence (`evidence`), its weights and thresholds are in
the card, and `benchmarks/detection.py` fits them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from media_pipeline.errors import ShapeError, UsageError
from media_pipeline.imaging.geometry import Pixels, luma, shrunk_to
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.evidence import Candidate, Cascades
from media_pipeline.models.loaders.suppression import Rect, clipped, strongest
from media_pipeline.models.loaders.views import SHADES
from media_pipeline.models.protocols import Box, Input

PATTERN = SHADES * SHADES // 2


class Weights(BaseModel):
    """The logistic model of one kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_probability: float = Field(ge=0, le=1, description="Below it nothing is reported.")
    bias: float = Field(description="Score without any evidence.")
    evidence: Mapping[str, float] = Field(description="Weight by name of the evidence.")
    pattern: Annotated[tuple[float, ...], Field(min_length=PATTERN, max_length=PATTERN)] = Field(
        description="Weights of the brightness pattern."
    )


class Parameters(BaseModel):
    """What the card says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    long_side_px: int = Field(ge=64, description="Larger pictures are shrunk to it.")
    body_weight: float = Field(description="Weight from which a body under a face is its box.")
    face: Weights
    cat: Weights


def load(card: ModelCard) -> CascadeDetector:
    """The detector of a card.

    Raises:
        UsageError: The card's parameters are not what this loader takes, or it has no calibration.
    """
    try:
        parameters = Parameters.model_validate(dict(card.parameters))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("parameters", *first["loc"])))
        raise UsageError(
            f"card {card.id!r}: {where} is {first['input']!r}: {first['msg']}; copy it from "
            "`opencv-people-cats.toml`"
        ) from error
    missing = sorted({"face", "cat"} - set(card.calibration))
    if missing and "any" not in card.calibration:
        raise UsageError(
            f"card {card.id!r} has no [calibration.{missing[0]}]: fit one with "
            "`python -m benchmarks.detection --fit`"
        )
    return CascadeDetector(card, parameters)


class CascadeDetector:
    """A `Detector`; see the module's docstring for what its boxes mean."""

    is_parallel = True

    def __init__(self, card: ModelCard, parameters: Parameters) -> None:
        self.card = card
        self._parameters = parameters
        self._of_thread = threading.local()  # cascades keep buffers: every thread has its own

    def prepare(self, image: Pixels) -> Input:
        """Luma at the size that is looked at: uint8, shape (height, width).

        Raises:
            ShapeError: `image` is not (height, width, 3) uint8 with at least one pixel.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ShapeError(
                f"{self.card.id}: got an image of shape {image.shape} and dtype {image.dtype}; "
                "expected (height, width, 3) uint8 with at least one pixel"
            )
        return luma(np.ascontiguousarray(shrunk_to(image, self._parameters.long_side_px)))

    def infer(self, inputs: Sequence[Input]) -> list[list[Box]]:
        """Boxes of every picture, likeliest first; a face right after its person."""
        return [self._boxes(grey) for grey in inputs]

    def candidates(self, grey: NDArray[np.uint8]) -> list[Candidate]:
        """Every place that was weighed; what the weights are fitted on."""
        if not hasattr(self._of_thread, "cascades"):
            self._of_thread.cascades = Cascades()
        cascades: Cascades = self._of_thread.cascades
        return list(cascades.candidates(grey))

    def _boxes(self, grey: NDArray[np.uint8]) -> list[Box]:
        found = [(self._score(one), one) for one in self.candidates(grey)]
        likely = [(score, one) for score, one in found if self._is_likely(score, one)]
        kept = strongest(
            [one.place for _, one in likely],
            [self._probability(score, one) for score, one in likely],
        )
        height, width = grey.shape
        answer: list[Box] = []
        for score, one in (likely[number] for number in kept):
            seen = {"score": score, "probability": self._probability(score, one)}
            face = _box(one.kind, one.place, (width, height), **seen)
            if one.kind == "face":
                person = _box("person", self._extent(one), (width, height), **seen)
                answer += [person, _part_of(face, len(answer))]
            else:
                answer.append(face)
        return answer

    def _score(self, candidate: Candidate) -> float:
        return score_of(candidate, getattr(self._parameters, candidate.kind))

    def _probability(self, score: float, candidate: Candidate) -> float:
        probability = self.card.probability(score, candidate.kind)
        return 0.0 if probability is None else probability  # load() saw to a calibration

    def _is_likely(self, score: float, candidate: Candidate) -> bool:
        weights: Weights = getattr(self._parameters, candidate.kind)
        return self._probability(score, candidate) >= weights.least_probability

    def _extent(self, face: Candidate) -> Rect:
        """What was seen of the person: the body with its face, or the face."""
        if face.body is None or face.evidence["body"] < self._parameters.body_weight:
            return face.place
        return _around(face.body, face.place)


def score_of(candidate: Candidate, weights: Weights) -> float:
    """The weighted evidence of a place: a log-odds, not yet calibrated."""
    named = sum(
        weight * candidate.evidence.get(name, 0.0) for name, weight in weights.evidence.items()
    )
    return float(weights.bias + named + candidate.pattern @ np.asarray(weights.pattern))


def _box(kind: str, place: Rect, size: tuple[int, int], **seen: Any) -> Box:
    return Box(kind, *clipped(place, *size), **seen)


def _part_of(face: Box, person: int) -> Box:
    values = {name: getattr(face, name) for name in ("left", "top", "width", "height")}
    return Box("face", **values, score=face.score, probability=face.probability, part_of=person)


def _around(one: Rect, other: Rect) -> Rect:
    left, top = min(one[0], other[0]), min(one[1], other[1])
    right = max(one[0] + one[2], other[0] + other[2])
    bottom = max(one[1] + one[3], other[1] + other[3])
    return left, top, right - left, bottom - top
