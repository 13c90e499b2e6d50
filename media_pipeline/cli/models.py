"""Models: which there are, bringing them here, choosing among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from media_pipeline.cli.changes import diff
from media_pipeline.cli.shared import (
    EXIT_FAILED,
    JsonOption,
    LibraryOption,
    complain,
    console,
    created_library,
    errors,
    folder_of,
    opened_library,
    print_json,
)

if TYPE_CHECKING:
    from media_pipeline.library.opened import Library
    from media_pipeline.models.cards import ModelCard
    from media_pipeline.models.qualifying import Candidate
    from media_pipeline.settings import LibraryConfig

app = typer.Typer()
models_app = typer.Typer(no_args_is_help=True, help="Which models there are; fetch, check, choose.")
app.add_typer(models_app, name="models")
models_app.command()(diff)

NONE = "none"
"""What stands for no model on the command line; empty in `library.toml`."""

QUALIFY_ON = 256
"""Pictures that runtimes are compared on, at most."""

IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="IDS", help="Ids of cards; without any, those in use."),
]
ProfileOption = Annotated[
    str, typer.Option("--profile", help="The cards of this profile; default: the library's.")
]


@dataclass(frozen=True)
class Place:
    """Where models are kept, and which are in use there.

    Attributes:
        models: The models folder.
        config: The library's configuration; the default one where there is no library yet.
        cards: Every card, ours and the user's.
    """

    models: Path
    config: LibraryConfig
    cards: dict[str, ModelCard]

    def in_use(self, profile: str = "") -> list[ModelCard]:
        """The cards of a profile, with the library's own choices; empty: the library's profile."""
        from media_pipeline.models.cards import cards_in_use

        chosen = cards_in_use(profile or self.config.profile, self.config.models, self.cards)
        return list(chosen.values())

    def named(self, ids: Sequence[str] | None, profile: str = "") -> list[ModelCard]:
        """The cards of these ids, or those in use.

        Raises:
            UsageError: No such card, or ids and a profile at once.
        """
        from media_pipeline.errors import UsageError

        if ids and profile:
            raise UsageError("name models or a profile, not both")
        unknown = [name for name in ids or [] if name not in self.cards]
        if unknown:
            known = ", ".join(sorted(self.cards))
            raise UsageError(f"no model {unknown[0]!r}: there is {known}")
        return [self.cards[name] for name in ids] if ids else self.in_use(profile)


@models_app.command("list")
def list_models(
    library: LibraryOption = None, profile: ProfileOption = "", as_json: JsonOption = False
) -> None:
    """Print every model: what for, in which profile, whether it is here, its licence and size."""
    place = _place(library)
    only = {card.id for card in place.in_use(profile)} if profile else set(place.cards)
    used = {card.id for card in place.in_use()}
    rows = [_facts(card, place, used) for card in place.cards.values() if card.id in only]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("  id", "task", "profile", "state", "licence"):
        table.add_column(name, no_wrap=True)
    table.add_column("MB", justify="right")
    for row in rows:
        name = f"{'*' if row['in_use'] else ' '} {row['id']}"
        size = f"{row['size_mb']:,.0f}" if row["size_mb"] else ""
        licence, _, more = row["licence"].partition(" (")
        words = (name, row["task"], ", ".join(row["profiles"]), row["state"])
        table.add_row(*map(Text, (*words, licence + (" …" if more else ""), size)))
    console.print(Text(f"profile {place.config.profile}; * in use"))
    console.print(table)
    console.print(Text(f"models folder {place.models}"), soft_wrap=True)


def _facts(card: ModelCard, place: Place, used: set[str]) -> dict[str, Any]:
    from media_pipeline.models.cards import PROFILES
    from media_pipeline.models.store import state

    return {
        "id": card.id,
        "title": card.title,
        "task": card.task,
        "profiles": [name for name, picks in PROFILES.items() if card.id in picks.values()],
        "in_use": card.id in used,
        "state": state(card, place.models),
        "licence": card.licence,
        "size_mb": card.size_mb,
        "repository": card.repository,
        "revision": card.revision,
    }


@models_app.command()
def fetch(
    ids: IdsArgument = None,
    library: LibraryOption = None,
    profile: ProfileOption = "",
    update: Annotated[
        bool, typer.Option("--update", help="Take the newest commit of each card's revision.")
    ] = False,
) -> None:
    """Bring the files of models here, check them and pin them. This needs a network."""
    from media_pipeline.models import store

    place = _place(library)
    cards = place.named(ids, profile)
    if not place.models.exists() and _is_in_library(place, library):
        created_library(library)  # a folder that holds models only could not become one later
    for card in cards:
        with _bar(card.id) as report:
            pins = store.fetch(card, place.models, report, update=update)
        what = "ships with the program" if pins is None else f"is here, commit {pins.revision}"
        console.print(Text(f"{card.id} {what}"), soft_wrap=True)


@models_app.command()
def verify(ids: IdsArgument = None, library: LibraryOption = None) -> None:
    """Hash the files of models again and say what is missing, changed or unpinned."""
    from media_pipeline.models import store

    place = _place(library)
    is_wrong = False
    for card in place.named(ids):
        problems = store.verify(card, place.models)
        is_wrong |= bool(problems)
        right = "as it was fetched" if card.needs_files else "ships with the program"
        console.print(Text(f"{card.id}: {'wrong' if problems else right}"))
        for problem in problems:
            complain(f"  {problem}", "red")
    if is_wrong:
        raise typer.Exit(EXIT_FAILED)


@models_app.command()
def export(ids: IdsArgument = None, library: LibraryOption = None) -> None:
    """Make the ONNX files that models run from on CPU, and compare them with torch."""
    from media_pipeline.models.exporting import export as export_model

    place = _place(library)
    for card in _of_fixed_shape(place, ids):
        path = export_model(card, place.models, _say)
        console.print(Text(f"{card.id}: {path}"), soft_wrap=True)


@models_app.command()
def qualify(
    ids: IdsArgument = None,
    library: LibraryOption = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Pictures to compare on; default: the library's thumbnails."),
    ] = None,
) -> None:
    """Compare the runtimes on this machine; the fastest that agrees is used from now on."""
    from media_pipeline.library.pictures import some_pictures, some_thumbnails
    from media_pipeline.models.loading import resolve_device
    from media_pipeline.models.qualifying import qualify as qualify_model
    from media_pipeline.settings import read_settings

    place = _place(library)
    cards = _of_fixed_shape(place, ids)
    pictures = (
        some_pictures(folder, QUALIFY_ON)
        if folder is not None
        else some_thumbnails(opened_library(library), QUALIFY_ON)
    )
    device = resolve_device(read_settings().device)
    console.print(Text(str(device)), soft_wrap=True)
    for card in cards:
        found = qualify_model(card, place.models, pictures, device.name, _say)
        console.print(Text(f"{card.id} runs in {found.chosen} ({found.machine})"))
        for one in found.candidates:
            console.print(Text(_measured(one)), soft_wrap=True)


def _of_fixed_shape(place: Place, ids: Sequence[str] | None) -> list[ModelCard]:
    """The named cards, or those in use that ONNX and its runtimes are for."""
    from media_pipeline.errors import UsageError
    from media_pipeline.models.exporting import FIXED_SHAPE

    cards = [card for card in place.named(ids) if ids or card.loader in FIXED_SHAPE]
    if not cards:
        raise UsageError(
            f"no model of the profile {place.config.profile} is exported: name some, such as "
            "vit-base-patch16-224, or change the profile"
        )
    return cards


def _measured(one: Candidate) -> str:
    if one.agreement is None or one.pictures_per_s is None:
        return f"  {one.runtime:<12} {one.problem}"
    speed = f"{one.pictures_per_s:,.1f} pictures/s"
    return f"  {one.runtime:<12} {speed}, agreement {one.agreement:.1%}"


@models_app.command()
def use(
    task: Annotated[str, typer.Argument(help="embedder, classifier, detector, safety, captioner.")],
    card: Annotated[str, typer.Argument(help="Id of a card, or `none` to do without.")],
    library: LibraryOption = None,
) -> None:
    """Use another model for a task than the profile's, and say what becomes stale."""
    from media_pipeline.models.cards import PROFILES

    name = "" if card == NONE else card
    config = _place(library).config
    choices = {**config.models, task: name}
    if PROFILES[config.profile].get(task, "") == name:  # type: ignore[call-overload]
        del choices[task]
    _change(library, lambda config: replace(config, models=choices))


@app.command()
def profile(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="embedded or standard; nothing: say which.")
    ] = "",
    library: LibraryOption = None,
) -> None:
    """Say which models are used, or change the profile and say what becomes stale."""
    if name:
        _change(library, lambda config: replace(config, profile=name))
        return
    from media_pipeline.models.cards import TASKS
    from media_pipeline.models.store import state

    opened = opened_library(library)
    console.print(Text(f"profile {opened.config.profile}"))
    for task in TASKS:
        card = opened.cards.get(task)
        what = f"{card.id} ({state(card, opened.models)})" if card else "none: not evaluated"
        own = ", chosen by `models use`" if task in opened.config.models else ""
        console.print(Text(f"  {task:<11} {what}{own}"))


def _change(library: Path | None, changed: Any) -> None:
    """Write another configuration, if all it names exists, and say what comes of it."""
    from media_pipeline.library.opened import open_library
    from media_pipeline.library.profiles import consequences
    from media_pipeline.models.cards import cards_in_use
    from media_pipeline.paths import Layout
    from media_pipeline.runner import BUSY
    from media_pipeline.settings import write_config

    before = _library_of(library)
    place = _place(library)
    config = changed(place.config)
    cards_in_use(config.profile, config.models, place.cards)
    with before.locked("run", busy=BUSY):
        write_config(Layout(before.layout.root), config)
        for line in consequences(open_library(before.layout.root)):
            console.print(Text(line), soft_wrap=True)


# -- what the commands share ---------------------------------------------------------------------


def _place(library: Path | None) -> Place:
    """Where models are; a library whose configuration names a card that is gone will do."""
    from media_pipeline.models.cards import load_cards
    from media_pipeline.paths import Layout
    from media_pipeline.settings import LibraryConfig, read_config, read_settings

    layout = Layout(folder_of(library).absolute())
    models = read_settings().models or layout.models
    config = read_config(layout) if layout.config.exists() else LibraryConfig()
    return Place(models, config, load_cards(models / "cards"))


def _library_of(library: Path | None) -> Library:
    """The library, without asking whether its models exist."""
    from media_pipeline.errors import LibraryError
    from media_pipeline.library.opened import Library
    from media_pipeline.paths import Layout
    from media_pipeline.settings import read_config

    layout = Layout(folder_of(library).absolute())
    if not layout.config.exists():
        raise LibraryError(
            f"no library at {layout.root}: make one with `media-pipeline run FOLDER`, or name "
            "another with --library"
        )
    return Library(layout, read_config(layout))


def _is_in_library(place: Place, library: Path | None) -> bool:
    return place.models.is_relative_to(folder_of(library).absolute())


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar in bytes, with rate and time left; silent where nobody looks."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )
    with bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say(text: str) -> None:
    complain(text, "dim")
