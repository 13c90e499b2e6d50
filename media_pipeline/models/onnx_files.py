"""Writing a torch module as an ONNX file, and comparing the two."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import ModelError, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.sessions import OnnxSession, TorchSession

if TYPE_CHECKING:
    import torch

CLOSE = 1e-3
"""An export may differ from torch by so much: absolute, and relative to the largest output."""

CHECKED = (1, 4)
"""Batch sizes on which an export is compared with torch."""

QUERIES_ALIKE = 0.98
"""Share of a detector's queries that must agree, in any order."""

PICTURES_ALIKE = 0.8
"""Share of the pictures on which a detector's export must be close."""


def write_onnx(module: torch.nn.Module, card: ModelCard, path: Path) -> str:
    """Write the file; the first axis is free where the architecture allows it.

    Returns:
        `any` or `1`.

    Raises:
        ModelError: It can be exported neither way.
    """
    import torch

    free = ({0: torch.export.Dim.DYNAMIC},)
    problems: list[str] = []
    for batch, shapes, count in (("any", free, 2), ("1", None, 1)):
        example = torch.from_numpy(_random_pictures(card, count, seed=count))
        try:
            with warnings.catch_warnings():
                # torch and onnxscript warn of their own coming changes; nothing here follows
                for kind in (DeprecationWarning, FutureWarning, UserWarning):
                    warnings.simplefilter("ignore", kind)
                torch.onnx.export(
                    module,
                    (example,),
                    path,
                    input_names=["pixel_values"],
                    dynamic_shapes=shapes,
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
            return batch
        except (torch.onnx.OnnxExporterError, RuntimeError) as error:
            problems.append((str(error).strip().splitlines() or [type(error).__name__])[0])
    raise ModelError(
        f"torch {torch.__version__} cannot export {card.id!r} ({problems[-1]}): copy the exports "
        "folder from a machine that can, or choose another card for this task"
    )


def difference_from_torch(module: torch.nn.Module, card: ModelCard, path: Path) -> float:
    """The largest difference between export and torch, over the scale of the outputs.

    A detector takes the best of thousands of queries: where two score the same to the last bit, one
    runtime takes this and the other that, and all that follows differs. So for detectors it is the
    largest difference of the closest `PICTURES_ALIKE` of the pictures.

    Raises:
        ModelError: It is larger than `CLOSE`, or an answer is not finite.
    """
    in_any_order = card.task == "detector"
    exported, original = OnnxSession(path), TorchSession(module)
    by_picture: list[float] = []
    for count in CHECKED:
        pictures = _random_pictures(card, count, seed=10 + count)
        ours, theirs = exported.run(pictures), original.run(pictures)
        _check_shapes(card, ours, theirs)
        for number in range(count):
            pairs = zip(ours, theirs, strict=True)
            by_picture.append(
                float(np.max([_apart(a[number], b[number], in_any_order) for a, b in pairs]))
            )
    worst = _worst(by_picture, PICTURES_ALIKE if in_any_order else 1.0)
    if not worst <= CLOSE:  # a NaN is not close either
        raise ModelError(
            f"the export of {card.id!r} differs from torch by {worst:.2g}, at most {CLOSE} is "
            "allowed: another version of torch or onnxruntime may do better"
        )
    return worst


def _worst(differences: Sequence[float], share: float) -> float:
    """Largest difference of the closest share of the pictures; NaN where one is not finite."""
    ordered = sorted(differences)
    if not np.isfinite(ordered).all():
        return float("nan")
    return ordered[math.ceil(share * len(ordered)) - 1]


def _check_shapes(
    card: ModelCard, ours: Sequence[NDArray[np.float32]], theirs: Sequence[NDArray[np.float32]]
) -> None:
    shapes = [one.shape for one in ours], [one.shape for one in theirs]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"the export of {card.id!r} gives arrays of {shapes[0]} where torch gives {shapes[1]}: "
            "another version of torch may do better"
        )


def _apart(ours: NDArray[np.float32], theirs: NDArray[np.float32], in_any_order: bool) -> float:
    """Largest difference, over the largest output where that is above 1.

    Args:
        ours: float32, one picture's output.
        theirs: The same, of torch.
        in_any_order: Whether the first axis are queries, which may change places.
    """
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    if not in_any_order or ours.ndim < 2:
        return float(np.abs(ours - theirs).max(initial=0.0)) / scale
    nearest = np.abs(ours[:, np.newaxis] - theirs[np.newaxis]).max(axis=2).min(axis=1)
    return float(np.quantile(nearest, QUERIES_ALIKE)) / scale


def _random_pictures(card: ModelCard, count: int, seed: int) -> NDArray[np.float32]:
    """Random pictures of coarse blocks and fine noise, normalised as the card says."""
    how = card.preprocessing
    if how is None:
        raise UsageError(f"the card {card.id!r} has no [preprocessing]: add it")
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(count, 3, 8, 8)).astype(np.float32)
    rows = np.linspace(0, 7, how.height_px).round().astype(int)
    columns = np.linspace(0, 7, how.width_px).round().astype(int)
    blocks = coarse[:, :, rows][:, :, :, columns]
    fine = random.normal(scale=0.2, size=blocks.shape).astype(np.float32)
    pixels = np.clip(0.5 + (blocks + fine) / 4, 0, 1)
    mean, std = (np.array(v, np.float32)[:, np.newaxis, np.newaxis] for v in (how.mean, how.std))
    return np.ascontiguousarray((pixels - mean) / std, dtype=np.float32)
