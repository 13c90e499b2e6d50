"""Scores and verdicts: monotone in the defect, and decided by thresholds alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from media_pipeline.imaging.geometry import luma, shrunk_to
from media_pipeline.imaging.measures import (
    blockiness,
    measure_thumbnail,
    noise_sigma,
    tile_sharpness,
)
from media_pipeline.judging.quality import decide, score_measures
from media_pipeline.judging.thresholds import load_thresholds
from media_pipeline.schema import EVIDENCE, QUALITY, QUALITY_TAGS, VERDICTS

THRESHOLDS = load_thresholds("quality-v1")
SCORES = {column.name for column in QUALITY.columns if column.name.endswith("_score")}


def measured(rgb: np.ndarray) -> dict[str, float]:
    gray = luma(rgb)
    height, width = gray.shape
    return {
        **measure_thumbnail(shrunk_to(rgb, 512)),
        "sharpness_p90": tile_sharpness(gray)[9],
        "fine_noise_sigma": noise_sigma(gray),
        "blockiness": blockiness(gray),
        "aspect_ratio": min(height, width) / max(height, width),
        "size_px": math.sqrt(height * width),
    }


def row(rgb: np.ndarray, state: str = "ok") -> dict[str, Any]:
    found = measured(rgb)
    return {**found, **score_measures(found), "state": state, "reason": None}


def verdict(rgb: np.ndarray, median_size_px: float | None = None) -> dict[str, Any]:
    return decide([row(rgb)], THRESHOLDS, median_size_px)


def evidence(verdict: dict[str, Any], tag: str) -> dict[str, Any]:
    return next(item for item in verdict["evidence"] if item["tag"] == tag)


def u8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def blurred(rgb: np.ndarray, amount: float) -> np.ndarray:
    return u8(cv2.GaussianBlur(rgb, (0, 0), amount * max(rgb.shape)))


def darkened(rgb: np.ndarray, amount: float) -> np.ndarray:
    return u8(rgb / amount)


def brightened(rgb: np.ndarray, amount: float) -> np.ndarray:
    return u8(rgb * float(amount))


def flattened(rgb: np.ndarray, amount: float) -> np.ndarray:
    return u8((rgb - 128.0) / amount + 128)


def noisy(rgb: np.ndarray, amount: float) -> np.ndarray:
    return u8(rgb + np.random.default_rng(0).normal(0, amount, rgb.shape))


def coded(rgb: np.ndarray, amount: float) -> np.ndarray:
    _, jpeg = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, round(100 - amount)])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8)


def greyed(rgb: np.ndarray, amount: float) -> np.ndarray:
    gray = luma(rgb)[..., np.newaxis]
    return u8(gray + (rgb.astype(float) - gray) / amount)


DEGRADATIONS = [
    ("blur_score", "blurry", blurred, (0.002, 0.004, 0.007, 0.01, 0.02)),
    ("low_light_score", "low_light", darkened, (1, 1.5, 2.5, 4, 8)),
    ("overexposure_score", "overexposed", brightened, (1, 1.5, 2, 3, 4)),
    ("low_contrast_score", "low_contrast", flattened, (1, 2, 4, 6, 12)),
    ("noise_score", "noisy", noisy, (1, 5, 15, 30, 50)),
    ("compression_score", "over_compressed", coded, (5, 50, 80, 90, 95)),
    ("grayscale_score", "grayscale", greyed, (1, 2, 8, 40, 300)),
]


@pytest.mark.parametrize(("score", "tag", "degrade", "amounts"), DEGRADATIONS)
def test_a_score_rises_with_its_defect_and_ends_in_its_tag(
    score: str,
    tag: str,
    degrade: Callable[[np.ndarray, float], np.ndarray],
    amounts: tuple[float, ...],
) -> None:
    photo = skimage.data.coffee()
    rows = [row(degrade(photo, amount)) for amount in amounts]
    scores = [found[score] for found in rows]
    assert scores == sorted(scores)
    assert tag in decide([rows[-1]], THRESHOLDS, None)["tags"]
    assert tag not in decide([row(photo)], THRESHOLDS, None)["tags"]


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea"])
def test_good_photographs_are_good_and_well_exposed(name: str) -> None:
    found = verdict(getattr(skimage.data, name)())
    assert found["quality"] == "good"
    assert found["tags"] in (["well_exposed"], [])
    assert found["not_evaluated"] is None


def test_scores_are_the_columns_of_the_quality_table() -> None:
    assert score_measures(measured(skimage.data.coffee())).keys() == SCORES


@given(
    st.fixed_dictionaries(
        {
            "sharpness_p90": st.floats(0, 1e6),
            "fine_noise_sigma": st.floats(0, 1e3),
            "blockiness": st.floats(0, 1e3),
            "laplacian_variance": st.floats(0, 1e7),
            "histogram_spread": st.floats(0, 128),
            "entropy_bits": st.floats(0, 8),
            "colorfulness": st.floats(0, 400),
            "chroma_p99": st.floats(0, 255),
            "clipped_high_fraction": st.floats(0, 1),
            "aspect_ratio": st.floats(0, 1),
            "size_px": st.floats(0, 1e6),
            **{f"intensity_p{p}": st.floats(0, 255) for p in ("01", "05", "95", "99")},
        }
    )
)
def test_every_score_is_between_0_and_1_whatever_the_measures(measures: dict[str, float]) -> None:
    assert all(0 <= score <= 1 for score in score_measures(measures).values())


def test_a_missing_measure_is_an_error_and_not_a_default() -> None:
    measures = measured(skimage.data.coffee())
    del measures["fine_noise_sigma"]
    with pytest.raises(KeyError, match="fine_noise_sigma"):
        score_measures(measures)


def test_a_black_frame_is_empty_and_dark_and_nothing_is_said_of_its_sharpness() -> None:
    found = verdict(np.zeros((300, 400, 3), dtype=np.uint8))
    assert {"low_information", "low_light"} <= set(found["tags"])
    assert "blurry" not in found["tags"]
    assert found["quality"] == "poor"


def test_a_page_of_text_is_neither_empty_nor_overexposed() -> None:
    page = np.full((800, 600, 3), 255, dtype=np.uint8)
    for y in range(60, 760, 26):
        cv2.putText(page, "the quick brown fox jumps over", (40, y), 0, 0.9, (20, 20, 20), 2)
    tags = verdict(page)["tags"]
    assert not {"low_information", "overexposed", "blurry"} & set(tags)
    assert "grayscale" in tags


@pytest.mark.parametrize(
    ("size", "score", "tag"),
    [
        ((400, 400), 0, False),
        ((400, 200), 0, False),
        ((600, 180), 0.4, True),
        ((99, 1), 0.98, True),
    ],
)
def test_odd_shapes_are_tagged(size: tuple[int, int], score: float, tag: bool) -> None:
    found = verdict(np.zeros((*size, 3), dtype=np.uint8))
    assert evidence(found, "odd_aspect_ratio")["score"] == pytest.approx(score, abs=0.01)
    assert ("odd_aspect_ratio" in found["tags"]) is tag


@pytest.mark.parametrize(
    ("size_px", "median", "odd"),
    [(256, 256, False), (2000, 256, False), (2600, 256, True), (300, 4000, True), (60, None, True)],
)
def test_odd_size_is_tiny_or_ten_times_off_the_median(
    size_px: float, median: float | None, odd: bool
) -> None:
    measures = {**measured(skimage.data.coffee()), "size_px": size_px}
    frame = {**measures, **score_measures(measures), "state": "ok", "reason": None}
    found = decide([frame], THRESHOLDS, median)
    assert ("odd_size" in found["tags"]) is odd
    assert evidence(found, "odd_size")["fired"] is odd


def test_tiny_size_scores_0_from_256_px_and_1_at_1_px() -> None:
    measures = measured(skimage.data.coffee())
    sizes = [score_measures({**measures, "size_px": s})["tiny_size_score"] for s in (256, 65, 1)]
    assert sizes == pytest.approx([0, 191 / 255, 1])


def test_every_tag_has_one_evidence_that_fits_the_schema() -> None:
    found = verdict(skimage.data.coffee())
    assert tuple(item["tag"] for item in found["evidence"]) == QUALITY_TAGS
    fields = {EVIDENCE.field(i).name for i in range(EVIDENCE.num_fields)}
    assert all(item.keys() == fields for item in found["evidence"])
    assert [item["tag"] for item in found["evidence"] if item["fired"]] == found["tags"]
    VERDICTS.to_arrow([{"media_id": "00", **found}])


def test_a_degraded_decode_gets_no_tags_but_its_shape() -> None:
    half_grey = skimage.data.coffee().copy()
    half_grey[100:] = 128
    wide = np.hstack([half_grey] * 3)
    found = decide([row(wide, "degraded")], THRESHOLDS, 100.0)
    assert found["tags"] == ["odd_aspect_ratio"]
    assert found["quality"] is None
    assert "degraded" in found["not_evaluated"]
    assert {item["tag"] for item in found["evidence"]} == {"odd_aspect_ratio", "odd_size"}


def test_what_could_not_be_measured_says_why() -> None:
    failed = {"state": "failed", "reason": "thumbnail_missing"}
    found = decide([failed], THRESHOLDS, None)
    assert (found["quality"], found["tags"]) == (None, [])
    assert found["not_evaluated"] == "thumbnail_missing"
    assert decide([], THRESHOLDS, None)["not_evaluated"] == "no frame was measured"


def test_black_frames_of_a_video_do_not_darken_it() -> None:
    black, scene = row(np.zeros((270, 480, 3), np.uint8)), row(skimage.data.coffee())
    failed = {"state": "failed", "reason": "undecodable"}
    video = decide([black, scene, failed, black], THRESHOLDS, None)
    still = decide([scene], THRESHOLDS, None)
    assert video["tags"] == still["tags"]
    assert evidence(video, "low_light")["score"] == evidence(still, "low_light")["score"]


def test_a_video_of_black_frames_only_is_judged_by_them() -> None:
    black = row(np.zeros((270, 480, 3), np.uint8))
    assert "low_information" in decide([black, black], THRESHOLDS, None)["tags"]


def test_frames_of_a_video_are_averaged() -> None:
    sharp, soft = row(skimage.data.coffee()), row(blurred(skimage.data.coffee(), 0.02))
    video = decide([sharp, soft], THRESHOLDS, None)
    expected = (sharp["blur_score"] + soft["blur_score"]) / 2
    assert evidence(video, "blurry")["score"] == pytest.approx(expected)


def test_one_minor_tag_is_fair_and_two_are_poor() -> None:
    photo = skimage.data.coffee()
    grainy = noisy(photo, 40)
    narrow = noisy(photo[:, :100], 40)
    assert verdict(grainy)["quality"] == "fair"
    assert verdict(narrow)["quality"] == "poor"
    assert {"noisy", "odd_aspect_ratio"} <= set(verdict(narrow)["tags"])


def test_well_exposed_is_refused_to_pictures_with_a_tag_of_exposure() -> None:
    dark = verdict(darkened(skimage.data.coffee(), 8))
    assert "well_exposed" not in dark["tags"]
    assert "low_light" in evidence(dark, "well_exposed")["rule"]
