"""How a folder becomes a library, and which cannot."""

from __future__ import annotations

import os
from pathlib import Path

from media_pipeline.errors import LibraryError
from media_pipeline.paths import Layout, display, write_atomically, writing
from media_pipeline.settings import LibraryConfig, write_config


def check_name(folder: Path) -> None:
    """Refuse a place that Dagster's and DuckDB's databases cannot be opened at.

    Dagster makes a URL of it, in which `%41` is read as `A` and `?` ends the path; DuckDB takes
    UTF-8.
    """
    if any(sign in "%?" or "\ud800" <= sign <= "\udfff" for sign in str(folder)):
        raise LibraryError(
            f"no library can be kept at {display(str(folder))}: its path must be UTF-8 without % "
            "and ?; choose another folder with --library"
        )


def refuse_to_make(folder: Path) -> None:
    """Refuse what can become no library: a file, a place below a file, a folder of other things."""
    above = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not above.is_dir():
        raise LibraryError(
            f"{display(str(above))} is not a folder, so no library can be made at "
            f"{display(str(folder))}: choose a new or empty folder with --library"
        )
    with writing(folder):
        if above == folder and any(folder.iterdir()):
            raise LibraryError(
                f"{display(str(folder))} is not empty and not a library: choose a new or empty "
                "folder with --library; nothing was changed"
            )


def make(layout: Layout) -> None:
    """Make the folder a library."""
    with writing(layout.root):
        layout.root.mkdir(parents=True, exist_ok=True)
        # The marker goes first: with it, whatever else is missing is made when it is missed.
        write_atomically(layout.marker, b"media-pipeline keeps a library here\n")
        write_config(layout, LibraryConfig())
