"""RT-DETR v2: people and animals with their boxes (Lv et al. 2024), of the 80 kinds of COCO.

Reads   config.json, model.safetensors of the card's folder
Writes  nothing
Cost    ResNet-18 at 640 px: about 60 GFLOP per picture
Fails   `MissingWeights`, `DamagedWeights`; a picture with non-finite outputs gives one box of NaN
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.embedding import preprocessing_of
from media_pipeline.models.loaders.pretrained import damaged, load_model, read_config
from media_pipeline.models.preprocess import prepare
from media_pipeline.models.protocols import Box, Input, Pixels

if TYPE_CHECKING:
    import torch

    from media_pipeline.models.sessions import Session

MODEL_TYPE = "rt_detr_v2"

KINDS: Mapping[str, str] = {
    name: name
    for name in (
        "person",
        "bird",
        "cat",
        "dog",
        "horse",
        "sheep",
        "cow",
        "elephant",
        "bear",
        "zebra",
        "giraffe",
    )
}
"""Names of COCO's classes that are people or animals, and what we call them."""

SCORE_THRESHOLD = 0.5
"""The library's default of `post_process_object_detection`."""

SAME_THING_IOU = 0.9
"""Two boxes of one kind that overlap more are the same thing: queries now and then agree."""


def build_module(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The detector: (n, 3, H, W) float32 -> (logits, boxes).

    Logits are float32, shape (n, queries, classes); boxes float32, shape (n, queries, 4), as
    centre x, centre y, width, height in fractions of the picture.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The checkpoint is not whole, or of another architecture.
    """
    import torch
    from transformers import RTDetrV2ForObjectDetection

    read_config(card, folder, MODEL_TYPE)

    class Detector(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            with exportable() if torch.compiler.is_exporting() else nullcontext():
                found = self.model(pixel_values=pixel_values)
            return found.logits, found.pred_boxes

    return Detector(load_model(card, folder, RTDetrV2ForObjectDetection)).eval()


@contextmanager
def exportable() -> Iterator[None]:
    """The library's forward pass without what keeps it from being exported.

    It takes the size of the batch by `len`, which fixes that size in the export, and checks shapes
    by an operator that ONNX does not have. Both names are replaced in the library's own module
    while an export is traced, and are put back.
    """
    from transformers.models.rt_detr_v2 import modeling_rt_detr_v2

    names = vars(modeling_rt_detr_v2)
    replaced = {"len": _length, "torch_compilable_check": _unchecked}
    before = {name: names[name] for name in replaced if name in names}
    names.update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            names.pop(name, None)
        names.update(before)


def _length(value: Any) -> Any:
    """Like `len`, but symbolic for a tensor."""
    return value.shape[0] if hasattr(value, "shape") else len(value)


def _unchecked(*_args: Any, **_keywords: Any) -> None:
    """Instead of a check of shapes that are fixed by the card anyway."""


def adapter(card: ModelCard, folder: Path, session: Session) -> BoxDetector:
    """The `Detector` over a session that runs the module.

    Raises:
        MissingWeights: There is no config.json.
        DamagedWeights: It is damaged, or of another architecture.
        UsageError: The card's preprocessing, kinds or threshold cannot be meant.
    """
    labels = _labels(card, folder, read_config(card, folder, MODEL_TYPE))
    return BoxDetector(card, _kinds(card, labels), session)


def _labels(card: ModelCard, folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Names of the classes in the order of the outputs."""
    named = config.get("id2label")
    if not isinstance(named, dict) or not named:
        raise damaged(card, folder, "config.json has no id2label")
    try:
        return [str(named[str(number)]) for number in range(len(named))]
    except KeyError as error:
        raise damaged(card, folder, f"config.json has an id2label without {error}") from error


def _kinds(card: ModelCard, labels: Sequence[str]) -> list[str | None]:
    """What we call each class, `None` for those we leave out."""
    wanted = card.parameters.get("kinds", {n: k for n, k in KINDS.items() if n in labels})
    if not isinstance(wanted, Mapping) or not wanted:
        raise UsageError(
            f"the card {card.id!r} keeps no class: name some of {', '.join(labels[:5])}, ... in "
            '[parameters.kinds], as in person = "person"'
        )
    unknown = sorted(set(wanted) - set(labels))
    if unknown:
        raise UsageError(
            f"the card {card.id!r} names the class {unknown[0]!r} in [parameters.kinds], which "
            f"its checkpoint does not have: it has {', '.join(labels)}"
        )
    return [str(wanted[name]) if name in wanted else None for name in labels]


class BoxDetector:
    """A `Detector` over a session that gives logits and boxes per query.

    Args:
        card: What it is; `parameters.score_threshold` is the score above which a box counts.
        kinds: What each class is called, in the order of the outputs; `None` leaves it out.
        session: Runs the module that the loader builds.

    Raises:
        UsageError: The card has no preprocessing, or a threshold outside [0, 1].
    """

    def __init__(self, card: ModelCard, kinds: Sequence[str | None], session: Session) -> None:
        self._card = card
        self._kinds = kinds
        self.session = session
        self._how = preprocessing_of(card)
        threshold = card.parameters.get("score_threshold", SCORE_THRESHOLD)
        if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise UsageError(
                f"the card {card.id!r} has score_threshold {threshold!r}: give one in [0, 1]"
            )
        self._threshold = float(threshold)

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self._card

    @property
    def is_parallel(self) -> bool:
        """Whether the session may be asked by several threads at once."""
        return self.session.is_parallel

    def prepare(self, image: Pixels) -> Input:
        """float32, shape (3, height, width), normalised as the card says.

        Raises:
            ShapeError: `image` is not (height, width, 3) uint8 with at least one pixel.
        """
        return prepare(image, self._how, offset="floor")

    def infer(self, inputs: Sequence[Input]) -> list[list[Box]]:
        """The people and animals of each picture, likeliest first.

        A picture for which the model gave non-finite numbers has one box, all of NaN.

        Raises:
            OutOfDeviceMemory: The batch was too large.
            ModelError: The device failed.
            DamagedWeights: The model gives another number of classes than its config says.
        """
        if not inputs:
            return []
        logits, boxes = self.session.run(np.stack(inputs))
        if logits.shape[-1] != len(self._kinds):
            raise DamagedWeights(
                f"{self._card.id!r} gives {logits.shape[-1]} classes, its config.json names "
                f"{len(self._kinds)}: run `media-pipeline models verify {self._card.id}`"
            )
        return [self._boxes(*one) for one in zip(logits, boxes, strict=True)]

    def _boxes(self, logits: NDArray[np.float32], places: NDArray[np.float32]) -> list[Box]:
        if not (np.isfinite(logits).all() and np.isfinite(places).all()):
            return [_no_answer(next(kind for kind in self._kinds if kind is not None))]
        corners = corners_in_picture(places)
        found: list[Box] = []
        for query, number, score in best_pairs(logits):
            kind = self._kinds[number]
            if score <= self._threshold:
                break
            if kind is not None:
                box = self._box(kind, corners[query], score)
                if box.width > 0 and box.height > 0 and not _is_repeated(box, found):
                    found.append(box)
        # Calibration may differ between kinds and so change the order.
        return sorted(found, key=lambda box: -_likelihood(box))

    def _box(self, kind: str, corners: NDArray[np.float64], score: float) -> Box:
        left, top, right, bottom = (float(edge) for edge in corners)
        return Box(
            kind=kind,
            left=left,
            top=top,
            width=right - left,
            height=bottom - top,
            score=score,
            probability=self._card.probability(score, kind),
        )


def best_pairs(logits: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """The best pairs of query and class, as many as there are queries, best first.

    This is `post_process_object_detection` of the library with `use_focal_loss`: a query may
    appear with several classes.

    Args:
        logits: float32, shape (queries, classes), finite.

    Returns:
        Query, class and score (sigmoid of the logit, in [0, 1]) of each.
    """
    queries, classes = logits.shape
    flat = logits.ravel().astype(np.float64)
    chosen = np.sort(np.argpartition(-flat, queries - 1)[:queries])
    ordered = chosen[np.argsort(-flat[chosen], kind="stable")]
    with np.errstate(over="ignore"):
        scores = 1 / (1 + np.exp(-flat[ordered]))
    return [
        (int(place) // classes, int(place) % classes, float(score))
        for place, score in zip(ordered, scores, strict=True)
    ]


def corners_in_picture(places: NDArray[np.float32]) -> NDArray[np.float64]:
    """Boxes as left, top, right, bottom, cut off at the picture's edges.

    Args:
        places: float32, shape (boxes, 4): centre x, centre y, width, height in fractions.

    Returns:
        float64, shape (boxes, 4), in [0, 1].
    """
    centres = places[:, :2].astype(np.float64)
    halves = places[:, 2:].astype(np.float64) / 2
    corners: NDArray[np.float64] = np.concatenate([centres - halves, centres + halves], axis=1)
    return corners.clip(0, 1)


def overlap(one: Box, other: Box) -> float:
    """Area of the intersection of two boxes over that of their union, in [0, 1]."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    together = one.width * one.height + other.width * other.height - shared
    return shared / together if together > 0 else 0.0


def _is_repeated(box: Box, found: Sequence[Box]) -> bool:
    return any(box.kind == one.kind and overlap(box, one) > SAME_THING_IOU for one in found)


def _likelihood(box: Box) -> float:
    return box.score if box.probability is None else box.probability


def _no_answer(kind: str) -> Box:
    nan = float("nan")
    return Box(kind, nan, nan, nan, nan, score=nan)
