"""Pillow's resampling, bit for bit, of only the part of the result that is needed.

Models were trained on pictures that Pillow had resized, so inputs are made with its arithmetic
(Pillow, src/libImaging/Resample.c): a separable filter, widened when shrinking, whose weights are
whole numbers of 22 bits; first along the rows, rounded to bytes, then along the columns.

Pillow computes the whole result before a crop is taken from it (its `box` is no way out: edges are
float32, which changes some bytes by one). Here the weights of a few neighbouring outputs form one
small dense matrix and a pass is a handful of float32 matrix products. Where float32 cannot tell
which way a sum rounds, it is done again in whole numbers. With a crop that takes 0.4 of Pillow's
time (512 x 384 to 224, bicubic); without one about as much as Pillow, now and then a little more.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Planes = NDArray[np.float32]
"""Whole numbers in [0, 255] as float32, shape (3, height, width)."""

Weights = NDArray[np.float64]

WEIGHT_BITS = 22
"""Bits of Pillow's weights after the binary point."""

OUTPUTS_PER_BLOCK = 16
"""Outputs whose weights form one matrix: fewer cost calls, more multiply by zeros.

With 16, the products of a thumbnail are so small that OpenBLAS works in the calling thread.
"""

BAND_ROWS = 224
"""Rows of the result made at once: the memory for what lies between stays small."""

PLANS = 512
"""Plans kept, of about 50 kB each; making one takes as long as a third of a resize."""

SCRATCH_FLOATS = 1 << 20
"""Largest buffer a thread keeps: 4 MiB."""

WEIGHT_SUM = 1.5
"""What the absolute weights of one output add up to at most (bicubic: 1.27, at an edge)."""


def _bilinear(x: Weights) -> Weights:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _bicubic(x: Weights) -> Weights:
    # Keys 1981 with a = -0.5.
    x = np.abs(x)
    near = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


FILTERS: Mapping[str, tuple[float, Callable[[Weights], Weights]]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
}
"""Half-width in pixels, and the kernel."""


@dataclass(frozen=True)
class Span:
    """One axis of a resize: `size` pixels become `resized`, of which [start, stop) are wanted."""

    size: int
    resized: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Block:
    """Outputs [start, stop) of the span as one product with inputs [first, last)."""

    first: int
    last: int
    start: int
    stop: int
    matrix: NDArray[np.float32]  # (last - first, stop - start)


@dataclass(frozen=True)
class _Plan:
    """How one span is computed; inputs are counted from `first`, the first that is needed."""

    first: int
    last: int
    taps: NDArray[np.int64]  # (outputs, taps): inputs of every output
    weights: Weights  # (outputs, taps), whole, of 1 << WEIGHT_BITS; 0 where there is no input
    blocks: tuple[_Block, ...]
    sure: NDArray[np.float32]  # (outputs,): rounding by less than this is surely right
    shrinks: int  # by so many pixels


class _Scratch(threading.local):
    """Memory that a thread uses again: fresh pages cost more than the arithmetic."""

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.float32]] = {}

    def floats(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Of that shape, holding anything; valid until the name is asked for again."""
        size = math.prod(shape)
        if size > SCRATCH_FLOATS:
            return np.empty(shape, np.float32)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[name] = np.empty(size, np.float32)
        return buffer[:size].reshape(shape)


_scratch = _Scratch()


def resample(image: Pixels, rows: Span, columns: Span, interpolation: str) -> Planes:
    """A part of a resized picture.

    Args:
        image: uint8 RGB, shape (rows.size, columns.size, 3).
        rows: What becomes of its height, and the part of it that is wanted.
        columns: The same of its width.
        interpolation: `bilinear` or `bicubic`.

    Returns:
        What `Image.resize` and then `Image.crop` of Pillow give, as planes.
    """
    made = np.empty((3, rows.stop - rows.start, columns.stop - columns.start), np.float32)
    for start in range(rows.start, rows.stop, BAND_ROWS):
        band = replace(rows, start=start, stop=min(start + BAND_ROWS, rows.stop))
        part = made[:, start - rows.start : band.stop - rows.start]
        _resample_band(image, _plan(band, interpolation), _plan(columns, interpolation), part)
    return made


def _resample_band(image: Pixels, down: _Plan, across: _Plan, made: Planes) -> None:
    needed = image[down.first : down.last, across.first : across.last].transpose(2, 0, 1)
    planes = _scratch.floats("planes", needed.shape)
    np.copyto(planes, needed)
    # Pillow 13 begins with the columns where that saves much; the rounding between shows it.
    if down.shrinks > 0 and down.shrinks > 2 * across.shrinks:
        between = _scratch.floats("between", (3, made.shape[1], planes.shape[2]))
        _down(planes, down, between)
        _across(between, across, made)
    else:
        between = _scratch.floats("between", (3, planes.shape[1], made.shape[2]))
        _across(planes, across, between)
        _down(between, down, made)


def _across(planes: Planes, plan: _Plan, made: Planes) -> None:
    """Filter along the rows: (3, height, width) to (3, height, outputs)."""
    sums = _scratch.floats("sums", made.shape)
    for block in plan.blocks:
        inputs = planes[:, :, block.first : block.last]
        np.matmul(inputs, block.matrix, out=sums[:, :, block.start : block.stop])
    doubtful = _round(sums, plan.sure, made)
    if doubtful.size:
        channel, y, x = np.unravel_index(doubtful, made.shape)
        inputs = planes[channel[:, None], y[:, None], plan.taps[x]]
        made[channel, y, x] = _exactly(inputs, plan.weights[x])


def _down(planes: Planes, plan: _Plan, made: Planes) -> None:
    """Filter along the columns: (3, height, width) to (3, outputs, width)."""
    sums = _scratch.floats("sums", made.shape)
    for block in plan.blocks:
        inputs = planes[:, block.first : block.last]
        np.matmul(block.matrix.T, inputs, out=sums[:, block.start : block.stop])
    doubtful = _round(sums, plan.sure[:, np.newaxis], made)
    if doubtful.size:
        channel, y, x = np.unravel_index(doubtful, made.shape)
        inputs = planes[channel[:, None], plan.taps[y], x[:, None]]
        made[channel, y, x] = _exactly(inputs, plan.weights[y])


def _round(sums: Planes, sure: NDArray[np.float32], made: Planes) -> NDArray[np.intp]:
    """Write the bytes nearest to the sums; gives the places (flat) that need a second look.

    The sums are overwritten.
    """
    np.floor(np.add(sums, 0.5, out=made), out=made)
    np.abs(np.subtract(sums, made, out=sums), out=sums)
    np.clip(made, 0.0, 255.0, out=made)
    # Of a bool array: on floats flatnonzero takes 20 times as long.
    return np.flatnonzero(sums >= sure)


def _exactly(inputs: Planes, weights: Weights) -> Weights:
    """The sums over the last axis as Pillow rounds them: halves upwards."""
    sums = np.einsum("ij,ij->i", inputs, weights)  # whole numbers below 2^53: exact in float64
    rounded: Weights = np.floor(sums / (1 << WEIGHT_BITS) + 0.5)
    return rounded.clip(0.0, 255.0)


@lru_cache(maxsize=PLANS)
def _plan(span: Span, interpolation: str) -> _Plan:
    first_taps, ends, weights = _weights(span, interpolation)
    first, last = int(first_taps[0]), int(ends[-1])
    taps = first_taps[:, np.newaxis] - first + np.arange(weights.shape[1])
    blocks = tuple(_block(taps, weights, start) for start in range(0, len(taps), OUTPUTS_PER_BLOCK))
    inside = np.minimum(taps, last - first - 1)  # the weights beyond are 0
    exact = weights.astype(np.float64)
    return _Plan(first, last, inside, exact, blocks, _sure(weights), span.size - span.resized)


def _sure(weights: NDArray[np.int64]) -> NDArray[np.float32]:
    """How far a float32 sum may be from a whole number to round as the exact sum does.

    |error| <= (additions + 1) * 2^-24 * sum of |weight * input| (Higham 2002, section 3.1).
    """
    doubt = (weights.shape[1] + 8) * 2.0**-24 * WEIGHT_SUM * 255
    bits = np.bitwise_or.reduce(weights, axis=1)
    step = bits & -bits  # the largest power of two that divides every weight of an output
    # When sizes are halved, doubled or kept, every partial sum is exact, and many are halves.
    is_exact = step * 2.0**24 > 255 * WEIGHT_SUM * (1 << WEIGHT_BITS)
    return np.where(is_exact, np.inf, 0.5 - doubt).astype(np.float32)


def _weights(
    span: Span, interpolation: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First input, end of the inputs and weights of every wanted output, as Pillow has them."""
    half_width, kernel = FILTERS[interpolation]
    scale = span.size / span.resized
    widened = max(scale, 1.0)
    centre = (np.arange(span.start, span.stop) + 0.5) * scale
    first = np.maximum((centre - half_width * widened + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + half_width * widened + 0.5).astype(np.int64), span.size)
    taps = first[:, None] + np.arange((end - first).max())
    real = kernel((taps - centre[:, None] + 0.5) * (1.0 / widened)) * (taps < end[:, None])
    # Added up one by one, as Pillow does; np.sum adds in another order.
    real /= np.cumsum(real, axis=1)[:, -1:]
    fixed = np.trunc(real * (1 << WEIGHT_BITS) + np.copysign(0.5, real)).astype(np.int64)
    return first, end, fixed


def _block(taps: NDArray[np.int64], weights: NDArray[np.int64], start: int) -> _Block:
    stop = min(start + OUTPUTS_PER_BLOCK, len(taps))
    used = weights[start:stop] != 0
    inputs = taps[start:stop][used]
    first, last = int(inputs.min()), int(inputs.max()) + 1
    matrix = np.zeros((last - first, stop - start), np.float32)
    # Weights below 2^24 are exact in float32, and so is this division.
    matrix[inputs - first, np.nonzero(used)[0]] = weights[start:stop][used] / (1 << WEIGHT_BITS)
    return _Block(first, last, start, stop, matrix)
