"""Metadata of one file: opened read-only, recognised by content, read by the reader of its format.

Reads   one file
Returns one row of `schema.METADATA`, without `media_id` and `recipe`
Cost    the header only: below a millisecond for a photo, some milliseconds for a video
Fails   with an `ItemError` when not even the header can be read
"""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa

from media_pipeline.errors import ItemError
from media_pipeline.formats import HEAD_BYTES, Format, recognise
from media_pipeline.paths import item_error_of, open_original
from media_pipeline.reading.values import message
from media_pipeline.schema import METADATA, Column

_ADDED_BY_CALLER = ("media_id", "recipe")
_MOST_INT32 = 2**31 - 1


def read_metadata(path: bytes, name: bytes) -> dict[str, Any]:
    """What the bytes of a file say about it.

    Args:
        path: Where it lies.
        name: Its file name, which only decides between formats with the same first bytes.

    Returns:
        One row of `schema.METADATA` without `media_id` and `recipe`. `state` is ok, or degraded
        with a reason; `message` says what of its metadata was damaged, also where it is ok.

    Raises:
        ItemError: `empty_file`, `unrecognised_format`, `undecodable`, `damaged`,
            `no_video_track`, `encrypted`, `out_of_memory`, or what opening the file raises.
    """
    with open_original(path) as handle:
        try:
            size_bytes = os.fstat(handle.fileno()).st_size
            head = handle.read(HEAD_BYTES)
            fmt = recognise(head, name)
            columns = _read(handle, fmt, head)
        except OSError as error:
            raise item_error_of(error) from error
        except MemoryError as error:
            raise ItemError("out_of_memory", f"reading its header: {error}") from error
    row = METADATA.empty_row()
    for column in _ADDED_BY_CALLER:
        del row[column]
    row |= {"state": "ok", "kind": fmt.kind, "format": fmt.name, "mime_type": fmt.mime_type}
    return _within_schema({**row, "size_bytes": size_bytes, **columns})


def _read(handle: Any, fmt: Format, head: bytes) -> dict[str, Any]:
    if fmt.reader == "pyav":
        from media_pipeline.reading.video import read_video

        return read_video(handle, fmt)
    if fmt.reader == "rawpy":
        from media_pipeline.reading.raw import read_raw

        return read_raw(handle)
    from media_pipeline.reading.image import read_image

    return read_image(handle, fmt, head)


def _within_schema(row: dict[str, Any]) -> dict[str, Any]:
    """The row without numbers outside the range that the schema declares; a message names them."""
    outside = [name for name, value in row.items() if not _fits(METADATA[name], value)]
    if not outside:
        return row
    notes = [f"{name} {row[name]!r:.40} is out of range" for name in outside]
    row.update(dict.fromkeys(outside))
    row["message"] = message(row["message"], *notes)
    return row


def _fits(column: Column, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low = -float("inf") if column.low is None else column.low
    high = float("inf") if column.high is None else column.high
    if column.dtype == pa.int32():
        high = min(high, _MOST_INT32)
    return low <= value <= high
