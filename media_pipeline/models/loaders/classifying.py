"""Pictures to softmax outputs over named classes: what the loaders of classifiers share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.imagenet import imagenet_labels
from media_pipeline.models.loaders.embedding import preprocessing_of
from media_pipeline.models.loaders.pretrained import damaged
from media_pipeline.models.preprocess import prepare
from media_pipeline.models.protocols import ClassLabel, Input, Pixels

if TYPE_CHECKING:
    from media_pipeline.models.sessions import Session

IMAGENET = "imagenet-1k"
"""`labels` of a card whose classes are ours, with synsets."""

NSFW_LABEL = "nsfw_label"
"""Parameter of a safety card: the checkpoint's class whose probability is the answer."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities along the last axis, computed in float64; rows that are not finite become NaN.

    Args:
        logits: float32, shape (..., classes).

    Returns:
        float32, the same shape, in [0, 1], rows of sum 1.
    """
    exact = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf: the row is NaN, and modelwork says so
        powers = np.exp(exact - exact.max(axis=-1, keepdims=True))
        shares: NDArray[np.float32] = (powers / powers.sum(axis=-1, keepdims=True)).astype(
            np.float32
        )
    return shares


def labels_of(card: ModelCard, folder: Path, names: Sequence[str]) -> tuple[ClassLabel, ...]:
    """The classes of a checkpoint: ours where the card says so, else as the checkpoint names them.

    Args:
        card: Whose `labels` decide.
        folder: Where the checkpoint lies, for messages.
        names: One per output, as the checkpoint has them.

    Raises:
        UsageError: The card names labels that do not exist.
        DamagedWeights: The checkpoint has another number of classes than the labels.
    """
    if not card.labels:
        return tuple(ClassLabel(name, None) for name in names)
    if card.labels != IMAGENET:
        raise UsageError(
            f"the card {card.id!r} has labels {card.labels!r}: there is {IMAGENET!r}, or leave it "
            "out to take the names in the checkpoint"
        )
    labels = imagenet_labels()
    if len(names) != len(labels):
        raise damaged(
            card, folder, f"config.json has {len(names)} classes, {IMAGENET} has {len(labels)}"
        )
    return labels


def numbered(names: object) -> list[str]:
    """Class names of a config, a list or an object with the keys "0", "1", ...; else none."""
    if isinstance(names, dict):
        places = [str(place) for place in range(len(names))]
        names = [names[place] for place in places] if set(places) == set(names) else []
    return [str(name) for name in names] if isinstance(names, list) else []


class PictureClassifier:
    """A `Classifier` over a session that gives logits.

    Args:
        card: What it is.
        labels: One per output.
        session: Runs the module that the loader builds.

    Raises:
        UsageError: The card has no preprocessing.
    """

    def __init__(self, card: ModelCard, labels: Sequence[ClassLabel], session: Session) -> None:
        self._card = card
        self._labels = tuple(labels)
        self.session = session
        self._how = preprocessing_of(card)

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self._card

    @property
    def labels(self) -> Sequence[ClassLabel]:
        """Name and concept of every class, in the order of the outputs."""
        return self._labels

    @property
    def is_parallel(self) -> bool:
        """Whether the session may be asked by several threads at once."""
        return self.session.is_parallel

    def prepare(self, image: Pixels) -> Input:
        """float32, shape (3, height, width), normalised as the card says.

        Raises:
            ShapeError: `image` is not (height, width, 3) uint8 with at least one pixel.
        """
        return prepare(image, self._how)

    def infer(self, inputs: Sequence[Input]) -> list[NDArray[np.float32]]:
        """The softmax output per input: float32, shape (classes,); NaN where the model gave none.

        Raises:
            OutOfDeviceMemory: The batch was too large.
            ModelError: The device failed.
            DamagedWeights: The model has another number of outputs than there are labels.
        """
        if not inputs:
            return []
        logits = self.session.run(np.stack(inputs))[0]
        if logits.shape != (len(inputs), len(self._labels)):
            raise DamagedWeights(
                f"{self._card.id!r} gave outputs of shape {logits.shape} for {len(inputs)} "
                f"pictures, its labels are {len(self._labels)}: run `media-pipeline models verify "
                f"{self._card.id}`, then `media-pipeline models export {self._card.id}`"
            )
        return list(softmax(logits))


class PictureSafetyRater:
    """A `SafetyRater`: the probability of one class of a classifier.

    Args:
        classifier: Of a card whose parameters name the class.
        folder: Where the checkpoint lies, for messages.

    Raises:
        UsageError: The card does not name the class.
        DamagedWeights: The checkpoint has no such class.
    """

    def __init__(self, classifier: PictureClassifier, folder: Path) -> None:
        self._classifier = classifier
        wanted = classifier.card.parameters.get(NSFW_LABEL)
        if not isinstance(wanted, str):
            raise UsageError(
                f"the card {classifier.card.id!r} has {NSFW_LABEL} {wanted!r} in [parameters]: "
                "name the checkpoint's class for what is unsafe, such as 'nsfw'"
            )
        names = [label.name for label in classifier.labels]
        if wanted not in names:
            raise damaged(
                classifier.card,
                folder,
                f"no class {wanted!r} in config.json, its labels are {', '.join(names)}",
            )
        self._place = names.index(wanted)

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self._classifier.card

    @property
    def session(self) -> Session:
        """What runs the module."""
        return self._classifier.session

    @property
    def is_parallel(self) -> bool:
        """Whether the session may be asked by several threads at once."""
        return self._classifier.is_parallel

    def prepare(self, image: Pixels) -> Input:
        """See `PictureClassifier.prepare`."""
        return self._classifier.prepare(image)

    def infer(self, inputs: Sequence[Input]) -> list[float]:
        """The probability of the class per input, in [0, 1]; NaN where the model gave none.

        Raises:
            OutOfDeviceMemory: The batch was too large.
            ModelError: The device failed.
        """
        return [float(shares[self._place]) for shares in self._classifier.infer(inputs)]
