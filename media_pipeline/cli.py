"""The command line: one command per thing a person does.

Nothing heavy is imported here; every command imports what it needs when it runs, so that
`media-pipeline --help` answers at once.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from media_pipeline.errors import (
    EXIT_INTERRUPTED,
    Interrupted,
    MachineryFailed,
    MediaPipelineError,
)

if TYPE_CHECKING:
    from media_pipeline.library.opened import Library
    from media_pipeline.runner import RunOutcome, RunRequest
    from media_pipeline.scan.scanner import ScanReport

EXIT_FAILED = 1

app = typer.Typer(
    name="media-pipeline",
    help="A folder of mixed photos and videos becomes a searchable, explained library.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
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


@app.command()
def run(
    paths: PathsArgument = None,
    list_file: ListOption = None,
    library: LibraryOption = None,
    stages: StagesOption = "",
    stale: Annotated[bool, typer.Option("--stale", help="Also make stale tables again.")] = False,
    accept_missing: AcceptOption = False,
) -> None:
    """Scan, then make what is missing: metadata, thumbnails, quality, duplicates, the catalogue."""
    from media_pipeline.library.inputs import named_paths
    from media_pipeline.recipes import with_inputs
    from media_pipeline.runner import RunRequest

    named, names = named_paths(paths or [], list_file), with_inputs(_names(stages))
    opened, below = _create_with(library, named)
    request = RunRequest(stages=names, below=below, stale=stale, accept_missing=accept_missing)
    _run_and_report(opened, request)


@app.command()
def scan(
    paths: PathsArgument = None,
    list_file: ListOption = None,
    library: LibraryOption = None,
    accept_missing: AcceptOption = False,
) -> None:
    """Bring the ledger up to date with the disk, without making anything."""
    from media_pipeline.library.inputs import named_paths
    from media_pipeline.progress import with_progress
    from media_pipeline.runner import RunRequest, scan_only

    opened, below = _create_with(library, named_paths(paths or [], list_file))
    request = RunRequest(stages=[], below=below, accept_missing=accept_missing)
    report = with_progress(
        errors, lambda control, on_scan: scan_only(opened, request, control, on_scan)
    )
    _print_scan(report)


@app.command()
def status(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Print how the library stands: every file in one state, each stage's last work."""
    from media_pipeline.library.status import read_status

    found = read_status(_open(library))
    if as_json:
        _print_json(found.as_json())
    else:
        from media_pipeline.library.views import status_view

        console.print(*status_view(found), sep="\n")


@app.command()
def explain(
    what: Annotated[str, typer.Argument(help="A file, or a media id.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print everything known about one file: every row, its evidence, what made it."""
    from media_pipeline.library.explain import explain as explain_file

    answer = explain_file(_open(library), what)
    if as_json:
        _print_json(answer)
    else:
        from media_pipeline.library.views import explain_view

        console.print(explain_view(answer))


@app.command("backfill-stale")
def backfill_stale(
    library: LibraryOption = None,
    stages: StagesOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is stale.")] = False,
) -> None:
    """Make stale tables again and what is made from them; new files wait for `run`."""
    from media_pipeline.library.plan import order_stale
    from media_pipeline.recipes import with_inputs
    from media_pipeline.runner import RunRequest, left_stale

    names = with_inputs(_names(stages))
    opened = _open(library)
    if dry_run:
        stale, estimate_s = left_stale(opened, names)
        _print_stale(stale, estimate_s, otherwise="nothing is stale")
        return
    if not order_stale(opened, names).due:
        console.print("nothing is stale")
        return
    _run_and_report(opened, RunRequest(stages=names, scan=False, only_ordered=True))


@app.command()
def export(
    kind: Annotated[Literal["csv", "json", "parquet"], typer.Argument(help="What to write.")],
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    library: LibraryOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file; write into originals.")
    ] = False,
) -> None:
    """Write one entry per file (csv, parquet) or the tags of each image (json)."""
    from media_pipeline.library.exports import export as write_export
    from media_pipeline.paths import display

    count = write_export(_open(library), kind, target, force=force)
    console.print(Text(f"{count:,} entries written to {display(str(target))}"))


@app.command()
def prune(
    library: LibraryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove tables of old recipes and thumbnails that no table names. Never touches originals."""
    from media_pipeline.library.pruning import prune as prune_library
    from media_pipeline.runner import BUSY

    opened = _open(library)
    with opened.locked("run", busy=BUSY):
        pruned = prune_library(opened, dry_run=dry_run)
    verb = "would free" if dry_run else "freed"
    for recipe in pruned.recipes:
        console.print(Text(f"  {recipe}"))
    console.print(
        f"{len(pruned.recipes)} old recipes and {pruned.thumbnails:,} thumbnails: {verb} "
        f"{pruned.freed_bytes / 1e6:.1f} MB"
    )


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo lives.")] = Path(
        "data/demo"
    ),
) -> None:
    """Build a small collection of real and broken files and take it through everything."""
    from media_pipeline.demo import build_collection
    from media_pipeline.recipes import with_inputs
    from media_pipeline.runner import RunRequest

    originals, library = folder / "originals", folder / "library"
    console.print(Text(f"building the demo collection in {originals.absolute()}"))
    build_collection(originals)
    opened = _create(library)
    below = opened.add_roots([originals.absolute()])
    _run(opened, RunRequest(stages=with_inputs([]), below=below))
    from media_pipeline.library.status import read_status
    from media_pipeline.library.views import next_steps, status_view

    console.print(*status_view(read_status(opened)), sep="\n")
    console.print(next_steps(opened, originals), soft_wrap=True)


@app.command()
def doctor(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Say what this machine has, and the remedy for what is missing."""
    from media_pipeline.library.doctor import as_json as plain
    from media_pipeline.library.doctor import examine

    findings = examine(_folder(library))
    if as_json:
        _print_json(plain(findings))
    else:
        from media_pipeline.library.views import doctor_view

        console.print(doctor_view(findings))
    if any(not finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def dev(
    library: LibraryOption = None,
    port: Annotated[
        int, typer.Option("--port", min=1024, max=65535, help="Port of the UI on 127.0.0.1.")
    ] = 3000,
) -> None:
    """Start Dagster's UI and daemon on loopback for the library, until Ctrl-C."""
    from media_pipeline.instance import serve

    serve(_open(library) if library else _create(None), port)


# -- what the commands share ---------------------------------------------------------------------


def _folder(library: Path | None) -> Path:
    from media_pipeline.settings import read_settings

    return library or read_settings().library


def _open(library: Path | None) -> Library:
    from media_pipeline.library.opened import open_library

    return open_library(_folder(library))


def _create(library: Path | None) -> Library:
    from media_pipeline.library.opened import create_library

    opened = create_library(_folder(library))
    _complain(f"library {opened.layout.root}", "dim")
    return opened


def _create_with(library: Path | None, named: list[Path]) -> tuple[Library, dict[str, list[bytes]]]:
    """Open (or make) the library with these paths in it; without any it must exist already."""
    from media_pipeline.library.inputs import below_of
    from media_pipeline.runner import BUSY

    opened = _create(library) if named else _open(library)
    with opened.locked("run", busy=BUSY):
        return opened, below_of(opened, named)


def _names(stages: str) -> list[str]:
    return [name.strip() for name in stages.split(",") if name.strip()]


def _print_json(value: Any) -> None:
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False))


def _run(library: Library, request: RunRequest) -> RunOutcome:
    from media_pipeline.progress import with_progress
    from media_pipeline.runner import run_library

    outcome: RunOutcome = with_progress(
        errors, lambda control, on_scan: run_library(library, request, control, on_scan)
    )
    if outcome.scan is not None:
        _print_scan(outcome.scan)
    return outcome


def _run_and_report(library: Library, request: RunRequest) -> None:
    outcome = _run(library, request)
    from media_pipeline.library.status import read_status
    from media_pipeline.library.views import one_line

    status = read_status(library)
    console.print(Text(one_line(status)))
    _print_stale(outcome.left_stale, outcome.estimate_s)
    found_meanwhile = status.stages["files"].due > 0  # by a scan of the daemon, after ours
    is_whole = request.scan and len(request.stages) == len(library.stages)
    if status.pending and is_whole and not found_meanwhile:
        waits_for_stale = "; make stale tables first: run --stale" if outcome.left_stale else ""
        raise MachineryFailed(f"{status.pending} files are left without a state{waits_for_stale}")


def _print_scan(report: ScanReport) -> None:
    console.print(
        f"scanned {report.seen:,} entries: {report.read:,} files read "
        f"({report.read_bytes / 1e6:,.1f} MB), {report.new_contents:,} new contents, "
        f"{report.moved:,} moved, {report.missing:,} missing, {report.returned:,} returned"
    )
    for root_id, why in report.offline.items():
        _complain(f"{root_id} is offline: {why}", "yellow")


def _print_stale(stale: dict[str, list[str]], estimate_s: float, otherwise: str = "") -> None:
    if not stale:
        console.print(otherwise, end="\n" if otherwise else "")
        return
    parts = ", ".join(f"{stage} ({len(batches)})" for stage, batches in stale.items())
    about = f", about {estimate_s:,.0f} s" if estimate_s else ""
    console.print(
        Text(f"stale and left as it is: {parts}{about}; make it again with `run --stale` or "
             "`backfill-stale`", style="yellow")
    )  # fmt: skip


def main() -> None:
    """Run the command line; errors of ours become one message and an exit code."""
    import warnings

    warnings.filterwarnings("ignore", message=".*is currently in beta.*")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except Interrupted as error:
        _complain(str(error), "yellow")
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except MediaPipelineError as error:
        _complain(f"error: {error}", "red")
        sys.exit(EXIT_FAILED)
    except OSError as error:
        what = f"{error.strerror or error}: {error.filename or 'no file named'}"
        _complain(f"error: the operating system says {what}; check the path and try again", "red")
        sys.exit(EXIT_FAILED)


def _complain(message: str, style: str) -> None:
    """Print to stderr, never broken inside a path, with no control character but newlines."""
    from media_pipeline.paths import display

    lines = [display(line) for line in message.split("\n")]
    errors.print(Text("\n".join(lines), style=style), soft_wrap=True)
