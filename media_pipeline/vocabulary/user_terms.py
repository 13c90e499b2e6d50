"""The user's `vocabulary.txt`: one term per line.

    # a comment
    Rex
    Rex's kennel: dog house
    allotment < garden

What stands after `: ` or `<` is what the term is a kind of. Terms we know are merged with ours.
Words are compared without regard to case and to how Unicode composes their letters.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from media_pipeline.errors import UsageError
from media_pipeline.paths import display

UNKNOWN = "unknown"
"""The label of a picture that was looked at and showed nothing for sure; no term may be this."""

LONGEST_TERM = 60
"""In characters; a text embedder cuts longer sentences."""

MOST_TERMS = 20_000
"""More would slow every picture down and take a text embedder hours."""

COMMENT = re.compile(r"(^|[ \t])#.*")
BLANKS = re.compile(r"[ \t\r]+")
SEPARATOR = re.compile(r" ?< ?| ?:(?: |$)")
REFUSED = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINER = "\u200d"
"""Holds emoji together; the one format character a term may hold."""


class UserTerm(NamedTuple):
    """One term of the file.

    Attributes:
        name: As the user wrote it, blanks collapsed, letters composed (NFC).
        parent: What it is a kind of, empty where the user did not say.
        where: File and line, for messages; no two terms differ only in it.
    """

    name: str
    parent: str
    where: str


def folded(name: str) -> str:
    """A name as names are compared: whatever its case, and however its letters are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def read_user_terms(path: Path) -> tuple[UserTerm, ...]:
    """The terms of a file, doubles merged; none where there is no file.

    Raises:
        UsageError: Not UTF-8, a term that is too long, empty, reserved or holds control characters,
            a line with two separators, or too many terms.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(
            f"{display(str(path))} cannot be read ({error.strerror}): it must be a text file"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{display(str(path))} is not UTF-8 (byte {error.start}): save it again as UTF-8"
        ) from error
    found: dict[tuple[str, str], UserTerm] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        term = _term(line, f"{display(str(path))}, line {number}")
        if term is not None:
            found.setdefault((folded(term.name), folded(term.parent)), term)
    if len(found) > MOST_TERMS:
        raise UsageError(
            f"{display(str(path))} has {len(found):,} terms: at most {MOST_TERMS:,} are taken; "
            "keep those you would search for"
        )
    return tuple(found.values())


def _term(line: str, where: str) -> UserTerm | None:
    text = unicodedata.normalize("NFC", BLANKS.sub(" ", COMMENT.sub("", line)).strip())
    if not text:
        return None
    name, *rest = (part.strip() for part in SEPARATOR.split(text))
    if len(rest) > 1:
        raise UsageError(
            f"{where}: {display(text[:LONGEST_TERM])!r} has {len(rest)} separators (`<` or `: `), "
            "at most one is taken: give each `term < parent` a line of its own"
        )
    for part in (name, *rest):
        _check(part, where)
    return UserTerm(name, rest[0] if rest else "", where)


def _check(text: str, where: str) -> None:
    if not text:
        raise UsageError(
            f"{where}: a term or its parent is missing; write `term` or `term: parent`"
        )
    if not text.replace(JOINER, "").isprintable() and any(
        unicodedata.category(one) in REFUSED for one in text if one != JOINER
    ):
        raise UsageError(
            f"{where}: {display(text[:LONGEST_TERM])!r} holds control characters: remove them"
        )
    if folded(text) == UNKNOWN:
        raise UsageError(
            f"{where}: {text!r} is reserved, it is the label of pictures that show nothing for "
            "sure: choose another word"
        )
    if len(text) > LONGEST_TERM:
        raise UsageError(
            f"{where}: {text[:LONGEST_TERM]!r}... has {len(text)} characters, at most "
            f"{LONGEST_TERM} are taken: shorten it"
        )
