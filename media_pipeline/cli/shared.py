"""What the commands share: options, how a library is opened, how a run is reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from media_pipeline.errors import MachineryFailed

if TYPE_CHECKING:
    from media_pipeline.library.opened import Library
    from media_pipeline.runner import RunOutcome, RunRequest
    from media_pipeline.scan.scanner import ScanReport

EXIT_FAILED = 1

console = Console()
errors = Console(stderr=True)

LibraryOption = Annotated[
    Path | None,
    typer.Option("--library", help="The library folder (default: MEDIA_LIBRARY or data/library)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StagesOption = Annotated[
    str,
    typer.Option("--stages", help="Only these stages and what they read, separated by commas."),
]
AcceptOption = Annotated[
    bool,
    typer.Option("--accept-missing", help="Believe it when most files of a root are gone."),
]
PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders or files; without any, every known root.", show_default=False),
]
ListOption = Annotated[
    Path | None,
    typer.Option("--list", help="A text or CSV file that names one path per line."),
]


def folder_of(library: Path | None) -> Path:
    """The library folder that is meant."""
    from media_pipeline.settings import read_settings

    return library or read_settings().library


def opened_library(library: Path | None) -> Library:
    """The library, which must exist."""
    from media_pipeline.library.opened import open_library

    return open_library(folder_of(library))


def created_library(library: Path | None) -> Library:
    """The library, made where there is none; says where it is."""
    from media_pipeline.library.opened import create_library

    opened = create_library(folder_of(library))
    complain(f"library {opened.layout.root}", "dim")
    return opened


def create_with(library: Path | None, named: list[Path]) -> tuple[Library, dict[str, list[bytes]]]:
    """Open (or make) the library with these paths in it; without any it must exist already."""
    from media_pipeline.library.inputs import below_of
    from media_pipeline.runner import BUSY

    opened = created_library(library) if named else opened_library(library)
    with opened.locked("run", busy=BUSY):
        return opened, below_of(opened, named)


def with_profile(library: Library, name: str) -> Library:
    """The library under another profile, once the models of that are here.

    Raises:
        UsageError: No such profile.
        MissingWeights: A model is not here; the profile stays as it was.
    """
    from dataclasses import replace

    from media_pipeline.library.opened import open_library
    from media_pipeline.library.profiles import require_all
    from media_pipeline.models.cards import cards_in_use, load_cards
    from media_pipeline.runner import BUSY
    from media_pipeline.settings import write_config

    config = replace(library.config, profile=name)
    chosen = cards_in_use(name, config.models, load_cards(library.models / "cards"))
    require_all(chosen.values(), library.models)
    with library.locked("run", busy=BUSY):
        write_config(library.layout, config)
    return open_library(library.layout.root)


def names_in(stages: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in stages.split(",") if name.strip()]


def print_json(value: Any) -> None:
    """Print a value for programs."""
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False))


def run_with_progress(library: Library, request: RunRequest) -> RunOutcome:
    """Do what is asked under a progress bar."""
    from media_pipeline.progress import with_progress
    from media_pipeline.runner import run_library

    outcome: RunOutcome = with_progress(
        errors, lambda control, on_scan: run_library(library, request, control, on_scan)
    )
    if outcome.scan is not None:
        print_scan(outcome.scan)
    return outcome


def run_and_report(library: Library, request: RunRequest) -> None:
    """Do what is asked and say how the library stands then.

    Raises:
        MachineryFailed: Files are left without a state.
    """
    outcome = run_with_progress(library, request)
    from media_pipeline.library.status import read_status
    from media_pipeline.library.views import one_line

    status = read_status(library)
    console.print(Text(one_line(status)))
    print_stale(outcome.left_stale, outcome.estimate_s)
    found_meanwhile = status.stages["files"].due > 0  # by a scan of the daemon, after ours
    is_whole = request.scan and len(request.stages) == len(library.stages)
    if status.pending and is_whole and not found_meanwhile:
        waits_for_stale = "; make stale tables first: run --stale" if outcome.left_stale else ""
        raise MachineryFailed(f"{status.pending} files are left without a state{waits_for_stale}")


def print_scan(report: ScanReport) -> None:
    """Say what a scan found."""
    console.print(
        f"scanned {report.seen:,} entries: {report.read:,} files read "
        f"({report.read_bytes / 1e6:,.1f} MB), {report.new_contents:,} new contents, "
        f"{report.moved:,} moved, {report.missing:,} missing, {report.returned:,} returned"
    )
    for root_id, why in report.offline.items():
        complain(f"{root_id} is offline: {why}", "yellow")


def print_stale(stale: dict[str, list[str]], estimate_s: float, otherwise: str = "") -> None:
    """Say what is stale, and how to make it again."""
    if not stale:
        console.print(otherwise, end="\n" if otherwise else "")
        return
    parts = ", ".join(f"{stage} ({len(batches)})" for stage, batches in stale.items())
    about = f", about {estimate_s:,.0f} s" if estimate_s else ""
    console.print(
        Text(f"stale and left as it is: {parts}{about}; make it again with `run --stale` or "
             "`backfill-stale`", style="yellow")
    )  # fmt: skip


def complain(message: str, style: str) -> None:
    """Print to stderr, never broken inside a path, with no control character but newlines."""
    from media_pipeline.paths import display

    lines = [display(line) for line in message.split("\n")]
    errors.print(Text("\n".join(lines), style=style), soft_wrap=True)
