"""Contents that show the same picture: candidates by perceptual hash, verified by signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import UsageError
from media_pipeline.imaging.geometry import upright
from media_pipeline.judging.hash_index import Hashes, Indices, NearPairs, near_pairs

Signatures = NDArray[np.uint8]

FLAT_SPREAD = 3.0
"""Signatures of a smaller standard deviation, in grey levels, show nothing but noise."""

COMMON_SPREAD = 50.0
"""Standard deviation at which signatures are compared; the median photograph has about that."""

SIGNATURE_SIDE = 16
ORIENTED = np.stack(
    [
        upright(np.arange(256, dtype=np.uint8).reshape(SIGNATURE_SIDE, SIGNATURE_SIDE), k).ravel()
        for k in range(1, 9)
    ]
)
"""Where each pixel of an oriented signature comes from, by EXIF orientation - 1."""


@dataclass(frozen=True)
class Member:
    """One content in a group.

    Attributes:
        media_id: The content.
        centre: The content that it was compared with; it names the group.
        distance_bits: Hamming distance of the hashes under `transform`.
        difference: Mean absolute difference of the signatures under `transform`, in grey levels.
        transform: EXIF orientation that takes the centre to the member.
    """

    media_id: str
    centre: str
    distance_bits: int
    difference: float
    transform: int


def group_same_picture(  # noqa: PLR0913 - five aligned columns and two limits
    media_ids: Sequence[str],
    phash: Hashes,
    variants: Hashes,
    signatures: Signatures,
    sizes: NDArray[np.int64],
    max_distance_bits: int,
    max_difference: float,
) -> list[Member]:
    """Group contents that show the same picture up to size, coding, tone, flips and rotations.

    Every member is within both limits of its group's centre, so groups never chain. Contents
    become centres in the order of size, larger first, then of `media_id`; each takes all that is
    near it and in no group yet. The result does not depend on the order of the input.

    Args:
        media_ids: Names of the contents, each once.
        phash: Perceptual hashes, shape (n,): the first column of `variants`.
        variants: Hashes of the 8 flips and rotations in the order of EXIF orientations, shape
            (n, 8).
        signatures: 16 x 16 luma, row by row, shape (n, 256).
        sizes: Pixels of each original, shape (n,).
        max_distance_bits: Limit for the Hamming distance, 0 to 6.
        max_difference: Limit for the difference of signatures, see `differences`.

    Returns:
        One `Member` per content in a group of two or more; groups in the order of their centres,
        the centre first, then by distance.

    Raises:
        UsageError: `max_distance_bits` is beyond what the index finds, or columns do not agree.
    """
    count = len(media_ids)
    if not len(phash) == len(variants) == len(signatures) == len(sizes) == count:
        raise UsageError(f"columns of different length: {count} ids, {len(phash)} hashes")
    if count < 2:
        return []
    order = np.lexsort((np.asarray(media_ids), -np.asarray(sizes, dtype=np.int64)))
    names = [str(media_ids[i]) for i in order]
    rows, row_of = np.unique(variants[order], axis=0, return_inverse=True)
    neighbours = _Neighbours(row_of, near_pairs(rows[:, 0], rows, max_distance_bits))
    return list(_groups(names, signatures[order], neighbours, max_difference))


class _Neighbours:
    """Who is near whom: equal hashes share one row, which is near to some rows."""

    def __init__(self, row_of: Indices, pairs: NearPairs) -> None:
        self._row_of = row_of
        self._pairs = pairs
        self._by_row = np.argsort(row_of, kind="stable")
        rows = int(row_of.max()) + 1
        self._items = np.searchsorted(row_of[self._by_row], np.arange(rows + 1))
        self._firsts = np.searchsorted(pairs.query, np.arange(rows + 1))

    def candidates(self) -> Indices:
        """Items that are near another one."""
        per_row = np.diff(self._items)
        others = self._pairs.query != self._pairs.found
        crowded = per_row > 1
        crowded[self._pairs.query[others]] = True
        crowded[self._pairs.found[others]] = True
        return np.flatnonzero(crowded[self._row_of])

    def of(self, item: int) -> tuple[Indices, Indices, Indices]:
        """Near items, and for each the orientation - 1 and the distance in bits."""
        row = self._row_of[item]
        span = slice(self._firsts[row], self._firsts[row + 1])
        found = self._pairs.found[span]
        sizes = self._items[found + 1] - self._items[found]
        items = [self._by_row[self._items[r] : self._items[r + 1]] for r in found]
        return (
            np.concatenate(items),
            np.repeat(self._pairs.variant[span], sizes),
            np.repeat(self._pairs.distance_bits[span], sizes),
        )


def _groups(
    names: Sequence[str], signatures: Signatures, neighbours: _Neighbours, max_difference: float
) -> Iterator[Member]:
    """Greedily: the first content in no group takes what is near it and comes later."""
    free = np.ones(len(names), dtype=bool)
    for centre in neighbours.candidates():
        if not free[centre]:
            continue
        free[centre] = False
        items, orientations, bits = neighbours.of(centre)
        open_ = free[items]
        items, orientations, bits = items[open_], orientations[open_], bits[open_]
        apart = differences(signatures[centre], signatures[items], orientations, bits)
        members = _best(items, orientations, bits, apart, max_difference)
        if members:
            yield Member(names[centre], names[centre], 0, 0.0, 1)
        for item, orientation, distance, difference in members:
            free[item] = False
            yield Member(names[item], names[centre], distance, difference, orientation + 1)


def differences(
    centre: Signatures, others: Signatures, orientations: Indices, distance_bits: Indices
) -> NDArray[np.float32]:
    """How different signatures are once brightness and contrast are made equal.

    The centre is oriented, both signatures are brought to mean 0 and standard deviation 50, and
    the mean absolute difference is taken: exposure and tone of the same picture hardly move it.
    Flat signatures (blank pages, black frames), where that would compare noise, differ by 0 if
    they and the hashes are equal, else by infinity.

    Args:
        centre: uint8, shape (256,).
        others: uint8, shape (n, 256).
        orientations: EXIF orientation - 1 that takes the centre to each other, shape (n,).
        distance_bits: Distances of the hashes, shape (n,).

    Returns:
        Grey levels, shape (n,).
    """
    oriented = centre[ORIENTED[orientations]].astype(np.float32)
    pixels = others.astype(np.float32)
    spread, other_spread = oriented.std(axis=1), pixels.std(axis=1)
    flat = np.minimum(spread, other_spread) < FLAT_SPREAD
    equal = (oriented == pixels).all(axis=1) & (distance_bits == 0)
    scale = np.where(flat, 1.0, COMMON_SPREAD / np.maximum(spread, 1e-6))
    other_scale = np.where(flat, 1.0, COMMON_SPREAD / np.maximum(other_spread, 1e-6))
    oriented = (oriented - oriented.mean(axis=1, keepdims=True)) * scale[:, np.newaxis]
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) * other_scale[:, np.newaxis]
    apart = np.abs(oriented - pixels).mean(axis=1)
    return np.where(flat, np.where(equal, 0.0, np.inf), apart).astype(np.float32)


def _best(
    items: Indices,
    orientations: Indices,
    bits: Indices,
    apart: NDArray[np.float32],
    max_difference: float,
) -> list[tuple[int, int, int, float]]:
    """Every item within the limit once, in its best orientation; nearest first."""
    kept = np.flatnonzero(apart <= max_difference)
    kept = kept[np.lexsort((items[kept], orientations[kept], apart[kept], bits[kept]))]
    seen: set[int] = set()
    best = []
    for i in kept:
        if int(items[i]) not in seen:
            seen.add(int(items[i]))
            best.append((int(items[i]), int(orientations[i]), int(bits[i]), float(apart[i])))
    return best
