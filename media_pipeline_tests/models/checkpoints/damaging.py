"""What can have happened to a checkpoint on its way here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

WEIGHTS = "model.safetensors"


def truncate(folder: Path) -> None:
    """The download stopped after half of the weights."""
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rename_weight(folder: Path, old: str, new: str) -> None:
    """A weight has another name than the architecture knows."""
    _rewrite(folder, lambda weights: weights.update({new: weights.pop(old)}))


def drop_weight(folder: Path, name: str) -> None:
    """A weight is not there."""
    _rewrite(folder, lambda weights: weights.pop(name))


def add_weight(folder: Path, name: str) -> None:
    """A weight is there that the architecture does not have."""
    import torch

    _rewrite(folder, lambda weights: weights.update({name: torch.zeros(3)}))


def widen_weight(folder: Path, name: str) -> None:
    """A weight is larger than the config says."""
    import torch

    _rewrite(folder, lambda weights: weights.update({name: torch.cat([weights[name]] * 2)}))


def edit_config(folder: Path, **values: object) -> None:
    """The config says something else."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **values}), encoding="utf-8")


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
