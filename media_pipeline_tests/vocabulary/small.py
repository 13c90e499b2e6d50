"""A vocabulary small enough to reckon with by hand, and a text embedder that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media_pipeline.models.cards import ModelCard
from media_pipeline.vocabulary import Vocabulary, load_vocabulary

HEADER = "id\tname\tarticle\tkind\tsource\tparents\tsynonyms"

ANIMALS = """
animal.n.01	animal	a	concept	wordnet
mammal.n.01	mammal	a	kind	wordnet	animal.n.01
pet.n.01	pet	a	concept	wordnet	animal.n.01
dog.n.01	dog	a	concept	wordnet	mammal.n.01|pet.n.01	domestic dog|hound
pug.n.01	pug	a	concept	wordnet	dog.n.01	pug-dog
corgi.n.01	corgi	a	concept	wordnet	dog.n.01
cat.n.01	cat	a	concept	wordnet	mammal.n.01|pet.n.01	kitty
oak.n.01	oak	a	concept	wordnet
snow.n.01	snow	-	concept	wordnet
sloth.n.01	sloth	a	class	wordnet	mammal.n.01
"""
"""animal > mammal > dog > pug, corgi; pet > dog, cat; oak and snow stand alone."""


def write_shipped(folder: Path, lines: str = ANIMALS) -> Path:
    """A file such as ships, with other lines."""
    path = folder / "vocabulary.tsv"
    rows = [line + "\t" * (6 - line.count("\t")) for line in lines.strip().split("\n")]
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


def small_vocabulary(folder: Path, terms: str = "") -> Vocabulary:
    """The animals above and the user's terms."""
    user = folder / "vocabulary.txt"
    user.write_text(terms, encoding="utf-8")
    return load_vocabulary(user, shipped=write_shipped(folder))


class CountingEmbedder:
    """Unit vectors out of the hash of a text; remembers what it was asked for."""

    def __init__(self, dim: int = 8, title: str = "counting") -> None:
        self.dim = dim
        self.card = ModelCard(
            id="counting",
            title=title,
            task="embedder",
            loader="clip",
            repository="",
            licence="none",
            parameters={"dim": dim},
        )
        self.asked: list[str] = []

    @property
    def logit_scale(self) -> float:
        return 100.0

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        drawn = np.random.default_rng(seed).normal(size=self.dim)
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)
