"""One HTML page of what a change changes: readable without JavaScript, pictures inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from media_pipeline.library.changes import Changes, Item
from media_pipeline.library.opened import Library
from media_pipeline.paths import display, write_atomically

SHOWN_PER_SECTION = 200
"""Items with a picture; how many more there are is said."""

PICTURE_PX = 240
"""Long side of a picture on the page."""

TALLIES_SHOWN = 40


@dataclass(frozen=True)
class Shown:
    """What the page shows of an item besides its words.

    Attributes:
        picture: JPEG as base64, empty where there is no thumbnail.
        names: The files of its content, safe to print.
    """

    picture: str
    names: tuple[str, ...]


def render(changes: Sequence[Changes], library: Library, target: Path) -> None:
    """Write one page that needs nothing but itself.

    Args:
        changes: What to show, one after the other.
        library: Where thumbnails and file names are.
        target: The file to write.
    """
    items = [item for change in changes for item in _items(change)]
    media_ids = sorted({item.media_id for item in items})
    thumbnails = _thumbnails(library, media_ids)
    places = library.ledger.places(media_ids)
    shown = {
        item: Shown(
            _picture(item, thumbnails.get(item.media_id, {}), library),
            tuple(display(place.relative) for place in places[item.media_id]),
        )
        for item in items
    }
    page = _template().render(
        library=display(str(library.layout.root)),
        changes=changes,
        shown=shown,
        limit=SHOWN_PER_SECTION,
        tallies=TALLIES_SHOWN,
    )
    write_atomically(target, page.encode())


def _items(change: Changes) -> Iterable[Item]:
    return (item for section in change.sections for item in section.items[:SHOWN_PER_SECTION])


@cache
def _template() -> jinja2.Template:
    source = files("media_pipeline.library").joinpath("changes.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(source)


def _thumbnails(library: Library, media_ids: Sequence[str]) -> dict[str, dict[int, str]]:
    """Content to frame to the path of its thumbnail."""
    wanted = pa.array(media_ids, pa.string())
    found: dict[str, dict[int, str]] = {}
    for table in library.batch_tables("thumbnails", ["media_id", "frame", "path"]):
        for row in table.filter(pc.is_in(table["media_id"], value_set=wanted)).to_pylist():
            if row["path"]:
                found.setdefault(row["media_id"], {})[row["frame"]] = row["path"]
    return found


def _picture(item: Item, paths: Mapping[int, str], library: Library) -> str:
    """The thumbnail of an item's frame, else of the content's first, as base64."""
    path = paths.get(item.frame) or next(iter(paths.values()), None)
    if path is None:
        return ""
    try:
        with Image.open(io.BytesIO((library.thumbnails / path).read_bytes())) as image:
            small = image.convert("RGB")
    except OSError:  # the thumbnail is gone or damaged: the words are shown without it
        return ""
    small.thumbnail((PICTURE_PX, PICTURE_PX))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return base64.b64encode(out.getvalue()).decode()
