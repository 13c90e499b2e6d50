"""Embedded detection: known photographs, hostile shapes, threads, and precision on real photos."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from media_pipeline.errors import ShapeError, UsageError
from media_pipeline.imaging.geometry import Pixels, shrunk_to
from media_pipeline.models.cards import SHIPPED, Calibration, ModelCard, read_card
from media_pipeline.models.loaders.cascades import CascadeDetector, Weights, load, score_of
from media_pipeline.models.loaders.evidence import Candidate
from media_pipeline.models.loaders.suppression import (
    clipped,
    coverage,
    distinct,
    intersection_over_union,
    strongest,
)
from media_pipeline.models.loaders.views import (
    FACE_PX,
    MARGIN,
    SHADES,
    cut_out,
    from_view,
    halvings,
    pattern_of,
    scaled,
    view_of,
)
from media_pipeline.models.protocols import Box

SHOWS_PEOPLE_TOO = {"raccoon-19.jpg", "raccoon-167.jpg"}
"""Looked at: a man under a raccoon and a hand with a bottle, which the manifest does not name."""


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_card(SHIPPED / "opencv-people-cats.toml")


@pytest.fixture(scope="module")
def detector(card: ModelCard) -> CascadeDetector:
    return load(card)


def photograph(name: str, long_side_px: int = 512) -> Pixels:
    """One of scikit-image's photographs at the size of a thumbnail."""
    path = Path(skimage.data.__file__).with_name(name)
    return shrunk_to(np.asarray(Image.open(path).convert("RGB")), long_side_px)


def boxes_of(detector: CascadeDetector, image: Pixels) -> list[Box]:
    return detector.infer([detector.prepare(image)])[0]


def kinds(boxes: Iterable[Box]) -> list[str]:
    return sorted(box.kind for box in boxes)


def middle(box: Box) -> tuple[float, float]:
    return box.left + box.width / 2, box.top + box.height / 2


def test_the_astronaut_is_one_person_with_one_face(detector: CascadeDetector) -> None:
    boxes = boxes_of(detector, photograph("astronaut.png"))
    assert kinds(boxes) == ["face", "person"]
    x, y = middle(next(box for box in boxes if box.kind == "face"))
    assert x == pytest.approx(0.44, abs=0.05)  # her nose is at (224, 120) of 512 x 512
    assert y == pytest.approx(0.23, abs=0.06)


def test_a_face_names_its_person_and_lies_in_it(detector: CascadeDetector) -> None:
    boxes = boxes_of(detector, photograph("astronaut.png"))
    face = next(box for box in boxes if box.kind == "face")
    assert face.part_of is not None
    person = boxes[face.part_of]
    x, y = middle(face)
    assert person.kind == "person"
    assert person.left <= x <= person.left + person.width
    assert person.top <= y <= person.top + person.height
    assert person.probability == face.probability
    assert person.height > 3 * face.height, "the body below her face was not taken"


def test_chelsea_is_a_cat_and_no_person(detector: CascadeDetector) -> None:
    boxes = boxes_of(detector, photograph("chelsea.png"))
    assert kinds(boxes) == ["cat"]
    assert boxes[0].probability is not None
    assert boxes[0].probability >= 0.7
    assert boxes[0].part_of is None


@pytest.mark.parametrize("name", ["coffee.png", "motorcycle_left.png", "rocket.jpg", "brick.png"])
def test_things_are_neither_people_nor_cats(detector: CascadeDetector, name: str) -> None:
    assert boxes_of(detector, photograph(name)) == []


@pytest.mark.parametrize(("name", "kind"), [("astronaut.png", "person"), ("chelsea.png", "cat")])
def test_the_mirrored_and_the_half_size_picture_show_the_same(
    detector: CascadeDetector, name: str, kind: str
) -> None:
    whole = photograph(name)
    mirrored = np.ascontiguousarray(whole[:, ::-1])
    half = shrunk_to(whole, 256)
    for image in (mirrored, half):
        assert [box.kind for box in boxes_of(detector, image) if box.kind != "face"] == [kind]
    before = boxes_of(detector, whole)[0]
    after = boxes_of(detector, mirrored)[0]
    assert 1 - middle(before)[0] == pytest.approx(middle(after)[0], abs=0.05)


def test_a_grey_photograph_shows_the_same_as_its_colours(detector: CascadeDetector) -> None:
    colour = photograph("astronaut.png")
    grey = cv2.cvtColor(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert boxes_of(detector, grey.astype(np.uint8)) == boxes_of(detector, colour)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 10_000), (10_000, 1), (2, 3), (20, 20), (33, 33), (40, 512), (512, 40)]
)
def test_pictures_of_any_shape_without_anybody_give_no_boxes(
    detector: CascadeDetector, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    for image in (np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8), noise):
        assert boxes_of(detector, image) == []


def test_noise_and_gradients_are_nobody(detector: CascadeDetector) -> None:
    rng = np.random.default_rng(5)
    fine = rng.integers(0, 256, (384, 512, 3), dtype=np.uint8)
    coarse = cv2.resize(fine[:24, :32], (512, 384), interpolation=cv2.INTER_CUBIC)
    slope = np.repeat(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], 384, axis=0)
    for image in (fine, coarse.astype(np.uint8), np.repeat(slope, 3, axis=2)):
        assert boxes_of(detector, image) == []


def test_a_face_at_the_edge_keeps_its_box_inside_the_picture(detector: CascadeDetector) -> None:
    whole = photograph("astronaut.png")
    for image in (whole[60:], whole[:, 165:], whole[:170], whole[70:175, 170:280]):
        for box in boxes_of(detector, np.ascontiguousarray(image)):
            assert 0 <= box.left <= box.left + box.width <= 1 + 1e-9
            assert 0 <= box.top <= box.top + box.height <= 1 + 1e-9


def test_the_likeliest_comes_first_and_a_batch_answers_in_order(detector: CascadeDetector) -> None:
    astronaut, cat = photograph("astronaut.png"), photograph("chelsea.png")
    small = shrunk_to(astronaut, 256)
    twins = np.concatenate([small, small[:, ::-1]], axis=1)
    boxes = boxes_of(detector, twins)
    assert [box.kind for box in boxes] == ["person", "face", "person", "face"]
    assert [box.part_of for box in boxes] == [None, 0, None, 2]
    probabilities = [box.probability or 0.0 for box in boxes]
    assert probabilities == sorted(probabilities, reverse=True)
    inputs = [detector.prepare(image) for image in (twins, cat, np.zeros((9, 9, 3), np.uint8))]
    assert [kinds(one) for one in detector.infer(inputs)] == [kinds(boxes), ["cat"], []]
    assert detector.infer([]) == []


@pytest.mark.slow
def test_threads_give_the_answers_of_one_thread(detector: CascadeDetector) -> None:
    names = ["astronaut.png", "chelsea.png", "coffee.png"] * 4
    inputs = [detector.prepare(photograph(name, 384)) for name in names]
    alone = detector.infer(inputs)
    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(lambda one: detector.infer([one])[0], inputs))
    assert detector.is_parallel
    assert together == alone


def test_a_picture_of_any_size_is_looked_at_as_its_thumbnail(detector: CascadeDetector) -> None:
    large = photograph("chelsea.png", 4000)
    assert detector.prepare(cv2.resize(large, (1353, 900)).astype(np.uint8)).shape == (341, 512)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_another_shape_or_dtype_is_refused(detector: CascadeDetector, image: Pixels) -> None:
    with pytest.raises(ShapeError, match="expected"):
        detector.prepare(image)


def test_a_card_with_wrong_parameters_says_which(card: ModelCard) -> None:
    broken = card.model_copy(update={"parameters": {**card.parameters, "body_weight": "much"}})
    with pytest.raises(UsageError, match=r"parameters\.body_weight is 'much'"):
        load(broken)


def test_a_card_without_calibration_is_refused(card: ModelCard) -> None:
    with pytest.raises(UsageError, match=r"no \[calibration\.cat\]"):
        load(card.model_copy(update={"calibration": {"face": Calibration(slope=1, offset=0)}}))


def test_a_higher_limit_reports_less(card: ModelCard) -> None:
    parameters = {**card.parameters, "cat": {**card.parameters["cat"], "least_probability": 1.0}}
    strict = load(card.model_copy(update={"parameters": parameters}))
    assert boxes_of(strict, photograph("chelsea.png")) == []


def test_the_score_is_the_weighted_sum_of_the_evidence() -> None:
    pattern = np.arange(SHADES * SHADES // 2, dtype=np.float32)
    weights = Weights(
        least_probability=0.5,
        bias=-1,
        evidence={"alt": 2.0, "unasked": 5.0},
        pattern=tuple(0.5 if place == 3 else 0.0 for place in range(len(pattern))),
    )
    candidate = Candidate("face", (0, 0, 1, 1), {"alt": 1.5, "eyes": 9.0}, pattern)
    assert score_of(candidate, weights) == pytest.approx(-1 + 2 * 1.5 + 0.5 * 3)


def test_a_place_is_cut_out_at_its_size_and_the_edge_goes_on() -> None:
    grey = np.zeros((50, 100), np.uint8)
    grey[:, 50:] = 200
    inside = cut_out(grey, (40.0, 10.0, 20.0, 20.0), 40, 0.0)
    assert inside.shape == (40, 40)
    assert inside[:, :18].max() == 0
    assert inside[:, 22:].min() == 200
    beyond = cut_out(grey, (90.0, 40.0, 20.0, 20.0), 20, 0.5)
    assert beyond.shape == (40, 40)
    assert beyond.min() == 200


def test_the_pattern_is_symmetric_and_blind_to_contrast() -> None:
    side = round(FACE_PX * (1 + 2 * MARGIN))
    image = np.random.default_rng(1).integers(60, 120, (side, side), dtype=np.uint8)
    pattern = pattern_of(image)
    assert pattern.shape == (SHADES * SHADES // 2,)
    np.testing.assert_allclose(pattern_of(np.ascontiguousarray(image[:, ::-1])), pattern, atol=1e-5)
    assert float(np.abs(pattern_of(np.full_like(image, 90))).max()) < 1e-4


def test_a_spot_in_a_tilted_view_is_found_back_in_the_picture() -> None:
    picture = np.zeros((80, 120), np.uint8)
    picture[28:33, 88:93] = 255
    view = view_of(picture, 12.0)
    y, x = (float(values.mean()) for values in np.nonzero(view > 128))
    left, top, width, height = from_view((x - 5, y - 5, 10, 10), picture.shape, 12.0)
    assert (left + width / 2, top + height / 2) == pytest.approx((90, 30), abs=1.0)
    assert view.shape == (80 + 2 * 36, 120 + 2 * 36)


def test_a_shrunk_picture_has_the_brightness_of_the_whole() -> None:
    picture = np.repeat(np.arange(200, dtype=np.uint8)[None], 100, axis=0)
    for scale in (1.0, 0.7, 0.3, 0.1):
        small = scaled(halvings(picture), scale)
        assert small.shape == (round(100 * scale), round(200 * scale))
        assert float(small.mean()) == pytest.approx(float(picture.mean()), abs=2)


def test_overlap_has_its_known_values() -> None:
    assert intersection_over_union((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(1 / 3)
    assert coverage((0, 0, 4, 4), (1, 1, 1, 1)) == 1
    assert intersection_over_union((0, 0, 1, 1), (5, 5, 1, 1)) == 0
    assert coverage((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_of_boxes_on_one_spot_the_strongest_stays() -> None:
    boxes = [(0, 0, 10, 10), (1, 1, 8, 8), (30, 0, 10, 10)]
    assert strongest(boxes, [0.5, 0.9, 0.7]) == [1, 2]
    assert strongest([], []) == []


def test_proposals_of_one_place_become_one() -> None:
    places = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 10, 10]], dtype=np.float64)
    assert distinct(places) == [(0, 0, 10, 10), (50, 50, 10, 10)]


def test_a_box_is_clipped_to_fractions_of_the_picture() -> None:
    assert clipped((-10, 50, 60, 100), 100, 100) == (0, 0.5, 0.5, 0.5)
    assert clipped((200, 200, 10, 10), 100, 100) == (1, 1, 0, 0)


@pytest.mark.slow
def test_people_found_on_real_photographs_are_people(
    detector: CascadeDetector, shared_media: Path
) -> None:
    with (shared_media / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["path"].startswith("photos/")]
    if not rows:
        pytest.skip("the manifest beside this checkout names no photos")
    right: list[str] = []
    wrong: list[str] = []
    for row in rows:
        path = shared_media / row["path"]
        image = shrunk_to(np.asarray(Image.open(path).convert("RGB")), 512)
        shows_people = "person" in row["expected"] or path.name in SHOWS_PEOPLE_TOO
        if any(box.kind == "person" for box in boxes_of(detector, image)):
            (right if shows_people else wrong).append(path.name)
    assert len(right) >= 4, f"found people only on {right}"
    assert len(right) / (len(right) + len(wrong)) >= 0.9, f"nobody is on {wrong}"
