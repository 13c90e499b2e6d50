"""Rate one thumbnail: decode it, measure it, score it; runs in the workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from media_pipeline.errors import ItemError
from media_pipeline.imaging.measures import measure_thumbnail
from media_pipeline.judging.quality import score_measures

P90 = 9
"""Place of the 90 % decile among the 11 of `tile_sharpness`."""


def rate_thumbnail(jpeg: bytes, frame: Mapping[str, Any]) -> dict[str, Any]:
    """Measures and scores of one thumbnail.

    Args:
        jpeg: The thumbnail; empty when it is missing.
        frame: Its row of `thumbnails`: source size and the measures taken at decoded size.

    Returns:
        Columns of the `quality` table, without its key; a degraded decode stays degraded.

    Raises:
        ItemError: `thumbnail_missing` or `undecodable`.
    """
    if not jpeg:
        raise ItemError("thumbnail_missing", f"no file at {frame['path']}", retryable=True)
    bgr = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ItemError("undecodable", f"{frame['path']} is no JPEG", retryable=True)
    rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    width, height = frame["source_width_px"], frame["source_height_px"]
    measured = {
        **measure_thumbnail(rgb),
        "sharpness_p90": frame["tile_sharpness"][P90],
        "blockiness": frame["fine_blockiness"],
        "aspect_ratio": min(width, height) / max(width, height),
        "size_px": float(width * height) ** 0.5,
    }
    scores = score_measures({**measured, "fine_noise_sigma": frame["fine_noise_sigma"]})
    outcome = {"state": frame["state"], "reason": frame["reason"], "message": frame["message"]}
    return {**measured, **scores, **outcome}
