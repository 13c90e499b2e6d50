"""Putting the finished folder of a fetch in the place of the one before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from media_pipeline.errors import DamagedWeights, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.hashes import file_sha256
from media_pipeline.models.pins import (
    CACHE,
    EXPORTS,
    OURS,
    PINS,
    Pins,
    files_below,
    is_named,
    model_files,
    model_folder,
    read_pins,
    write_pins,
)


def refuse_to_delete(card: ModelCard, models: Path) -> None:
    """Refuse a fetch that would replace a folder with files of the user's in it.

    Raises:
        UsageError: There are some.
    """
    folder = model_folder(card, models)
    try:
        pins = read_pins(card, folder)
    except DamagedWeights:
        pins = None
    fetched = pins.files if pins is not None else {}
    for name in files_below(folder):
        top = name.partition("/")[0]
        is_ours = top in (*OURS, CACHE) or (top.startswith(".") and top.endswith(".tmp"))
        if not is_ours and name not in fetched and not is_named(card, name):
            raise UsageError(
                f"{folder} would be replaced, but holds {name}, which is no file of {card.id!r}: "
                "move it elsewhere, then fetch again"
            )


def put_in_place(card: ModelCard, models: Path, partial: Path, pins: Pins) -> None:
    """Give the finished folder its name; exports stay where the files are what they were.

    A folder cannot replace another at once: killed between the two renames, the model is gone and
    `finish` brings it back.
    """
    for name in model_files(partial):
        if name not in pins.files:  # left by an earlier try at another commit
            (partial / name).unlink()
    shutil.rmtree(partial / CACHE, ignore_errors=True)
    write_pins(partial, pins)
    folder = model_folder(card, models)
    if folder.exists():
        if _same_files(card, folder, pins) and (folder / EXPORTS).exists():
            shutil.rmtree(partial / EXPORTS, ignore_errors=True)
            os.replace(folder / EXPORTS, partial / EXPORTS)
        old = _old(card, models)
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(partial, folder)
    shutil.rmtree(_old(card, models), ignore_errors=True)


def finish(card: ModelCard, models: Path) -> None:
    """Give a finished folder its name if a kill came just before; nothing is fetched for that."""
    folder, partial = model_folder(card, models), partial_folder(card, models)
    if folder.exists() or not (partial / PINS).is_file():
        return
    try:
        pins = read_pins(card, partial)
    except DamagedWeights:
        return
    is_whole = pins is not None and all(
        (partial / name).is_file() and file_sha256(partial / name) == pin.sha256
        for name, pin in pins.files.items()
    )
    if is_whole:
        os.replace(partial, folder)
        shutil.rmtree(_old(card, models), ignore_errors=True)


def partial_folder(card: ModelCard, models: Path) -> Path:
    """Where an interrupted fetch left what it had finished."""
    return models / f".{card.id}.partial"


def _old(card: ModelCard, models: Path) -> Path:
    return models / f".{card.id}.old"


def _same_files(card: ModelCard, folder: Path, pins: Pins) -> bool:
    try:
        before = read_pins(card, folder)
    except DamagedWeights:
        return False
    return before is not None and before.files == pins.files
