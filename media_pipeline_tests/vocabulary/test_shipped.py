"""The vocabulary that ships: what must be in it, what must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_pipeline.vocabulary import Vocabulary, load_vocabulary
from media_pipeline.vocabulary.concepts import SHIPPED
from scripts.vocabulary_build import WORDNET, build, curated_terms

CLASSES = Path(__file__).parents[2] / "media_pipeline" / "models" / "data" / "imagenet-1k.csv"

OFFENSIVE = """nigger negro coon darky spic kike chink gook jap wop dago kraut squaw redskin gypsy
savage cripple retard moron imbecile idiot midget spastic lunatic whore slut bitch bastard cunt
faggot fag dyke queer tranny hooker prostitute pervert cuckold spinster half-breed mulatto quadroon
octoroon pickaninny honky whitey cracker_person terrorist rapist criminal drunkard junkie
""".split()


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


def test_it_has_between_two_and_five_thousand_concepts(vocabulary: Vocabulary) -> None:
    assert 2000 <= len(vocabulary.concepts) <= 5000


def test_it_is_a_small_file() -> None:
    assert SHIPPED.stat().st_size < 1_000_000


def test_no_two_entries_share_an_id_or_a_name() -> None:
    rows = _rows()
    assert len({row[0] for row in rows}) == len(rows)
    assert len({row[1].casefold() for row in rows}) == len(rows)


def test_no_synonym_is_the_name_or_a_synonym_of_something_else() -> None:
    names = [row[1].casefold() for row in _rows()]
    names += [one.casefold() for row in _rows() for one in row[6].split("|") if one]
    assert len(set(names)) == len(names)


def test_every_parent_is_an_entry_and_nothing_is_its_own_ancestor(vocabulary: Vocabulary) -> None:
    rows = _rows()
    known = {row[0] for row in rows}
    assert all(set(row[5].split("|")) - {""} <= known for row in rows)
    assert all(row[0] not in vocabulary.ancestor_ids(row[0]) for row in rows)


def test_no_ancestor_stands_before_something_of_its_kind(vocabulary: Vocabulary) -> None:
    for row in _rows():
        above = vocabulary.ancestor_ids(row[0])
        for place, one in enumerate(above):
            assert not set(above[:place]) & set(vocabulary.ancestor_ids(one))


def test_a_pug_is_a_dog_and_in_the_end_an_animal(vocabulary: Vocabulary) -> None:
    names = vocabulary.ancestors_of("pug.n.01")
    assert names[0] == "dog"
    assert names[-1] == "animal"
    assert {"canine", "carnivore", "mammal"} <= set(names)


def test_a_tabby_cat_is_a_cat_and_an_animal(vocabulary: Vocabulary) -> None:
    concept = vocabulary.find("tabby cat")
    assert concept == "tabby.n.01"
    names = vocabulary.ancestors_of(concept)
    assert names.index("cat") < names.index("animal")


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("espresso", "drink"),
        ("lasagna", "food"),
        ("bride", "person"),
        ("jeep", "vehicle"),
        ("lighthouse", "building"),
        ("selfie", "portrait"),
        ("phone screenshot", "screenshot"),
        ("tulip", "plant"),
        ("birthday cake", "dessert"),
        ("ukulele", "musical instrument"),
    ],
)
def test_a_search_for_the_general_finds_the_special(
    vocabulary: Vocabulary, name: str, above: str
) -> None:
    concept = vocabulary.find(name)
    assert concept is not None
    assert above in vocabulary.ancestors_of(concept)


def test_no_ancestor_is_jargon(vocabulary: Vocabulary) -> None:
    names = {name for one in vocabulary.concepts for name in vocabulary.names_of(one.ancestors)}
    jargon = {"whole", "artifact", "physical entity", "entity", "placental", "chordate", "matter"}
    assert not names & jargon


def test_every_curated_term_is_a_concept(vocabulary: Vocabulary) -> None:
    names = {one.name for one in vocabulary.concepts if one.source == "curated"}
    assert names == {term.name for term in curated_terms()}
    assert {"receipt", "screenshot", "whiteboard", "passport", "baby", "birthday party"} <= names


def test_every_class_of_imagenet_is_known(vocabulary: Vocabulary) -> None:
    classes = [line.split(",")[2] for line in CLASSES.read_text().splitlines()[1:]]
    assert len(classes) == 1000
    assert not [one for one in classes if one not in vocabulary]


@pytest.mark.parametrize("word", OFFENSIVE)
def test_nothing_derogatory_is_in_it(word: str) -> None:
    names = {row[1].casefold() for row in _rows()}
    names |= {one.casefold() for row in _rows() for one in row[6].split("|")}
    assert word.replace("_", " ") not in names


def test_people_are_named_by_what_can_be_seen_only(vocabulary: Vocabulary) -> None:
    people = [one for one in vocabulary.concepts if "person.n.01" in one.ancestors]
    assert {one.source for one in people} == {"curated"}


def test_names_fit_on_a_page_and_hold_no_separators() -> None:
    for row in _rows():
        assert len(row) == 7
        assert 0 < len(row[1]) <= 60
        assert "_" not in row[1]
        assert row[1] == row[1].strip()


@pytest.mark.slow
@pytest.mark.skipif(not WORDNET.is_dir(), reason="Debian's wordnet-base is not installed")
def test_the_file_is_what_the_script_makes() -> None:
    pytest.importorskip("timm")
    assert build() == SHIPPED.read_text(encoding="utf-8")


def _rows() -> list[list[str]]:
    return [line.split("\t") for line in SHIPPED.read_text(encoding="utf-8").split("\n")[1:-1]]
