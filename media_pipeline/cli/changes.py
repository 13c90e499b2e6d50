"""`models diff`: what a change of model changes, with pictures, before or after it was computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from media_pipeline.cli.shared import LibraryOption, console, errors, opened_library

if TYPE_CHECKING:
    import pyarrow as pa

    from media_pipeline.library.changes import Changes
    from media_pipeline.library.opened import Library


def diff(
    stage: Annotated[str, typer.Argument(help="labels, detections, captions, verdicts, ...")],
    library: LibraryOption = None,
    origin: Annotated[
        str, typer.Option("--from", help="Recipe before; default: the one in use.")
    ] = "",
    target: Annotated[str, typer.Option("--to", help="Recipe after; default: the wanted.")] = "",
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Compute this many contents, write no table.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="The page; default: in the library's reports.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file; write into originals.")
    ] = False,
) -> None:
    """Show what a change of model or threshold changes, in one HTML page with pictures."""
    from media_pipeline.errors import UsageError
    from media_pipeline.library.changes_page import render
    from media_pipeline.library.exports import refuse_target

    opened = opened_library(library)
    if out is not None:
        refuse_target(opened, out, force=force)
    if sample and (origin or target):
        raise UsageError(
            "--sample compares what is served with what is wanted: leave --from and --to out"
        )
    found = (
        [_of_sample(opened, stage, sample)] if sample else _of_tables(opened, stage, origin, target)
    )
    page = out or opened.layout.reports / f"changes-{stage}.html"
    render(found, opened, page)
    for change in found:
        console.print(Text(_in_a_line(change)), soft_wrap=True)
    console.print(Text(f"page {page}"), soft_wrap=True)


def _of_tables(library: Library, stage: str, origin: str, target: str) -> list[Changes]:
    """The stage, and the verdicts beside it where these exist under two recipes, too."""
    from media_pipeline.library.changes import recipes_of, tables_between

    before, after = recipes_of(library, stage, origin, target)
    tables = tables_between(library, stage, before, after)
    found = [_compared(library, stage, tables, (before, after))]
    is_of_now = not origin and not target
    if stage != "verdicts" and is_of_now and len(library.store.recipes_of("verdicts")) > 1:
        pair = recipes_of(library, "verdicts")
        if all(recipe in library.store.recipes_of("verdicts") for recipe in pair):
            verdicts = tables_between(library, "verdicts", *pair)
            found.append(_compared(library, "verdicts", verdicts, pair))
    return found


def _of_sample(library: Library, stage: str, count: int) -> Changes:
    from media_pipeline.progress import with_progress
    from media_pipeline.sampling import sample_rows

    tables = with_progress(
        errors, lambda control, on_scan: sample_rows(library, control, stage, count)
    )
    recipes = library.ledger.active().get(stage) or "not made yet", library.recipes[stage]
    found = _compared(library, stage, tables, recipes)
    return replace(found, note=f"A sample of {found.contents} contents. {found.note}".strip())


def _compared(
    library: Library, stage: str, tables: tuple[pa.Table, pa.Table], recipes: tuple[str, str]
) -> Changes:
    from media_pipeline.judging.junk_thresholds import load_junk_thresholds
    from media_pipeline.library.changes import compare

    threshold = load_junk_thresholds(library.config.junk_thresholds).nsfw_threshold
    before, after = tables
    return replace(
        compare(before, after, stage, nsfw_threshold=threshold),
        origin=_made_with(before, recipes[0]),
        target=_made_with(after, recipes[1]),
    )


def _made_with(table: pa.Table, recipe: str) -> str:
    if "model" not in table.column_names:
        return recipe
    models = sorted({model for model in table["model"].to_pylist() if model})
    return f"{recipe} ({', '.join(models)})" if models else recipe


def _in_a_line(change: Changes) -> str:
    parts = ", ".join(f"{len(section.items):,} {section.title}" for section in change.sections)
    return (
        f"{change.stage}: {change.contents:,} contents, {change.same:,} of {change.compared:,} "
        f"as before{', ' + parts if parts else ''}"
    )
