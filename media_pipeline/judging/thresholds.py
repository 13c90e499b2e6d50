"""Threshold sets: versioned files that say what a score must reach for a tag to hold."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_pipeline.errors import UsageError
from media_pipeline.schema import QUALITY_TAGS

FOLDER = Path(__file__).with_name("thresholds")

JUNK_PREFIX = "junk-"
"""Names of the sets that `judging.junk_thresholds` reads begin with it."""

HEADER = frozenset({"name", "version", "author", "date", "why"})
VALUES = (frozenset(QUALITY_TAGS) - {"odd_size"}) | {"tiny_size", "odd_size_factor"}
RULES = frozenset({"poor", "fair", "fair_tags_for_poor"})


@dataclass(frozen=True)
class ThresholdSet:
    """What decides over tags and quality.

    Attributes:
        name: Name of the set and of its file.
        checksum: First 8 hex digits of the hash of everything that decides; comments do not.
        values: Score at which a tag holds, by tag; for `well_exposed` the score it must not
            exceed, for `odd_size` the score `tiny_size` and the factor `odd_size_factor`.
        poor: Tags of which one is enough for poor.
        fair: Tags of which one is enough for fair.
        fair_tags_for_poor: How many tags of `fair` together are poor.
    """

    name: str
    checksum: str
    values: Mapping[str, float]
    poor: frozenset[str]
    fair: frozenset[str]
    fair_tags_for_poor: int


def load_thresholds(name: str, folder: Path = FOLDER) -> ThresholdSet:
    """Read a threshold set for quality.

    Args:
        name: File name without `.toml`.
        folder: Where sets lie; those that ship with the package by default.

    Raises:
        UsageError: There is no such set, or it is not what a set must be.
    """
    known = sorted(p.stem for p in folder.glob("*.toml") if not p.stem.startswith(JUNK_PREFIX))
    found = find_set(name, known, folder, "thresholds")
    raw = read_set(found, {"header": HEADER, "thresholds": VALUES, "quality": RULES})
    return _threshold_set(name, raw["thresholds"], raw["quality"], found)


def find_set(name: str, known: list[str], folder: Path, key: str) -> Path:
    """Where the set of a name lies.

    Args:
        name: Name of the set.
        known: Names of the sets of its kind.
        folder: Where they lie.
        key: What names the set in `library.toml`, for the message.

    Raises:
        UsageError: It is not among the known.
    """
    if name in known:
        return folder / f"{name}.toml"
    raise UsageError(
        f"no threshold set {name!r} in {folder}: there is {', '.join(known) or 'none'}; "
        f"correct `{key}` in library.toml"
    )


def read_set(path: Path, sections: Mapping[str, Set[str]]) -> dict[str, dict[str, Any]]:
    """The tables of a set: exactly these sections with exactly these keys.

    Raises:
        UsageError: It is not TOML, a section or key is unknown or missing, or it has another name.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error}): correct it or restore it") from error
    _check_keys(raw, sections.keys(), path, "the file")
    for section, keys in sections.items():
        _check_keys(raw[section], keys, path, f"[{section}]")
    if raw["header"]["name"] != path.stem:
        raise UsageError(
            f"{path} names itself {raw['header']['name']!r}: it must say {path.stem!r}"
        )
    return raw


def _check_keys(table: Any, expected: Set[str], path: Path, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {where} must be a table, is {table!r}")
    unknown, missing = sorted(table.keys() - expected), sorted(expected - table.keys())
    if unknown or missing:
        problems = [f"unknown {', '.join(unknown)}"] if unknown else []
        problems += [f"missing {', '.join(missing)}"] if missing else []
        raise UsageError(
            f"{path}: {where} has {' and '.join(problems)}; it takes {', '.join(sorted(expected))}"
        )


def checksum(deciding: Any) -> str:
    """First 8 hex digits of the hash of everything that decides; any JSON value."""
    return hashlib.blake2b(json.dumps(deciding).encode(), digest_size=4).hexdigest()


def number(value: Any, key: str, path: Path, highest: float = 1.0) -> float:
    """A number of a set.

    Raises:
        UsageError: It is no number from 0 to `highest`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise UsageError(f"{path}: {key} must be a number from 0 to {highest:g}, is {value!r}")
    return float(value)


def _threshold_set(
    name: str, thresholds: Mapping[str, Any], rules: Mapping[str, Any], path: Path
) -> ThresholdSet:
    values = {key: _number(value, key, path) for key, value in thresholds.items()}
    poor, fair = (_tags(rules[key], key, path) for key in ("poor", "fair"))
    needed = int(_number(rules["fair_tags_for_poor"], "fair_tags_for_poor", path))
    deciding = [name, sorted(values.items()), sorted(poor), sorted(fair), needed]
    return ThresholdSet(name, checksum(deciding), values, poor, fair, needed)


def _number(value: Any, key: str, path: Path) -> float:
    return number(value, key, path, 1.0 if key in VALUES - {"odd_size_factor"} else float("inf"))


def _tags(value: Any, key: str, path: Path) -> frozenset[str]:
    if not isinstance(value, list) or not set(map(str, value)) <= set(QUALITY_TAGS):
        raise UsageError(
            f"{path}: {key} must be a list of tags out of {', '.join(QUALITY_TAGS)}, is {value!r}"
        )
    return frozenset(value)
