"""Files that belong together because of their names: RAW + JPEG, Live Photos, sidecars."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from media_pipeline.formats import extension, format_of_name

SIDECARS = (".xmp",)


@dataclass(frozen=True, slots=True)
class Pair:
    """What a file forms with a neighbour in the same folder.

    Attributes:
        kind: `raw_jpeg`, `live_photo` or `sidecar`.
        other: Relative path of the neighbour.
    """

    kind: str
    other: bytes


def find_pairs(paths: Iterable[bytes]) -> dict[bytes, Pair]:
    """The pair of every path that has one.

    Two files pair when they lie in one folder and share their name up to the ending, whatever its
    case: a RAW with a developed picture, a picture with a video, either with an `.xmp`. A sidecar
    may also carry the whole name (`a.jpg.xmp`). RAW + JPEG is named before a Live Photo, that
    before a sidecar.

    Args:
        paths: Relative paths of one root.
    """
    groups: dict[bytes, list[bytes]] = defaultdict(list)
    everything = set(paths)
    for path in sorted(everything):
        groups[_stem(path)].append(path)
    found: dict[bytes, Pair] = {}
    for members in groups.values():
        if len(members) > 1:
            _pair(members, found)
    for path in sorted(everything):
        owner = os.path.splitext(path)[0]
        if extension(path) in SIDECARS and owner in everything:
            found.setdefault(owner, Pair("sidecar", path))
            found[path] = Pair("sidecar", owner)
    return found


def _stem(path: bytes) -> bytes:
    return os.path.splitext(path)[0].lower()


def _pair(members: list[bytes], found: dict[bytes, Pair]) -> None:
    raws, stills, videos, sidecars = _sorted_by_role(members)
    for kind, left, right in (
        ("raw_jpeg", raws, stills),
        ("live_photo", stills, videos),
        ("sidecar", raws or stills or videos, sidecars),
    ):
        if left and right:
            found.setdefault(left[0], Pair(kind, right[0]))
            found.setdefault(right[0], Pair(kind, left[0]))


def _sorted_by_role(members: list[bytes]) -> tuple[list[bytes], ...]:
    roles: tuple[list[bytes], ...] = ([], [], [], [])
    for path in members:
        promised = format_of_name(path)
        if promised is not None and promised.name == "raw":
            roles[0].append(path)
        elif promised is not None:
            roles[1 if promised.kind == "image" else 2].append(path)
        elif extension(path) in SIDECARS:
            roles[3].append(path)
    return roles
