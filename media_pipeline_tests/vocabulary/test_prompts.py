"""Sentences about concepts, and their vectors."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import Interrupted, ModelError
from media_pipeline.vocabulary import Concept, Vocabulary, prompts_of, text_matrix
from media_pipeline.vocabulary import prompts as module
from media_pipeline.vocabulary.prompts import TEMPLATES, cache_file, with_article
from media_pipeline_tests.vocabulary.small import CountingEmbedder, small_vocabulary


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("dog", "a dog"),
        ("elephant", "an elephant"),
        ("hourglass", "an hourglass"),
        ("unicycle", "a unicycle"),
        ("umbrella", "an umbrella"),
        ("ukulele", "a ukulele"),
        ("European robin", "a European robin"),
        ("X-ray image", "an X-ray image"),
        ("SUV", "an SUV"),
        ("CD player", "a CD player"),
        ("T-shirt", "a T-shirt"),
        ("one-armed bandit", "a one-armed bandit"),
        ("ID card", "an ID card"),
        ("Easter egg", "an Easter egg"),
    ],
)
def test_the_article_is_the_spoken_one(name: str, wanted: str) -> None:
    assert with_article(name) == wanted


def test_the_sentences_say_what_it_is_a_kind_of(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path)
    pug, snow = (_concept(one, vocabulary.concepts) for one in ("pug", "snow"))
    sentences = prompts_of(pug, vocabulary)
    assert len(sentences) == len(TEMPLATES) == 7
    assert "a photo of a pug." in sentences
    assert sentences[-1] == "a picture of a pug, a kind of dog."
    assert "a photo of snow." in prompts_of(snow, vocabulary)
    assert len(prompts_of(snow, vocabulary)) == 6


def test_a_row_is_the_unit_mean_of_its_sentences(tmp_path: Path) -> None:
    vocabulary, embedder = small_vocabulary(tmp_path), CountingEmbedder()
    matrix = _matrix(vocabulary, embedder, tmp_path / "cache")
    assert matrix.shape == (len(vocabulary.concepts), 8)
    assert matrix.dtype == np.float32
    for row, concept in zip(matrix, vocabulary.concepts, strict=True):
        mean = np.mean([embedder.vector(one) for one in prompts_of(concept, vocabulary)], axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)


def test_nothing_is_embedded_twice(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path)
    first, second = CountingEmbedder(), CountingEmbedder()
    matrix = _matrix(vocabulary, first, tmp_path / "cache")
    np.testing.assert_array_equal(_matrix(vocabulary, second, tmp_path / "cache"), matrix)
    assert first.asked
    assert second.asked == []


def test_a_new_term_costs_its_own_sentences_only(tmp_path: Path) -> None:
    cache, embedder = tmp_path / "cache", CountingEmbedder()
    _matrix(small_vocabulary(tmp_path), CountingEmbedder(), cache)
    vocabulary = small_vocabulary(tmp_path, "Rex: dog\n")
    matrix = _matrix(vocabulary, embedder, cache)
    assert embedder.asked == prompts_of(vocabulary.concepts[-1], vocabulary)
    assert len(matrix) == len(vocabulary.concepts)


def test_a_term_that_went_and_came_back_is_still_known(tmp_path: Path) -> None:
    cache, embedder = tmp_path / "cache", CountingEmbedder()
    for terms in ("Rex: dog\n", "allotment\n"):
        _matrix(small_vocabulary(tmp_path, terms), CountingEmbedder(), cache)
    _matrix(small_vocabulary(tmp_path, "Rex: dog\n"), embedder, cache)
    assert embedder.asked == []


def test_other_weights_have_vectors_of_their_own(tmp_path: Path) -> None:
    vocabulary, cache = small_vocabulary(tmp_path), tmp_path / "cache"
    _matrix(vocabulary, CountingEmbedder(), cache, fingerprint={"revision": "a"})
    embedder = CountingEmbedder()
    _matrix(vocabulary, embedder, cache, fingerprint={"revision": "b"})
    assert embedder.asked
    other = CountingEmbedder(dim=4)
    assert _matrix(vocabulary, other, cache).shape[1] == 4


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "long", "scale", "none"])
def test_a_damaged_cache_is_set_aside_and_made_again(tmp_path: Path, damage: str) -> None:
    vocabulary, cache = small_vocabulary(tmp_path), tmp_path / "cache"
    wanted = _matrix(vocabulary, CountingEmbedder(), cache)
    (path,) = cache.glob("*.npz")
    content = path.read_bytes()
    if damage in ("long", "scale", "none"):
        length, scale = (5, 1) if damage == "long" else (1, -1)
        vectors = np.full((1, 8), length / 8**0.5, dtype=np.float32)
        more: dict[str, Any] = {} if damage == "none" else {"logit_scale": np.float64(scale)}
        np.savez(path, keys=np.array(["a"]), vectors=vectors, **more)
    else:
        broken = bytearray(content)
        broken[300:340] = bytes(40)
        path.write_bytes({"cut": content[:-50], "noise": bytes(broken), "empty": b""}[damage])
    np.testing.assert_array_equal(_matrix(vocabulary, CountingEmbedder(), cache), wanted)
    assert path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()


def test_numbers_that_are_not_finite_are_never_kept(tmp_path: Path) -> None:
    class Broken(CountingEmbedder):
        def vector(self, text: str) -> NDArray[np.float32]:
            return super().vector(text) * np.float32(np.nan if "pug" in text else 1)

    with pytest.raises(ModelError, match="models verify counting"):
        _matrix(small_vocabulary(tmp_path), Broken(), tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*.npz"))


def test_a_complete_cache_needs_no_embedder_at_all(tmp_path: Path) -> None:
    def none_there() -> CountingEmbedder:
        raise ModelError("there is no text embedder")

    vocabulary, cache = small_vocabulary(tmp_path), tmp_path / "cache.npz"
    first = text_matrix(vocabulary, CountingEmbedder, cache)
    again = text_matrix(vocabulary, none_there, cache)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert first.logit_scale == again.logit_scale == 100.0
    with pytest.raises(ModelError, match="no text embedder"):
        text_matrix(small_vocabulary(tmp_path, "Rex: dog\n"), none_there, cache)


def test_progress_is_told_from_the_start(tmp_path: Path, few_at_once: None) -> None:
    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))

    vocabulary = small_vocabulary(tmp_path)
    _matrix(vocabulary, CountingEmbedder(), tmp_path, report=report)
    assert told == [(0, 8), (2, 8), (4, 8), (6, 8), (8, 8)]
    _matrix(vocabulary, CountingEmbedder(), tmp_path, report=report)
    assert len(told) == 5, "nothing was missing"


def test_a_stop_ends_it_and_keeps_what_is_embedded(tmp_path: Path, few_at_once: None) -> None:
    stop = threading.Event()

    def report(done: int, total: int) -> None:
        if done >= 4:
            stop.set()

    vocabulary = small_vocabulary(tmp_path)
    with pytest.raises(Interrupted, match=r"4 of 8 concepts, which are kept: run"):
        _matrix(vocabulary, CountingEmbedder(), tmp_path, report=report, stop=stop)
    _check_the_rest_is_asked(vocabulary, 4, tmp_path)


def test_a_failure_keeps_what_was_embedded_before(tmp_path: Path, few_at_once: None) -> None:
    class Weary(CountingEmbedder):
        def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if self.asked:
                raise ModelError("the device is gone")
            return super().embed_texts(texts)

    vocabulary = small_vocabulary(tmp_path)
    with pytest.raises(ModelError, match="device is gone"):
        _matrix(vocabulary, Weary(), tmp_path)
    _check_the_rest_is_asked(vocabulary, 2, tmp_path)


def test_what_is_embedded_is_written_while_the_rest_is_not(
    tmp_path: Path, few_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def report(done: int, total: int) -> None:
        kept = [len(np.load(path)["keys"]) for path in tmp_path.glob("*.npz")]
        sizes.append(sum(kept))

    monkeypatch.setattr(module, "WRITE_EVERY", 4)
    _matrix(small_vocabulary(tmp_path), CountingEmbedder(), tmp_path, report=report)
    assert sizes == [0, 0, 4, 4, 8]


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two concepts at a time; a file only at the end."""
    monkeypatch.setattr(module, "CONCEPTS_AT_ONCE", 2)


def _check_the_rest_is_asked(vocabulary: Vocabulary, known: int, folder: Path) -> None:
    embedder = CountingEmbedder()
    _matrix(vocabulary, embedder, folder)
    rest = vocabulary.concepts[known:]
    assert embedder.asked == [one for concept in rest for one in prompts_of(concept, vocabulary)]


def _matrix(
    vocabulary: Vocabulary,
    embedder: CountingEmbedder,
    folder: Path,
    fingerprint: Any = None,
    **more: Any,
) -> NDArray[np.float32]:
    weights = fingerprint or embedder.card.decides
    cache = cache_file(folder, embedder.card, weights)
    return text_matrix(vocabulary, lambda: embedder, cache, **more).matrix


def _concept(name: str, concepts: tuple[Concept, ...]) -> Concept:
    return next(one for one in concepts if one.name == name)
