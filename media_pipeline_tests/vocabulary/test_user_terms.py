"""The user's `vocabulary.txt`."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from media_pipeline.errors import UsageError
from media_pipeline.vocabulary import load_vocabulary
from media_pipeline.vocabulary.user_terms import MOST_TERMS, read_user_terms
from media_pipeline_tests.vocabulary.small import small_vocabulary, write_shipped


def test_a_missing_file_is_no_terms(tmp_path: Path) -> None:
    shipped = write_shipped(tmp_path)
    without = load_vocabulary(None, shipped=shipped)
    assert load_vocabulary(tmp_path / "none.txt", shipped=shipped).checksum == without.checksum


def test_an_unknown_word_becomes_a_concept_of_its_own(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path, "grandma's boat\n")
    assert vocabulary.concepts[-1].id == "user:grandma's boat"
    assert vocabulary.concepts[-1].ancestors == ()
    assert vocabulary.concepts[-1].source == "user"


@pytest.mark.parametrize("line", ["Rex: dog", "Rex < dog", "Rex<Hound", "Rex : domestic dog"])
def test_a_parent_gives_its_ancestors(tmp_path: Path, line: str) -> None:
    vocabulary = small_vocabulary(tmp_path, line)
    assert vocabulary.ancestors_of("user:Rex") == ("dog", "mammal", "pet", "animal")


def test_a_colon_inside_a_word_is_part_of_the_term(tmp_path: Path) -> None:
    assert small_vocabulary(tmp_path, "half past 10:30").find("half past 10:30") is not None


def test_a_parent_that_nobody_knows_becomes_a_term_too(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path, "Rex: my dogs\n")
    assert vocabulary.ancestors_of("user:Rex") == ("my dogs",)
    assert vocabulary.is_concept("user:my dogs")


def test_terms_may_build_on_each_other_in_any_order(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path, "Rex: my dogs\nmy dogs < dog\n")
    assert vocabulary.ancestors_of("user:Rex")[:2] == ("my dogs", "dog")
    assert vocabulary.ancestors_of("user:Rex")[-1] == "animal"


def test_a_term_we_know_is_merged_whatever_its_case(tmp_path: Path) -> None:
    plain = small_vocabulary(tmp_path)
    merged = small_vocabulary(tmp_path, "Dog\nKITTY\ndog\n")
    assert [one.id for one in merged.concepts] == [one.id for one in plain.concepts]
    assert merged.checksum == plain.checksum


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_term_is_one_however_its_letters_are_composed(tmp_path: Path, form: Any) -> None:
    text = unicodedata.normalize(form, "Café: dog\nCAFÉ < dog\nour terrace: café\n")
    composed = unicodedata.normalize("NFC", "Café")
    vocabulary = small_vocabulary(tmp_path, text)
    own = [one for one in vocabulary.concepts if one.source == "user"]
    assert [one.id for one in own] == [f"user:{composed}", "user:our terrace"]
    assert own[1].ancestors[0] == f"user:{composed}"
    for one in ("NFC", "NFD"):
        assert vocabulary.find(unicodedata.normalize(one, "café")) == f"user:{composed}"


def test_the_checksum_does_not_ask_how_letters_are_composed(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    assert (
        len({small_vocabulary(tmp_path, one).checksum for one in [*forms, "\n".join(forms)]}) == 1
    )


def test_a_class_only_a_classifier_knows_becomes_a_concept_with_its_ancestors(
    tmp_path: Path,
) -> None:
    vocabulary = small_vocabulary(tmp_path, "sloth")
    assert vocabulary.is_concept("sloth.n.01")
    assert vocabulary.ancestors_of("sloth.n.01") == ("mammal", "animal")
    assert not small_vocabulary(tmp_path).is_concept("sloth.n.01")


def test_the_checksum_changes_with_terms_and_with_nothing_else(tmp_path: Path) -> None:
    first = small_vocabulary(tmp_path, "Rex: dog\nallotment\n").checksum
    assert len(first) == 8
    same = "# mine\n\n  allotment   # since 2019\r\nRex < dog\nRex: dog\nREX: DOG\n"
    assert small_vocabulary(tmp_path, same).checksum == first
    assert small_vocabulary(tmp_path, "Rex: cat\nallotment\n").checksum != first
    assert small_vocabulary(tmp_path, "Rex: dog\n").checksum != first
    assert small_vocabulary(tmp_path, "").checksum != first


def test_the_checksum_changes_with_what_ships(tmp_path: Path) -> None:
    one = load_vocabulary(None, shipped=write_shipped(tmp_path))
    other = load_vocabulary(None, shipped=write_shipped(tmp_path, "a.n.01\ta\ta\tconcept\twordnet"))
    assert one.checksum != other.checksum


@pytest.mark.parametrize(
    "term", ["our cabin", "grandma's boat", "the old mill", "grandpa\u2019s car"]
)
def test_what_says_whose_it_is_takes_no_article(tmp_path: Path, term: str) -> None:
    vocabulary = small_vocabulary(tmp_path, f"{term}\nourang cabin\n")
    articles = {one.name: one.takes_article for one in vocabulary.concepts if one.source == "user"}
    assert articles == {term: False, "ourang cabin": True}


def test_names_and_plurals_take_no_article(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path, "Rex\nallotment\nseed trays\nchess\n")
    articles = {one.name: one.takes_article for one in vocabulary.concepts if one.source == "user"}
    assert articles == {"Rex": False, "allotment": True, "seed trays": False, "chess": True}


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"ok\n" + b"x" * 61, "line 2.*61 characters.*60.*shorten"),
        (b"bell\x07", "line 1.*control characters: remove"),
        ("left\u202eright".encode(), "line 1.*control characters"),
        (b"caf\xe9", "not UTF-8.*byte 3.*save it again"),
        (b"one\n: dog", "line 2.*missing"),
        (b"Rex: ", "line 1.*missing"),
        (b"Rex <", "line 1.*missing"),
        (b"Rex: my dogs\nmy dogs: Rex", "line 2.*kind of.*already.*remove one"),
        (b"animal: pug", "line 1.*kind of.*already"),
        (b"dog: dog", "line 1.*kind of.*already"),
        (b"ok\nRex < my dogs < dog", "line 2.*2 separators.*at most one.*line of its own"),
        (b"Rex: my dogs: dog", "line 1.*2 separators"),
        (b"Rex: dog < animal < pet", "line 1.*3 separators"),
        (b"Unknown", "line 1.*'Unknown' is reserved.*another word"),
        (b"ok\nRex: unknown", "line 2.*'unknown' is reserved"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(tmp_path: Path, content: bytes, wanted: str) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"(?s)vocabulary.txt.*{wanted}"):
        load_vocabulary(path, shipped=write_shipped(tmp_path))


def test_a_folder_in_its_place_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.txt").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        read_user_terms(tmp_path / "vocabulary.txt")


def test_a_byte_order_mark_is_no_part_of_the_first_term(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(b"\xef\xbb\xbfRex\n")
    assert [one.name for one in read_user_terms(path)] == ["Rex"]


def test_emoji_are_terms_like_others(tmp_path: Path) -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert small_vocabulary(tmp_path, family).find(family) == f"user:{family}"


def test_a_hundred_thousand_terms_are_refused_with_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.txt"
    path.write_text("\n".join(f"term {number}" for number in range(100_000)))
    with pytest.raises(UsageError, match=f"100,000 terms: at most {MOST_TERMS:,}"):
        read_user_terms(path)


def test_a_hundred_thousand_lines_of_few_terms_are_taken(tmp_path: Path) -> None:
    vocabulary = small_vocabulary(tmp_path, "Rex: dog\n# again\n\nrex: Dog\n" * 25_000)
    assert vocabulary.concepts[-1].id == "user:Rex"


@pytest.mark.slow
def test_as_many_terms_as_allowed_are_taken(tmp_path: Path) -> None:
    terms = "\n".join(f"term {number}: dog" for number in range(MOST_TERMS))
    assert len(small_vocabulary(tmp_path, terms).concepts) == 8 + MOST_TERMS


def test_an_endless_chain_of_kinds_is_refused(tmp_path: Path) -> None:
    chain = "\n".join(f"term {number}: term {number + 1}" for number in range(2000))
    with pytest.raises(UsageError, match="kind of more than 100 things"):
        small_vocabulary(tmp_path, chain)
    turned = "\n".join(f"term {number + 1}: term {number}" for number in range(2000))
    with pytest.raises(UsageError, match="kind of more than 100 things"):
        small_vocabulary(tmp_path, turned)
