"""The user's word: what is written, what is read back, and what a crash may leave."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_pipeline.errors import CorruptLibraryFile, UsageError
from media_pipeline.library.decisions import (
    NOTHING,
    Decision,
    What,
    Word,
    append_decision,
    parse_mark,
    read_decisions,
    stamp_of,
)
from media_pipeline.library.opened import Library, open_library

ONE, TWO = "1" * 32, "2" * 32


def say(library: Library, what: Any, value: str = "", media_id: str = ONE) -> None:
    append_decision(library, Decision(media_id, what, value, name="IMG_1.jpg"))


def word(library: Library, media_id: str = ONE) -> Word:
    return read_decisions(library.layout.decisions).word(media_id)


def test_without_a_file_nothing_was_said(library: Library) -> None:
    decisions = read_decisions(library.layout.decisions)
    assert decisions.word(ONE) == Word()
    assert decisions.forgotten == frozenset()
    assert decisions.stamp == stamp_of(library.layout.decisions) == NOTHING


def test_a_decision_is_one_line_of_json_that_people_can_read(library: Library) -> None:
    say(library, "label", "our garden")
    (line,) = library.layout.decisions.read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert entry.pop("at").endswith("+00:00")
    assert entry == {
        "media_id": ONE, "what": "label", "value": "our garden", "name": "IMG_1.jpg",
    }  # fmt: skip


def test_the_later_word_wins(library: Library) -> None:
    say(library, "keep")
    say(library, "junk")
    assert word(library).decision == "junk"
    say(library, "undecided")
    assert word(library).decision is None
    assert word(library, TWO) == Word()


def test_a_label_is_taken_away_and_given_again(library: Library) -> None:
    say(library, "label", "Pug")
    say(library, "label", "garden")
    assert word(library).labels == ("Pug", "garden")
    say(library, "not-label", "pug")
    assert word(library) == Word(labels=("garden",), not_labels=frozenset({"pug"}))
    say(library, "label", "pug")
    assert word(library) == Word(labels=("garden", "pug"))


def test_forgetting_and_remembering_is_kept_apart_from_the_rest(library: Library) -> None:
    say(library, "keep")
    say(library, "forget")
    decisions = read_decisions(library.layout.decisions)
    assert decisions.forgotten == {ONE}
    assert decisions.word(ONE) == Word(decision="keep", forgotten=True)
    say(library, "remember")
    assert read_decisions(library.layout.decisions).forgotten == frozenset()


def test_the_stamp_changes_with_every_decision(library: Library) -> None:
    stamps = [stamp_of(library.layout.decisions)]
    for what in ("keep", "keep", "junk"):
        say(library, what)
        stamps.append(read_decisions(library.layout.decisions).stamp)
        assert stamps[-1] == stamp_of(library.layout.decisions)
    assert len(set(stamps)) == 4


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_a_crash_cut_off_is_not_read_and_makes_room(library: Library, cut: int) -> None:
    say(library, "keep")
    say(library, "junk")
    path = library.layout.decisions
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rpartition(b"\n")[2]
    path.write_bytes(whole[: -len(last) - 1] + last[:cut])
    assert word(library).decision == "keep"
    say(library, "label", "sea")
    assert word(library) == Word(decision="keep", labels=("sea",))
    assert path.read_bytes().count(b"\n") == 2


def test_a_whole_last_line_without_a_line_break_is_read_and_kept(library: Library) -> None:
    say(library, "junk")
    path = library.layout.decisions
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert word(library).decision == "junk"
    say(library, "label", "sea")
    assert word(library) == Word(decision="junk", labels=("sea",))


@pytest.mark.parametrize(
    "line",
    [
        b"{broken",
        b"[]",
        b'{"media_id": "x", "what": "burn"}',
        b'{"media_id": 5, "what": "keep"}',
        b'{"media_id": "x", "what": ["keep"]}',
        b'{"media_id": "x", "what": "label"}',
        b'{"media_id": "x", "what": "keep", "value": "y"}',
        b"\xff\xfe\xfa",
        b"[" * 100_000,
    ],
)
def test_a_damaged_line_in_the_middle_is_named_with_its_number_and_the_remedy(
    library: Library, line: bytes
) -> None:
    say(library, "keep")
    path = library.layout.decisions
    path.write_bytes(path.read_bytes() + line + b"\n" + path.read_bytes())
    with pytest.raises(CorruptLibraryFile, match=r"decisions\.jsonl, line 2 .*delete that line"):
        read_decisions(path)


def test_empty_lines_and_windows_line_ends_are_no_damage(library: Library) -> None:
    say(library, "keep")
    path = library.layout.decisions
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\n")
    assert word(library).decision == "keep"


def test_a_hundred_thousand_lines_are_read_whole(library: Library) -> None:
    path = library.layout.decisions
    kinds = [("keep", ""), ("junk", ""), ("label", "sea"), ("not-label", "sea")]
    lines = [
        json.dumps({"media_id": f"{n:032x}", "what": kinds[n % 4][0], "value": kinds[n % 4][1]})
        for n in range(100_000)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    decisions = read_decisions(path)
    assert len(decisions.words) == 100_000
    assert decisions.word(f"{99_998:032x}").labels == ("sea",)


def _say_many(library: Path, media_id: str, count: int) -> None:
    opened = open_library(library)
    for number in range(count):
        say(opened, "label", f"label {number}", media_id)


def test_two_processes_at_once_lose_nothing(library: Library) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_say_many, args=(library.layout.root, media_id, 40))
        for media_id in (ONE, TWO)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for media_id in (ONE, TWO):
        assert word(library, media_id).labels == tuple(f"label {n}" for n in range(40))


def test_letters_composed_by_hand_in_another_way_are_the_same_label(library: Library) -> None:
    for what, value in (
        ("label", "Cafe\u0301"), ("label", "caf\u00e9"), ("not-label", "oake\u0301"),
    ):  # fmt: skip
        say(library, what, value)
    assert word(library).labels == ("caf\u00e9",)
    assert word(library).not_labels == {"oak\u00e9"}
    say(library, "not-label", "CAFE\u0301")
    assert word(library).labels == ()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("keep", ("keep", "")),
        ("junk", ("junk", "")),
        ("undecided", ("undecided", "")),
        ("label: our  garden ", ("label", "our garden")),
        ("not-label:pug", ("not-label", "pug")),
        ("label:a:b", ("label", "a:b")),
        ("label:Ame\u0301lie", ("label", "Am\u00e9lie")),
        ("label:family 👨‍👩‍👧", ("label", "family 👨‍👩‍👧")),
    ],
)
def test_marks_are_understood(text: str, meant: tuple[str, str]) -> None:
    assert parse_mark(text) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("burn", "cannot mark as 'burn': it takes keep, junk"),
        ("", "cannot mark as ''"),
        ("keep:x", "cannot mark as"),
        ("label", "cannot mark as 'label'"),
        ("forget", "cannot mark as"),
        ("label:", "the label is empty"),
        ("not-label:   ", "the label is empty"),
        ("label:a\nb", "cannot be printed"),
        ("label:a\x1b[31mb", "cannot be printed"),
        ("label:\u202eevil", "cannot be printed"),
        ("label:Unknown", "'Unknown' is reserved.*another word"),
        ("label:" + "x" * 101, "has 101 characters: it takes at most 100"),
    ],
)
def test_a_mark_that_cannot_be_meant_is_refused_with_words(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_mark(text)


@pytest.mark.parametrize(
    "decision",
    [
        Decision("not hex", "keep"),
        Decision(ONE, "label"),
        Decision(ONE, "keep", "value"),
        Decision(ONE, "label", "a\nb"),
    ],
)
def test_a_decision_that_cannot_be_meant_is_not_written(
    library: Library, decision: Decision
) -> None:
    with pytest.raises(UsageError):
        append_decision(library, decision)
    assert not library.layout.decisions.exists()


STEPS = st.lists(
    st.tuples(
        st.sampled_from([ONE, TWO]),
        st.sampled_from(get_args(What)),
        st.sampled_from(["sea", "Sea", "ß", "SS", "garden"]),
        st.integers(0, 200),
    ),
    max_size=12,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(steps=STEPS)
def test_whatever_is_said_and_torn_the_rest_is_as_a_slow_reading_says(
    library: Library, steps: list[tuple[str, Any, str, int]]
) -> None:
    path = library.layout.decisions
    path.unlink(missing_ok=True)
    said: list[tuple[str, str, str]] = []
    for media_id, what, label, torn in steps:
        value = label if what in ("label", "not-label") else ""
        say(library, what, value, media_id)
        said.append((media_id, what, value))
        line = path.read_bytes().splitlines()[-1]
        if torn < len(line) - 1:  # a crash: this word was never heard
            path.write_bytes(path.read_bytes()[: -len(line) - 1] + line[:torn])
            said.pop()
    decisions = read_decisions(path)
    for media_id in (ONE, TWO):
        heard = decisions.word(media_id)
        assert (heard.decision, heard.forgotten) == (
            _last(said, media_id, {"keep": "keep", "junk": "junk", "undecided": None}),
            _last(said, media_id, {"forget": True, "remember": None}) is True,
        )
        for label in ("sea", "ss", "garden"):  # as casefold writes them
            given = _last(said, media_id, {"label": "yes", "not-label": "no"}, label)
            assert (label in {one.casefold() for one in heard.labels}) == (given == "yes")
            assert (label in heard.not_labels) == (given == "no")


def _last(
    said: list[tuple[str, str, str]], media_id: str, means: dict[str, Any], label: str = ""
) -> Any:
    """What the last word on one question means; `None` where there was none."""
    words = [what for who, what, value in said if (who, value.casefold()) == (media_id, label)]
    return next((means[what] for what in reversed(words) if what in means), None)
