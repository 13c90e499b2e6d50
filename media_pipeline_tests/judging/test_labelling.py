"""Label proposals on a tree small enough to reckon with by hand."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, ShapeError
from media_pipeline.judging import labelling
from media_pipeline.judging.labelling import (
    Proposal,
    propose_from_classes,
    propose_from_embeddings,
    unit_vectors,
)
from media_pipeline.schema import TABLES
from media_pipeline.vocabulary import Vocabulary, load_vocabulary
from media_pipeline_tests.vocabulary.small import small_vocabulary, write_shipped

NAMES = ("animal", "pet", "dog", "pug", "corgi", "cat", "oak", "snow")
SCALE = 10.0


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    made = small_vocabulary(tmp_path_factory.mktemp("vocabulary"))
    assert tuple(one.name for one in made.concepts) == NAMES
    return made


def test_a_sure_child_is_proposed_first_and_needs_no_parent(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, pug=0.9, corgi=0.02, cat=0.02, oak=0.02)
    assert [one["is_backoff"] for one in found] == [False] * 3
    first = found[0]
    assert (first["label"], first["concept"], first["rank"]) == ("pug", "pug.n.01", 1)
    assert first["share"] == pytest.approx(0.9, abs=1e-5)
    assert first["ancestors"] == ["dog", "mammal", "pet", "animal"]


def test_an_unsure_child_gives_way_to_its_sure_parent(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, pug=0.45, corgi=0.42, cat=0.02, oak=0.03)
    assert [one["label"] for one in found[:3]] == ["dog", "pug", "corgi"]
    assert [one["is_backoff"] for one in found[:3]] == [True, False, False]
    assert found[0]["share"] == pytest.approx(0.87 + 0.02, abs=1e-5)  # its own 0.02
    assert [one["rank"] for one in found] == [1, 2, 3, 4]


def test_the_parents_score_is_the_best_below_it_and_its_margin_over_the_rest(
    vocabulary: Vocabulary,
) -> None:
    found = _propose(vocabulary, pug=0.45, corgi=0.42, cat=0.02, oak=0.03)
    dog, pug, corgi = found[:3]
    assert dog["score"] == pug["score"]
    assert dog["margin"] == pytest.approx(math.log(0.45 / 0.03) / SCALE, abs=1e-5)
    assert pug["margin"] == pytest.approx(math.log(0.45 / 0.42) / SCALE, abs=1e-5)
    assert corgi["margin"] == pytest.approx(math.log(0.42 / 0.03) / SCALE, abs=1e-5)


def test_a_less_sure_parent_is_followed_by_a_surer_one(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, pug=0.3, corgi=0.3, cat=0.35, oak=0.03)
    assert [one["label"] for one in found if one["is_backoff"]] == ["dog", "pet"]
    assert found[1]["share"] == pytest.approx(0.95 + 0.01, abs=1e-5)  # dog and pet: 0.005 each


def test_a_parent_may_stand_for_children_the_best_concept_is_none_of(
    vocabulary: Vocabulary,
) -> None:
    found = _propose(vocabulary, oak=0.37, pug=0.3, corgi=0.3)
    assert [one["label"] for one in found[:2]] == ["dog", "oak"]
    assert found[0]["margin"] == 0.0


def test_without_a_sure_parent_there_is_none(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, pug=0.35, oak=0.33, snow=0.3)
    assert [one["label"] for one in found] == ["pug", "oak", "snow"]
    assert not any(one["is_backoff"] for one in found)


def test_kinds_that_nobody_asks_for_never_stand_for_their_children(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, pug=0.3, cat=0.3, corgi=0.3)
    assert "mammal" not in [one["label"] for one in found]


def test_something_below_two_kinds_counts_once_in_each(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, top=8, pug=0.5, cat=0.3)
    shares = {one["label"]: one["share"] for one in found}
    left = 0.2 / 6  # animal, pet, dog, corgi; oak and snow are none
    assert shares["animal"] == pytest.approx(0.5 + 0.3 + 4 * left, abs=1e-5)


def test_the_last_concept_has_no_margin(vocabulary: Vocabulary) -> None:
    found = _propose(vocabulary, top=99, pug=0.9)
    assert len(found) == len(NAMES)
    assert found[-1]["margin"] is None
    assert all(one["margin"] is not None for one in found[:-1])


def test_a_probability_is_the_calibrations(vocabulary: Vocabulary) -> None:
    matrix, vectors = _space({"pug": 0.9})
    (found,) = propose_from_embeddings(vectors, matrix, vocabulary, SCALE, 2, lambda s: s / 4)
    assert found[0]["probability"] == found[0]["score"] / 4
    (found,) = propose_from_embeddings(vectors, matrix, vocabulary, SCALE, 2)
    assert found[0]["probability"] is None


def test_one_picture_at_a_time_or_all_at_once_is_the_same(vocabulary: Vocabulary) -> None:
    matrix = np.eye(len(NAMES), dtype=np.float32)
    vectors = _unit(np.random.default_rng(3).normal(size=(20, len(NAMES))))
    together = propose_from_embeddings(vectors, matrix, vocabulary, SCALE, 3)
    alone = [
        propose_from_embeddings(vectors[[place]], matrix, vocabulary, SCALE, 3)[0]
        for place in range(20)
    ]
    for one, other in zip(together, alone, strict=True):
        assert [row["label"] for row in one] == [row["label"] for row in other]
        np.testing.assert_allclose(
            [row["share"] for row in one], [row["share"] for row in other], rtol=1e-5
        )


def test_no_pictures_give_no_proposals(vocabulary: Vocabulary) -> None:
    matrix = np.eye(len(NAMES), dtype=np.float32)
    nothing = np.zeros((0, len(NAMES)), dtype=np.float32)
    assert propose_from_embeddings(nothing, matrix, vocabulary, SCALE, 3) == []


def test_arrays_that_do_not_fit_are_refused(vocabulary: Vocabulary) -> None:
    vectors = np.ones((1, 4), dtype=np.float32)
    for shape in ((len(NAMES), 5), (len(NAMES) - 1, 4), (4,)):
        with pytest.raises(ShapeError, match="same model and vocabulary"):
            propose_from_embeddings(vectors, np.ones(shape, np.float32), vocabulary, SCALE, 3)
    broken = np.full((len(NAMES), 4), np.nan, dtype=np.float32)
    with pytest.raises(ModelError, match="not finite"):
        propose_from_embeddings(vectors, broken, vocabulary, SCALE, 3)


def test_vectors_of_a_table_become_one_array() -> None:
    half = np.float16(math.sqrt(0.5)).item()
    found = unit_vectors([[1.0, 0.0], [half, half]], "clip-b")
    assert (found.dtype, found.shape) == (np.float32, (2, 2))


@pytest.mark.parametrize(
    ("vectors", "wanted"),
    [
        ([[1.0, 0.0], [3.0, 4.0]], "clip-b has the norm 5, expected 1"),
        ([[0.0, 0.0]], "clip-b has the norm 0, expected 1"),
        ([[1.0, math.nan]], "clip-b has the norm nan, expected 1"),
        ([[0.99, 0.0]], "norm 0.99,"),
        ([[]], "norm 0,"),
        ([[1.0, 0.0], [1.0]], r"clip-b have different lengths \(1, 2\)"),
    ],
)
def test_what_is_no_unit_vector_is_not_labelled(vectors: list[list[float]], wanted: str) -> None:
    with pytest.raises(ModelError, match=wanted):
        unit_vectors(vectors, "clip-b")


@settings(max_examples=100)
@given(
    kinds=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60),
    seed=st.integers(0, 2**32 - 1),
)
def test_shares_are_those_of_a_dense_matrix_of_who_is_below_whom(
    kinds: list[tuple[int, int]], seed: int
) -> None:
    lines = [f"term {low}: term {high}" for low, high in kinds if low < high]
    with TemporaryDirectory() as folder:
        vocabulary = small_vocabulary(Path(folder), "\n".join(lines))
    concepts = vocabulary.concepts
    dense = np.array(
        [[above.id in (one.id, *one.ancestors) for one in concepts] for above in concepts],
        dtype=np.float64,
    )
    random = np.random.default_rng(seed)
    matrix, vectors = (_unit(random.normal(size=(n, 5))) for n in (len(concepts), 3))
    odds = np.exp(SCALE * (vectors @ matrix.T).astype(np.float64))
    wanted = odds / odds.sum(axis=1, keepdims=True) @ dense.T
    place_of = {one.id: place for place, one in enumerate(concepts)}
    top = len(concepts)
    for picture, found in enumerate(
        propose_from_embeddings(vectors, matrix, vocabulary, SCALE, top)
    ):
        places = [place_of[str(one["concept"])] for one in found]
        assert sorted(places) == list(range(top))
        shares = [one["share"] for one in found]
        np.testing.assert_allclose(shares, wanted[picture][places], rtol=1e-4, atol=1e-6)


def test_a_few_pictures_at_once_are_labelled_like_all(
    vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = np.eye(len(NAMES), dtype=np.float32)
    vectors = _unit(np.random.default_rng(5).normal(size=(7, len(NAMES))))
    wanted = propose_from_embeddings(vectors, matrix, vocabulary, SCALE, 3)
    monkeypatch.setattr(labelling, "NUMBERS_AT_ONCE", 30)
    found = propose_from_embeddings(vectors, matrix, vocabulary, SCALE, 3)
    assert [[one["label"] for one in rows] for rows in found] == [
        [one["label"] for one in rows] for rows in wanted
    ]


def test_a_vocabulary_without_kinds_has_no_back_offs(tmp_path: Path) -> None:
    lines = "a.n.01\ta\ta\tconcept\twordnet\nb.n.01\tb\ta\tconcept\twordnet"
    flat = load_vocabulary(None, shipped=write_shipped(tmp_path, lines))
    (found,) = propose_from_embeddings(np.eye(1, 2, dtype=np.float32), np.eye(2, dtype=np.float32),
                                       flat, SCALE, 2)  # fmt: skip
    assert [(one["label"], one["is_backoff"]) for one in found] == [("a", False), ("b", False)]


@pytest.mark.slow
def test_many_terms_with_parents_take_memory_for_what_they_say_and_no_more() -> None:
    lines = "\n".join(f"term {n} < group {n // 2}" for n in range(12_000))
    with TemporaryDirectory() as folder:
        vocabulary = small_vocabulary(Path(folder), lines)
    concepts = len(vocabulary.concepts)
    matrix = _unit(np.random.default_rng(1).normal(size=(concepts, 4)))
    tracemalloc.start()
    try:
        propose_from_embeddings(matrix[:300], matrix, vocabulary, SCALE, 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert concepts > 18_000
    assert peak < 200e6, "a dense matrix of 6,000 groups and 18,000 concepts is 432 MB"


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 200.0), spread=st.floats(0.01, 3.0))
def test_no_child_has_a_larger_share_than_its_parent(
    seed: int, scale: float, spread: float
) -> None:
    vocabulary = load_vocabulary()
    random = np.random.default_rng(seed)
    matrix = _unit(random.normal(size=(len(vocabulary.concepts), 6)))
    vectors = _unit(
        matrix[random.integers(0, len(matrix), 2)] + spread * random.normal(size=(2, 6))
    )
    for found in propose_from_embeddings(vectors, matrix, vocabulary, scale, 40):
        shares = {one["concept"]: one["share"] for one in found}
        _check_rows(found)
        for concept in filter(None, shares):
            for above in set(vocabulary.ancestor_ids(concept)) & shares.keys():
                assert shares[concept] <= shares[above] + 1e-5


def test_the_rows_are_rows_of_the_table(vocabulary: Vocabulary) -> None:
    columns = {column.name for column in TABLES["labels"].columns}
    found = _propose(vocabulary, pug=0.9)
    assert set(Proposal.__annotations__) == set(found[0]) < columns


# ---- classes


def test_classes_are_proposed_with_their_ancestors(vocabulary: Vocabulary) -> None:
    found = propose_from_classes(_classes(("pug", 0.9), ("sloth", 0.05)), vocabulary, 5)
    assert [one["label"] for one in found] == ["pug", "sloth"]
    assert [one["proposer"] for one in found] == ["classifier"] * 2
    assert found[0]["margin"] == pytest.approx(0.85)
    assert found[1]["margin"] is None
    assert found[1]["ancestors"] == ["mammal", "animal"]


def test_unsure_classes_give_way_to_what_they_are_all_kinds_of(vocabulary: Vocabulary) -> None:
    found = propose_from_classes(
        _classes(("pug", 0.4), ("corgi", 0.3), ("cat", 0.15), ("oak", 0.1)), vocabulary, 2
    )
    assert [one["label"] for one in found] == ["dog", "pet", "pug", "corgi"]
    assert [one["is_backoff"] for one in found] == [True, True, False, False]
    assert found[0]["share"] == pytest.approx(0.7)
    assert found[0]["margin"] == pytest.approx(0.4 - 0.15)
    assert found[1]["share"] == pytest.approx(0.85)


def test_a_class_without_a_synset_keeps_its_name(vocabulary: Vocabulary) -> None:
    rows = [{"rank": 1, "label": "LABEL_7", "concept": None, "score": 0.9}]
    (found,) = propose_from_classes(rows, vocabulary, 5)
    assert (found["label"], found["concept"], found["ancestors"]) == ("LABEL_7", None, [])
    assert found["share"] == 0.9


def test_a_synset_nobody_knows_keeps_the_classs_name(vocabulary: Vocabulary) -> None:
    rows = [{"rank": 1, "label": "tench", "concept": "tench.n.01", "score": 0.9}]
    (found,) = propose_from_classes(rows, vocabulary, 5)
    assert (found["label"], found["ancestors"], found["share"]) == ("tench", [], 0.9)


def test_a_frame_without_an_answer_has_no_proposals(vocabulary: Vocabulary) -> None:
    rows = [{"rank": 0, "label": None, "concept": None, "score": None}]
    assert propose_from_classes(rows, vocabulary, 5) == []


@given(
    scores=st.lists(
        st.tuples(st.sampled_from([*NAMES, "sloth"]), st.floats(0, 1)), min_size=1, max_size=9
    )
)
def test_proposals_of_classes_are_in_their_ranges(
    vocabulary: Vocabulary, scores: list[tuple[str, float]]
) -> None:
    total = sum(score for _, score in scores) or 1.0
    ordered = sorted(((name, score / total) for name, score in scores), key=lambda one: -one[1])
    _check_rows(propose_from_classes(_classes(*ordered), vocabulary, 4))


def _check_rows(found: Sequence[Proposal]) -> None:
    assert [one["rank"] for one in found] == list(range(1, len(found) + 1))
    for one in found:
        assert -1 <= one["score"] <= 1
        assert 0 <= one["share"] <= 1
        assert one["margin"] is None or 0 <= one["margin"] <= 2


def _classes(*scores: tuple[str, float]) -> list[dict[str, Any]]:
    return [
        {"rank": rank, "label": f"class {name}", "concept": f"{name}.n.01", "score": score}
        for rank, (name, score) in enumerate(scores, start=1)
    ]


def _propose(vocabulary: Vocabulary, top: int = 3, **shares: float) -> list[Proposal]:
    """Proposals for a picture whose softmax gives these shares."""
    matrix, vectors = _space(shares)
    return propose_from_embeddings(vectors, matrix, vocabulary, SCALE, top)[0]


def _space(shares: dict[str, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Texts as axes, and a picture whose cosines give the shares; others divide what is left."""
    left = (1 - sum(shares.values())) / (len(NAMES) - len(shares))
    logits = np.log([shares.get(name, left) for name in NAMES])
    cosines = (logits - logits.mean()) / SCALE
    matrix = np.eye(len(NAMES), len(NAMES) + 1, dtype=np.float32)
    rest = math.sqrt(1 - float((cosines**2).sum()))
    return matrix, np.array([[*cosines, rest]], dtype=np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
