"""Duplicates: files of the same bytes, and contents that show the same picture.

Reads   files (which paths share a content), thumbnails (hashes and signatures of the first frame)
Writes  duplicates (one row per member of a group)
Cost    an index over 64-bit hashes, no pixels
Fails   contents without a thumbnail are in no group
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import numpy as np

from media_pipeline.judging.duplicates import group_same_picture
from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage
from media_pipeline.resources import library_asset, write_whole
from media_pipeline.schema import DUPLICATES

COLUMNS = ("media_id", "role", "phash", "phash_variants", "signature", "source_width_px",
           "source_height_px", "state")  # fmt: skip


def make(library: Library, spec: Stage) -> Mapping[str, Any]:
    """Find both kinds of groups."""
    rows = [*same_bytes(library), *same_picture(library, spec.parameters)]
    write_whole(library, spec, DUPLICATES.to_arrow(rows))
    groups = {kind: len({r["group_id"] for r in rows if r["kind"] == kind})
              for kind in ("same_bytes", "same_picture")}  # fmt: skip
    return {"rows": len(rows), **groups}


def same_bytes(library: Library) -> Iterator[dict[str, Any]]:
    """A group for every content that several files hold; hard links are one file."""
    columns = ["media_id", "root_id", "relative_path", "path", "hard_link_of"]
    holders: dict[str, list[dict[str, Any]]] = {}
    for file in library.read_whole("files").select(columns).to_pylist():
        if file["media_id"] is not None and file.pop("hard_link_of") is None:
            holders.setdefault(file["media_id"], []).append(file)
    for media_id, files in holders.items():
        for number, file in enumerate(files if len(files) > 1 else ()):
            centre = {"is_centre": number == 0}
            yield {"group_id": f"bytes-{media_id}", "kind": "same_bytes", **file, **centre}


def same_picture(library: Library, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Groups of contents whose pictures are equal up to size, coding, flips and rotations."""
    rows = [
        row
        for row in library.read_stage("thumbnails", COLUMNS).to_pylist()
        if row["role"] == "still" and row["phash"] is not None
    ]
    if not rows:
        return
    members = group_same_picture(
        [row["media_id"] for row in rows],
        np.array([row["phash"] for row in rows], dtype=np.uint64),
        np.array([row["phash_variants"] for row in rows], dtype=np.uint64),
        np.array([np.frombuffer(row["signature"], dtype=np.uint8) for row in rows]),
        np.array([row["source_width_px"] * row["source_height_px"] for row in rows]),
        max_distance_bits=int(parameters["max_distance_bits"]),
        max_difference=float(parameters["max_difference"]),
    )
    for member in members:
        yield {
            "group_id": f"picture-{member.centre}",
            "kind": "same_picture",
            "media_id": member.media_id,
            "is_centre": member.media_id == member.centre,
            "distance_bits": member.distance_bits,
            "difference": member.difference,
            "transform": member.transform,
        }


def build(library: Library) -> dg.AssetsDefinition:
    """The `duplicates` asset."""
    return library_asset(library, "duplicates", make)
