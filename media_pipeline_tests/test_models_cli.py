"""`models` and `profile` on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from media_pipeline.library.opened import Library, open_library
from media_pipeline.library.profiles import consequences
from media_pipeline.models import loading, qualifying
from media_pipeline.models.cards import PROFILES, ModelCard
from media_pipeline.models.exporting import Report
from media_pipeline.models.protocols import Pixels
from media_pipeline.models.qualifying import Candidate, Qualification
from media_pipeline.settings import read_config, write_config
from media_pipeline_tests.command_line import call, refused, spawn, succeeded
from media_pipeline_tests.conftest import draw, scan_everything
from media_pipeline_tests.models.fake_hub import FakeHub, serving

COMMIT = "1" * 40
CARD = """\
id = "mine"
title = "My own classifier"
task = "classifier"
loader = "vit"
repository = "me/mine"
files = ["config.json", "model.safetensors"]
licence = "MIT"
size_mb = 12

[preprocessing]
height_px = 224
width_px = 224
resize = "exact"
interpolation = "bilinear"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder outside any library, with a card of the user's."""
    folder = tmp_path / "models"
    (folder / "cards").mkdir(parents=True)
    (folder / "cards" / "mine.toml").write_text(CARD)
    monkeypatch.setenv("MEDIA_MODELS", str(folder))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    files = {"config.json": b"{}", "model.safetensors": b"weights" * 100}
    with serving(FakeHub("me/mine", {COMMIT: files}, main=COMMIT)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        yield served


@pytest.fixture
def folder(library: Library) -> Path:
    return library.layout.root


def test_list_prints_every_card_and_how_it_stands(folder: Path, models: Path) -> None:
    told = succeeded(call("models", "list", "--json", "--library", folder)).json
    cards = {card["id"]: card for card in told}
    assert cards["mine"]["state"] == "missing"
    assert cards["composed"] == {
        "id": "composed",
        "title": "Captions composed from recorded facts",
        "task": "captioner",
        "profiles": ["embedded"],
        "in_use": True,
        "state": "built in",
        "licence": "Apache-2.0",
        "size_mb": 0.0,
        "repository": "",
        "revision": "main",
    }
    table = succeeded(call("models", "list", "--library", folder)).out
    assert "siglip2" in table
    assert str(models) in table.replace("\n", "")


def test_list_of_a_profile_prints_its_cards_only(folder: Path, models: Path) -> None:
    told = succeeded(
        call("models", "list", "--profile", "standard", "--json", "--library", folder)
    ).json
    assert {card["id"] for card in told} == set(PROFILES["standard"].values())


def test_list_works_where_there_is_no_library_yet(tmp_path: Path) -> None:
    told = succeeded(call("models", "list", "--json", "--library", tmp_path / "none")).json
    assert {card["id"] for card in told if card["in_use"]} == set(PROFILES["embedded"].values())
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_fetch_and_verify_from_a_hub(folder: Path, models: Path, hub: FakeHub) -> None:
    said = succeeded(spawn("models", "fetch", "mine", "--library", folder))
    assert f"mine is here, commit {COMMIT}" in said.out
    assert "as it was fetched" in succeeded(call("models", "verify", "mine")).out
    (models / "mine" / "model.safetensors").write_bytes(b"another" * 100)
    answer = call("models", "verify", "mine", "--library", folder)
    assert answer.code == 1
    assert "mine: wrong" in answer.out
    assert "models fetch mine" in answer.err
    succeeded(spawn("models", "fetch", "mine", "--library", folder))
    succeeded(call("models", "verify", "mine", "--library", folder))


@pytest.mark.slow
def test_a_fetch_before_there_is_a_library_leaves_a_folder_that_can_become_one(
    tmp_path: Path, hub: FakeHub
) -> None:
    folder = tmp_path / "library"
    succeeded(call("models", "fetch", "composed", "--library", folder))
    assert open_library(folder).layout.marker.exists()


@pytest.mark.slow
def test_without_a_network_fetch_says_so_once_with_the_remedy(
    folder: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    answer = spawn("models", "fetch", "mine", "--library", folder)
    refused(answer, "offline mode is on", "machine with a network", "copy the folder 'mine'")


def test_verify_of_what_was_never_fetched_is_a_failure(folder: Path, models: Path) -> None:
    answer = call("models", "verify", "mine", "--library", folder)
    assert answer.code == 1
    assert "models fetch mine" in answer.err


@pytest.mark.parametrize("command", ["fetch", "verify", "export", "qualify"])
def test_an_unknown_id_is_refused_with_those_that_exist(
    folder: Path, models: Path, command: str, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    draw(pictures / "one.jpg")
    more = ["--folder", str(pictures)] if command == "qualify" else []
    answer = call("models", command, "yours", *more, "--library", folder)
    refused(answer, "no model 'yours'", "mine", "composed")


def test_export_of_a_model_without_weights_names_the_remedy(folder: Path, models: Path) -> None:
    answer = call("models", "export", "vit-base-patch16-224", "--library", folder)
    refused(answer, "media-pipeline models fetch vit-base-patch16-224")


@pytest.mark.parametrize("command", ["export", "qualify"])
def test_a_profile_of_built_in_models_has_nothing_to_export(
    folder: Path, models: Path, command: str
) -> None:
    refused(call("models", command, "--library", folder), "no model of the profile embedded")


def test_qualify_without_pictures_names_the_way_on(
    folder: Path, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no picture")
    answer = call("models", "qualify", "mine", "--folder", tmp_path / "empty", "--library", folder)
    refused(answer, "no pictures in", "--folder")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw(tmp_path / "pictures" / "one.jpg")
    return tmp_path / "pictures"


def test_qualify_asks_for_the_device_that_models_run_on(
    folder: Path, models: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(
        card: ModelCard, at: Path, some: Sequence[Pixels], device: str, report: Report
    ) -> Qualification:
        asked.append((card.id, device))
        one = Candidate("torch-bf16", 1.0, 3000.0)
        return Qualification(card.id, device, "a GPU", len(some), "torch-bf16", (one,))

    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(qualifying, "qualify", recorded)
    monkeypatch.setattr(loading, "_cuda", lambda: ("", "NVIDIA H200"))
    answer = call("models", "qualify", "mine", "--folder", pictures, "--library", folder)
    assert "device=cuda (NVIDIA H200)" in succeeded(answer).out
    monkeypatch.setenv("MEDIA_DEVICE", "cpu")
    answer = call("models", "qualify", "mine", "--folder", pictures, "--library", folder)
    assert "device=cpu (as asked for)" in succeeded(answer).out
    assert asked == [("mine", "cuda"), ("mine", "cpu")]


def test_qualify_on_a_gpu_that_is_not_there_is_refused(
    folder: Path, models: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_cuda", lambda: ("no CUDA device found", ""))
    monkeypatch.setenv("MEDIA_DEVICE", "cuda")
    answer = call("models", "qualify", "mine", "--folder", pictures, "--library", folder)
    refused(answer, "device cuda was asked for, but: no CUDA device found")


def test_models_and_a_profile_at_once_are_refused(folder: Path, models: Path) -> None:
    answer = call("models", "fetch", "mine", "--profile", "standard", "--library", folder)
    refused(answer, "not both")


def test_use_writes_the_choice_and_takes_it_back(
    folder: Path, models: Path, library: Library
) -> None:
    said = succeeded(call("models", "use", "classifier", "mine", "--library", folder)).out
    assert "classifier mine" in said
    assert "fetch first, about 12 MB: `media-pipeline models fetch mine`" in said
    assert read_config(library.layout).models == {"classifier": "mine"}
    assert open_library(folder).cards["classifier"].id == "mine"
    succeeded(call("models", "use", "captioner", "none", "--library", folder))
    assert "captioner" not in open_library(folder).cards
    succeeded(call("models", "use", "classifier", "none", "--library", folder))
    succeeded(call("models", "use", "captioner", "composed", "--library", folder))
    assert read_config(library.layout).models == {}


@pytest.mark.parametrize(
    ("task", "card", "words"),
    [
        ("painter", "mine", "the tasks are"),
        ("detector", "mine", "no detector 'mine'"),
        ("classifier", "gone", "there is mobilenetv3-small-100, vit-base-patch16-224, mine"),
    ],
)
def test_use_of_what_does_not_exist_changes_nothing(
    folder: Path, models: Path, library: Library, task: str, card: str, words: str
) -> None:
    refused(call("models", "use", task, card, "--library", folder), words)
    assert read_config(library.layout).models == {}


def test_profile_alone_says_which_models_are_used(folder: Path, models: Path) -> None:
    said = succeeded(call("profile", "--library", folder)).out
    assert "profile embedded" in said
    assert "captioner   composed (built in)" in said
    assert "embedder    none: not evaluated" in said


def test_profile_with_a_name_changes_it_and_names_what_to_fetch(
    folder: Path, models: Path, library: Library
) -> None:
    said = succeeded(call("profile", "standard", "--library", folder)).out
    assert read_config(library.layout).profile == "standard"
    for card in PROFILES["standard"].values():
        assert card in said
    assert "models fetch siglip2-base-patch16-224 vit-base-patch16-224" in said
    assert "nothing was made yet" in said


def test_an_unknown_profile_changes_nothing(folder: Path, models: Path, library: Library) -> None:
    refused(call("profile", "best", "--library", folder), "embedded, standard")
    assert read_config(library.layout).profile == "embedded"


def test_a_profile_needs_a_library(tmp_path: Path) -> None:
    refused(call("profile", "standard", "--library", tmp_path / "none"), "no library at")


def test_a_choice_that_is_gone_can_be_taken_back(
    folder: Path, models: Path, library: Library
) -> None:
    succeeded(call("models", "use", "classifier", "mine", "--library", folder))
    (models / "cards" / "mine.toml").unlink()
    refused(call("status", "--library", folder), "no classifier 'mine'")
    succeeded(call("models", "use", "classifier", "none", "--library", folder))
    assert read_config(library.layout).models == {}


def test_what_becomes_stale_is_said_with_batches_and_remedy(
    library: Library, originals: Path
) -> None:
    made_under(library, originals, "old")
    library.recipes = {stage.name: f"new-{stage.name}" for stage in library.stages}
    said = "\n".join(consequences(library))
    assert "captions (1)" in said
    assert "backfill-stale" in said
    assert "models diff" in said
    assert library.ledger.active()["captions"] == "old-captions"


def test_switching_back_to_tables_that_are_there_needs_no_computing(
    library: Library, originals: Path
) -> None:
    made_under(library, originals, "old")
    made_under(library, originals, "new")
    library.recipes = {stage.name: f"old-{stage.name}" for stage in library.stages}
    said = "\n".join(consequences(library))
    assert "is there already" in said
    assert library.ledger.active()["captions"] == "old-captions"


def made_under(library: Library, originals: Path, name: str) -> None:
    """Every per-batch stage has its tables under recipes of this name, and is read from there."""
    draw(originals / "one.jpg")
    scan_everything(library)
    for stage in library.batch_stages():
        recipe = f"{name}-{stage.name}"
        for batch in library.ledger.batches():
            library.store.write(stage.name, recipe, batch, stage.table.arrow.empty_table(), {})
        with library.ledger.transaction():
            library.ledger.set_active(stage.name, recipe)


def test_diff_of_a_stage_that_was_made_once_names_the_way_on(
    library: Library, originals: Path, folder: Path
) -> None:
    write_config(library.layout, library.config)
    refused(call("models", "diff", "portraits", "--library", folder), "no stage 'portraits'")
    refused(call("models", "diff", "labels", "--library", folder), "one recipe only")


def test_diff_writes_one_page(
    library: Library, originals: Path, folder: Path, tmp_path: Path
) -> None:
    made_under(library, originals, "00000000")
    made_under(library, originals, "11111111")
    page = tmp_path / "page.html"
    said = succeeded(
        call(
            "models",
            "diff",
            "captions",
            "--from",
            "0",
            "--to",
            "1",
            "--out",
            page,
            "--library",
            folder,
        )
    )
    assert "captions: 0 contents, 0 of 0 as before" in said.out
    assert "Nothing differs." in page.read_text()
    assert json.dumps(str(page)).strip('"') in said.out.replace("\n", "")
