"""Sentences about concepts, and one vector per concept out of them.

A text embedder learnt from captions, not from single words, and the mean of several sentences is
nearer to the pictures than any one of them (Radford et al. 2021, "Learning transferable visual
models from natural language supervision", section 3.1.4).

The sentences of a concept are embedded once per model and kept in a file; a new term costs its own
sentences only, and where nothing is new no text embedder is loaded.
"""

from __future__ import annotations

import hashlib
import io
import math
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import Interrupted, ModelError
from media_pipeline.models.cards import ModelCard, checksum_of
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

CONCEPTS_AT_ONCE = 16
"""Concepts embedded between two reports, and two looks at whether to stop: seconds on a CPU."""

WRITE_EVERY = 128
"""New concepts between two writings: a run that is killed loses at most so many."""

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


class Texts(NamedTuple):
    """What an embedder's text side makes of a vocabulary.

    Attributes:
        matrix: float32, shape (concepts, dim), rows of L2 norm 1 in the order of the concepts.
        logit_scale: What the model multiplies a cosine by before softmax.
    """

    matrix: NDArray[np.float32]
    logit_scale: float


def cache_file(folder: Path, card: ModelCard, fingerprint: Any) -> Path:
    """Where the vectors of one embedder's texts are kept.

    Args:
        folder: Of all such files.
        card: The embedder.
        fingerprint: What its weights are (`store.fingerprint`), a JSON value.
    """
    return folder / f"{card.id}-{checksum_of([fingerprint, PROMPTS_VERSION])}.npz"


def text_matrix(
    vocabulary: Vocabulary,
    open_embedder: Callable[[], TextEmbedder],
    cache: Path,
    report: Report = lambda done, total: None,
    stop: threading.Event | None = None,
) -> Texts:
    """One unit vector per concept: the mean of its sentences' unit vectors, normalised again.

    Args:
        vocabulary: Its concepts give the rows.
        open_embedder: Gives the embedder, which may take long; only called when there are concepts
            whose sentences it was never asked for, and asked for those only.
        cache: File of what was embedded before (`cache_file`); made when it is missing.
        report: Told about progress, from 0 on.
        stop: Ends the work when it is set; what is embedded is kept.

    Raises:
        Interrupted: A stop was asked for.
        ModelError: The embedder gave numbers that are not finite, or failed.
        DiskFull, LibraryNotWritable: The cache cannot be written.
    """
    sentences = [prompts_of(one, vocabulary) for one in vocabulary.concepts]
    keys = [_key(one) for one in sentences]
    kept = read_cache(cache)
    known = kept.vectors if kept is not None else {}
    missing = {key: some for key, some in zip(keys, sentences, strict=True) if key not in known}
    if kept is None or missing:
        report(0, len(missing))
        kept = _completed(known, missing, open_embedder(), cache, report, stop)
    return Texts(np.stack([kept.vectors[key] for key in keys]), kept.logit_scale)


class Kept(NamedTuple):
    """What a cache's file holds: vectors by the key of their sentences, and the model's scale."""

    vectors: dict[str, NDArray[np.float32]]
    logit_scale: float


def _completed(
    known: dict[str, NDArray[np.float32]],
    missing: Mapping[str, Sequence[str]],
    embedder: TextEmbedder,
    cache: Path,
    report: Report,
    stop: threading.Event | None,
) -> Kept:
    """What was known and what was missing; whatever ends it, what is embedded is written."""
    kept = Kept(known, float(embedder.logit_scale))
    keys = list(missing)
    unwritten = 0
    try:
        for start in range(0, len(keys), CONCEPTS_AT_ONCE):
            if stop is not None and stop.is_set():
                raise Interrupted(
                    f"stopped after the sentences of {start:,} of {len(keys):,} concepts, which "
                    "are kept: run the same command to go on"
                )
            some = keys[start : start + CONCEPTS_AT_ONCE]
            vectors = _embed([missing[key] for key in some], embedder)
            known.update(zip(some, vectors, strict=True))
            unwritten += len(some)
            if unwritten >= WRITE_EVERY:
                _write_cache(cache, kept)
                unwritten = 0
            report(start + len(some), len(keys))
    finally:
        if unwritten:
            _write_cache(cache, kept)
    return kept


def read_cache(path: Path) -> Kept | None:
    """What was embedded before; a damaged file is set aside (`*.damaged`) and made again."""
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            keys, vectors, logit_scale = held["keys"], held["vectors"], float(held["logit_scale"])
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return _set_aside(path)
    if vectors.ndim != 2 or vectors.dtype != np.float32 or keys.shape != vectors.shape[:1]:
        return _set_aside(path)
    is_sound = math.isfinite(logit_scale) and logit_scale > 0
    if not (is_sound and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)):
        return _set_aside(path)
    return Kept(dict(zip(keys.tolist(), vectors, strict=True)), logit_scale)


def _set_aside(path: Path) -> Kept | None:
    path.replace(path.with_name(f"{path.name}.damaged"))
    return None


def _write_cache(path: Path, kept: Kept) -> None:
    content = io.BytesIO()
    keys, vectors = np.array(list(kept.vectors)), np.stack(list(kept.vectors.values()))
    np.savez(content, keys=keys, vectors=vectors, logit_scale=np.float64(kept.logit_scale))
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
