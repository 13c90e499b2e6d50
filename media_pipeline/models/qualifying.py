"""Which runtime a model runs in on this machine: the safe one, until measuring says otherwise.

    CPU    onnxruntime (the reference), openvino, openvino-bf16
    CUDA   torch-float32 (the reference), torch-bf16

`qualify` takes pictures through all of them. Another runtime than the reference is chosen only
where at least 99 % of the pictures get the same answer and it is faster here; the choice lies
beside the export and counts for this processor, these weights and this card only.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from media_pipeline.errors import MissingWeights, ModelError, UsageError
from media_pipeline.models.agreement import ALIKE, share_alike
from media_pipeline.models.cards import ModelCard, Task
from media_pipeline.models.engine import run
from media_pipeline.models.exporting import (
    EXPORTS,
    FIXED_SHAPE,
    Report,
    loader_of,
    require_export,
    torch_wanted,
)
from media_pipeline.models.protocols import Pixels, VisionModel
from media_pipeline.models.sessions import (
    OnnxSession,
    OpenVinoSession,
    Precision,
    Session,
    TorchSession,
)
from media_pipeline.models.store import fingerprint, require
from media_pipeline.models.torch_failures import first_line
from media_pipeline.paths import write_atomically

Runtime = Literal["onnxruntime", "openvino", "openvino-bf16", "torch-float32", "torch-bf16"]

CANDIDATES: Mapping[str, tuple[Runtime, ...]] = {
    "cpu": ("onnxruntime", "openvino", "openvino-bf16"),
    "cuda": ("torch-float32", "torch-bf16"),
}
"""Per device; the first one is the reference."""

BF16_TASKS: tuple[Task, ...] = ("embedder", "classifier", "safety")
"""What CUDA computes in bfloat16 before anything was measured: one answer per picture, far from
thresholds. A detector's coordinates need more than 8 bits of mantissa."""

AGREEMENT_LEAST = 0.99
FASTER_LEAST = 1.05
"""A gain below 5 % is within what such a measurement repeats to."""

ROUNDS = 2
"""Timed passes over the pictures; the better one counts."""

QUALIFIED = {"cpu": "qualified.json", "cuda": "qualified-cuda.json"}
"""Where a choice is kept, per device."""


@dataclass(frozen=True)
class Candidate:
    """What was measured of one runtime.

    Attributes:
        runtime: Which one.
        agreement: Share of pictures with the reference's answer, in [0, 1]; `None` if it failed.
        pictures_per_s: Prepare and infer, on every usable core; `None` if it failed.
        problem: Why it cannot run here, else empty.
    """

    runtime: Runtime
    agreement: float | None
    pictures_per_s: float | None
    problem: str = ""


@dataclass(frozen=True)
class Qualification:
    """Which runtime was chosen, and every number behind it.

    Attributes:
        card: Id of the model's card.
        device: `cpu` or `cuda`.
        machine: The processor (or GPU) on which it was measured, and where alone it counts.
        pictures: How many were looked at.
        chosen: The runtime that is used from now on.
        candidates: All of them, the reference first.
    """

    card: str
    device: str
    machine: str
    pictures: int
    chosen: Runtime
    candidates: tuple[Candidate, ...]


def open_session(
    runtime: Runtime, card: ModelCard, models: Path, report: Report = lambda text: None
) -> Session:
    """A card's model in a runtime.

    Raises:
        MissingWeights: Weights, export or a package are missing.
        DamagedWeights: Weights or export cannot be read.
        ModelError: The device failed.
    """
    if runtime == "onnxruntime":
        return OnnxSession(require_export(card, models, report))
    if runtime in ("openvino", "openvino-bf16"):
        return OpenVinoSession(require_export(card, models, report), _precision(runtime))
    with torch_wanted(card, "on CUDA"):
        module = loader_of(card).build_module(card, require(card, models))
        compiled = bool(card.parameters.get("compile", False))
        return TorchSession(module, "cuda", _precision(runtime), compiled=compiled)


def _precision(runtime: Runtime) -> Precision:
    return "bf16" if runtime.endswith("-bf16") else "float32"


def runtime_of(card: ModelCard, models: Path, device: str) -> Runtime:
    """The runtime that a card's model runs in on this machine.

    The card's parameter `precision` (`float32` or `bf16`, CUDA only) comes first, then what was
    qualified on this processor, then the default.

    Raises:
        UsageError: The card's parameter is neither.
        ModelError: The file of what was qualified cannot be read.
    """
    wanted = card.parameters.get("precision")
    if wanted not in (None, "float32", "bf16"):
        raise UsageError(
            f"the card {card.id!r} has precision {wanted!r}: it is `float32` or `bf16`"
        )
    if wanted is not None and device == "cuda":
        return "torch-bf16" if wanted == "bf16" else "torch-float32"
    qualified = _read_qualified(card, models, device)
    if qualified is not None:
        return qualified
    if device == "cuda":
        return "torch-bf16" if card.task in BF16_TASKS else "torch-float32"
    return "onnxruntime"


def _read_qualified(card: ModelCard, models: Path, device: str) -> Runtime | None:
    path = models / card.id / EXPORTS / QUALIFIED[device]
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        is_of_here = known["qualification"]["machine"] == machine_name(device)
        if not is_of_here or known["fingerprint"] != fingerprint(card, models):
            return None
        chosen = known["qualification"]["chosen"]
        if chosen not in CANDIDATES[device]:
            raise ValueError(f"{chosen!r} is none of {', '.join(CANDIDATES[device])}")
        return cast("Runtime", chosen)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}): delete it, or run `media-pipeline models qualify "
            f"{card.id}` again"
        ) from error


def qualify(
    card: ModelCard,
    models: Path,
    pictures: Sequence[Pixels],
    device: str = "cpu",
    report: Report = lambda text: None,
) -> Qualification:
    """Measure every runtime of a device on pictures, choose one and write that down.

    Args:
        card: A card of a fixed-shape model.
        models: Folder of model files.
        pictures: uint8 RGB, shape (height, width, 3) each; 100 or more make 99 % mean something.
        device: `cpu` or `cuda`.
        report: Told what is done.

    Returns:
        The choice and all numbers.

    Raises:
        UsageError: No pictures, or a model that runs in one runtime only.
        MissingWeights: Weights or torch are missing.
        ModelError: The reference cannot run.
    """
    if card.loader not in FIXED_SHAPE or card.task not in ALIKE:
        raise UsageError(f"{card.id!r} runs in one runtime only: there is nothing to qualify")
    if not pictures:
        raise UsageError("no pictures to qualify on: name a folder with 100 or more of them")
    expected: list[Any] = []
    found: list[Candidate] = []
    for runtime in CANDIDATES[device]:
        report(f"{card.id} in {runtime}")
        found.append(_measured(runtime, card, models, pictures, expected))
    made = Qualification(
        card.id, device, machine_name(device), len(pictures), _best(found), tuple(found)
    )
    value = {"fingerprint": fingerprint(card, models), "qualification": asdict(made)}
    path = models / card.id / EXPORTS / QUALIFIED[device]
    write_atomically(path, json.dumps(value, indent=1).encode())
    return made


def _measured(
    runtime: Runtime,
    card: ModelCard,
    models: Path,
    pictures: Sequence[Pixels],
    expected: list[Any],
) -> Candidate:
    """Measure one runtime; the first one fills `expected` and must work."""
    try:
        session = open_session(runtime, card, models)
        model = loader_of(card).adapter(card, require(card, models), session)
        answers, speed = _timed(model, pictures)
    except (ModelError, RuntimeError) as error:  # RuntimeError: what runtimes raise on their own
        if not expected:
            raise
        return Candidate(runtime, None, None, _why(error))
    if not expected:
        expected.extend(answers)
    return Candidate(runtime, share_alike(card.task, answers, expected), speed)


def _why(error: ModelError | RuntimeError) -> str:
    cause = error.__cause__
    if isinstance(error, MissingWeights) and isinstance(cause, ImportError):
        return f"{cause.name} is not installed"
    return str(error) if isinstance(error, ModelError) else first_line(error)


def _timed(model: VisionModel[Any], pictures: Sequence[Pixels]) -> tuple[list[Any], float]:
    """Answers, and pictures per second of the better pass; a first one warms things up."""
    sources = [(number, _giver(picture)) for number, picture in enumerate(pictures)]
    answers = [answer for _, answer in run(model, sources, _cpus())]
    best_s = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in run(model, sources, _cpus()):
            pass
        best_s = min(best_s, time.perf_counter() - started)
    return answers, len(pictures) / best_s


def _giver(picture: Pixels) -> Callable[[], Pixels]:
    return lambda: picture


def _best(found: Sequence[Candidate]) -> Runtime:
    """The fastest of those that agree; the reference unless the gain is worth it."""
    reference = found[0]
    agreeing = [
        one for one in found[1:] if one.agreement is not None and one.agreement >= AGREEMENT_LEAST
    ]
    fastest = max(agreeing, key=lambda one: one.pictures_per_s or 0.0, default=reference)
    least = (reference.pictures_per_s or 0.0) * FASTER_LEAST
    return fastest.runtime if (fastest.pictures_per_s or 0.0) >= least else reference.runtime


def machine_name(device: str) -> str:
    """The processor or GPU model that a measurement counts for."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")  # Linux only
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {_cpus()} cores"


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux has it, macOS does not
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
