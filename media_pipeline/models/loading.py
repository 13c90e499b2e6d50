"""Loading: from a card to a model that runs, once per process.

cascades               OpenCV, on the CPU
blip, florence2        torch, on CPU or CUDA: they write text, step by step
everything else        CPU: the ONNX export in ONNX Runtime (OpenVINO where it is qualified);
                       CUDA: torch
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from media_pipeline.errors import ModelError, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.exporting import FIXED_SHAPE, Report, loader_of, torch_wanted
from media_pipeline.models.protocols import TextEmbedder, VisionModel
from media_pipeline.models.qualifying import Runtime, open_session, runtime_of
from media_pipeline.models.store import fingerprint, require

CUDA_DRIVER = "libcuda.so.1"

CAPTIONERS = ("blip", "florence2")
WITH_TEXTS = ("siglip2", "clip")


@dataclass(frozen=True)
class Device:
    """What models run on, and why.

    Attributes:
        name: `cpu` or `cuda`.
        why: For people.
    """

    name: Literal["cpu", "cuda"]
    why: str

    def __str__(self) -> str:
        return f"device={self.name} ({self.why})"


def resolve_device(wanted: str = "auto") -> Device:
    """Choose the device.

    Args:
        wanted: `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: None of these.
        ModelError: CUDA was asked for and is not there.
    """
    if wanted == "cpu":
        return Device("cpu", "as asked for")
    if wanted not in ("auto", "cuda"):
        raise UsageError(f"no device {wanted!r}: there is auto, cpu, cuda (MEDIA_DEVICE)")
    missing, found = _cuda()
    if not missing:
        return Device("cuda", found)
    if wanted == "auto":
        return Device("cpu", missing)
    raise ModelError(
        f"device cuda was asked for, but: {missing}. Install a CUDA build of torch and a driver, "
        "or take MEDIA_DEVICE=cpu"
    )


def _cuda() -> tuple[str, str]:
    """Why there is no CUDA device, or an empty text and its name."""
    try:
        ctypes.CDLL(CUDA_DRIVER)  # a look, so that machines without GPU need not import torch
    except OSError:
        return "no CUDA device found", ""
    try:
        import torch
    except ModuleNotFoundError:
        return "a CUDA driver is here, but torch is not installed", ""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA", ""
    if not torch.cuda.is_available():
        return "no CUDA device found", ""
    return "", torch.cuda.get_device_name()


class _Loaded:
    """What was loaded in this process: one of each card and device, the last one asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, str], tuple[str, Any]] = {}

    def get(self, place: tuple[str, str, str], version: str, make: Callable[[], Any]) -> Any:
        """What lies at a place in a version; another version is let go first."""
        with self._lock:
            known = self._made.get(place)
            if known is not None and known[0] == version:
                return known[1]
            self._made.pop(place, None)
            made = make()
            self._made[place] = (version, made)
            return made

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._made.clear()


_loaded = _Loaded()


def forget_loaded() -> None:
    """Let go of every model that this process has loaded."""
    _loaded.clear()


def load(
    card: ModelCard, models: Path, device: str = "auto", report: Report = lambda text: None
) -> VisionModel[Any]:
    """The model of a card, ready to look at pictures; loaded once per process and device.

    Args:
        card: What to load.
        models: Folder of model files.
        device: `auto`, `cpu` or `cuda`.
        report: Told of what takes long, such as the first export.

    Raises:
        UsageError: A card that looks at no pictures, or names what does not exist.
        MissingWeights: Weights, export or a package are missing.
        DamagedWeights: Weights or export cannot be read.
        ModelError: The device is missing or failed.
    """
    if card.loader == "composed":
        raise UsageError(f"{card.id!r} composes captions from facts: it looks at no pictures")
    if card.loader == "cascades":
        version = json.dumps(fingerprint(card, models), sort_keys=True)
        place = (str(models), card.id, "cpu")
        return cast("VisionModel[Any]", _loaded.get(place, version, lambda: _cascades(card)))
    name = resolve_device(device).name
    runtime: Runtime | None = None
    if card.loader in FIXED_SHAPE:
        runtime = runtime_of(card, models, name)
    version = json.dumps([fingerprint(card, models), runtime], sort_keys=True)

    def make() -> Any:
        return _build(card, models, name, runtime, report)

    return cast("VisionModel[Any]", _loaded.get((str(models), card.id, name), version, make))


def _cascades(card: ModelCard) -> Any:
    return loader_of(card).load(card)


def _build(
    card: ModelCard, models: Path, device: str, runtime: Runtime | None, report: Report
) -> Any:
    loader = loader_of(card)
    folder = require(card, models)
    if runtime is None:
        with torch_wanted(card, "as a captioner"):
            return loader.build_captioner(card, folder, device)
    return loader.adapter(card, folder, open_session(runtime, card, models, report))


def text_embedder(card: ModelCard, models: Path, device: str = "auto") -> TextEmbedder:
    """The text side of an embedder's card; loaded once per process and device.

    Raises:
        UsageError: The card has no text side.
        MissingWeights: Weights or a package are missing.
        DamagedWeights: Weights cannot be read.
        ModelError: The device is missing or failed.
    """
    if card.loader not in WITH_TEXTS:
        raise UsageError(
            f"{card.id!r} embeds no texts: only cards of the loaders {', '.join(WITH_TEXTS)} do"
        )
    name = resolve_device(device).name
    version = json.dumps(fingerprint(card, models), sort_keys=True)

    def make() -> Any:
        with torch_wanted(card, "for texts"):
            return loader_of(card).build_text_embedder(card, require(card, models), name)

    place = (str(models), card.id, f"{name} texts")
    return cast("TextEmbedder", _loaded.get(place, version, make))
