"""A library with a small model of the real architecture for every task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit

from media_pipeline.library.opened import Library, open_library
from media_pipeline.models.cards import ModelCard
from media_pipeline.settings import write_config
from media_pipeline_tests.models.checkpoints import blip, clip, rt_detr_v2, timm, vit

Writer = Callable[[Path], ModelCard]

WRITERS: Mapping[str, Writer] = {
    "embedder": clip.write,
    "classifier": timm.write,
    "detector": rt_detr_v2.write,
    "safety": vit.write_safety,
    "captioner": blip.write,
}


def equip(library: Library, writers: Mapping[str, Writer] = WRITERS) -> Library:
    """Save the checkpoints in the library's models folder, with cards of the user's, and use them.

    Returns:
        The library opened again.
    """
    chosen = {task: add_model(library, write) for task, write in writers.items()}
    library.config = replace(library.config, models={**library.config.models, **chosen})
    write_config(library.layout, library.config)
    return open_library(library.layout.root)


def add_model(library: Library, write: Writer) -> str:
    """Save one checkpoint and its card; returns the card's id."""
    folder = library.models / "being-written"
    folder.mkdir(parents=True)
    card = write(folder)
    folder.rename(library.models / card.id)
    write_card(library, card)
    return card.id


def write_card(library: Library, card: ModelCard) -> None:
    """Write a card as a user would."""
    folder = library.models / "cards"
    folder.mkdir(exist_ok=True)
    (folder / f"{card.id}.toml").write_text(tomlkit.dumps(_plain(card)), encoding="utf-8")


def _plain(card: ModelCard) -> dict[str, Any]:
    return card.model_dump(mode="json", exclude_defaults=True)
