"""Concepts: what pictures are asked for, and what each is a kind of.

A concept is a WordNet synset (`pug.n.01`), a curated term without one (`curated:selfie`) or a term
of the user's (`user:grandma's boat`). Beside the concepts a vocabulary knows *kinds*, which are
ancestors only (`carnivore.n.01`), and *classes*, which only a classifier tells apart; nobody asks a
picture for those.

Nothing here opens WordNet: `data/vocabulary.tsv` holds all of it that is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from media_pipeline.errors import UsageError
from media_pipeline.vocabulary.user_terms import UserTerm, folded, read_user_terms

MOST_ANCESTORS = 100
"""A chain of the user's terms may not be longer; ours are at most a dozen."""

OWNERS = frozenset({"my", "our", "your", "his", "her", "its", "their", "the"})
"""Words that stand where an article would: `a photo of our cabin`."""

SHIPPED = Path(__file__).with_name("data") / "vocabulary.tsv"


class Concept(NamedTuple):
    """Something a picture can show.

    Attributes:
        id: Synset such as `pug.n.01`, `curated:<name>` or `user:<term>`.
        name: For people; no two entries of a vocabulary share one.
        synonyms: What else it is called.
        ancestors: Ids of what it is a kind of, nearest first; an id never stands before one that
            is a kind of it.
        source: `curated`, `wordnet` or `user`.
        takes_article: Whether `a` goes before the name.
    """

    id: str
    name: str
    synonyms: tuple[str, ...]
    ancestors: tuple[str, ...]
    source: str
    takes_article: bool = True


class Entry(NamedTuple):
    """One line of the shipped file, or what a user's term became; parents are the nearest only."""

    id: str
    name: str
    takes_article: bool
    is_concept: bool
    source: str
    parents: tuple[str, ...]
    synonyms: tuple[str, ...]


class Vocabulary:
    """Everything that can be proposed, and everything that is above it.

    Args:
        entries: By id; every parent is among them and nothing is its own ancestor.
        checksum: See `checksum`.
    """

    def __init__(self, entries: Mapping[str, Entry], checksum: str) -> None:
        self._entries = entries
        self._checksum = checksum
        self._ancestors: dict[str, tuple[str, ...]] = {}

    @property
    def checksum(self) -> str:
        """8 hex digits that change with every name, parent or term, and with nothing else."""
        return self._checksum

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        """What pictures are asked for: ours in the order of the file, then the user's by id."""
        return tuple(
            Concept(
                one.id,
                one.name,
                one.synonyms,
                self.ancestor_ids(one.id),
                one.source,
                one.takes_article,
            )
            for one in self._entries.values()
            if one.is_concept
        )

    def __contains__(self, concept_id: str) -> bool:
        return concept_id in self._entries

    def is_concept(self, concept_id: str) -> bool:
        """Whether pictures are asked for it."""
        entry = self._entries.get(concept_id)
        return entry is not None and entry.is_concept

    def names_of(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Names of concepts, kinds and classes.

        Raises:
            KeyError: An id that the vocabulary does not know.
        """
        return tuple(self._entries[one].name for one in ids)

    def ancestors_of(self, concept_id: str) -> tuple[str, ...]:
        """Names of what something is a kind of, nearest first; empty for an unknown id."""
        return self.names_of(self.ancestor_ids(concept_id))

    def ancestor_ids(self, concept_id: str) -> tuple[str, ...]:
        """Ids of what something is a kind of, nearest first; empty for an unknown id."""
        found = self._ancestors.get(concept_id)
        if found is None:
            found = self._ancestors[concept_id] = self._climb(concept_id)
        return found

    def find(self, name: str) -> str | None:
        """The id that a name or synonym stands for, as `folded` compares; `None` where unknown."""
        return self._by_name.get(folded(name))

    def _climb(self, concept_id: str) -> tuple[str, ...]:
        entry = self._entries.get(concept_id)
        if entry is None:
            return ()
        found: set[str] = set()
        for parent in entry.parents:
            found.update((parent, *self.ancestor_ids(parent)))
        # Whatever is above `x` has fewer ancestors than `x`, so none comes before its own kinds.
        return tuple(sorted(found, key=lambda one: (-len(self.ancestor_ids(one)), one)))

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return _names(self._entries)


def load_vocabulary(user_file: Path | None = None, shipped: Path = SHIPPED) -> Vocabulary:
    """Our concepts and the user's terms; a file is only parsed again when its content changed.

    Args:
        user_file: The user's `vocabulary.txt` (see `user_terms`); it need not exist.
        shipped: The file that ships; another one in tests.

    Raises:
        UsageError: The user's file is not what it must be, or makes a concept its own ancestor.
    """
    content = shipped.read_bytes()
    terms = read_user_terms(user_file) if user_file is not None else ()
    return _vocabulary(content, terms)


@lru_cache(maxsize=4)
def _vocabulary(content: bytes, terms: tuple[UserTerm, ...]) -> Vocabulary:
    shipped = _shipped_entries(content)
    entries = dict(shipped)
    _add_terms(entries, terms)
    digest = hashlib.blake2b(content, digest_size=4)
    # What the user added is told apart by content, so comments, order and doubles do not count.
    digest.update(repr(sorted(set(entries.items()) - set(shipped.items()))).encode())
    return Vocabulary(entries, digest.hexdigest())


def _shipped_entries(content: bytes) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for line in content.decode("utf-8").splitlines()[1:]:
        key, name, article, rank, source, parents, synonyms = line.split("\t")
        entries[key] = Entry(
            key,
            name,
            article == "a",
            rank == "concept",
            source,
            tuple(parents.split("|")) if parents else (),
            tuple(synonyms.split("|")) if synonyms else (),
        )
    return entries


def _names(entries: Mapping[str, Entry]) -> dict[str, str]:
    """Ids by folded name or synonym; a name goes before a synonym."""
    found = {folded(name): one.id for one in entries.values() for name in one.synonyms}
    found.update((folded(one.name), one.id) for one in entries.values())
    return found


def _add_terms(entries: dict[str, Entry], terms: Sequence[UserTerm]) -> None:
    """Merge the user's terms into the entries.

    A term that we know becomes a concept if it is none; one that we do not know is new. A parent
    that nobody knows is a new term as well.
    """
    if not terms:
        return
    known = _names(entries)
    wanted = [*terms, *(UserTerm(one.parent, "", one.where) for one in terms if one.parent)]
    for term in sorted({folded(one.name): one for one in reversed(wanted)}.values()):
        key = known.setdefault(folded(term.name), f"user:{term.name}")
        entry = entries.get(key) or _new_entry(key, term.name)
        is_new = not entry.is_concept
        entries[key] = entry._replace(is_concept=True, source="user") if is_new else entry
    for term in terms:
        if term.parent:
            _link(entries, known[folded(term.name)], known[folded(term.parent)], term)
    for term in terms:
        _above(entries, known[folded(term.name)], term)


def _new_entry(key: str, name: str) -> Entry:
    # Names of people, pets and places are capitalised and take no article; nor do plurals, and
    # what says whose it is.
    is_plural = name.endswith("s") and not name.endswith("ss")
    first = name.split(" ")[0]
    is_owned = first in OWNERS or first.endswith(("'s", "\u2019s"))
    takes_article = name[:1].islower() and not is_plural and not is_owned
    return Entry(key, name, takes_article, False, "user", (), ())


def _link(entries: dict[str, Entry], child: str, parent: str, term: UserTerm) -> None:
    if child in _above(entries, parent, term):
        raise UsageError(
            f"{term.where}: {term.parent!r} is a kind of {term.name!r} already, so {term.name!r} "
            f"cannot be a kind of {term.parent!r}: remove one of the two"
        )
    if parent not in _above(entries, child, term):
        entry = entries[child]
        entries[child] = entry._replace(parents=(*entry.parents, parent))


def _above(entries: Mapping[str, Entry], start: str, term: UserTerm) -> set[str]:
    """Something and all that it is a kind of."""
    seen: set[str] = set()
    queue = [start]
    while queue:
        one = queue.pop()
        if one not in seen:
            seen.add(one)
            queue += entries[one].parents
        if len(seen) > MOST_ANCESTORS:
            raise UsageError(
                f"{term.where}: {term.name!r} is a kind of more than {MOST_ANCESTORS} things: "
                "say only what it is nearest to"
            )
    return seen
