"""The files of models: fetching, pinning and checking them.

    <models>/<card id>/               the files of a model, see `pins`
    <models>/.<card id>.partial/      what an interrupted fetch had finished; never read by a model

A folder gets its name only when everything in it was checked, so nothing half-written is ever used.
A fetch of a model that is pinned already must give the same bytes, unless an update was asked for.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
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
from media_pipeline.models.hashes import file_sha256, sha256_of
from media_pipeline.models.hub import HubFiles, Report
from media_pipeline.models.pins import (
    CACHE,
    Pin,
    Pins,
    again,
    files_below,
    is_named,
    model_files,
    model_folder,
    read_pins,
)
from media_pipeline.models.replacing import (
    finish,
    partial_folder,
    put_in_place,
    refuse_to_delete,
)
from media_pipeline.paths import writing

SAFE_ENDINGS = (".safetensors", ".json", ".txt", ".model")
"""Files that hold numbers and text. Pickles (*.bin, *.pt, *.pkl) can run code and never come in."""

SPARE_BYTES = 64 << 20
"""Free space that a fetch leaves."""


def require(card: ModelCard, models: Path) -> Path:
    """The folder of a model whose files are all there, byte for byte what pins and card say.

    Bytes are hashed at the first look and after a change of size, time or inode; `verify` hashes
    them whatever these say.

    Raises:
        MissingWeights: It was not fetched, or its card asks for another revision by now.
        DamagedWeights: A file is gone, or is not what it was.
    """
    folder = model_folder(card, models)
    names = model_files(folder)
    for pattern in card.files:
        if not any(fnmatch(name, pattern) for name in names):
            raise MissingWeights(
                f"no weights for {card.id!r}: {folder} holds no {pattern}; run `media-pipeline "
                f"models fetch {card.id}`, or copy the folder from a machine where that was run"
            )
    pins = read_pins(card, folder)
    if pins is not None and not pins.are_of(card):
        raise MissingWeights(
            f"the weights in {folder} are {pins.repository} at {pins.asked}, its card asks for "
            f"{card.repository} at {card.revision}: run `media-pipeline models fetch {card.id} "
            "--update`"
        )
    problem = next(_size_problems(folder, pins), None) if pins is not None else None
    if problem is not None:
        raise DamagedWeights(f"{folder}: {problem}; {again(card)}")
    named = [*card.sha256, *(pins.files if pins is not None else ())]
    found = sha256_of(folder, sorted({name for name in named if name in names}))
    problem = next(_hash_problems(folder, pins, card, found), None)
    if problem is not None:
        raise DamagedWeights(problem)
    return folder


def state(card: ModelCard, models: Path) -> str:
    """How a model stands: `built in`, `fetched`, `unpinned`, `outdated`, `missing`, `damaged`."""
    if not card.needs_files:
        return "built in"
    try:
        pins = read_pins(card, model_folder(card, models))
        if pins is not None and not pins.are_of(card):
            return "outdated"
        require(card, models)
        return "unpinned" if pins is None else "fetched"
    except MissingWeights:
        return "missing"
    except DamagedWeights:
        return "damaged"


def fingerprint(card: ModelCard, models: Path) -> Any:
    """A JSON value that changes with everything that changes what a model says.

    Raises:
        DamagedWeights: `pins.json`, or a file without pins, cannot be read.
    """
    return {"card": card.decides, **weights_of(card, models)}


def weights_of(card: ModelCard, models: Path) -> dict[str, Any]:
    """The part of the fingerprint that is about the files: a JSON value.

    Of a pinned folder it reads one small file; the files of another are hashed, see `hashes`.

    Raises:
        DamagedWeights: `pins.json`, or a file without pins, cannot be read.
    """
    folder = model_folder(card, models)
    pins = read_pins(card, folder) if card.needs_files else None
    if pins is not None and pins.are_of(card):
        files = {name: pin.sha256 for name, pin in pins.files.items()}
        return {"revision": pins.revision, "files": files}
    names: list[str] = []
    if card.needs_files and pins is None:
        names = [one for one in model_files(folder) if not card.files or is_named(card, one)]
    return {"revision": None, "files": sha256_of(folder, names)}


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
        UsageError: The card asks for files that can run code, its folder holds files of the
            user's, or it is pinned to another revision than the card asks for.
        LibraryBusy: Another command fetches it.
    """
    if not card.needs_files:
        return None
    _refuse_unsafe(card)
    with writing(models):
        models.mkdir(parents=True, exist_ok=True)
    with _alone(card, models):
        with writing(models):
            finish(card, models)
        known = _pins_to_keep(card, models, update)
        if known is not None and not verify(card, models):
            return known
        refuse_to_delete(card, models)
        wanted = hub.look_up(card, known.revision if known else card.revision, endpoint)
        _check_space(card, models, wanted)
        partial = partial_folder(card, models)
        with writing(models):
            hub.bring(card, wanted, partial, report or _nobody, endpoint)
            pins = _check_and_pin(card, partial, wanted, known)
            put_in_place(card, models, partial, pins)
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
        pins = read_pins(card, folder)
        require(card, models)
    except (MissingWeights, DamagedWeights) as error:
        return [str(error)]
    if pins is None:
        return [f"{folder} is unpinned: nobody knows what its files should be; {again(card)}"]
    found = {name: file_sha256(folder / name) for name in pins.files}
    return [*_hash_problems(folder, pins, card, found), *_strangers(folder, pins)]


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
        pins = read_pins(card, model_folder(card, models))
    except DamagedWeights:
        return None
    if pins is not None and not pins.are_of(card):
        raise UsageError(
            f"{card.id!r} is pinned to {pins.repository} at {pins.asked}, its card asks for "
            f"{card.repository} at {card.revision}: run `media-pipeline models fetch {card.id} "
            "--update`"
        )
    return pins


def _check_space(card: ModelCard, models: Path, wanted: HubFiles) -> None:
    here = _held_bytes(partial_folder(card, models), wanted)
    needed = max(int(card.size_mb * 1e6), wanted.size_bytes) - here + SPARE_BYTES
    free = shutil.disk_usage(models).free
    if free < needed:
        raise DiskFull(
            f"{card.id} needs {needed / 1e6:,.0f} MB more under {models}, {free / 1e6:,.0f} MB are "
            "free: free some space, or name a models folder elsewhere with MEDIA_MODELS"
        )


def _held_bytes(partial: Path, wanted: HubFiles) -> int:
    """How much of what is wanted an interrupted fetch left, files half here included."""
    held = 0
    for name in files_below(partial):
        size = (partial / name).stat().st_size
        promised = wanted.files.get(name)
        is_whole = promised is not None and promised.size_bytes == size
        if is_whole or (name.startswith(f"{CACHE}/") and name.endswith(".incomplete")):
            held += size
    return min(held, wanted.size_bytes)


def _check_and_pin(card: ModelCard, folder: Path, wanted: HubFiles, known: Pins | None) -> Pins:
    """Compare what came with what hub, card and earlier pins say."""
    found: dict[str, Pin] = {}
    for name, promised in sorted(wanted.files.items()):
        path = folder / name
        if not path.is_file():
            raise MissingWeights(
                f"{card.id}: {name} did not come, the hub went away; {again(card)}"
            )
        found[name] = Pin(file_sha256(path), path.stat().st_size)
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
                    f"{sha256}; nothing was changed. {again(card)}"
                )
    unknown = sorted(set(card.sha256) - set(found))
    if unknown:
        raise DamagedWeights(
            f"{card.id}: its card has a checksum for {unknown[0]}, which is not there"
        )
    return Pins(card.repository, card.revision, wanted.revision, found)


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


def _size_problems(folder: Path, pins: Pins) -> Iterator[str]:
    for name, pin in pins.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != pin.size_bytes:
            size = path.stat().st_size
            yield f"{name} has changed: {size:,} bytes, {pin.size_bytes:,} were fetched"


def _hash_problems(
    folder: Path, pins: Pins | None, card: ModelCard, found: Mapping[str, str]
) -> Iterator[str]:
    """Files whose bytes are not what the pins or the card say; `found` holds their SHA-256."""
    pinned = pins.files if pins is not None else {}
    for name in sorted({*pinned, *card.sha256}):
        wanted = {pinned[name].sha256} if name in pinned else set()
        wanted |= {card.sha256[name].lower()} if name in card.sha256 else set()
        if name not in found:
            yield f"{folder / name} is missing, the card has a checksum for it; {again(card)}"
            continue
        for expected in sorted(wanted - {found[name]}):
            yield (
                f"{folder / name} has SHA-256 {found[name]}, should have {expected}; {again(card)}"
            )


def _strangers(folder: Path, pins: Pins) -> Iterator[str]:
    for name in model_files(folder):
        if name not in pins.files:
            yield f"{folder / name} is unpinned: it was not fetched; remove it"
