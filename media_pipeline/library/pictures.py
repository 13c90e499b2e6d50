"""Some pictures as models see them: thumbnails of a library, or files of a folder."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from media_pipeline.errors import UsageError
from media_pipeline.library.opened import Library
from media_pipeline.paths import display

Item = TypeVar("Item")

LONG_SIDE_PX = 512
"""As thumbnails are."""


def some_thumbnails(library: Library, count: int) -> list[NDArray[np.uint8]]:
    """Thumbnails of a library, spread over all there are; uint8 RGB, (height, width, 3) each.

    Raises:
        UsageError: It has none.
    """
    table = library.read_stage("thumbnails", ["path"])
    paths = sorted(path for path in table["path"].to_pylist() if path)
    found = _decoded((library.thumbnails / path).read_bytes() for path in _spread(paths, count))
    return _some(found, count, f"the library {library.layout.root} has no thumbnails")


def some_pictures(folder: Path, count: int) -> list[NDArray[np.uint8]]:
    """Pictures of a folder, scaled like thumbnails; files that are no pictures are left out.

    Raises:
        UsageError: There is no picture in it.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = _decoded(path.read_bytes() for path in _spread(paths, len(paths)))
    return _some(found, count, f"no pictures in {display(str(folder))}")


def _some(
    found: Iterator[NDArray[np.uint8]], count: int, otherwise: str
) -> list[NDArray[np.uint8]]:
    pictures = list(islice(found, count))
    if not pictures:
        raise UsageError(f"{otherwise}: name a folder with 100 or more pictures with --folder")
    return pictures


def _spread(items: list[Item], count: int) -> list[Item]:
    step = max(1, len(items) // max(1, count))
    return items[::step]


def _decoded(contents: Iterable[bytes]) -> Iterator[NDArray[np.uint8]]:
    for content in contents:
        try:
            with Image.open(io.BytesIO(content)) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        upright.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
        yield np.asarray(upright)
