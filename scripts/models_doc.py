"""The model table of README.md and docs/models.md, written from the cards (`make docs`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from media_pipeline.models.cards import PROFILES, SHIPPED, TASKS, ModelCard, load_cards

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DESTINATION = ROOT / "docs" / "models.md"

START, END = "<!-- models -->", "<!-- /models -->"
"""What stands around the table in README.md."""

INTRODUCTION = """\
# Models

Every model this program knows. Written by `make docs` from the cards in
`media_pipeline/models/cards/`, where each model is declared once; a test compares the two, so
change the cards and not this file.

A *profile* picks one card per task; a task without a card is `not evaluated`, which is never
"nothing found". `media-pipeline profile NAME` changes the profile of a library and says what
becomes stale; `media-pipeline models use TASK CARD` chooses another card for one task.

```bash
media-pipeline models list                       # what there is, and what is here
media-pipeline models fetch --profile standard   # needs a network; pins commit and SHA-256
media-pipeline models verify                     # hashes everything again
```

Only safetensors, JSON and text files are fetched, and no code of a repository is ever run. The
commit and the SHA-256 of every file are kept in `pins.json` beside them; a later fetch must give
the same bytes. Without a network, fetch on another machine and copy the folder of the model.

Memory is what a process grew by with random weights of that shape and one picture (torch, float32,
one CPU thread, with the code it loads); for the embedders it is the part that sees pictures.

To add a model of a kind that is known here, put a card like these as `<id>.toml` into the folder
`cards` of the models folder (`<library>/models`, or MEDIA_MODELS).
"""


def table() -> str:
    """The short table of README.md, as Markdown."""
    header = ("task", "model", "profile", "licence", "size")
    return _grid(header, (_short(card) for card in _cards()))


def page() -> str:
    """The whole of docs/models.md, as Markdown."""
    profiles = _grid(
        ("task", *PROFILES),
        ((task, *(_link(picks.get(task, "")) for picks in PROFILES.values())) for task in TASKS),
    )
    sections = (_section(card) for card in _cards())
    return "\n".join([INTRODUCTION, "## Profiles\n", profiles, *sections])


def with_table(readme: str) -> str:
    """The text of README.md with the table of today between the markers.

    Raises:
        ValueError: The markers are not there.
    """
    parts = re.split(f"({re.escape(START)}|{re.escape(END)})", readme)
    if parts[1::2] != [START, END]:
        raise ValueError(f"README.md needs one line {START} and one line {END} after it")
    parts[2] = f"\n{table()}"
    return "".join(parts)


def _cards() -> list[ModelCard]:
    """Ours, in the order of the tasks; within one, those of a profile first."""
    picked = [card for picks in PROFILES.values() for card in picks.values()]
    order = {name: number for number, name in enumerate(picked)}
    return sorted(
        load_cards().values(),
        key=lambda card: (TASKS.index(card.task), order.get(card.id, len(order)), card.id),
    )


def _short(card: ModelCard) -> tuple[str, ...]:
    name = f"[{card.title}]({card.homepage})" if card.homepage else card.title
    return card.task, name, _profiles(card) or "by `models use`", card.licence, _size(card)


def _profiles(card: ModelCard) -> str:
    return ", ".join(name for name, picks in PROFILES.items() if card.id in picks.values())


def _size(card: ModelCard) -> str:
    return f"{card.size_mb:,.0f} MB" if card.size_mb else "-"


def _link(name: str) -> str:
    return f"[{name}](#{name})" if name else "not evaluated"


def _section(card: ModelCard) -> str:
    facts = [(name, value) for name, value in _facts(card) if value]
    return f"## {card.id}\n\n{card.title}. {card.note}".rstrip() + "\n\n" + _grid(("", ""), facts)


def _facts(card: ModelCard) -> Iterable[tuple[str, str]]:
    yield "task", card.task
    yield "profiles", _profiles(card)
    yield "loader", f"`{card.loader}`"
    yield "repository", f"`{card.repository}`" if card.needs_files else "ships with the program"
    yield "revision", f"`{card.revision}`" if card.needs_files else ""
    yield "files", ", ".join(f"`{name}`" for name in card.files)
    for name, checksum in card.sha256.items():
        yield f"SHA-256 of `{name}`", f"`{checksum}`"
    yield "input", _preprocessing(card)
    yield "labels", card.labels
    yield (
        "parameters",
        ", ".join(f"`{name} = {value!r}`" for name, value in card.parameters.items()),
    )
    for kind, fit in card.calibration.items():
        text = f"1 / (1 + exp(-({fit.slope:g} × score + {fit.offset:g})))"
        yield f"probability, {kind}", text
    yield "calibrated on", card.calibration_note
    yield "licence", card.licence
    yield "homepage", f"<{card.homepage}>" if card.homepage else ""
    yield "files, about", _size(card) if card.size_mb else ""
    yield "memory, about", f"{card.memory_mb:,.0f} MB" if card.memory_mb else ""
    yield "card", f"`{SHIPPED.relative_to(ROOT).as_posix()}/{card.id}.toml`"


def _preprocessing(card: ModelCard) -> str:
    how = card.preprocessing
    if how is None:
        return ""
    resize = "stretched" if how.resize == "exact" else "short side, then the middle"
    crop = f" (of {how.crop_fraction:g})" if how.crop_fraction != 1 else ""
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (how.mean, how.std))
    size = f"{how.width_px} × {how.height_px} px"
    return f"{size}, {resize}{crop}, {how.interpolation}; mean {mean}; std {std}"


def _grid(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(_line(cells) for cells in (header, ("---",) * len(header), *rows))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    DESTINATION.write_text(page(), encoding="utf-8")
    print(f"wrote {DESTINATION}")
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {README}")
