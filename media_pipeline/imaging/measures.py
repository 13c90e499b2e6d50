"""Measures of technical quality: what the pixels say, before anybody judges it.

At the decoded size: `tile_sharpness`, `noise_sigma`, `blockiness`. On the thumbnail:
`measure_thumbnail`. Every measure is finite for every picture of at least 1 x 1 px; scores and
thresholds are in `judging.quality`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from media_pipeline.imaging.geometry import luma, shrunk_to

Gray = NDArray[np.uint8]
"""uint8 luma (Rec. 601), shape (height, width), 0..255."""

Rgb = NDArray[np.uint8]
"""uint8 sRGB, shape (height, width, 3), 0..255."""

Floats = NDArray[np.float32]

SHARPNESS_LONG_SIDE_PX = 512
"""Sharpness is measured at this size, so that a number means the same for every picture."""

TILES_ALONG_LONG_SIDE = 16
SMOOTHING_SIGMA_PX = 1.0
FLAT_ENERGY = 1.0
"""Tiles of less mean squared gradient (grey levels² per px²) have no structure to be sharp."""

NOISE_FACTOR = 5.0
"""Structure must exceed the noise's energy this many times."""

LEAST_SHARE = 0.02
"""A direction with less of a tile's gradient energy (stripes, a horizon) says nothing."""

# What white noise of variance 1 leaves after `SMOOTHING_SIGMA_PX` in the squared first and second
# differences below; the sampled Gaussian's own autocorrelation gives the same numbers.
NOISE_IN_FIRST = 0.0251
NOISE_IN_SECOND = 0.0400

NOISE_TILE_PX, NOISE_TILES = 24, 12
NOISE_LUMA = (25, 230)
"""Mean luma between which noise is not cut off by black or white."""

NOISE_CUT = 0.1
"""Share of a tile's pixels that may be black or white."""

NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)

STEP_FLOOR = 0.5
"""Grey levels added to mean steps, so that the rounding of a blank picture is no block."""

HALF_SCALE_FACTOR = 1.8
"""Decoding at half scale leaves 0.3 to 0.4 of the excess (JPEG quality 8, 66 photographs).

Less than all of the loss is made up for, to keep the excess of clean ones (0.17) below 0.35."""

CLIPPED_LOW, CLIPPED_HIGH = 2, 253


def tile_sharpness(gray: Gray) -> list[float]:
    """Deciles of the sharpness of the tiles that have structure.

    A tile's sharpness is 1 % of the long side over the sigma of the Gaussian that blurs its
    edges: 2 says that edges are as soft as after a blur of 0.5 % of the long side, 10 that they
    are near the limit of what is measured. For an edge of sigma s the energies of the first and
    second derivative across it are in the ratio 2 s² (integrate the squared derivatives of an
    error function), whatever its contrast; measured is s² minus the smoothing that was added to
    keep noise out. Both directions are measured and the softer one counts, so motion blur shows
    although edges along the motion stay sharp. The flattest tiles tell how much of the energies is
    noise. Pictures below 512 px are compared with 512 px, so that small is not called blurred.

    This is the variance of the Laplacian (Pech-Pacheco et al. 2000) per direction and tile,
    divided by the gradient's energy (Tenengrad) to be free of contrast.

    Args:
        gray: uint8, shape (height, width), at the decoded size.

    Returns:
        11 numbers >= 0, the 0, 10 .. 100 % quantiles; all 0 where no tile has structure.
    """
    small = shrunk_to(gray, SHARPNESS_LONG_SIDE_PX)
    if min(small.shape) < 5:
        return [0.0] * 11
    variances = _edge_variances(*_derivative_energies(small))
    if not len(variances):
        return [0.0] * 11
    sigma = np.sqrt(np.maximum(variances - SMOOTHING_SIGMA_PX**2, 0.25**2))
    sharpness = 0.01 * max(*small.shape, SHARPNESS_LONG_SIDE_PX) / sigma
    return [float(x) for x in np.quantile(sharpness, np.linspace(0, 1, 11))]


def _edge_variances(first: Floats, second: Floats) -> Floats:
    """The squared edge sigma, px², of every tile with structure in its softer direction."""
    noise = np.percentile(second, 5, axis=(1, 2), keepdims=True) / NOISE_IN_SECOND
    noise_energy = (noise * NOISE_IN_FIRST).sum()
    if (first.sum(axis=0) < (1 + NOISE_FACTOR) * noise_energy).all():  # one texture, edge to edge
        noise, noise_energy = np.zeros_like(noise), 0.0
    first = np.maximum(first - noise * NOISE_IN_FIRST, 0)
    second = np.maximum(second - noise * NOISE_IN_SECOND, 1e-6)
    energy = first.sum(axis=0)
    structured = energy > max(FLAT_ENERGY, NOISE_FACTOR * noise_energy)
    squared = np.where(first >= LEAST_SHARE * energy, first / (2 * second), 0)
    softer: Floats = squared.max(axis=0)[structured]
    return softer


def _derivative_energies(small: Gray) -> tuple[Floats, Floats]:
    """Mean squared first and second differences per tile; each of shape (2, rows, columns)."""
    smooth = cv2.GaussianBlur(small.astype(np.float32), (0, 0), SMOOTHING_SIGMA_PX)
    first, second = [], []
    for before, after in (
        (smooth[1:-1, :-2], smooth[1:-1, 2:]),
        (smooth[:-2, 1:-1], smooth[2:, 1:-1]),
    ):
        first.append(_tile_means(np.square(0.5 * (after - before))))
        second.append(_tile_means(np.square(before + after - 2 * smooth[1:-1, 1:-1])))
    return np.stack(first), np.stack(second)


def _tile_means(values: Floats) -> Floats:
    """Means of square tiles of whole pixels; the rest at the right and lower edge is left out."""
    side = max(1, max(values.shape) // TILES_ALONG_LONG_SIDE)
    side = min(side, *values.shape)
    rows, columns = values.shape[0] // side, values.shape[1] // side
    whole = values[: rows * side, : columns * side]
    means = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(means, dtype=np.float32)


def noise_sigma(gray: Gray) -> float:
    """Standard deviation of the noise, in grey levels.

    Immerkaer 1996 ("Fast noise variance estimation"): the mean absolute response to a mask that
    is blind to constant and linear luma, times sqrt(pi / 2) / 6. It is taken on tiles spread over
    the picture, and the quietest twentieth of those away from black and white speaks for all:
    detail is not noise, and one quiet tile is enough to hear it. White noise is read 5 to 10 %
    low; noise that a codec or a resize has smoothed reads lower.

    Args:
        gray: uint8, shape (height, width), at any size.

    Returns:
        Sigma in grey levels, >= 0; 0 for pictures below 3 x 3 px.
    """
    tiles = _spread_tiles(gray)
    count, height, width = tiles.shape
    if min(height, width) < 3:
        return 0.0
    response = cv2.filter2D(tiles.reshape(count * height, width), cv2.CV_16S, NOISE_MASK)
    inside = np.abs(response.reshape(tiles.shape)[:, 1:-1, 1:-1])
    sigmas = inside.mean(axis=(1, 2)) * (math.sqrt(math.pi / 2) / 6)
    means = tiles.mean(axis=(1, 2))
    cut = ((tiles <= CLIPPED_LOW) | (tiles >= CLIPPED_HIGH)).mean(axis=(1, 2))
    unclipped = (means >= NOISE_LUMA[0]) & (means <= NOISE_LUMA[1]) & (cut <= NOISE_CUT)
    if unclipped.sum() >= 4:
        sigmas = sigmas[unclipped]
    return float(np.percentile(sigmas, 5))


def _spread_tiles(gray: Gray) -> NDArray[np.uint8]:
    """Square tiles evenly spread over the picture, shape (tiles, side, side)."""
    side = NOISE_TILE_PX
    height, width = gray.shape
    if min(height, width) < side:
        return gray[np.newaxis]
    tops = np.linspace(0, height - side, min(NOISE_TILES, height // side)).astype(int)
    lefts = np.linspace(0, width - side, min(NOISE_TILES, width // side)).astype(int)
    return np.stack([gray[y : y + side, x : x + side] for y in tops for x in lefts])


def blockiness(gray: Gray, block_px: int | None = None) -> float:
    """How much steeper luma steps are across block borders than elsewhere.

    After Wang, Sheikh and Bovik 2002 ("No-reference perceptual quality assessment of JPEG
    compressed images"): the mean absolute step between neighbours at the borders of a grid over
    the mean at the others, minus 1. Every grid offset is tried (pictures are cropped and turned),
    and both directions must agree. Blocks of JPEG are 8 px, and 4 px after decoding at half scale.

    Args:
        gray: uint8, shape (height, width), at the decoded size.
        block_px: Side of a block; `None` takes the worse of 8, and 4 made up for its loss.

    Returns:
        Relative excess, >= 0; about 0 without blocks, about 1.4 at JPEG quality 8.
    """
    across, down = _step_profile(gray), _step_profile(gray.T)
    if block_px is not None:
        return _grid_excess(across, down, block_px)
    halved = HALF_SCALE_FACTOR * _grid_excess(across, down, 4)
    return max(_grid_excess(across, down, 8), halved)


def _step_profile(gray: Gray) -> Floats:
    """Mean absolute step from each column to the next, over at most 512 rows."""
    rows = np.ascontiguousarray(gray[:: max(1, gray.shape[0] // 256)])
    if min(rows.shape) < 1 or rows.shape[1] < 2:
        return np.zeros(0, dtype=np.float32)
    steps = cv2.absdiff(rows[:, 1:], rows[:, :-1])
    return np.asarray(cv2.reduce(steps, 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[0], dtype=np.float32)


def _grid_excess(across: Floats, down: Floats, block_px: int) -> float:
    excesses = [max(0.0, _border_excess(profile, block_px)) for profile in (across, down)]
    return math.sqrt(excesses[0] * excesses[1])


def _border_excess(profile: Floats, block_px: int) -> float:
    """Excess of the steepest phase over the mean of the others; 0 below 4 blocks."""
    blocks = len(profile) // block_px
    if blocks < 4:
        return 0.0
    phases = profile[: blocks * block_px].reshape(blocks, block_px).mean(axis=0)
    steepest = float(phases.max())
    others = (float(phases.sum()) - steepest) / (block_px - 1)
    return (steepest + STEP_FLOOR) / (others + STEP_FLOOR) - 1


def measure_thumbnail(rgb: Rgb) -> dict[str, float]:
    """The measures of the `quality` table that a thumbnail shows.

    Args:
        rgb: uint8 sRGB, shape (height, width, 3), long side about 512 px.

    Returns:
        By column name: laplacian_variance, mean_intensity, intensity_p01 .. p99,
        histogram_spread, entropy_bits, clipped_low_fraction, clipped_high_fraction, noise_sigma,
        colorfulness, chroma_p99. No blockiness: a thumbnail has only the blocks of its own JPEG.
    """
    gray = luma(rgb)
    laplacian = cv2.Laplacian(gray, cv2.CV_16S)
    return {
        "laplacian_variance": float(cv2.meanStdDev(laplacian)[1][0, 0] ** 2),
        **measure_luma(np.bincount(gray.ravel(), minlength=256)),
        "noise_sigma": noise_sigma(gray),
        **measure_color(rgb),
    }


def measure_luma(histogram: NDArray[np.int64]) -> dict[str, float]:
    """What the luma histogram says: mean, percentiles, spread, entropy, clipping.

    Percentile p is the lowest level that at least p % of the pixels do not exceed. Entropy is
    Shannon's, in bits: 0 for one level, 8 for all 256 alike.

    Args:
        histogram: Pixels per level, shape (256,), not all 0.
    """
    shares = histogram / histogram.sum()
    levels = np.arange(256)
    cumulated = np.cumsum(shares)
    mean = float(shares @ levels)
    present = shares[shares > 0]
    return {
        "mean_intensity": mean,
        **{f"intensity_p{p:02d}": _percentile(cumulated, p) for p in (1, 5, 50, 95, 99)},
        "histogram_spread": math.sqrt(float(shares @ (levels - mean) ** 2)),
        "entropy_bits": max(0.0, -float(present @ np.log2(present))),
        "clipped_low_fraction": float(shares[: CLIPPED_LOW + 1].sum()),
        "clipped_high_fraction": float(shares[CLIPPED_HIGH:].sum()),
    }


def _percentile(cumulated: NDArray[np.float64], percent: float) -> float:
    return float(min(255, int(np.searchsorted(cumulated, percent / 100 - 1e-9))))


def measure_color(rgb: Rgb) -> dict[str, float]:
    """How much colour there is.

    `colorfulness` is Hasler and Suesstrunk 2003 ("Measuring colourfulness in natural images"):
    sigma + 0.3 mu of the opponent axes R - G and (R + G) / 2 - B; 15 is slightly, 59 quite, 109
    extremely colourful. `chroma_p99` is the 99th percentile of max(R, G, B) - min(R, G, B), which
    a few coloured pixels already raise.
    """
    red, green, blue = (channel.astype(np.int16) for channel in cv2.split(rgb))
    red_green = red - green
    yellow_blue = red + green - 2 * blue  # twice the axis, to stay in integers
    means, sigmas = zip(cv2.meanStdDev(red_green), cv2.meanStdDev(yellow_blue), strict=True)
    sigma = math.hypot(float(sigmas[0][0, 0]), float(sigmas[1][0, 0]) / 2)
    mu = math.hypot(float(means[0][0, 0]), float(means[1][0, 0]) / 2)
    high = cv2.max(cv2.max(red, green), blue)
    low = cv2.min(cv2.min(red, green), blue)
    chroma = np.bincount((high - low).ravel(), minlength=256)
    return {
        "colorfulness": sigma + 0.3 * mu,
        "chroma_p99": _percentile(np.cumsum(chroma / chroma.sum()), 99),
    }
