"""Thumbnails of one file: the one decode of it in the whole pipeline.

Reads   one original, read-only
Gives   one row for a still, one for a video's poster and for each of its keyframes, with the JPEG
        that everything later looks at and the measures that need larger pixels
Cost    a 12-megapixel JPEG of 3 MB: 31 ms to decode, about 12 ms for everything else
Fails   `ItemError`; broken data that could be decoded in part gives rows of state `degraded`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import cv2

from media_pipeline.formats import HEAD_BYTES, Format, recognise
from media_pipeline.imaging import colors, hashing, measures
from media_pipeline.imaging.decode import decode_upright
from media_pipeline.imaging.geometry import Pixels, luma
from media_pipeline.imaging.picture import Decoded
from media_pipeline.imaging.video import read_frames
from media_pipeline.paths import open_original


def make_thumbnails(
    path: bytes, name: bytes, parameters: Mapping[str, Any], pixel_budget: int
) -> list[dict[str, Any]]:
    """Decode one file and make everything that is derived from its pixels.

    Args:
        path: Where the original lies.
        name: Its file name, which decides between formats of the same first bytes.
        parameters: Of the stage `thumbnails` in `recipes.STAGES`.
        pixel_budget: Pixels that may be decoded at once, 12 bytes each.

    Returns:
        Rows of `schema.THUMBNAILS` without `media_id`, `recipe` and `path`, and with `jpeg`: the
        thumbnail as bytes, upright sRGB without EXIF, GPS or profile.

    Raises:
        ItemError: No row can be made; the reason is one of `schema.REASONS`.
        MemoryError: An allocation failed.
    """
    with open_original(path) as handle:
        fmt = recognise(handle.read(HEAD_BYTES), name)
        if fmt.kind == "video":
            return _rows_of_video(handle, fmt, parameters, pixel_budget)
        decoded = decode_upright(handle, fmt, parameters["decode_long_side_px"], pixel_budget)
    return [{"frame": 0, "role": "still", "time_ms": None, **_row(decoded, parameters)}]


def _rows_of_video(
    handle: BinaryIO, fmt: Format, parameters: Mapping[str, Any], pixel_budget: int
) -> list[dict[str, Any]]:
    video = read_frames(
        handle, fmt, parameters["keyframes"], parameters["decode_long_side_px"], pixel_budget
    )
    rows = []
    for number, frame in enumerate(video.frames):
        decoded = Decoded(
            frame.pixels,
            video.source_width_px,
            video.source_height_px,
            is_degraded=video.is_degraded,
            reason=video.reason,
            message=video.message,
        )
        place = {"frame": number, "role": frame.role, "time_ms": frame.time_ms}
        rows.append({**place, **_row(decoded, parameters)})
    return rows


def _row(decoded: Decoded, parameters: Mapping[str, Any]) -> dict[str, Any]:
    thumbnail = decoded.srgb(parameters["long_side_px"])
    height, width = thumbnail.shape[:2]
    return {
        "width_px": width,
        "height_px": height,
        "source_width_px": decoded.source_width_px,
        "source_height_px": decoded.source_height_px,
        "decoded_long_side_px": decoded.long_side_px,
        **_looks(thumbnail),
        **_fine_measures(decoded.luma()),
        "state": "degraded" if decoded.is_degraded else "ok",
        "reason": decoded.reason,
        "message": decoded.message,
        "retryable": None,
        "jpeg": jpeg(thumbnail, parameters["jpeg_quality"]),
    }


def _looks(thumbnail: Pixels) -> dict[str, Any]:
    gray = luma(thumbnail)
    variants = hashing.dihedral_hashes(gray)
    return {
        "thumbhash": colors.thumbhash(thumbnail),
        "pixel_hash": hashing.pixel_hash(thumbnail),
        "phash": variants[0],
        "phash_variants": variants,
        "signature": hashing.signature(gray),
        "dominant_colors": colors.dominant_colors(thumbnail),
    }


def _fine_measures(gray: Pixels) -> dict[str, Any]:
    return {
        "tile_sharpness": measures.tile_sharpness(gray),
        "fine_noise_sigma": measures.noise_sigma(gray),
        "fine_blockiness": measures.blockiness(gray),
    }


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode as JPEG; nothing but pixels goes in.

    Args:
        pixels: uint8 sRGB, shape (height, width, 3).
        quality: 1 to 100.
    """
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()
