"""The library's own commands: run, look, take along, tidy up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from media_pipeline.cli.shared import (
    EXIT_FAILED,
    AcceptOption,
    JsonOption,
    LibraryOption,
    ListOption,
    PathsArgument,
    StagesOption,
    console,
    create_with,
    created_library,
    errors,
    folder_of,
    names_in,
    opened_library,
    print_json,
    print_scan,
    print_stale,
    run_and_report,
    run_with_progress,
    with_profile,
)

app = typer.Typer()


@app.command()
def run(
    paths: PathsArgument = None,
    list_file: ListOption = None,
    library: LibraryOption = None,
    stages: StagesOption = "",
    stale: Annotated[bool, typer.Option("--stale", help="Also make stale tables again.")] = False,
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            help="Use the models of this profile from now on, and make again what that changes.",
        ),
    ] = "",
    accept_missing: AcceptOption = False,
) -> None:
    """Scan, then make what is missing: metadata, thumbnails, what models say, the catalogue."""
    from media_pipeline.library.inputs import named_paths
    from media_pipeline.recipes import with_inputs
    from media_pipeline.runner import RunRequest

    named, names = named_paths(paths or [], list_file), with_inputs(names_in(stages))
    opened, below = create_with(library, named)
    if profile and profile != opened.config.profile:
        opened = with_profile(opened, profile)
    stale = stale or bool(profile)  # asked again after an interruption, it goes on
    request = RunRequest(stages=names, below=below, stale=stale, accept_missing=accept_missing)
    run_and_report(opened, request)


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

    opened, below = create_with(library, named_paths(paths or [], list_file))
    request = RunRequest(stages=[], below=below, accept_missing=accept_missing)
    report = with_progress(
        errors, lambda control, on_scan: scan_only(opened, request, control, on_scan)
    )
    print_scan(report)


@app.command()
def status(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Print how the library stands: every file in one state, each stage's last work."""
    from media_pipeline.library.status import read_status

    found = read_status(opened_library(library))
    if as_json:
        print_json(found.as_json())
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

    answer = explain_file(opened_library(library), what)
    if as_json:
        print_json(answer)
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

    names = with_inputs(names_in(stages))
    opened = opened_library(library)
    if dry_run:
        stale, estimate_s = left_stale(opened, names)
        print_stale(stale, estimate_s, otherwise="nothing is stale")
        return
    if not order_stale(opened, names).due:
        console.print("nothing is stale")
        return
    run_and_report(opened, RunRequest(stages=names, scan=False, only_ordered=True))


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

    count = write_export(opened_library(library), kind, target, force=force)
    console.print(Text(f"{count:,} entries written to {display(str(target))}"))


@app.command()
def prune(
    library: LibraryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove tables of old recipes and thumbnails that no table names. Never touches originals."""
    from media_pipeline.library.pruning import prune as prune_library
    from media_pipeline.runner import BUSY

    opened = opened_library(library)
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
    opened = created_library(library)
    below = opened.add_roots([originals.absolute()])
    run_with_progress(opened, RunRequest(stages=with_inputs([]), below=below))
    from media_pipeline.library.status import read_status
    from media_pipeline.library.views import next_steps, pictures_view, status_view

    console.print(*status_view(read_status(opened)), sep="\n")
    console.print(pictures_view(opened))
    console.print(next_steps(opened, originals), soft_wrap=True)


@app.command()
def doctor(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Say what this machine has, and the remedy for what is missing."""
    from media_pipeline.library.doctor import as_json as plain
    from media_pipeline.library.doctor import examine

    findings = examine(folder_of(library))
    if as_json:
        print_json(plain(findings))
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

    serve(opened_library(library) if library else created_library(None), port)
