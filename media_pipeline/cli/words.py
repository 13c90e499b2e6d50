"""The user's word on a picture: keep it, call it junk, name what it shows, forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from media_pipeline.cli.shared import LibraryOption, console, opened_library, run_and_report

if TYPE_CHECKING:
    from media_pipeline.library.opened import Library

app = typer.Typer()

DECIDING = ("files", "duplicates", "verdicts", "catalog")
"""What is decided again when the user has spoken; no pixel is touched."""


@app.command()
def mark(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... WORD",
            help="Files or media ids, then keep, junk, undecided, label:NAME or not-label:NAME.",
        ),
    ],
    library: LibraryOption = None,
) -> None:
    """Say what you think of a picture; your word wins over every model and rule."""
    from media_pipeline.errors import UsageError
    from media_pipeline.library.decisions import Decision, append_decision, parse_mark

    if len(words) < 2:
        raise UsageError(f"{words[0]!r} alone says nothing: give files, then keep, junk, ...")
    what, value = parse_mark(words[-1])
    opened = opened_library(library)
    contents = [_content(opened, word) for word in words[:-1]]
    for media_id, name in contents:
        append_decision(opened, Decision(media_id=media_id, what=what, value=value, name=name))
    console.print(Text(f"noted: {len(contents)} marked {words[-1]}"))
    _decide_again(opened)


@app.command()
def forget(
    what: Annotated[str, typer.Argument(help="A media id, or a file.")],
    library: LibraryOption = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it up again.")] = False,
) -> None:
    """Remove everything that was made from a picture. The original is not touched."""
    from media_pipeline.library.forgetting import forget as forget_content
    from media_pipeline.library.forgetting import remember
    from media_pipeline.runner import BUSY

    opened = opened_library(library)
    media_id, name = _content(opened, what)
    with opened.locked("run", busy=BUSY):
        if undo:
            was_forgotten = remember(opened, media_id)
            what_now = (
                "is taken up again by the next `run`" if was_forgotten else "was not forgotten"
            )
            console.print(Text(f"{name} ({media_id}) {what_now}"))
            return
        gone = forget_content(opened, media_id)
    console.print(Text(f"{name} ({media_id}): {gone}"))
    _decide_again(opened)


def _content(library: Library, what: str) -> tuple[str, str]:
    """Media id and printable name of what a person named."""
    from media_pipeline.errors import UnknownPath
    from media_pipeline.library.explain import paths_of
    from media_pipeline.paths import display

    row = paths_of(library, what)[0]
    if row.media_id is None:
        raise UnknownPath(
            f"{display(what)} has no content that could be judged: `explain` it to see why"
        )
    return row.media_id, display(row.relative)


def _decide_again(library: Library) -> None:
    from media_pipeline.errors import LibraryBusy
    from media_pipeline.runner import RunRequest

    try:
        run_and_report(library, RunRequest(stages=list(DECIDING), scan=False))
    except LibraryBusy:  # the word is written down, and whoever works there reads it
        console.print("another command is at work: it, or the next `run`, decides by your word")
