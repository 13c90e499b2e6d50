"""What classifiers share: softmax, labels, the unsafe class. No torch needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.classifying import (
    PictureClassifier,
    PictureSafetyRater,
    labels_of,
    numbered,
    softmax,
)
from media_pipeline.models.protocols import ClassLabel
from media_pipeline_tests.models.checkpoints.vit import CARD, SAFETY_CARD

FOLDER = Path("models/small-vit")

NAMES = [ClassLabel("normal", None), ClassLabel("nsfw", None)]


class FixedSession:
    """Gives the same logits for every picture."""

    def __init__(self, *logits: float) -> None:
        self._logits = np.array(logits, np.float32)

    @property
    def is_parallel(self) -> bool:
        return True

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [np.tile(self._logits, (len(batch), 1))]


def inputs(count: int) -> list[NDArray[np.float32]]:
    return [np.zeros((3, 2, 2), np.float32)] * count


def test_softmax_gives_known_shares() -> None:
    shares = softmax(np.log(np.array([[1, 2, 5], [3, 3, 3]], np.float32)))
    assert shares.dtype == np.float32
    assert np.allclose(shares, [[0.125, 0.25, 0.625], [1 / 3] * 3], atol=1e-7)


def test_softmax_of_large_logits_does_not_overflow() -> None:
    assert np.array_equal(softmax(np.array([[3e38, 0, -3e38]], np.float32)), [[1, 0, 0]])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_softmax_passes_on_what_is_not_finite_in_its_own_row_only(wrong: float) -> None:
    shares = softmax(np.array([[wrong, 0], [1, 1]], np.float32))
    assert np.isnan(shares[0]).all()
    assert np.array_equal(shares[1], [0.5, 0.5])


def test_a_classifier_answers_in_order_of_the_outputs() -> None:
    classifier = PictureClassifier(CARD, NAMES, FixedSession(0.0, np.log(3)))
    answers = classifier.infer(inputs(2))
    assert len(answers) == 2
    assert np.allclose(answers, [[0.25, 0.75]] * 2)
    assert classifier.infer([]) == []
    assert classifier.is_parallel


def test_outputs_that_labels_do_not_cover_are_refused() -> None:
    classifier = PictureClassifier(CARD, NAMES, FixedSession(1, 2, 3))
    with pytest.raises(DamagedWeights, match=r"\(1, 3\).*labels are 2.*models verify small-vit"):
        classifier.infer(inputs(1))


def test_a_safety_rater_gives_the_share_of_its_class() -> None:
    rater = PictureSafetyRater(
        PictureClassifier(SAFETY_CARD, NAMES, FixedSession(0.0, np.log(3))), FOLDER
    )
    assert rater.infer(inputs(2)) == pytest.approx([0.75, 0.75])
    assert rater.infer([]) == []
    assert rater.card is SAFETY_CARD
    assert rater.is_parallel


def test_a_safety_rater_does_not_hide_what_is_not_finite() -> None:
    rater = PictureSafetyRater(
        PictureClassifier(SAFETY_CARD, NAMES, FixedSession(np.nan, 0)), FOLDER
    )
    assert np.isnan(rater.infer(inputs(1))[0])


def test_an_unsafe_class_that_the_checkpoint_lacks_is_refused_with_those_it_has() -> None:
    names = [ClassLabel("sfw", None), ClassLabel("porn", None)]
    with pytest.raises(DamagedWeights, match=r"no class 'nsfw'.*sfw, porn.*models fetch small-nsf"):
        PictureSafetyRater(PictureClassifier(SAFETY_CARD, names, FixedSession(0, 0)), FOLDER)


def test_a_safety_card_must_name_the_unsafe_class() -> None:
    card = SAFETY_CARD.model_copy(update={"parameters": {}})
    with pytest.raises(UsageError, match=r"nsfw_label None in \[parameters\]"):
        PictureSafetyRater(PictureClassifier(card, NAMES, FixedSession(0, 0)), FOLDER)


def test_imagenet_labels_have_synsets() -> None:
    labels = labels_of(imagenet_card(), FOLDER, [""] * 1000)
    assert labels[254] == ClassLabel("pug", "pug.n.01")


def test_imagenet_labels_do_not_fit_another_number_of_classes() -> None:
    with pytest.raises(DamagedWeights, match="has 2 classes, imagenet-1k has 1000"):
        labels_of(imagenet_card(), FOLDER, ["a", "b"])


def test_labels_nobody_knows_are_refused() -> None:
    card = CARD.model_copy(update={"labels": "imagenet-22k"})
    with pytest.raises(UsageError, match="labels 'imagenet-22k': there is 'imagenet-1k'"):
        labels_of(card, FOLDER, ["a"])


def test_class_names_are_taken_in_the_order_of_their_numbers() -> None:
    names = {str(place): f"class {place}" for place in reversed(range(12))}
    assert numbered(names) == [f"class {place}" for place in range(12)]
    assert numbered(["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("wrong", [{"1": "a"}, {"0": "a", "2": "b"}, {}, [], "abc", None, 3])
def test_names_without_places_are_no_names(wrong: object) -> None:
    assert numbered(wrong) == []


def imagenet_card() -> ModelCard:
    return CARD.model_copy(update={"labels": "imagenet-1k"})
