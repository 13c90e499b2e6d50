"""The little English that composed captions need."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

NUMBERS: Mapping[int, str] = MappingProxyType({2: "two", 3: "three", 4: "four"})
"""How many are counted in words; of more there are "several"."""

IRREGULAR: Mapping[str, str] = MappingProxyType(
    {
        "person": "people", "mouse": "mice", "goose": "geese", "wolf": "wolves", "calf": "calves",
        "sheep": "sheep", "fish": "fish", "deer": "deer",
    }
)  # fmt: skip
"""Plurals that follow no rule."""

_VOWEL = re.compile(r"[aeiou]|8|1[18]\b|hour", re.IGNORECASE)
_CONSONANT = re.compile(r"eu|ew|one\b|uni|us[aeu]", re.IGNORECASE)
"""Written with a vowel, spoken with a consonant first."""


def article(words: str) -> str:
    """`a` or `an`, as the first of some words sounds."""
    return "an" if _VOWEL.match(words) and not _CONSONANT.match(words) else "a"


def plural(noun: str) -> str:
    """The plural of a noun."""
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def counted(noun: str, count: int) -> str:
    """Such as `a cat`, `two cats`, `several cats`."""
    if count == 1:
        return f"{article(noun)} {noun}"
    return f"{NUMBERS.get(count, 'several')} {plural(noun)}"


def listed(parts: Sequence[str]) -> str:
    """Such as `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
