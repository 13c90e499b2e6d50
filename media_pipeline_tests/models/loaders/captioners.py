"""What the tests of every captioning loader need."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from media_pipeline.models.cards import ModelCard
from media_pipeline.models.protocols import Pixels
from media_pipeline_tests.models.checkpoints.texts import SENTENCES

WORDS = {word for sentence in SENTENCES for word in sentence.split()}


def picture(seed: int, height_px: int = 60, width_px: int = 80) -> Pixels:
    """Coloured blocks, different for every seed: uint8, shape (height, width, 3)."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    rows = np.arange(height_px) * 6 // height_px
    columns = np.arange(width_px) * 8 // width_px
    return np.ascontiguousarray(blocks[rows][:, columns])


def pictures(count: int) -> list[Pixels]:
    """Pictures of several shapes."""
    return [picture(seed, 40 + 7 * (seed % 5), 90 - 11 * (seed % 7)) for seed in range(count)]


def with_parameters(card: ModelCard, **parameters: Any) -> ModelCard:
    """The card with other parameters."""
    return card.model_copy(update={"parameters": {**card.parameters, **parameters}})


def copied(folder: Path, target: Path) -> Path:
    """A copy of a checkpoint, to be damaged."""
    shutil.copytree(folder, target)
    return target


def rewrite_weights(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the tensors of a checkpoint by name."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def export_difference(module: Any, batch: Any, path: Path) -> float:
    """Largest difference of torch and its ONNX export on a batch; the first axis is free."""
    import onnxruntime
    import torch

    torch.onnx.export(
        module,
        (batch[:2],),
        path,
        input_names=["pixel_values"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (ours,) = session.run(None, {"pixel_values": batch.numpy()})
    with torch.inference_mode():
        (theirs,) = module(batch)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs.numpy()).max())


def are_lines(captions: Sequence[str]) -> bool:
    """Whether none has a line break, space at its ends, two spaces in a row, or a special token."""
    return all(
        caption == " ".join(caption.split())
        and not any(mark in caption for mark in ("[", "]", "<", ">"))
        for caption in captions
    )
