"""Technical quality: measures become scores, scores become tags, tags become good, fair or poor.

Measuring is in `imaging.measures` and is done once. `score_measures` maps measures to [0, 1], where
1 is the defect at its worst. `decide` applies a threshold set and can be done again on the tables
without a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from media_pipeline.judging.thresholds import ThresholdSet
from media_pipeline.schema import QUALITY_TAGS

SCORE_OF_TAG = {
    "blurry": "blur_score",
    "low_light": "low_light_score",
    "overexposed": "overexposure_score",
    "low_contrast": "low_contrast_score",
    "noisy": "noise_score",
    "over_compressed": "compression_score",
    "low_information": "low_information_score",
    "odd_aspect_ratio": "odd_aspect_ratio_score",
    "grayscale": "grayscale_score",
}
"""Tags that hold when one score reaches its threshold."""

EXPOSURE_TAGS = frozenset({"low_light", "overexposed", "low_contrast"})
CERTAIN_WHEN_DEGRADED = ("odd_aspect_ratio", "odd_size")
"""Tags that only the header's width and height decide."""

Evidence = dict[str, Any]

SHARP = 12.0
NOISY_SIGMA = 25.0
BLOCKY_EXCESS = 2.0
STRUCTURED_VARIANCE = 100.0
USUAL_ASPECT_RATIO = 0.5
USUAL_SIZE_PX = 256.0
COLORED_CHROMA = 16.0


def score_measures(measures: Mapping[str, float]) -> dict[str, float]:
    """Map measures to defect scores.

    Args:
        measures: What `imaging.measures.measure_thumbnail` gives, and `aspect_ratio`, `size_px`,
            `sharpness_p90`, `blockiness` and `fine_noise_sigma`, the last three at decoded size.

    Returns:
        The `*_score` columns of `schema.QUALITY`, each in [0, 1], 1 the defect at its worst.

    Raises:
        KeyError: A measure is missing.
    """
    return {
        "blur_score": _blur(measures["sharpness_p90"]),
        "low_light_score": _low_light(measures["intensity_p95"]),
        "overexposure_score": _overexposure(measures),
        "low_contrast_score": _low_contrast(measures),
        "noise_score": _unit(measures["fine_noise_sigma"] / NOISY_SIGMA),
        "compression_score": _unit(measures["blockiness"] / BLOCKY_EXCESS),
        "low_information_score": _low_information(measures),
        "odd_aspect_ratio_score": _unit(1 - measures["aspect_ratio"] / USUAL_ASPECT_RATIO),
        "tiny_size_score": _unit((USUAL_SIZE_PX - measures["size_px"]) / (USUAL_SIZE_PX - 1)),
        "grayscale_score": _unit(1 - measures["chroma_p99"] / COLORED_CHROMA),
    }


def _blur(sharpness_p90: float) -> float:
    """1 - sharpness / 12, of the sharpest tenth of the tiles that have structure.

    The 9th decile, because a sharp subject before a soft background is a good picture. 0 where no
    tile has structure (`tile_sharpness` is then 0): nothing can be told, and `low_information`
    speaks for such pictures.
    """
    return _unit(1 - sharpness_p90 / SHARP) if sharpness_p90 > 0 else 0.0


def _low_light(intensity_p95: float) -> float:
    """1 - p95 / 255: how dark even the lights are.

    As cleanvision scores darkness by a high percentile: the mean would call a lamp at night and
    a black background dark pictures.
    """
    return _unit(1 - intensity_p95 / 255)


def _overexposure(measures: Mapping[str, float]) -> float:
    """sqrt(clipped * (p05 + 8) / 263) * (1 - page): lights cut off, and shadows lifted with them.

    A white shirt or sky clips too, but leaves shadows where they are; too much light moves both.
    `page` takes paper and screens out: white with dark, sharp, colourless marks and few levels.
    """
    shadows = (measures["intensity_p05"] + 8) / (255 + 8)
    return _unit(math.sqrt(measures["clipped_high_fraction"] * shadows) * (1 - _page(measures)))


def _page(measures: Mapping[str, float]) -> float:
    """How much a picture is a page: all three of sharp marks, few levels, little colour.

    Marks: variance of the Laplacian over the variance of luma (0.3 in the median photograph, above
    0.6 in most pages). The ramps were fitted to scans, screenshots and photographs brightened by
    2 to 3 EV (benchmarks/calibrate.py).
    """
    marks = measures["laplacian_variance"] / max(1.0, measures["histogram_spread"]) ** 2
    return min(
        _unit((marks - 0.6) / 0.2),
        _unit(5.7 - measures["entropy_bits"]),
        _unit((30 - measures["colorfulness"]) / 10),
    )


def _low_contrast(measures: Mapping[str, float]) -> float:
    """1 - (p99 - p01) / 255: the part of the luma range that 98 % of the pixels leave unused.

    As scikit-image's `is_low_contrast`, which calls less than 5 % of the range low.
    """
    return _unit(1 - (measures["intensity_p99"] - measures["intensity_p01"]) / 255)


def _low_information(measures: Mapping[str, float]) -> float:
    """min(1 - entropy / 8, 1 - v / (v + 100)) with v the variance of the Laplacian.

    Entropy alone (cleanvision) calls a page of text empty; both few levels and no edges are needed.
    """
    levels = 1 - measures["entropy_bits"] / 8
    edges = measures["laplacian_variance"] / (measures["laplacian_variance"] + STRUCTURED_VARIANCE)
    return _unit(min(levels, 1 - edges))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))


def decide(
    frames: Sequence[Mapping[str, Any]],
    thresholds: ThresholdSet,
    library_median_size_px: float | None,
) -> dict[str, Any]:
    """Decide on one content.

    A still has one frame. Of a video the frames that show something are averaged: frames of
    `low_information` (black, faded) count only where there are no others. Of a degraded decode only
    its shape is certain, so it gets no other tags and no quality. A frame that failed has no say.

    Args:
        frames: Rows of `schema.QUALITY` of one content.
        thresholds: The set in use.
        library_median_size_px: Median of `size_px` over the library; `None` leaves size relative to
            it unjudged.

    Returns:
        `quality`, `tags`, `evidence`, `thresholds` and `not_evaluated` of `schema.VERDICTS`. Each
        evidence tells tag, score, threshold, whether it fired, and the rule in words.
    """
    whole = [frame for frame in frames if frame["state"] == "ok"]
    degraded = [frame for frame in frames if frame["state"] == "degraded"]
    verdict = {"quality": None, "thresholds": thresholds.name, "not_evaluated": None}
    if not whole and not degraded:
        return {**verdict, "tags": [], "evidence": [], "not_evaluated": _why_not(frames)}
    mean = _mean_frame(whole or degraded, thresholds)
    evidence = _evidence(mean, thresholds, library_median_size_px)
    if not whole:
        evidence = [item for item in evidence if item["tag"] in CERTAIN_WHEN_DEGRADED]
        verdict["not_evaluated"] = "degraded decode: only its shape is certain"
    tags = [item["tag"] for item in evidence if item["fired"]]
    quality = _quality(tags, thresholds) if whole else None
    return {**verdict, "quality": quality, "tags": tags, "evidence": evidence}


def _why_not(frames: Sequence[Mapping[str, Any]]) -> str:
    reasons = [str(frame["reason"]) for frame in frames if frame["reason"]]
    return reasons[0] if reasons else "no frame was measured"


def _mean_frame(frames: Sequence[Mapping[str, Any]], thresholds: ThresholdSet) -> dict[str, float]:
    """The mean of every number over the frames that are not degenerate."""
    limit = thresholds.values["low_information"]
    shown = [frame for frame in frames if frame["low_information_score"] < limit] or frames
    return {
        name: math.fsum(frame[name] for frame in shown) / len(shown)
        for name, value in shown[0].items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _evidence(
    frame: Mapping[str, float], thresholds: ThresholdSet, median_size_px: float | None
) -> list[Evidence]:
    found = {
        tag: _item(tag, frame[score], thresholds.values[tag], f"{score} >= threshold")
        for tag, score in SCORE_OF_TAG.items()
    }
    found["odd_size"] = _size(frame, thresholds, median_size_px)
    bad = sorted(tag for tag in EXPOSURE_TAGS if found[tag]["fired"])
    found["well_exposed"] = _exposure(frame, thresholds.values["well_exposed"], bad)
    return [found[tag] for tag in QUALITY_TAGS]


def _item(tag: str, score: float, threshold: float, rule: str) -> Evidence:
    fired = score >= threshold
    return {"tag": tag, "score": score, "threshold": threshold, "fired": fired, "rule": rule}


def _size(
    frame: Mapping[str, float], thresholds: ThresholdSet, median_size_px: float | None
) -> Evidence:
    """Tiny, or far from the library's median size (cleanvision: beyond a factor of 10)."""
    tiny = _item(
        "odd_size",
        frame["tiny_size_score"],
        thresholds.values["tiny_size"],
        "tiny_size_score >= threshold",
    )
    if tiny["fired"] or not median_size_px or frame["size_px"] <= 0:
        return tiny
    factor = max(frame["size_px"] / median_size_px, median_size_px / frame["size_px"])
    return _item(
        "odd_size",
        1 - 1 / factor,
        1 - 1 / thresholds.values["odd_size_factor"],
        f"1 - 1/f >= threshold, f = {factor:.3g} times off the median of {median_size_px:.0f} px",
    )


def _exposure(frame: Mapping[str, float], threshold: float, bad: Sequence[str]) -> Evidence:
    """Whether the histogram is well placed: a median in the middle, little cut off at the ends.

    The score is max(|median / 127.5 - 1|, 4 * clipped fraction); here low is good.
    """
    clipped = frame["clipped_low_fraction"] + frame["clipped_high_fraction"]
    score = _unit(max(abs(frame["intensity_p50"] / 127.5 - 1), 4 * clipped))
    rule = "max(|median / 127.5 - 1|, 4 * clipped) <= threshold and no tag of exposure"
    if bad:
        rule += f", but {', '.join(bad)}"
    item = _item("well_exposed", score, threshold, rule)
    return {**item, "fired": score <= threshold and not bad}


def _quality(tags: Sequence[str], thresholds: ThresholdSet) -> str:
    minor = thresholds.fair.intersection(tags)
    if thresholds.poor.intersection(tags) or len(minor) >= thresholds.fair_tags_for_poor:
        return "poor"
    return "fair" if minor else "good"
