"""Model cards: every model is declared once, in a TOML file; ours ship, a user's lie beside them.

A card says what a model is and how its input is made. It holds no weights: those are fetched into
the models folder and pinned there (`store`). A *profile* picks one card per task.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from media_pipeline.errors import UsageError

Task = Literal["embedder", "classifier", "detector", "safety", "captioner"]
TASKS: tuple[Task, ...] = ("embedder", "classifier", "detector", "safety", "captioner")

Loader = Literal[
    "timm", "vit", "siglip2", "clip", "rt_detr_v2", "blip", "florence2", "cascades", "composed"
]
"""Which module of `models.loaders` loads it; the last two need no files."""

TASKS_OF_LOADER: Mapping[Loader, tuple[Task, ...]] = {
    "timm": ("classifier",),
    "vit": ("classifier", "safety"),
    "siglip2": ("embedder",),
    "clip": ("embedder",),
    "rt_detr_v2": ("detector",),
    "blip": ("captioner",),
    "florence2": ("captioner",),
    "cascades": ("detector",),
    "composed": ("captioner",),
}
"""What the models that a loader builds can answer."""

WITHOUT_FILES: tuple[Loader, ...] = ("cascades", "composed")

OF_SESSIONS = ("precision", "compile")
"""Parameters for every model that runs in a session (`qualifying.open_session`)."""

PARAMETERS_OF_LOADER: Mapping[Loader, tuple[str, ...]] = {
    "timm": OF_SESSIONS,
    "vit": ("nsfw_label", *OF_SESSIONS),
    "siglip2": OF_SESSIONS,
    "clip": OF_SESSIONS,
    "rt_detr_v2": ("score_threshold", "kinds", *OF_SESSIONS),
    "blip": ("max_new_tokens", "num_beams"),
    "florence2": ("max_new_tokens", "num_beams", "prompt"),
    "cascades": ("long_side_px", "body_weight", "face", "cat"),
    "composed": (),
}
"""What a card may say under [parameters]; another name would be ignored in silence."""

RESERVED_IDS = ("cards", "texts")
"""Folders of the models folder that are no model's."""

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


Spread = Annotated[float, Field(gt=0)]


class Preprocessing(BaseModel):
    """How the pixels of a picture become the model's input.

    The picture is resized as `resize` says, cropped in the middle where the result is larger than
    the input, scaled to [0, 1] and normalised per channel: (x - mean) / std.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    height_px: int = Field(ge=1, description="Height of the input.")
    width_px: int = Field(ge=1, description="Width of the input.")
    resize: Literal["exact", "short_side"] = Field(
        description="`exact`: to the input size, whatever the shape; `short_side`: the short side "
        "to input size / crop_fraction, then a crop from the middle."
    )
    crop_fraction: float = Field(1.0, gt=0, le=1, description="Of timm's crop_pct; 1 elsewhere.")
    interpolation: Literal["bilinear", "bicubic"] = Field(description="As Pillow does it.")
    mean: tuple[float, float, float] = Field(description="Per channel, of values in [0, 1].")
    std: tuple[Spread, Spread, Spread] = Field(description="Per channel, of values in [0, 1].")


class Calibration(BaseModel):
    """Platt scaling (Platt 1999): probability = 1 / (1 + exp(-(slope * score + offset)))."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slope: float = Field(description="Of the score.")
    offset: float = Field(description="Added to slope * score.")


class ModelCard(BaseModel):
    """One model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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

    @field_validator("id")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in RESERVED_IDS:
            raise ValueError("the models folder uses this name for something else")
        return name

    @field_validator("parameters")
    @classmethod
    def _is_finite(cls, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        odd = next(_not_finite(parameters), None)
        if odd is not None:
            raise ValueError(f"{odd} is no finite number")
        return parameters

    @model_validator(mode="after")
    def _fits_its_loader(self) -> ModelCard:
        tasks = TASKS_OF_LOADER[self.loader]
        if self.task not in tasks:
            raise ValueError(
                f"the loader {self.loader!r} makes no {self.task}: its task is {' or '.join(tasks)}"
            )
        return self

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
        UsageError: It cannot be read, or is not what a card must be.
    """
    try:
        card = ModelCard.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}): make it a readable file, or remove it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML ({error}): correct it or remove it") from error
    except ValidationError as error:
        raise UsageError(f"{path}: {_told(error)}; see the cards in {SHIPPED}") from error
    if card.id != path.stem:
        raise UsageError(f"{path} has the id {card.id!r}: call the file {card.id}.toml")
    lack = next(_lacks(card), None)
    if lack is not None:
        raise UsageError(f"{path}: {lack}; see the cards in {SHIPPED}")
    return card


def _told(error: ValidationError) -> str:
    """The first problem of a card in one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if not where:  # of the card as a whole; its input would be all of it
        return str(first["msg"])
    return f"{where} is {first['input']!r}: {first['msg']}"


def _lacks(card: ModelCard) -> Iterator[str]:
    """What a card must say because of its loader and task, and does not."""
    if card.loader not in WITHOUT_FILES:
        if not card.repository:
            yield f"the loader {card.loader!r} needs `repository`, owner/name on the model hub"
        if card.preprocessing is None:
            yield f"the loader {card.loader!r} needs a table [preprocessing]"
    known = PARAMETERS_OF_LOADER[card.loader]
    for name in sorted(set(card.parameters) - set(known)):
        yield (
            f"the loader {card.loader!r} knows no parameters.{name}: it takes "
            f"{', '.join(known) or 'none'}"
        )
    wanted = {"safety": "nsfw_label", "captioner": "max_new_tokens"}.get(card.task)
    if wanted in known and wanted not in card.parameters:
        yield f"the task {card.task} by the loader {card.loader!r} needs parameters.{wanted}"


def _not_finite(value: object) -> Iterator[float]:
    """Every NaN and infinity inside a value of a TOML file."""
    if isinstance(value, float) and not math.isfinite(value):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _not_finite(part)


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
