"""Sentences about concepts, and their vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import ModelError
from media_pipeline.vocabulary import Concept, prompts_of, text_matrix
from media_pipeline.vocabulary import prompts as module
from media_pipeline.vocabulary.prompts import TEMPLATES, with_article
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
    matrix = text_matrix(vocabulary, embedder, tmp_path / "cache")
    assert matrix.shape == (len(vocabulary.concepts), 8)
    assert matrix.dtype == np.float32
    for row, concept in zip(matrix, vocabulary.concepts, strict=True):
        mean = np.mean([embedder.vector(one) for one in prompts_of(concept, vocabulary)], axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)


def test_nothing_is_embedded_twice(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path)
    first, second = CountingEmbedder(), CountingEmbedder()
    matrix = text_matrix(vocabulary, first, tmp_path / "cache")
    np.testing.assert_array_equal(text_matrix(vocabulary, second, tmp_path / "cache"), matrix)
    assert first.asked
    assert second.asked == []


def test_a_new_term_costs_its_own_sentences_only(tmp_path: Path) -> None:
    cache, embedder = tmp_path / "cache", CountingEmbedder()
    text_matrix(small_vocabulary(tmp_path), CountingEmbedder(), cache)
    vocabulary = small_vocabulary(tmp_path, "Rex: dog\n")
    matrix = text_matrix(vocabulary, embedder, cache)
    assert embedder.asked == prompts_of(vocabulary.concepts[-1], vocabulary)
    assert len(matrix) == len(vocabulary.concepts)


def test_a_term_that_went_and_came_back_is_still_known(tmp_path: Path) -> None:
    cache, embedder = tmp_path / "cache", CountingEmbedder()
    for terms in ("Rex: dog\n", "allotment\n"):
        text_matrix(small_vocabulary(tmp_path, terms), CountingEmbedder(), cache)
    text_matrix(small_vocabulary(tmp_path, "Rex: dog\n"), embedder, cache)
    assert embedder.asked == []


def test_other_weights_have_vectors_of_their_own(tmp_path: Path) -> None:
    vocabulary, cache = small_vocabulary(tmp_path), tmp_path / "cache"
    text_matrix(vocabulary, CountingEmbedder(), cache, fingerprint={"revision": "a"})
    embedder = CountingEmbedder()
    text_matrix(vocabulary, embedder, cache, fingerprint={"revision": "b"})
    assert embedder.asked
    other = CountingEmbedder(dim=4)
    assert text_matrix(vocabulary, other, cache).shape[1] == 4


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "other"])
def test_a_damaged_cache_is_set_aside_and_made_again(tmp_path: Path, damage: str) -> None:
    vocabulary, cache = small_vocabulary(tmp_path), tmp_path / "cache"
    wanted = text_matrix(vocabulary, CountingEmbedder(), cache)
    (path,) = cache.glob("*.npz")
    content = path.read_bytes()
    if damage == "other":
        np.savez(path, keys=np.array(["a"]), vectors=np.full((1, 8), 5, dtype=np.float32))
    else:
        broken = bytearray(content)
        broken[300:340] = bytes(40)
        path.write_bytes({"cut": content[:-50], "noise": bytes(broken), "empty": b""}[damage])
    np.testing.assert_array_equal(text_matrix(vocabulary, CountingEmbedder(), cache), wanted)
    assert path.exists()
    assert path.with_name(f"{path.name}.damaged").exists()


def test_numbers_that_are_not_finite_are_never_kept(tmp_path: Path) -> None:
    class Broken(CountingEmbedder):
        def vector(self, text: str) -> NDArray[np.float32]:
            return super().vector(text) * np.float32(np.nan if "pug" in text else 1)

    with pytest.raises(ModelError, match="models verify counting"):
        text_matrix(small_vocabulary(tmp_path), Broken(), tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*.npz"))


def test_progress_is_told_and_an_interrupted_run_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))
        if done >= 6:
            raise Stop

    monkeypatch.setattr(module, "CONCEPTS_AT_ONCE", 2)
    monkeypatch.setattr(module, "WRITE_EVERY", 2)
    vocabulary, cache = small_vocabulary(tmp_path), tmp_path / "cache"
    with pytest.raises(Stop):
        text_matrix(vocabulary, CountingEmbedder(), cache, report=report)
    assert told == [(2, 8), (4, 8), (6, 8)]
    embedder = CountingEmbedder()
    text_matrix(vocabulary, embedder, cache)
    assert embedder.asked == [
        one for concept in vocabulary.concepts[6:] for one in prompts_of(concept, vocabulary)
    ]


def _concept(name: str, concepts: tuple[Concept, ...]) -> Concept:
    return next(one for one in concepts if one.name == name)
