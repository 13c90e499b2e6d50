"""The files of models: where they lie, what they are pinned to, fetching and checking them.

    <models>/<card id>/               the files as fetched: safetensors, configurations, tokenizers
    <models>/<card id>/pins.json      the commit they came from, SHA-256 and size of each
    <models>/<card id>/exports/       what we made of them for CPU
    <models>/.<card id>.partial/      what an interrupted fetch had finished; never read by a model

A folder gets its name only when everything in it was checked, so nothing half-written is ever used.
A fetch of a model that is pinned already must give the same bytes, unless an update was asked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from media_pipeline.errors import (
    DamagedWeights,
    DiskFull,
    LibraryBusy,
    MissingWeights,
    UsageError,
)
from media_pipeline.models import hub
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.hub import HubFiles, Report
from media_pipeline.paths import write_atomically, writing

PINS = "pins.json"
EXPORTS = "exports"
OURS = (PINS, EXPORTS)
"""What lies in a model's folder and was not fetched."""

SAFE_ENDINGS = (".safetensors", ".json", ".txt", ".model")
"""Files that hold numbers and text. Pickles (*.bin, *.pt, *.pkl) can run code and never come in."""

SPARE_BYTES = 64 << 20
"""Free space that a fetch leaves."""


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


def model_folder(card: ModelCard, models: Path) -> Path:
    """Where the files of a model lie, whether they are there or not."""
    return models / card.id


def require(card: ModelCard, models: Path) -> Path:
    """The folder of a model whose files are all there; their bytes are checked by `verify` only.

    Raises:
        MissingWeights: It was not fetched, or its card asks for another revision by now.
        DamagedWeights: A file is gone, or of another size than it was.
    """
    folder = model_folder(card, models)
    missing = [pattern for pattern in card.files if not _has(folder, pattern)]
    if missing:
        raise MissingWeights(
            f"no weights for {card.id!r}: {folder} holds no {missing[0]}; run `media-pipeline "
            f"models fetch {card.id}`, or copy the folder from a machine where that was run"
        )
    pins = read_pins(card, models)
    if pins is None:
        return folder
    if not _is_of(card, pins):
        raise MissingWeights(
            f"the weights in {folder} are {pins.repository} at {pins.asked}, its card asks for "
            f"{card.repository} at {card.revision}: run `media-pipeline models fetch {card.id} "
            "--update`"
        )
    problems = list(_size_problems(folder, pins))
    if problems:
        raise DamagedWeights(f"{folder}: {problems[0]}; {_again(card)}")
    return folder


def state(card: ModelCard, models: Path) -> str:
    """How a model stands: `built in`, `fetched`, `unpinned`, `outdated`, `missing`, `damaged`."""
    if not card.needs_files:
        return "built in"
    try:
        pins = read_pins(card, models)
        if pins is not None and not _is_of(card, pins):
            return "outdated"
        require(card, models)
        return "unpinned" if pins is None else "fetched"
    except MissingWeights:
        return "missing"
    except DamagedWeights:
        return "damaged"


def fingerprint(card: ModelCard, models: Path) -> Any:
    """A JSON value that changes with everything that changes what a model says.

    It reads one small file. Of a folder without pins only names and sizes are known.
    """
    pins = read_pins(card, models) if card.needs_files else None
    if pins is not None and _is_of(card, pins):
        files: dict[str, Any] = {name: pin.sha256 for name, pin in pins.files.items()}
        return {"card": card.decides, "revision": pins.revision, "files": files}
    folder = model_folder(card, models)
    sizes = {
        name: (folder / name).stat().st_size
        for name in _fetched_names(folder)
        if pins is None and any(fnmatch(name, pattern) for pattern in card.files)
    }
    return {"card": card.decides, "revision": None, "files": sizes}


def read_pins(card: ModelCard, models: Path) -> Pins | None:
    """What the files of a model were when they were fetched, `None` where nothing is pinned.

    Raises:
        DamagedWeights: `pins.json` cannot be read.
    """
    path = model_folder(card, models) / PINS
    try:
        raw = json.loads(path.read_bytes())
        files = {str(name): Pin(**pin) for name, pin in raw.pop("files").items()}
        return Pins(**raw, files=files)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedWeights(f"{path} cannot be read ({error}); {_again(card)}") from error


def fetch(
    card: ModelCard,
    models: Path,
    report: Report | None = None,
    *,
    update: bool = False,
    endpoint: str | None = None,
) -> Pins | None:
    """Bring the files of a model here; what is here and whole already is left alone.

    Args:
        card: What to fetch.
        models: The models folder.
        report: Told how many bytes of how many are here.
        update: Ask for the newest commit of the card's revision, whatever is pinned.
        endpoint: Address of the hub; `None` takes HF_ENDPOINT, else huggingface.co.

    Returns:
        What the files are pinned to; `None` for a model that needs none.

    Raises:
        MissingWeights: The hub cannot be reached or has no such model.
        DamagedWeights: What came is not what was promised or pinned; what was here is kept.
        DiskFull: Too little space for it.
        UsageError: The card asks for files that can run code.
        LibraryBusy: Another command fetches it.
    """
    if not card.needs_files:
        return None
    _refuse_unsafe(card)
    with writing(models):
        models.mkdir(parents=True, exist_ok=True)
    with _alone(card, models):
        known = _pins_to_keep(card, models, update)
        if known is not None and not verify(card, models):
            return known
        wanted = hub.look_up(card, known.revision if known else card.revision, endpoint)
        _check_space(card, models, wanted)
        partial = models / f".{card.id}.partial"
        with writing(models):
            hub.bring(card, wanted, partial, report or _nobody, endpoint)
            pins = _check_and_pin(card, partial, wanted, known)
            _put_in_place(card, models, partial, pins)
        return pins


def verify(card: ModelCard, models: Path) -> list[str]:
    """Hash every file of a model again.

    Returns:
        What is wrong, one sentence each; empty when all is as it was fetched.
    """
    if not card.needs_files:
        return []
    folder = model_folder(card, models)
    try:
        pins = read_pins(card, models)
        require(card, models)
    except (MissingWeights, DamagedWeights) as error:
        return [str(error)]
    if pins is None:
        return [f"{folder} is unpinned: nobody knows what its files should be; {_again(card)}"]
    return [*_hash_problems(folder, pins, card), *_strangers(folder, pins)]


# -- what fetching is made of --------------------------------------------------------------------


def _nobody(done: int, total: int) -> None:
    """Report to nobody."""


def _refuse_unsafe(card: ModelCard) -> None:
    for pattern in card.files or ("",):
        if not pattern.endswith(SAFE_ENDINGS):
            raise UsageError(
                f"{card.id}: `files` names {pattern!r}, but only names that end in "
                f"{', '.join(SAFE_ENDINGS)} are fetched, because other formats (.bin, .pt, .pkl) "
                "can run code: choose a repository or revision with safetensors"
            )


def _pins_to_keep(card: ModelCard, models: Path, update: bool) -> Pins | None:
    """The pins that a fetch must reproduce, if any."""
    if update:
        return None
    try:
        pins = read_pins(card, models)
    except DamagedWeights:
        return None
    if pins is not None and not _is_of(card, pins):
        raise UsageError(
            f"{card.id!r} is pinned to {pins.repository} at {pins.asked}, its card asks for "
            f"{card.repository} at {card.revision}: run `media-pipeline models fetch {card.id} "
            "--update`"
        )
    return pins


def _check_space(card: ModelCard, models: Path, wanted: HubFiles) -> None:
    needed = max(int(card.size_mb * 1e6), wanted.size_bytes) + SPARE_BYTES
    free = shutil.disk_usage(models).free
    if free < needed:
        raise DiskFull(
            f"{card.id} needs {needed / 1e6:,.0f} MB under {models}, {free / 1e6:,.0f} MB are "
            "free: free some space, or name a models folder elsewhere with MEDIA_MODELS"
        )


def _check_and_pin(card: ModelCard, folder: Path, wanted: HubFiles, known: Pins | None) -> Pins:
    """Compare what came with what hub, card and earlier pins say."""
    found: dict[str, Pin] = {}
    for name, promised in sorted(wanted.files.items()):
        path = folder / name
        if not path.is_file():
            raise MissingWeights(
                f"{card.id}: {name} did not come, the hub went away; {_again(card)}"
            )
        found[name] = Pin(_sha256(path), path.stat().st_size)
        expected = {
            "the hub": promised.sha256,
            "the card": card.sha256.get(name),
            "pins.json": known.files[name].sha256 if known and name in known.files else None,
        }
        for who, sha256 in expected.items():
            if sha256 is not None and sha256.lower() != found[name].sha256:
                path.unlink()  # so that the next try fetches it anew
                raise DamagedWeights(
                    f"{card.id}: {name} has the SHA-256 {found[name].sha256}, {who} says "
                    f"{sha256}; nothing was changed. {_again(card)}"
                )
    unknown = sorted(set(card.sha256) - set(found))
    if unknown:
        raise DamagedWeights(
            f"{card.id}: its card has a checksum for {unknown[0]}, which is not there"
        )
    return Pins(card.repository, card.revision, wanted.revision, found)


def _put_in_place(card: ModelCard, models: Path, partial: Path, pins: Pins) -> None:
    """Give the finished folder its name; exports stay where the files are what they were."""
    for name in _fetched_names(partial):
        if name not in pins.files:  # left by an earlier try at another commit
            (partial / name).unlink()
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    write_atomically(partial / PINS, json.dumps(asdict(pins), indent=1, sort_keys=True).encode())
    folder = model_folder(card, models)
    if folder.exists():
        if _same_files(card, models, pins) and (folder / EXPORTS).exists():
            os.replace(folder / EXPORTS, partial / EXPORTS)
        old = models / f".{card.id}.old"
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(models / f".{card.id}.old", ignore_errors=True)


def _same_files(card: ModelCard, models: Path, pins: Pins) -> bool:
    try:
        before = read_pins(card, models)
    except DamagedWeights:
        return False
    return before is not None and before.files == pins.files


@contextmanager
def _alone(card: ModelCard, models: Path) -> Iterator[None]:
    """Hold the lock on fetching a model."""
    descriptor = os.open(models / f".{card.id}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LibraryBusy(
            f"another command fetches {card.id!r} into {models}: wait for it"
        ) from error
    finally:
        os.close(descriptor)


# -- what checking is made of --------------------------------------------------------------------


def _is_of(card: ModelCard, pins: Pins) -> bool:
    """Whether pinned files are those that a card asks for."""
    asked = {pins.asked, pins.revision}
    return pins.repository == card.repository and card.revision in asked


def _has(folder: Path, pattern: str) -> bool:
    return any(path.is_file() for path in folder.glob(pattern))


def _fetched_names(folder: Path) -> list[str]:
    """The files in a folder that are none of ours, as names in a repository."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    inside = (PurePosixPath(*name.parts) for name in names)
    return sorted(str(n) for n in inside if n.parts[0] not in OURS and n.parts[0][0] != ".")


def _size_problems(folder: Path, pins: Pins) -> Iterator[str]:
    for name, pin in pins.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != pin.size_bytes:
            size = path.stat().st_size
            yield f"{name} has changed: {size:,} bytes, {pin.size_bytes:,} were fetched"


def _hash_problems(folder: Path, pins: Pins, card: ModelCard) -> Iterator[str]:
    for name, pin in pins.files.items():
        found = _sha256(folder / name)
        for expected in {pin.sha256, card.sha256.get(name, pin.sha256).lower()} - {found}:
            yield f"{folder / name} has SHA-256 {found}, should have {expected}; {_again(card)}"


def _strangers(folder: Path, pins: Pins) -> Iterator[str]:
    for name in _fetched_names(folder):
        if name not in pins.files:
            yield f"{folder / name} is unpinned: it was not fetched; remove it"


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _again(card: ModelCard) -> str:
    return f"fetch it again with `media-pipeline models fetch {card.id}`"
