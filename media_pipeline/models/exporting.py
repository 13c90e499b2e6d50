"""Exports: a fixed-shape model as one ONNX file for the CPU, made once and checked against torch.

    <models>/<card id>/exports/model.onnx       the model; the first axis of inputs and outputs is
                                                free, or fixed to 1 where that could not be had
    <models>/<card id>/exports/export.json      from which weights and card, and how exact it is

An export is made again when the weights or the size of the input changed, or when this program
writes exports differently; what a card says about thresholds or calibration is no part of it.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from media_pipeline.errors import MissingWeights, ModelError, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.onnx_files import difference_from_torch, write_onnx
from media_pipeline.models.store import require, weights_of
from media_pipeline.paths import write_atomically

EXPORT_VERSION = 1
"""Counted up with every change of `build_module` or `write_onnx` that changes what is written."""

EXPORTS, MODEL, FACTS, LOCK = "exports", "model.onnx", "export.json", ".lock"

FIXED_SHAPE = ("timm", "vit", "siglip2", "clip", "rt_detr_v2")
"""Loaders whose models take (n, 3, height, width) and can be exported."""

Report = Callable[[str], None]


def loader_of(card: ModelCard) -> Any:
    """The module that loads a card.

    Raises:
        UsageError: There is none.
    """
    name = f"media_pipeline.models.loaders.{card.loader}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(
            f"the card {card.id!r} has the loader {card.loader!r}, which this program does not "
            "have: correct the card or upgrade media-pipeline"
        ) from error


@contextmanager
def torch_wanted(card: ModelCard, what: str) -> Iterator[None]:
    """Turn a missing package of the extra `models` into an error that names the remedy.

    Raises:
        MissingWeights: torch, or a package that reads checkpoints, is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("media_pipeline"):
            raise
        raise MissingWeights(
            f"{card.id!r} {what} needs {error.name}, which is not installed: install the extra "
            "`models` (`make models`)"
        ) from error


def current_export(card: ModelCard, models: Path) -> Path | None:
    """The export of a card if there is one of these weights, else `None`."""
    folder = models / card.id / EXPORTS
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        is_current = facts["made_from"] == _made_from(card, models)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return folder / MODEL if is_current and (folder / MODEL).is_file() else None


def _made_from(card: ModelCard, models: Path) -> dict[str, Any]:
    """Everything that decides what an export holds: a JSON value."""
    how = card.preprocessing
    return {
        "version": EXPORT_VERSION,
        "loader": card.loader,
        "input": [how.height_px, how.width_px] if how is not None else None,
        "weights": weights_of(card, models),
    }


def require_export(card: ModelCard, models: Path, report: Report = lambda text: None) -> Path:
    """The export of a card; it is made where it is missing or of other weights.

    Raises:
        MissingWeights: It is missing and cannot be made without torch, or the weights are.
        DamagedWeights: The weights cannot be read.
        ModelError: It cannot be made.
    """
    found = current_export(card, models)
    if found is not None:
        return found
    try:
        return export(card, models, report)
    except MissingWeights as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        raise MissingWeights(
            f"{error}, or copy {models / card.id / EXPORTS} from a machine that has it"
        ) from error


def export(card: ModelCard, models: Path, report: Report = lambda text: None) -> Path:
    """Make the ONNX file of a card, whether there is one or not, and check it against torch.

    Two processes that want the same export make it once: the second waits and takes it.

    Args:
        card: A card of a fixed-shape model.
        models: Folder of model files.
        report: Told what is done.

    Returns:
        The file.

    Raises:
        UsageError: The card's model has no fixed shape.
        MissingWeights: The weights, or torch, are missing.
        DamagedWeights: The weights cannot be read.
        ModelError: torch cannot export it, or the export gives other answers.
    """
    if card.loader not in FIXED_SHAPE or card.preprocessing is None:
        raise UsageError(
            f"{card.id!r} cannot be exported: only models of {', '.join(FIXED_SHAPE)} are, which "
            "take pictures of one size"
        )
    folder = require(card, models)
    made_from = _made_from(card, models)
    before = _stamp(folder)
    with _alone(folder / EXPORTS, card):
        found = current_export(card, models)
        if found is not None and _stamp(folder) != before:
            return found  # another process has just made it
        return _export(card, folder, made_from, report)


def _stamp(folder: Path) -> int | None:
    try:
        return (folder / EXPORTS / FACTS).stat().st_mtime_ns
    except FileNotFoundError:
        return None


@contextmanager
def _alone(exports: Path, card: ModelCard) -> Iterator[None]:
    """Hold the lock of an exports folder; what a killed export left is removed."""
    try:
        exports.mkdir(exist_ok=True)
        descriptor = os.open(exports / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except PermissionError as error:
        raise ModelError(
            f"{card.id!r} must be exported once and {exports} cannot be written: make it writable, "
            f"or run `media-pipeline models export {card.id}` as its owner"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for left in exports.glob(f".{MODEL}.*.tmp"):
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _export(card: ModelCard, folder: Path, made_from: Any, report: Report) -> Path:
    with torch_wanted(card, "on CPU"):
        import torch

        report(f"exporting {card.id} to ONNX, once for this folder")
        module = loader_of(card).build_module(card, folder)
        temporary = folder / EXPORTS / f".{MODEL}.{os.getpid()}.tmp"
        try:
            batch = write_onnx(module, card, temporary)
            difference = difference_from_torch(module, card, temporary)
            _sync(temporary)
            # The facts go first: a model without facts of its own is never used.
            (folder / EXPORTS / FACTS).unlink(missing_ok=True)
            os.replace(temporary, folder / EXPORTS / MODEL)
        finally:
            temporary.unlink(missing_ok=True)
        facts = {
            "made_from": made_from,
            "batch": batch,
            "largest_difference": difference,
            "torch": torch.__version__,
        }
    write_atomically(folder / EXPORTS / FACTS, json.dumps(facts, indent=1).encode())
    report(f"{card.id}: differs from torch by at most {difference:.1e}; first axis {batch}")
    return folder / EXPORTS / MODEL


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
