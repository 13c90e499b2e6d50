"""Model cards: every model is declared once, in a TOML file; ours ship, a user's lie beside them.

A card says what a model is and how its input is made. It holds no weights: those are fetched into
the models folder and pinned there (`store`). A *profile* picks one card per task.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from media_pipeline.errors import UsageError

Task = Literal["embedder", "classifier", "detector", "safety", "captioner"]
TASKS: tuple[Task, ...] = ("embedder", "classifier", "detector", "safety", "captioner")

Loader = Literal[
    "timm", "vit", "siglip2", "clip", "rt_detr_v2", "blip", "florence2", "cascades", "composed"
]
"""Which module of `models.loaders` loads it; the last two need no files."""

SHIPPED = Path(__file__).with_name("cards")
"""Our cards; the file is called like the card."""

DECIDES_NOTHING = {
    "title",
    "licence",
    "homepage",
    "size_mb",
    "memory_mb",
    "note",
    "calibration_note",
}
"""Fields that change no output, so they are no part of the recipe."""


class Preprocessing(BaseModel):
    """How the pixels of a picture become the model's input.

    The picture is resized as `resize` says, cropped in the middle where the result is larger than
    the input, scaled to [0, 1] and normalised per channel: (x - mean) / std.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height_px: int = Field(ge=1, description="Height of the input.")
    width_px: int = Field(ge=1, description="Width of the input.")
    resize: Literal["exact", "short_side"] = Field(
        description="`exact`: to the input size, whatever the shape; `short_side`: the short side "
        "to input size / crop_fraction, then a crop from the middle."
    )
    crop_fraction: float = Field(1.0, gt=0, le=1, description="Of timm's crop_pct; 1 elsewhere.")
    interpolation: Literal["bilinear", "bicubic"] = Field(description="As Pillow does it.")
    mean: tuple[float, float, float] = Field(description="Per channel, of values in [0, 1].")
    std: tuple[float, float, float] = Field(description="Per channel, of values in [0, 1].")


class Calibration(BaseModel):
    """Platt scaling (Platt 1999): probability = 1 / (1 + exp(-(slope * score + offset)))."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(description="Of the score.")
    offset: float = Field(description="Added to slope * score.")


class ModelCard(BaseModel):
    """One model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Name of the card and its file.")
    title: str = Field(description="For people.")
    task: Task = Field(description="What it is used for.")
    loader: Loader = Field(description="What loads it.")
    repository: str = Field("", description="On the model hub, `owner/name`; empty: ships with us.")
    revision: str = Field(
        "main",
        description="Commit that is fetched. A branch is resolved once, by `models fetch`, and "
        "pinned in the models folder.",
    )
    files: tuple[str, ...] = Field((), description="What is fetched; `*` stands for any text.")
    sha256: Mapping[str, str] = Field(
        {}, description="Checksums known beforehand, by file; others are pinned when fetched."
    )
    preprocessing: Preprocessing | None = Field(None, description="How its input is made.")
    labels: str = Field(
        "",
        description="Where a classifier's class names come from: `imagenet-1k` (ours, with WordNet "
        "synsets), or empty for those in the checkpoint.",
    )
    parameters: Mapping[str, Any] = Field({}, description="What else its loader takes.")
    calibration: Mapping[str, Calibration] = Field(
        {}, description="Score to probability, by kind, or under `any`."
    )
    calibration_note: str = Field("", description="What it was calibrated on, and when.")
    licence: str = Field(description="Licence of the weights.")
    homepage: str = Field("", description="Where to read about it.")
    size_mb: float = Field(0.0, ge=0, description="Of the files, about.")
    memory_mb: float = Field(0.0, ge=0, description="While it runs on one picture, about.")
    note: str = Field("", description="What a user should know.")

    @property
    def needs_files(self) -> bool:
        """Whether anything must be fetched."""
        return bool(self.repository)

    @property
    def decides(self) -> dict[str, Any]:
        """Everything in it that changes an output."""
        return self.model_dump(mode="json", exclude=DECIDES_NOTHING)

    def probability(self, score: float, kind: str = "any") -> float | None:
        """The calibrated probability of a score, `None` without calibration."""
        import math

        fit = self.calibration.get(kind) or self.calibration.get("any")
        if fit is None:
            return None
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, fit.slope * score + fit.offset))))


Profile = Mapping[Task, str]

PROFILES: Mapping[str, Profile] = {
    "embedded": {"detector": "opencv-people-cats", "captioner": "composed"},
    "standard": {
        "embedder": "siglip2-base-patch16-224",
        "classifier": "vit-base-patch16-224",
        "detector": "rt-detr-v2-r18vd",
        "safety": "nsfw-image-detection",
        "captioner": "blip-image-captioning-base",
    },
}
"""Card per task; a task that a profile leaves out is `not evaluated`."""


def load_cards(user_folder: Path | None = None) -> dict[str, ModelCard]:
    """Every card, ours and the user's.

    Args:
        user_folder: Folder of the user's `*.toml`; it need not exist.

    Raises:
        UsageError: A file is no card, or names an id that another card has.
    """
    cards: dict[str, ModelCard] = {}
    own = sorted(user_folder.glob("*.toml")) if user_folder is not None else []
    for path in [*sorted(SHIPPED.glob("*.toml")), *own]:
        card = read_card(path)
        if card.id in cards:
            raise UsageError(f"{path}: there is a card {card.id!r} already; give it another id")
        cards[card.id] = card
    return cards


def read_card(path: Path) -> ModelCard:
    """Read one card.

    Raises:
        UsageError: It is not what a card must be.
    """
    try:
        card = ModelCard.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error}): correct it or remove it") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{path}: {where or 'the file'} is {first['input']!r}: {first['msg']}; see the cards "
            f"in {SHIPPED} for examples"
        ) from error
    if card.id != path.stem:
        raise UsageError(f"{path} has the id {card.id!r}: call the file {card.id}.toml")
    return card


def cards_in_use(
    profile: str, choices: Mapping[str, str], cards: Mapping[str, ModelCard]
) -> dict[Task, ModelCard]:
    """The card of every task that has one.

    Args:
        profile: Name of a profile.
        choices: Task to card id, over the profile's; an empty id takes the task out.
        cards: Every card there is.

    Raises:
        UsageError: No such profile, task or card, or a card of another task.
    """
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise UsageError(f"no profile {profile!r}: there is {known}; `media-pipeline profile NAME`")
    unknown = sorted(set(choices) - set(TASKS))
    if unknown:
        raise UsageError(
            f"[models] in library.toml names {unknown[0]!r}: the tasks are {', '.join(TASKS)}"
        )
    found: dict[Task, ModelCard] = {}
    for task in TASKS:
        name = choices.get(task, PROFILES[profile].get(task, ""))
        if name:
            found[task] = _card_of(task, name, cards)
    return found


def _card_of(task: Task, name: str, cards: Mapping[str, ModelCard]) -> ModelCard:
    fitting = [card.id for card in cards.values() if card.task == task]
    if name not in fitting:
        raise UsageError(f"no {task} {name!r}: there is {', '.join(fitting) or 'none'}")
    return cards[name]


def checksum_of(value: Any) -> str:
    """First 8 hex digits of the hash of a JSON value."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
