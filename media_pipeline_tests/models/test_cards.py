"""Cards: ours, a user's, and every way in which one can be wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from media_pipeline.errors import UsageError
from media_pipeline.models.cards import (
    PROFILES,
    SHIPPED,
    TASKS,
    TASKS_OF_LOADER,
    Loader,
    ModelCard,
    Task,
    cards_in_use,
    load_cards,
    read_card,
)
from media_pipeline.models.store import SAFE_ENDINGS

CARD = """\
id = "mine"
title = "My own classifier"
task = "classifier"
loader = "vit"
repository = "me/mine"
files = ["config.json", "model.safetensors"]
licence = "MIT"

[preprocessing]
height_px = 224
width_px = 224
resize = "exact"
interpolation = "bilinear"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""

OURS = sorted(load_cards().values(), key=lambda card: card.id)


def write(folder: Path, text: str, name: str = "mine") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_every_profile_picks_cards_that_exist_and_do_its_tasks() -> None:
    cards = load_cards()
    for name, picks in PROFILES.items():
        assert {task: card.id for task, card in cards_in_use(name, {}, cards).items()} == picks
    assert set(PROFILES["standard"]) == set(TASKS)


def test_the_models_the_project_was_asked_for_have_cards() -> None:
    repositories = {card.repository for card in OURS}
    assert repositories >= {
        "google/vit-base-patch16-224",
        "timm/mobilenetv3_small_100.lamb_in1k",
        "google/siglip2-base-patch16-224",
        "openai/clip-vit-base-patch32",
        "Falconsai/nsfw_image_detection",
        "PekingU/rtdetr_v2_r18vd",
        "Salesforce/blip-image-captioning-base",
        "florence-community/Florence-2-base",
    }


@pytest.mark.parametrize("card", OURS, ids=lambda card: card.id)
def test_our_cards_state_licence_size_and_what_to_fetch(card: ModelCard) -> None:
    assert card.licence
    if not card.needs_files:
        return
    assert re.fullmatch(r"[0-9a-f]{40}", card.revision), "a branch may move"
    assert "model.safetensors" in card.files
    assert all(name.endswith(SAFE_ENDINGS) for name in card.files)
    assert all(re.fullmatch(r"[0-9a-f]{64}", checksum) for checksum in card.sha256.values())
    assert card.size_mb > 0
    assert card.homepage.endswith(card.repository)
    assert card.preprocessing is not None


@pytest.mark.parametrize("card", OURS, ids=lambda card: card.id)
def test_a_calibration_says_what_it_was_measured_on(card: ModelCard) -> None:
    assert bool(card.calibration) == bool(card.calibration_note)
    if card.needs_files:
        assert not card.calibration  # nothing was measured with weights we never had


def test_a_user_adds_a_card_without_touching_code(tmp_path: Path) -> None:
    cards = load_cards(write(tmp_path / "cards", CARD))
    assert cards["mine"].repository == "me/mine"
    assert cards["mine"].revision == "main"
    used = cards_in_use("standard", {"classifier": "mine"}, cards)
    assert used["classifier"] is cards["mine"]
    assert used["embedder"].id == PROFILES["standard"]["embedder"]


def test_a_folder_of_own_cards_need_not_exist(tmp_path: Path) -> None:
    assert load_cards(tmp_path / "nowhere").keys() == load_cards().keys()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('task = "classifier"', 'task = "guesser"'), "task"),
        (('loader = "vit"', 'loader = "pickle"'), "loader"),
        (('licence = "MIT"', ""), "licence"),
        (("height_px = 224", "height_px = 0"), "preprocessing.height_px"),
        (("std = [0.5, 0.5, 0.5]", "std = [0.5, 0.5]"), "preprocessing.std"),
        (('licence = "MIT"', 'licence = "MIT"\nlicense = "MIT"'), "license"),
        (('id = "mine"', 'id = "../mine"'), "id"),
        (('id = "mine"', 'id = "mine'), "not TOML"),
        (('id = "mine"', 'id = "yours"'), "yours.toml"),
        (('id = "mine"', 'id = "texts"'), "uses this name"),
        (('id = "mine"', 'id = "cards"'), "uses this name"),
        (("std = [0.5, 0.5, 0.5]", "std = [0.5, 0.0, 0.5]"), "preprocessing.std.1"),
        (("std = [0.5, 0.5, 0.5]", "std = [0.5, -0.5, 0.5]"), "preprocessing.std.1"),
        (("std = [0.5, 0.5, 0.5]", "std = [0.5, nan, 0.5]"), "preprocessing.std.1"),
        (("mean = [0.5, 0.5, 0.5]", "mean = [0.5, 0.5, inf]"), "preprocessing.mean.2"),
        (('licence = "MIT"', 'licence = "MIT"\nsize_mb = inf'), "size_mb"),
        (("[preprocessing]", "[calibration.any]\nslope = nan\noffset = 0\n[preprocessing]"),
         "calibration.any.slope"),
        (('task = "classifier"', 'task = "safety"'), "needs parameters.nsfw_label"),
        (('task = "classifier"', 'task = "embedder"'), "'vit' makes no embedder: its task is "
         "classifier or safety"),
        (('loader = "vit"', 'loader = "rt_detr_v2"'), "makes no classifier"),
        (('repository = "me/mine"', ""), "needs `repository`"),
        (("[preprocessing]", "[parameters]\nprecison = 'bf16'\n[preprocessing]"),
         "knows no parameters.precison: it takes nsfw_label, precision, compile"),
        (("[preprocessing]", "[parameters]\nkinds = {a = [1, nan]}\n[preprocessing]"),
         "nan is no finite number"),
    ],
)  # fmt: skip
def test_a_wrong_card_is_refused_with_file_and_field(
    tmp_path: Path, change: tuple[str, str], word: str
) -> None:
    folder = write(tmp_path / "cards", CARD.replace(*change))
    with pytest.raises(UsageError) as caught:
        load_cards(folder)
    assert str(folder / "mine.toml") in str(caught.value)
    assert word in str(caught.value)


def test_a_card_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"id = \xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        read_card(tmp_path / "mine.toml")


def test_a_card_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    with pytest.raises(UsageError, match=r"mine\.toml cannot be read"):
        load_cards(tmp_path)


def test_a_card_without_preprocessing_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "cards", CARD[: CARD.index("[preprocessing]")])
    with pytest.raises(UsageError, match=r"mine\.toml: .*needs a table \[preprocessing\]"):
        load_cards(folder)


@pytest.mark.parametrize("loader", ["blip", "florence2"])
def test_a_model_that_writes_needs_a_length_limit(tmp_path: Path, loader: str) -> None:
    text = CARD.replace('"classifier"', '"captioner"').replace('"vit"', f'"{loader}"')
    folder = write(tmp_path / "cards", text)
    with pytest.raises(UsageError, match=r"needs parameters\.max_new_tokens"):
        load_cards(folder)
    write(folder, text + "[parameters]\nmax_new_tokens = 20\n")
    assert load_cards(folder)["mine"].loader == loader


@pytest.mark.parametrize("loader", get_args(Loader))
@pytest.mark.parametrize("task", TASKS)
def test_a_loader_is_paired_with_its_own_tasks_only(loader: Loader, task: Task) -> None:
    fields: dict[str, Any] = {"id": "x", "title": "", "licence": "none"}
    if task in TASKS_OF_LOADER[loader]:
        assert ModelCard(task=task, loader=loader, **fields).task == task
    else:
        with pytest.raises(ValidationError, match=f"'{loader}' makes no {task}"):
            ModelCard(task=task, loader=loader, **fields)


def test_the_models_that_need_no_length_limit_are_read_without_one(tmp_path: Path) -> None:
    text = (SHIPPED / "composed.toml").read_text(encoding="utf-8")
    folder = write(tmp_path / "cards", text.replace('id = "composed"', 'id = "mine"'))
    assert load_cards(folder)["mine"].task == "captioner"


def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    own = (SHIPPED / "composed.toml").read_text(encoding="utf-8")
    folder = write(tmp_path / "cards", own, name="composed")
    with pytest.raises(UsageError, match="already"):
        load_cards(folder)


def test_an_unknown_profile_task_or_card_is_refused_with_what_there_is() -> None:
    cards = load_cards()
    with pytest.raises(UsageError, match=r"no profile 'best': there is embedded, standard"):
        cards_in_use("best", {}, cards)
    with pytest.raises(UsageError, match=r"names 'painter': the tasks are embedder"):
        cards_in_use("standard", {"painter": "composed"}, cards)
    with pytest.raises(UsageError, match=r"no captioner 'gone': there is blip"):
        cards_in_use("standard", {"captioner": "gone"}, cards)
    with pytest.raises(UsageError, match="no detector 'composed'"):
        cards_in_use("embedded", {"detector": "composed"}, cards)


def test_an_empty_choice_takes_a_task_out() -> None:
    assert "safety" not in cards_in_use("standard", {"safety": ""}, load_cards())


def test_words_of_a_card_decide_nothing_and_everything_else_does() -> None:
    card = load_cards()["vit-base-patch16-224"]
    for words in ({"title": "x"}, {"note": "x"}, {"licence": "x"}, {"size_mb": 1.0}):
        assert card.model_copy(update=words).decides == card.decides
    for facts in ({"revision": "0" * 40}, {"parameters": {"a": 1}}, {"labels": ""}):
        assert card.model_copy(update=facts).decides != card.decides
