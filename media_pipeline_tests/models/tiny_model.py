"""A model of two small files, and a hub that has two commits of it."""

from __future__ import annotations

import hashlib
from typing import Any

from media_pipeline.models.cards import ModelCard
from media_pipeline_tests.models.fake_hub import FakeHub

FIRST, SECOND = "1" * 40, "2" * 40
WEIGHTS, NEW_WEIGHTS = b"first weights " * 1000, b"other weights " * 1000
CONFIG = b'{"model_type": "vit"}'


def card(**fields: Any) -> ModelCard:
    return ModelCard(
        **{
            "id": "tiny",
            "title": "A model",
            "task": "classifier",
            "loader": "vit",
            "repository": "somebody/tiny",
            "files": ("config.json", "model.safetensors"),
            "licence": "Apache-2.0",
            **fields,
        }
    )


def tiny_hub() -> FakeHub:
    """Its two commits; `main` is the first."""
    first = {
        "config.json": CONFIG,
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": b"a pickle",
        "README.md": b"# Tiny",
    }
    commits = {FIRST: first, SECOND: {**first, "model.safetensors": NEW_WEIGHTS}}
    return FakeHub("somebody/tiny", commits, main=FIRST)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
