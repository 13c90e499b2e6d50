"""The peer: `transformers.pipeline` over the same files, at its best batch size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders.pretrained import quiet_library

TASKS = {
    "classifier": "image-classification",
    "embedder": "image-feature-extraction",
    "detector": "object-detection",
    "captioner": "image-text-to-text",
}

FAILURES = (ValueError, TypeError, OSError, LookupError, RuntimeError, AttributeError)
"""What transformers raises for checkpoints and batches that it cannot take."""

Found = tuple[str, float, int]
"""The pipeline's task, images/s, batch size."""


def best_pipeline(
    card: ModelCard, folder: Path, files: Sequence[Path], device: str, batches: Sequence[int]
) -> Found | str:
    """The fastest of some batch sizes, or why there is no pipeline for this checkpoint."""
    task = TASKS[card.task]
    rates: dict[int, float] = {}
    problem = ""
    with quiet_library():
        for batch in batches:
            try:
                if batch <= len(files):
                    rates[batch] = _rate(_pipeline(task, card, folder, device), card, files, batch)
            except FAILURES as error:  # batches of detectors fail in transformers 5.23
                said = (str(error).strip().splitlines() or [""])[0]
                problem = f"{task} fails at batch {batch}: {type(error).__name__}: {said[:80]}"
    if not rates:
        return problem
    best = max(rates, key=lambda batch: rates[batch])
    return task + (f" ({problem})" if problem else ""), rates[best], best


def _pipeline(task: str, card: ModelCard, folder: Path, device: str) -> Any:
    import torch
    from transformers import AutoImageProcessor, SiglipVisionModel, pipeline

    dtype = torch.bfloat16 if device == "cuda" and card.task != "detector" else torch.float32
    options: dict[str, Any] = {"model": str(folder)}
    if card.loader == "siglip2":  # the pipeline alone would want texts, too
        options = {
            "model": SiglipVisionModel.from_pretrained(folder, dtype=dtype),
            "image_processor": AutoImageProcessor.from_pretrained(folder),
        }
    return pipeline(task, device=device, dtype=dtype, **options)


def _rate(ask: Any, card: ModelCard, files: Sequence[Path], batch: int) -> float:
    paths = [str(path) for path in files]
    more: dict[str, Any] = {"batch_size": batch}
    if card.task == "captioner":
        more |= {"text": [""] * len(paths), "max_new_tokens": card.parameters["max_new_tokens"]}
    ask(paths[:batch], **{**more, **({"text": [""] * batch} if "text" in more else {})})
    started = time.perf_counter()
    answers = ask(paths, **more)
    return len(answers) / (time.perf_counter() - started)
