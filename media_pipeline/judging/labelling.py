"""From embeddings and classes to label proposals: scores, shares, parents for unsure children.

Every proposer gives its best concepts and, where it is sure of no single one, up to two
*back-offs*: the most specific concepts whose share reaches `SURE_SHARES`. A share is what a concept
and everything below it get of the softmax, so five breeds at 0.18 each make a dog at 0.9. (The idea
is that of Deng et al. 2012, "Hedging your bets".) What is shown is decided in `showing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, ShapeError
from media_pipeline.vocabulary import Vocabulary

SURE_SHARES = (0.5, 0.8)
"""Shares at which a parent stands for its children: more likely than not, and almost surely. There
are two so that a threshold set can ask for more without a new run; above 0.5 no two concepts that
have nothing in common reach one."""

NUMBERS_AT_ONCE = 4_000_000
"""Numbers of one array that is worked on at once (float32: 16 MB)."""

UNIT_TOLERANCE = 5e-3
"""How far a norm may be from 1: vectors are kept as float16, which is exact to 0.0005."""

Calibrate = Callable[[float], float | None]
"""Score to probability, `None` without calibration: `card.probability`."""


class Proposal(TypedDict):
    """One row of `labels` without its key, model and outcome."""

    proposer: Literal["vocabulary", "classifier"]
    rank: int
    label: str
    concept: str | None
    score: float
    margin: float | None
    probability: float | None
    share: float
    is_backoff: bool
    ancestors: list[str]


class _Guess(NamedTuple):
    """A proposal before it has its rank and names."""

    concept: str | None
    label: str
    score: float
    margin: float | None
    share: float
    is_backoff: bool = False


def uncalibrated(_score: float) -> None:
    """The calibration of a model that has none."""
    return


def unit_vectors(vectors: Sequence[Sequence[float]], model: str) -> NDArray[np.float32]:
    """Vectors out of a table as one array.

    Args:
        vectors: Unit vectors of one model.
        model: Its card's id, for messages.

    Returns:
        float32, shape (vectors, dim).

    Raises:
        ModelError: They differ in length, or one is no unit vector.
    """
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1:
        found = ", ".join(map(str, lengths))
        raise ModelError(
            f"embeddings of {model} have different lengths ({found}), so they are not of one "
            f"model: {_REMEDY}"
        )
    stacked = np.array(vectors, dtype=np.float32).reshape(len(vectors), *lengths or (0,))
    norms = np.linalg.norm(stacked, axis=1)
    wrong = norms[~(np.abs(norms - 1) <= UNIT_TOLERANCE)]  # also what is not finite
    if wrong.size:
        raise ModelError(
            f"an embedding of {model} has the norm {wrong[0]:.4g}, expected 1: {_REMEDY}"
        )
    return stacked


_REMEDY = (
    "the table of embeddings is damaged or was written by other software; delete that file and run "
    "`media-pipeline run` to make it again"
)


def propose_from_embeddings(
    vectors: NDArray[np.float32],
    matrix: NDArray[np.float32],
    vocabulary: Vocabulary,
    logit_scale: float,
    top: int,
    calibrate: Calibrate = uncalibrated,
) -> list[list[Proposal]]:
    """What pictures may show, by the similarity of their embeddings to the concepts' texts.

    Args:
        vectors: float32, shape (pictures, dim), rows of L2 norm 1.
        matrix: float32, shape (concepts, dim): `text_matrix` of the vocabulary.
        vocabulary: Whose concepts the rows of `matrix` are.
        logit_scale: What a cosine is multiplied by before softmax.
        top: Concepts per picture, beside its back-offs; at least 1.
        calibrate: Probability of a cosine. A back-off has the probability of the best concept below
            it, which is the least it can be.

    Returns:
        Per picture its back-offs and its best concepts, best first.

    Raises:
        ShapeError: The arrays do not fit each other or the vocabulary.
        ModelError: A number is not finite.
    """
    _check(vectors, matrix, len(vocabulary.concepts))
    tree = _tree(vocabulary)
    at_once = max(1, NUMBERS_AT_ONCE // max(len(matrix), len(tree.members)))
    found = []
    for start in range(0, len(vectors), at_once):
        scores = np.clip(vectors[start : start + at_once] @ matrix.T, -1, 1)
        found += _from_scores(scores, tree, vocabulary, (logit_scale, top, calibrate))
    return found


def _from_scores(
    scores: NDArray[np.float32],
    tree: _Tree,
    vocabulary: Vocabulary,
    how: tuple[float, int, Calibrate],
) -> list[list[Proposal]]:
    """Proposals by cosines: float32, shape (pictures, concepts)."""
    logit_scale, top, calibrate = how
    odds = np.exp(logit_scale * (scores - scores.max(axis=1, keepdims=True)))
    odds /= odds.sum(axis=1, keepdims=True)
    inner = tree.sums(odds)
    shares = odds
    shares[:, tree.places] = inner
    best = _best(scores, top + 1)
    found = []
    for picture in range(len(scores)):
        row, share = scores[picture], shares[picture]
        picked = tree.back_offs(inner[picture], share, int(best[picture, 0]))
        order = [place for place in best[picture, :top].tolist() if place not in picked]
        guesses = [_pooled(tree, vocabulary, place, row, share) for place in picked]
        guesses += [_single(vocabulary, place, row, share, best[picture]) for place in order]
        found.append(_proposals("vocabulary", guesses, vocabulary, calibrate))
    return found


def propose_from_classes(
    rows: Iterable[Mapping[str, Any]],
    vocabulary: Vocabulary,
    top: int,
    calibrate: Calibrate = uncalibrated,
) -> list[Proposal]:
    """What one picture may show, by the likeliest classes of a classifier.

    Args:
        rows: Rows of `classifications` of one frame; those without an answer are passed over. Where
            they are not all classes, shares are the least they can be.
        vocabulary: Knows what the classes are kinds of.
        top: Classes to propose, beside the back-offs.
        calibrate: Probability of a softmax output.

    Returns:
        The back-offs and the best classes, best first.
    """
    classes = sorted((row for row in rows if row["label"] is not None), key=lambda row: row["rank"])
    if not classes:
        return []
    shares, best = _class_shares(classes, vocabulary)
    first = classes[0]
    picked = _class_back_offs(shares, first["concept"], vocabulary)
    names = vocabulary.names_of(picked)
    guesses = []
    for concept, name in zip(picked, names, strict=True):
        rest = [r["score"] for r in classes if not _is_below(r["concept"], concept, vocabulary)]
        margin = max(best[concept] - max(rest), 0.0) if rest else None
        guesses.append(_Guess(concept, name, best[concept], margin, shares[concept], True))
    nexts = [*(row["score"] for row in classes[1:]), None]
    for row, following in zip(classes[:top], nexts, strict=False):
        concept = row["concept"]
        if concept not in picked:
            margin = None if following is None else max(row["score"] - following, 0.0)
            label = vocabulary.names_of([concept])[0] if concept in vocabulary else row["label"]
            share = shares.get(concept, row["score"])
            guesses.append(_Guess(concept, label, row["score"], margin, share))
    return _proposals("classifier", guesses, vocabulary, calibrate)


# ---- similarity


@dataclass(frozen=True)
class _Tree:
    """Which concepts are below which; only those with something below them.

    Attributes:
        places: Place of each among the concepts: int, shape (inner,).
        members: Places of itself and of what is below it, one after another: int.
        starts: Where those of each begin in `members`: int, shape (inner,).
        sizes: How many those are: int, shape (inner,).
        inner_at: Row of `places` by place.
    """

    places: NDArray[np.intp]
    members: NDArray[np.intp]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    inner_at: Mapping[int, int]

    def sums(self, odds: NDArray[np.float32]) -> NDArray[np.float32]:
        """Shares of (pictures, concepts) odds, at most 1: float32, shape (pictures, inner)."""
        if not self.places.size:
            return np.zeros((len(odds), 0), dtype=np.float32)
        return np.minimum(np.add.reduceat(odds[:, self.members], self.starts, axis=1), 1)

    def below(self, place: int) -> NDArray[np.intp]:
        """Places of a concept and of what is below it."""
        row = self.inner_at[place]
        start = int(self.starts[row])
        return self.members[start : start + int(self.sizes[row])]

    def back_offs(
        self, inner: NDArray[np.float32], shares: NDArray[np.float32], best: int
    ) -> list[int]:
        """Places of the concepts that stand for an unsure best one, the most specific first."""
        own_size = float(self.sizes[self.inner_at[best]]) if best in self.inner_at else 1.0
        picked: list[int] = []
        for sure in SURE_SHARES:
            reached = np.flatnonzero(inner >= sure)
            if reached.size == 0:
                continue
            # The fewest concepts below; among equals the larger share.
            row = min(reached.tolist(), key=lambda one: (self.sizes[one], -inner[one]))
            is_better = shares[best] < sure or self.sizes[row] < own_size
            if is_better and (place := int(self.places[row])) not in [best, *picked]:
                picked.append(place)
        return picked


@lru_cache(maxsize=2)
def _tree(vocabulary: Vocabulary) -> _Tree:
    concepts = vocabulary.concepts
    place_of = {one.id: place for place, one in enumerate(concepts)}
    below: dict[int, list[int]] = {}
    for place, one in enumerate(concepts):
        for ancestor in one.ancestors:
            if ancestor in place_of:
                below.setdefault(place_of[ancestor], []).append(place)
    places = sorted(below)
    groups = [[place, *below[place]] for place in places]
    sizes = np.array([len(group) for group in groups], dtype=np.intp)
    members = np.fromiter(chain.from_iterable(groups), dtype=np.intp)
    inner_at = {place: row for row, place in enumerate(places)}
    starts = np.cumsum(sizes) - sizes
    return _Tree(np.array(places, dtype=np.intp), members, starts, sizes, inner_at)


def _check(vectors: NDArray[np.float32], matrix: NDArray[np.float32], concepts: int) -> None:
    fits = vectors.ndim == 2 and matrix.shape == (concepts, vectors.shape[1]) and concepts > 0
    if not fits:
        raise ShapeError(
            f"{vectors.shape} embeddings, {matrix.shape} texts, {concepts} concepts: give "
            "(pictures, dim) and (concepts, dim) of the same model and vocabulary"
        )
    if not (np.isfinite(vectors).all() and np.isfinite(matrix).all()):
        raise ModelError(
            "an embedding is not finite: rows without an answer are not to be labelled"
        )


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Places of the highest scores, best first: int, shape (pictures, at most `count`)."""
    count = min(count, scores.shape[1])
    some = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def _single(
    vocabulary: Vocabulary,
    place: int,
    scores: NDArray[np.float32],
    shares: NDArray[np.float32],
    best: NDArray[np.intp],
) -> _Guess:
    concept = vocabulary.concepts[place]
    rank = int(np.flatnonzero(best == place)[0])
    following = scores[best[rank + 1]] if rank + 1 < len(best) else None
    margin = None if following is None else float(scores[place] - following)
    score = float(scores[place])
    return _Guess(concept.id, concept.name, score, margin, float(shares[place]))


def _pooled(
    tree: _Tree,
    vocabulary: Vocabulary,
    place: int,
    scores: NDArray[np.float32],
    shares: NDArray[np.float32],
) -> _Guess:
    """A back-off: its score is the best below it, its margin that over the best elsewhere."""
    concept = vocabulary.concepts[place]
    is_below = np.zeros(len(scores), dtype=np.bool_)
    is_below[tree.below(place)] = True
    score = float(scores[is_below].max())
    rest = scores[~is_below]
    margin = max(score - float(rest.max()), 0.0) if rest.size else None
    return _Guess(concept.id, concept.name, score, margin, float(shares[place]), True)


# ---- classes


def _class_shares(
    classes: Sequence[Mapping[str, Any]], vocabulary: Vocabulary
) -> tuple[dict[str, float], dict[str, float]]:
    """Sum and maximum of the scores at or below every concept, kind and class."""
    shares: dict[str, float] = {}
    best: dict[str, float] = {}
    for row in classes:
        concept = row["concept"]
        for one in (concept, *vocabulary.ancestor_ids(concept)) if concept else ():
            shares[one] = min(shares.get(one, 0.0) + row["score"], 1.0)
            best[one] = max(best.get(one, 0.0), row["score"])
    return shares, best


def _class_back_offs(
    shares: Mapping[str, float], best: str | None, vocabulary: Vocabulary
) -> list[str]:
    picked: list[str] = []
    for sure in SURE_SHARES:
        reached = [
            one for one, share in shares.items() if share >= sure and vocabulary.is_concept(one)
        ]
        if best is not None and shares[best] >= sure:
            continue
        if reached:
            # The more is above it, the more specific it is.
            deepest = max(
                reached, key=lambda one: (len(vocabulary.ancestor_ids(one)), shares[one], one)
            )
            if deepest not in [best, *picked]:
                picked.append(deepest)
    return picked


def _is_below(concept: str | None, above: str, vocabulary: Vocabulary) -> bool:
    return concept is not None and above in (concept, *vocabulary.ancestor_ids(concept))


def _proposals(
    proposer: Literal["vocabulary", "classifier"],
    guesses: Sequence[_Guess],
    vocabulary: Vocabulary,
    calibrate: Calibrate,
) -> list[Proposal]:
    return [
        Proposal(
            proposer=proposer,
            rank=rank,
            label=one.label,
            concept=one.concept,
            score=one.score,
            margin=one.margin,
            probability=calibrate(one.score),
            share=one.share,
            is_backoff=one.is_backoff,
            ancestors=list(vocabulary.ancestors_of(one.concept)) if one.concept else [],
        )
        for rank, one in enumerate(guesses, start=1)
    ]
