"""Every pair of near 64-bit hashes, without comparing all pairs.

An exact multi-index (after Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with
multi-index hashing"): cut into 9 bands, two hashes at most 6 bits apart are equal in at least 3 of
them. So a table for each of the 84 choices of 3 bands, looked up with 21 to 22 bits at once, finds
every such pair. Measured on 2 cores against usearch's HNSW over the same hashes
(benchmarks/calibrate.py): exact and several times faster, as building a graph costs most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import UsageError

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

MOST_DISTANCE_BITS = 6
EQUAL_BANDS = 3
BAND_STARTS = (0, 7, 14, 21, 28, 35, 42, 49, 56, 64)

CHUNK_PAIRS = 1 << 21
"""Candidates compared at once: about 100 MB."""

SPREADING_FACTOR = np.uint32(0x9E3779B1)  # 2**32 / golden ratio: Knuth's multiplicative hashing


@dataclass(frozen=True)
class NearPairs:
    """Pairs of a query and a hash that are near, sorted by query, hash and variant.

    Attributes:
        query: Row of the query.
        found: Position of the hash.
        variant: Which of the row's variants was near, from 0.
        distance_bits: Hamming distance.
    """

    query: Indices
    found: Indices
    variant: Indices
    distance_bits: Indices


def near_pairs(hashes: Hashes, variants: Hashes, max_distance_bits: int) -> NearPairs:
    """Find every (i, k, j) with variant k of row i at most so many bits from hash j.

    Args:
        hashes: 64-bit hashes, shape (n,).
        variants: What is looked for, shape (m, variants).
        max_distance_bits: 0 to 6.

    Returns:
        All of them, once each; i = j included.

    Raises:
        UsageError: `max_distance_bits` is beyond what the index finds.
    """
    if not 0 <= max_distance_bits <= MOST_DISTANCE_BITS:
        raise UsageError(
            f"max_distance_bits is {max_distance_bits}: the index finds 0 to {MOST_DISTANCE_BITS}"
        )
    found: list[Indices] = [np.zeros((4, 0), dtype=np.int64)]
    for bands in combinations(range(len(BAND_STARTS) - 1), EQUAL_BANDS):
        table = _Table(hashes, bands)
        for variant in range(variants.shape[1]):
            wanted = np.ascontiguousarray(variants[:, variant])
            for query, position in table.candidates(wanted):
                differing = wanted[query] ^ hashes[position]
                near = _near(differing, bands, max_distance_bits)
                distance = np.bitwise_count(differing[near]).astype(np.int64)
                columns = query[near], position[near], np.full_like(distance, variant), distance
                found.append(np.stack(columns))
    rows = np.concatenate(found, axis=1)
    return NearPairs(*rows[:, np.lexsort((rows[2], rows[1], rows[0]))])


def _near(differing: Hashes, bands: tuple[int, ...], max_distance_bits: int) -> Indices:
    """Where so few bits differ and these are the first bands without any: no pair comes twice."""
    near = np.flatnonzero(np.bitwise_count(differing) <= max_distance_bits)
    for band in range(bands[-1]):
        if band not in bands:
            near = near[differing[near] & _band_mask(band) != 0]
    for band in bands:  # the same bucket is not yet the same bits
        near = near[differing[near] & _band_mask(band) == 0]
    return near


def _band_mask(band: int) -> np.uint64:
    start, end = BAND_STARTS[band], BAND_STARTS[band + 1]
    return np.uint64(((1 << (end - start)) - 1) << start)


class _Table:
    """Hashes by the bits of a few bands; buckets lie one after the other."""

    def __init__(self, hashes: Hashes, bands: tuple[int, ...]) -> None:
        self._bands = bands
        self._key_bits = max(8, min(22, len(hashes).bit_length() + 1))
        keys = self._keys(hashes)
        self._positions = np.argsort(keys, kind="stable")
        counts = np.bincount(keys, minlength=1 << self._key_bits)
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def _keys(self, hashes: Hashes) -> NDArray[np.uint32]:
        bits = np.zeros(len(hashes), dtype=np.uint32)
        for band in self._bands:
            start, end = BAND_STARTS[band], BAND_STARTS[band + 1]
            value = (hashes >> np.uint64(start)).astype(np.uint32)
            bits = (bits << np.uint32(end - start)) | (value & np.uint32((1 << (end - start)) - 1))
        spread = bits * SPREADING_FACTOR  # modulo 2**32
        return np.asarray(spread >> np.uint32(32 - self._key_bits), dtype=np.uint32)

    def candidates(self, wanted: Hashes) -> Iterator[tuple[Indices, Indices]]:
        """Rows of `wanted` and positions of hashes in the same bucket, in chunks."""
        keys = self._keys(wanted)
        starts = self._starts[keys]
        counts = self._starts[keys + np.uint32(1)] - starts
        ends = np.cumsum(counts)
        first = 0
        while first < len(wanted):
            done = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, done + CHUNK_PAIRS, side="right")))
            size = counts[first:last]
            query = np.repeat(np.arange(first, last), size)
            offset = np.arange(len(query)) - np.repeat(ends[first:last] - size - done, size)
            yield query, self._positions[np.repeat(starts[first:last], size) + offset]
            first = last
