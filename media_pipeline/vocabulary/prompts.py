"""Sentences about concepts, and one vector per concept out of them.

A text embedder learnt from captions, not from single words, and the mean of several sentences is
nearer to the pictures than any one of them (Radford et al. 2021, "Learning transferable visual
models from natural language supervision", section 3.1.4).

The sentences of a concept are embedded once per model and kept in `cache`; a new term costs its own
sentences only.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ModelError
from media_pipeline.models.cards import checksum_of
from media_pipeline.models.protocols import TextEmbedder
from media_pipeline.paths import write_atomically
from media_pipeline.vocabulary.concepts import Concept, Vocabulary

PROMPTS_VERSION = 1
"""Raised by hand when the sentences change; part of the recipe of labels."""

TEMPLATES = (
    "{a_name}",
    "a photo of {a_name}.",
    "a blurry photo of {a_name}.",
    "a photo of the small {name}.",
    "a photo of the large {name}.",
    "a family photo that shows {a_name}.",
    "a picture of {a_name}, a kind of {kind}.",
)

LETTERS_SPOKEN_WITH_A_VOWEL = frozenset("AEFHILMNORSX")
SPOKEN_LIKE_YOU_OR_ONE = ("uni", "use", "usu", "uke", "uku", "ura", "eu", "ewe", "one", "once")
SILENT_H = ("hour", "honest", "honor", "honour", "heir")

CONCEPTS_AT_ONCE = 64
"""Concepts embedded between two reports and two writings of the cache's file."""

WRITE_EVERY = 1024
"""New concepts between two writings: an interrupted run loses at most so many."""

Report = Callable[[int, int], None]
"""Told how many of the missing concepts are embedded, and of how many."""


def prompts_of(concept: Concept, vocabulary: Vocabulary) -> list[str]:
    """The sentences about a concept.

    A concept that is of no kind misses the one that says so.
    """
    above = vocabulary.names_of(concept.ancestors[:1])
    a_name = with_article(concept.name) if concept.takes_article else concept.name
    return [
        one.format(name=concept.name, a_name=a_name, kind=above[0] if above else "")
        for one in TEMPLATES
        if above or "{kind}" not in one
    ]


def with_article(name: str) -> str:
    """`a` or `an` before a name, as it is spoken: an hour, a unicycle, an X-ray, a CD."""
    word = name.replace("-", " ").split(" ")[0]
    lower = word.casefold()
    if word.isupper():
        vowel = word[0] in LETTERS_SPOKEN_WITH_A_VOWEL
    elif lower.startswith(SPOKEN_LIKE_YOU_OR_ONE):
        vowel = False
    else:
        vowel = lower[:1] in "aeiou" or lower.startswith(SILENT_H)
    return f"{'an' if vowel else 'a'} {name}"


def text_matrix(
    vocabulary: Vocabulary,
    embedder: TextEmbedder,
    cache: Path,
    fingerprint: Any = None,
    report: Report | None = None,
) -> NDArray[np.float32]:
    """One unit vector per concept: the mean of its sentences' unit vectors, normalised again.

    Args:
        vocabulary: Its concepts give the rows.
        embedder: Asked only for concepts whose sentences it was never asked for.
        cache: Folder of what was embedded before; made when it is missing.
        fingerprint: What the embedder's weights are (`store.fingerprint`), a JSON value; without it
            what its card says.
        report: Told about progress.

    Returns:
        float32, shape (concepts, dim), rows of L2 norm 1 in the order of `vocabulary.concepts`.

    Raises:
        ModelError: The embedder gave numbers that are not finite, or failed.
        DiskFull, LibraryNotWritable: The cache cannot be written.
    """
    weights = embedder.card.decides if fingerprint is None else fingerprint
    path = cache / f"{embedder.card.id}-{checksum_of([weights, PROMPTS_VERSION])}.npz"
    sentences = [prompts_of(one, vocabulary) for one in vocabulary.concepts]
    keys = [_key(one) for one in sentences]
    known = read_cache(path)
    missing = [place for place, key in enumerate(keys) if key not in known]
    unwritten = 0
    for start in range(0, len(missing), CONCEPTS_AT_ONCE):
        some = missing[start : start + CONCEPTS_AT_ONCE]
        vectors = _embed([sentences[place] for place in some], embedder)
        known.update(zip([keys[place] for place in some], vectors, strict=True))
        unwritten += len(some)
        if unwritten >= WRITE_EVERY or start + len(some) == len(missing):
            _write_cache(path, known)
            unwritten = 0
        if report is not None:
            report(start + len(some), len(missing))
    return np.stack([known[key] for key in keys])


def read_cache(path: Path) -> dict[str, NDArray[np.float32]]:
    """What was embedded before; a damaged file is set aside (`*.damaged`) and made again."""
    if not path.exists():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            keys, vectors = held["keys"], held["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _set_aside(path)
    if vectors.ndim != 2 or vectors.dtype != np.float32 or keys.shape != vectors.shape[:1]:
        return _set_aside(path)
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        return _set_aside(path)
    return dict(zip(keys.tolist(), vectors, strict=True))


def _set_aside(path: Path) -> dict[str, NDArray[np.float32]]:
    path.replace(path.with_name(f"{path.name}.damaged"))
    return {}


def _write_cache(path: Path, known: dict[str, NDArray[np.float32]]) -> None:
    content = io.BytesIO()
    np.savez(content, keys=np.array(list(known)), vectors=np.stack(list(known.values())))
    write_atomically(path, content.getvalue())


def _key(sentences: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(sentences).encode(), digest_size=8).hexdigest()


def _embed(sentences: Sequence[Sequence[str]], embedder: TextEmbedder) -> NDArray[np.float32]:
    """float32, shape (concepts, dim)."""
    given = embedder.embed_texts([one for some in sentences for one in some])
    if not np.isfinite(given).all():
        raise ModelError(
            f"{embedder.card.id} gave text embeddings that are not finite: check its files with "
            f"`media-pipeline models verify {embedder.card.id}`"
        )
    ends = np.cumsum([len(some) for some in sentences])[:-1]
    means = np.stack([part.mean(axis=0) for part in np.split(given.astype(np.float64), ends)])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return means.astype(np.float32)
