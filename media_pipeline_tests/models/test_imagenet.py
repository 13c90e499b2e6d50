"""The classes of ImageNet-1k."""

from __future__ import annotations

import csv
import re

import pytest

from media_pipeline.models.imagenet import TABLE, imagenet_labels
from media_pipeline.models.protocols import ClassLabel


@pytest.mark.parametrize(
    ("index", "wnid", "concept", "name"),
    [
        (0, "n01440764", "tench.n.01", "tench"),
        (134, "n02012849", "crane.n.05", "crane bird"),
        (254, "n02110958", "pug.n.01", "pug"),
        (281, "n02123045", "tabby.n.01", "tabby cat"),
        (517, "n03126707", "crane.n.04", "crane machine"),
        (638, "n03710637", "maillot.n.02", "maillot tights"),
        (639, "n03710721", "maillot.n.01", "maillot swimsuit"),
        (817, "n04285008", "sports_car.n.01", "sports car"),
        (999, "n15075141", "toilet_tissue.n.01", "toilet paper"),
    ],
)
def test_known_classes_are_in_their_places(index: int, wnid: str, concept: str, name: str) -> None:
    with TABLE.open(encoding="utf-8", newline="") as handle:
        row = list(csv.DictReader(handle))[index]
    assert row == {"index": str(index), "wnid": wnid, "concept": concept, "name": name}
    assert imagenet_labels()[index] == ClassLabel(name, concept)


def test_there_are_1000_classes_with_names_and_synsets_of_their_own() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert len({label.name for label in labels}) == 1000
    assert len({label.concept for label in labels}) == 1000


def test_names_are_lower_case_words_and_concepts_are_noun_synsets() -> None:
    for label in imagenet_labels():
        assert re.fullmatch(r"[a-z][a-z' -]*", label.name), label
        assert re.fullmatch(r"[a-z][a-z'_-]*\.n\.\d\d", label.concept or ""), label


@pytest.mark.slow  # torch is imported
def test_classes_are_in_the_order_of_timm() -> None:
    timm_data = pytest.importorskip("timm.data")
    wnids = timm_data.ImageNetInfo("imagenet-1k").label_names()
    with TABLE.open(encoding="utf-8", newline="") as handle:
        assert [row["wnid"] for row in csv.DictReader(handle)] == list(wnids)
