from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.TiffImagePlugin import IFDRational

from media_pipeline.reading.values import (
    TEXT_LIMIT,
    clean_text,
    exif_text,
    keywords,
    message,
    number,
    positive,
    utf16_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  Canon \n", "Canon"),
        ("a\x1b[31mb\u200e", "a[31mb"),
        (b"Canon\0rubbish", "Canon"),
        ("Bärbel".encode(), "Bärbel"),
        ("Bärbel".encode("latin-1"), "Bärbel"),
        ("\ud800", None),
        ("   ", None),
        (b"\0\0", None),
        (7, None),
        (None, None),
    ],
)
def test_text_is_cleaned(value: object, text: str | None) -> None:
    assert clean_text(value) == text


def test_utf_8_that_was_read_as_latin_1_is_repaired() -> None:
    assert exif_text("Bärbel".encode().decode("latin-1")) == "Bärbel"
    assert exif_text("Bärbel") == "Bärbel"
    assert exif_text("Σ\0x") == "Σ"


def test_windows_tags_are_utf_16() -> None:
    assert utf16_text("Spaß\0".encode("utf-16-le")) == "Spaß"
    assert utf16_text("text") is None


@given(st.text() | st.binary())
def test_cleaned_text_can_always_be_written(value: str | bytes) -> None:
    text = clean_text(value)

    assert text is None or len(text.encode()) <= 4 * TEXT_LIMIT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        ((7, 8), 7.0),
        (IFDRational(1, 4), 0.25),
        (IFDRational(1, 0), None),
        (IFDRational(0, 0), None),
        (float("inf"), None),
        (10**400, None),
        ("3", None),
        (b"3", None),
        ((), None),
        (None, None),
    ],
)
def test_numbers_are_finite_or_none(value: object, expected: float | None) -> None:
    assert number(value) == expected


def test_zero_means_unknown() -> None:
    assert positive(0) is None
    assert positive(-1) is None
    assert positive(IFDRational(1, 2)) == 0.5


def test_keywords_of_all_sources_appear_once_in_order() -> None:
    assert keywords(["b", " a "], ("a", "", "c")) == ["b", "a", "c"]
    assert keywords([], ()) is None


def test_a_message_is_one_short_line_that_says_each_thing_once() -> None:
    assert message("a\nb", "c", None, "c") == "a b; c"
    assert message(None, "") is None
    assert len(message("x" * 10_000) or "") == 500
