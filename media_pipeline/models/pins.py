"""What a model's folder was when it was fetched, and which of its files are the model's.

<models>/<card id>/               the files as fetched: safetensors, configurations, tokenizers
<models>/<card id>/pins.json      the commit they came from, SHA-256 and size of each
<models>/<card id>/hashes.json    SHA-256 of each as last looked at (`hashes`)
<models>/<card id>/exports/       what we made of them for CPU
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from media_pipeline.errors import DamagedWeights
from media_pipeline.models.cards import ModelCard
from media_pipeline.paths import write_atomically

PINS = "pins.json"
HASHES = "hashes.json"
EXPORTS = "exports"
OURS = (PINS, HASHES, EXPORTS)
"""What lies in a model's folder and was not fetched."""

CACHE = ".cache"
"""Where the hub's library keeps files that are half here."""


@dataclass(frozen=True)
class Pin:
    """What one file was when it was fetched."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Pins:
    """What a model's folder was when it was fetched.

    Attributes:
        repository: On the hub, `owner/name`.
        asked: The revision its card asked for then: a branch or a commit.
        revision: The commit that was, 40 hex digits.
        files: Name to what it was.
    """

    repository: str
    asked: str
    revision: str
    files: Mapping[str, Pin]

    def are_of(self, card: ModelCard) -> bool:
        """Whether these are the files that a card asks for."""
        asked = {self.asked, self.revision}
        return self.repository == card.repository and card.revision in asked


def model_folder(card: ModelCard, models: Path) -> Path:
    """Where the files of a model lie, whether they are there or not."""
    return models / card.id


def read_pins(card: ModelCard, folder: Path) -> Pins | None:
    """What the files in a folder were when they were fetched, `None` where nothing is pinned.

    Raises:
        DamagedWeights: `pins.json` cannot be read.
    """
    path = folder / PINS
    try:
        raw = json.loads(path.read_bytes())
        files = {str(name): Pin(**pin) for name, pin in raw.pop("files").items()}
        return Pins(**raw, files=files)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedWeights(f"{path} cannot be read ({error}); {again(card)}") from error


def write_pins(folder: Path, pins: Pins) -> None:
    """Write down what the files in a folder are."""
    write_atomically(folder / PINS, json.dumps(asdict(pins), indent=1, sort_keys=True).encode())


def model_files(folder: Path) -> list[str]:
    """The files in a folder that are none of ours, as names in a repository."""
    return [
        name
        for name in files_below(folder)
        if not name.startswith(".") and name.partition("/")[0] not in OURS
    ]


def files_below(folder: Path) -> list[str]:
    """All files in a folder, as names in a repository, in order."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(PurePosixPath(*name.parts)) for name in names)


def is_named(card: ModelCard, name: str) -> bool:
    """Whether a card asks for a file of this name."""
    return any(fnmatch(name, pattern) for pattern in card.files)


def again(card: ModelCard) -> str:
    """The remedy for files that are not what they should be."""
    return f"fetch it again with `media-pipeline models fetch {card.id}`"
