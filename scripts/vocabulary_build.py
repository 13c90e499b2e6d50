"""The vocabulary that ships: curated everyday terms and general concepts out of WordNet.

    python -m scripts.vocabulary_build

Reads   media_pipeline/vocabulary/data/curated.toml and expansion.toml, WordNet 3.0 (Debian's
        package `wordnet-base`, read by NLTK) and the lists of ImageNet's synsets in timm's wheel
Writes  media_pipeline/vocabulary/data/vocabulary.tsv
Cost    half a minute
Fails   when a term of the two files is not in WordNet, names clash or a concept is its own ancestor

NLTK and WordNet are needed here only: the file that comes out is all the program reads.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nltk.data
from nltk.corpus.reader.wordnet import Lemma, Synset, WordNetCorpusReader

DATA = Path(__file__).parent.parent / "media_pipeline" / "vocabulary" / "data"
DESTINATION = DATA / "vocabulary.tsv"
WORDNET = Path("/usr/share/wordnet")

LEXNAMES = """adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute
noun.body noun.cognition noun.communication noun.event noun.feeling noun.food noun.group
noun.location noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession
noun.process noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body
verb.change verb.cognition verb.communication verb.competition verb.consumption verb.contact
verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative
verb.weather adj.ppl""".split()
"""Names of WordNet's lexicographer files in their order: lexnames(5WN)."""

HEADER = "id\tname\tarticle\tkind\tsource\tparents\tsynonyms"
MOST_SYNONYMS = 6
WITHOUT_SYNONYMS = {"noun.person", "noun.act"}
RANKS = ("concept", "kind", "class")

SLURS = {"ethnic_slur.n.01", "disparagement.n.01", "obscenity.n.02", "derogation.n.02"}
"""Usage domains of WordNet whose words are never shown."""

UNWANTED_WORDS = {
    "bastard",
    "bitch",
    "whore",
    "slut",
    "cunt",
    "dyke",
    "fag",
    "faggot",
    "queer",
    "cock",
    "prick",
    "dick",
    "tit",
    "john",
    "can",
    "crapper",
    "boob tube",
    "idiot box",
    "knockers",
    "pap",
    "savage",
    "primitive",
    "cripple",
    "midget",
    "gypsy",
    "oriental",
    "eskimo",
    "squaw",
    "negro",
    "redskin",
    "darky",
    "jap",
}
"""Synonyms nobody is to meet here, whatever WordNet says of their usage."""  # fmt: skip


class DebianWordNet(WordNetCorpusReader):  # type: ignore[misc]
    """WordNet as Debian packs it: without `lexnames`, which never changed in WordNet 3."""

    def __init__(self, root: Path) -> None:
        nltk.data.path.append(str(root))  # NLTK opens nothing outside its data folders
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "multilingual functions are not available"
            super().__init__(str(root), None)
        lines = (root / "cntlist.rev").read_text(encoding="ascii").splitlines()
        self._tags = {key: int(tags) for key, _, tags in (line.split() for line in lines)}

    def open(self, file: str) -> Any:
        """One of the files, by name."""
        if file == "lexnames":
            return io.StringIO("".join(f"{i:02d}\t{n}\t0\n" for i, n in enumerate(LEXNAMES)))
        return super().open(file)

    def lemma_count(self, lemma: Lemma) -> int:
        """How often SemCor uses a word in this sense; NLTK would search the file each time."""
        return self._tags.get(lemma.key(), 0)

    def map_wn(self, version: str = "wordnet") -> None:
        """No mapping to other versions: that would need them."""


@dataclass
class Entry:
    """One line of the file that comes out.

    Attributes:
        id: Synset such as `pug.n.01`, or `curated:<name>`.
        name: For people.
        takes_article: Whether `a` goes before it.
        rank: 0 a concept that pictures are asked for, 1 a kind that others are, 2 a class that only
            a classifier knows.
        source: `curated` or `wordnet`.
        parents: Ids.
        synonyms: Other names.
    """

    id: str
    name: str
    takes_article: bool
    rank: int
    source: str
    parents: list[str] = field(default_factory=list)
    synonyms: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Its line, without the end."""
        cells = (
            self.id,
            self.name,
            "a" if self.takes_article else "-",
            RANKS[self.rank],
            self.source,
            "|".join(self.parents),
            "|".join(self.synonyms),
        )
        return "\t".join(cells)


@dataclass(frozen=True)
class Term:
    """One term of curated.toml."""

    name: str
    takes_article: bool
    synset: str
    parent: str
    synonyms: tuple[str, ...]


def curated_terms(path: Path = DATA / "curated.toml") -> list[Term]:
    """The terms of curated.toml, in its order."""
    found = []
    for section in tomllib.loads(path.read_text(encoding="utf-8"))["section"]:
        for text in section["terms"]:
            match = re.fullmatch(r"(.+?)( ~)? = (\S+)(?: < ([^|]+?))?((?: \| [^|]+)*)", text)
            if match is None:
                raise ValueError(f"{path}: {text!r} is not `name [~] = synset [< parent] [| ...]`")
            name, mass, synset, parent, more = match.groups()
            synonyms = tuple(one.strip() for one in more.split("|")[1:])
            parent = parent or section.get("parent", "-")
            found.append(Term(name, mass is None, synset, parent, synonyms))
    return found


def build(root: Path = WORDNET) -> str:
    """The whole file."""
    wordnet = DebianWordNet(root)
    rules = tomllib.loads((DATA / "expansion.toml").read_text(encoding="utf-8"))
    entries = _curated_entries(curated_terms(), wordnet)
    chosen = [one for one in choose(wordnet, rules) if one.name() not in entries]
    classes = [one for one in imagenet(wordnet, "imagenet") if one.name() not in entries]
    for synset in chosen:
        entries[synset.name()] = _entry(synset, rules, 0)
    for rank, synsets in ((1, _synsets(wordnet, rules["categories"])), (2, classes)):
        for synset in synsets:
            entries.setdefault(synset.name(), _entry(synset, rules, rank))
    kept = {key for key, entry in entries.items() if entry.rank < 2}
    _link(entries, kept, wordnet, rules["parents"])
    _rename_doubles(entries, wordnet)
    _add_synonyms(entries, wordnet)
    unused = sorted(set(rules["names"]) - entries.keys())
    if unused:
        raise ValueError(f"expansion.toml names what is no entry: {', '.join(unused)}")
    lines = sorted(entry.line() for entry in entries.values())
    return "\n".join([HEADER, *lines]) + "\n"


def _curated_entries(terms: Iterable[Term], wordnet: DebianWordNet) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    ids = {t.name: f"curated:{t.name}" if t.synset == "-" else t.synset for t in terms}
    for term in terms:
        key = ids[term.name]
        if term.synset != "-" and wordnet.synset(term.synset).name() != term.synset:
            raise ValueError(f"{term.synset} is called {wordnet.synset(term.synset).name()}")
        if key in entries:
            raise ValueError(f"{term.name!r} and {entries[key].name!r} are both {key}")
        parents = [] if term.parent == "-" else [ids.get(term.parent, term.parent)]
        synonyms = list(term.synonyms)
        entries[key] = Entry(key, term.name, term.takes_article, 0, "curated", parents, synonyms)
    return entries


# ---- which synsets


def choose(wordnet: DebianWordNet, rules: dict[str, Any]) -> list[Synset]:
    """The concepts that WordNet adds: what can be seen, is well known, and was not turned down."""
    turned_down = {one.name() for one in _synsets(wordnet, rules["exclude"])}
    small, large = (set(imagenet(wordnet, name)) for name in ("imagenet", "imagenet12k"))
    glosses = _gloss_counts(wordnet)
    chosen = set(_synsets(wordnet, rules["include"]))
    for synset in wordnet.all_synsets("n"):
        if synset.lexname() not in rules["lexicographer_files"] or synset.instance_hypernyms():
            continue
        if synset.min_depth() < rules["min_depth"] or synset.name() in turned_down:
            continue
        score = max((_familiarity(wordnet, one, glosses) for one in synset.lemmas()), default=-1)
        score += rules["bonus_1k"] * (synset in small) + rules["bonus_12k"] * (synset in large)
        enough = rules["min_score_photographed"] if synset in large else rules["min_score"]
        if score >= enough or (synset in small and score >= 0):
            chosen.add(synset)
    return sorted(chosen, key=lambda one: str(one.name()))


def imagenet(wordnet: DebianWordNet, name: str) -> list[Synset]:
    """The synsets of one of ImageNet's class lists, as timm carries them."""
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        raise ValueError("timm is not installed: pip install 'media-pipeline[all]'")
    path = Path(spec.origin).parent / "data" / "_info" / f"{name}_synsets.txt"
    offsets = path.read_text(encoding="ascii").split()
    return [wordnet.synset_from_pos_and_offset("n", int(one[1:])) for one in offsets]


def _synsets(wordnet: DebianWordNet, names: str) -> list[Synset]:
    return [wordnet.synset(name) for name in names.split()]


def _familiarity(wordnet: DebianWordNet, lemma: Lemma, glosses: Counter[str]) -> float:
    """How well known a word is in this sense; below zero where it mostly means something else."""
    synset, name = lemma.synset(), lemma.name()
    senses = wordnet.synsets(name, "n")
    if not senses or senses[0] != synset:
        tags = sum(
            one.count() for s in senses for one in s.lemmas() if one.name().lower() == name.lower()
        )
        if lemma.count() == 0 or lemma.count() < 0.4 * tags:
            return -10.0
    word = name.replace("_", " ").lower()
    used = glosses[word] + glosses[word + "s"]
    weight = 1.6 if "_" in name else 1.0
    return 2 * math.log1p(lemma.count()) + weight * math.log1p(used)


def _gloss_counts(wordnet: DebianWordNet) -> Counter[str]:
    """In how many glosses every word or compound of up to three words is used."""
    wanted = {name.replace("_", " ").lower() for name in wordnet.all_lemma_names("n")}
    wanted |= {word + "s" for word in wanted}
    counts: Counter[str] = Counter()
    for part in "nv":
        for synset in wordnet.all_synsets(part):
            text = " ".join([synset.definition(), *synset.examples()]).lower()
            counts.update(set(_phrases(re.findall(r"[a-z]+(?:'[a-z]+)?", text))) & wanted)
    return counts


def _phrases(words: list[str]) -> Iterator[str]:
    for length in (1, 2, 3):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


# ---- what they are called


def _entry(synset: Synset, rules: dict[str, Any], rank: int) -> Entry:
    name = rules["names"].get(synset.name()) or _names_of(synset)[0]
    takes_article = name not in re.split(r",\s+", rules["without_article"].strip())
    return Entry(synset.name(), name, takes_article, rank, "wordnet")


def _names_of(synset: Synset) -> list[str]:
    """What WordNet calls it, slurs left out; the usual word first."""
    lemmas = [one for one in synset.lemmas() if not _is_unwanted(one)]
    names = [one.name().replace("_", " ") for one in lemmas]
    return names or [synset.name().split(".")[0].replace("_", " ")]


def _is_unwanted(lemma: Lemma) -> bool:
    domains = {one.name() for one in [*lemma.usage_domains(), *lemma.synset().usage_domains()]}
    return bool(domains & SLURS) or lemma.name().replace("_", " ").lower() in UNWANTED_WORDS


def _rename_doubles(entries: dict[str, Entry], wordnet: DebianWordNet) -> None:
    """Give every entry a name of its own: curated terms first, then concepts, then kinds."""
    taken: set[str] = set()
    order = sorted(entries.values(), key=lambda e: (e.source, e.rank, e.id))
    for entry in order:
        if entry.name.casefold() in taken:
            if entry.source == "curated":
                raise ValueError(f"two terms are called {entry.name!r}")
            others = _names_of(wordnet.synset(entry.id))
            parent = entries[entry.parents[0]].name if entry.parents else "kind"
            others.append(f"{entry.name} ({parent})")
            entry.name = next(one for one in others if one.casefold() not in taken)
        taken.add(entry.name.casefold())


def _add_synonyms(entries: dict[str, Entry], wordnet: DebianWordNet) -> None:
    """Add WordNet's synonyms where no other entry has that name or synonym already."""
    taken = {entry.name.casefold() for entry in entries.values()}
    order = sorted(entries.values(), key=lambda e: (e.source, e.rank, e.id))
    for entry in order:
        wanted, entry.synonyms = [*entry.synonyms, *_other_names(entry, wordnet)], []
        for name in wanted:
            if name.casefold() not in taken and len(entry.synonyms) < MOST_SYNONYMS:
                entry.synonyms.append(name)
                taken.add(name.casefold())


def _other_names(entry: Entry, wordnet: DebianWordNet) -> list[str]:
    """WordNet's synonyms; none for people, where many are rude, and for acts, where they stray."""
    if entry.id.startswith("curated:"):
        return []
    synset = wordnet.synset(entry.id)
    return [] if synset.lexname() in WITHOUT_SYNONYMS else _names_of(synset)


# ---- what they are kinds of


def _link(
    entries: dict[str, Entry], kept: set[str], wordnet: DebianWordNet, extra: dict[str, str]
) -> None:
    """Give every entry its nearest ancestors among the kept, no parent twice over."""

    @cache
    def above(name: str) -> frozenset[str]:
        if name.startswith("curated:"):
            return frozenset()
        higher = [one.name() for one in wordnet.synset(name).hypernyms()]
        higher += [extra[name]] if name in extra else []
        return frozenset().union(*({one} if one in kept else above(one) for one in higher))

    for entry in entries.values():
        unknown = set(entry.parents) - entries.keys()
        if unknown:
            raise ValueError(f"{entry.id}: no entry {unknown} for its parent")
        entry.parents = sorted({*entry.parents, *above(entry.id)} - {entry.id})
    ancestors = {key: _ancestors(key, entries) for key in entries}
    for entry in entries.values():
        implied = {a for parent in entry.parents for a in ancestors[parent]}
        entry.parents = [one for one in entry.parents if one not in implied]


def _ancestors(key: str, entries: dict[str, Entry]) -> set[str]:
    found: set[str] = set()
    queue = list(entries[key].parents)
    while queue:
        one = queue.pop()
        if one == key:
            raise ValueError(f"{key} is a kind of itself")
        if one not in found:
            found.add(one)
            queue += entries[one].parents
    return found


def main() -> None:
    """Write the file, or say where it is out of date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--wordnet", type=Path, default=WORDNET, help="folder of WordNet's files")
    DESTINATION.write_text(build(parser.parse_args().wordnet), encoding="utf-8")
    lines = DESTINATION.read_text(encoding="utf-8").splitlines()[1:]
    concepts = sum(line.split("\t")[3] == "concept" for line in lines)
    print(f"{DESTINATION.name}: {concepts} concepts, {len(lines) - concepts} kinds and classes")


if __name__ == "__main__":
    main()
