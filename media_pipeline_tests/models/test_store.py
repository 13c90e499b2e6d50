"""Fetching from a hub on loopback, pinning, checking; nothing half-written is ever used."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_pipeline.errors import (
    DamagedWeights,
    DiskFull,
    LibraryBusy,
    MissingWeights,
    UsageError,
)
from media_pipeline.models import store
from media_pipeline_tests.models.fake_hub import FakeHub, serving
from media_pipeline_tests.models.tiny_model import (
    CONFIG,
    FIRST,
    NEW_WEIGHTS,
    SECOND,
    WEIGHTS,
    card,
    sha256,
    tiny_hub,
)

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving(tiny_hub()) as served:
        yield served


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_fetch_brings_what_the_card_names_and_pins_commit_checksum_and_size(
    hub: FakeHub, models: Path
) -> None:
    pins = store.fetch(card(), models, endpoint=hub.endpoint)
    assert pins is not None
    assert (pins.asked, pins.revision) == ("main", FIRST)
    files = contents(models / "tiny")
    assert sorted(files) == ["config.json", "model.safetensors", "pins.json"]
    assert files["model.safetensors"] == WEIGHTS
    assert json.loads(files["pins.json"]) == {
        "repository": "somebody/tiny",
        "asked": "main",
        "revision": FIRST,
        "files": {
            "config.json": {"sha256": sha256(CONFIG), "size_bytes": len(CONFIG)},
            "model.safetensors": {"sha256": sha256(WEIGHTS), "size_bytes": len(WEIGHTS)},
        },
    }
    assert store.require(card(), models) == models / "tiny"
    assert store.state(card(), models) == "fetched"
    assert store.verify(card(), models) == []


def test_a_star_in_the_files_stands_for_any_text(hub: FakeHub, models: Path) -> None:
    pins = store.fetch(card(files=("*.json", "*.safetensors")), models, endpoint=hub.endpoint)
    assert pins is not None
    assert sorted(pins.files) == ["config.json", "model.safetensors"]


def test_progress_ends_at_all_bytes(hub: FakeHub, models: Path) -> None:
    told: list[tuple[int, int]] = []
    store.fetch(card(), models, lambda *how: told.append(how), endpoint=hub.endpoint)
    total = len(CONFIG) + len(WEIGHTS)
    assert told[-1] == (total, total)
    assert all(done <= total for done, _ in told)


def test_what_is_here_and_whole_is_not_fetched_again(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    hub.sent.clear()
    store.fetch(card(), models, endpoint="http://127.0.0.1:9")  # nobody is asked
    assert hub.sent == []


def test_a_branch_that_moved_on_is_followed_only_when_asked_to(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    hub.main = SECOND
    kept = store.fetch(card(), models, endpoint=hub.endpoint)
    assert kept is not None
    assert kept.revision == FIRST
    updated = store.fetch(card(), models, update=True, endpoint=hub.endpoint)
    assert updated is not None
    assert updated.revision == SECOND
    assert (models / "tiny" / "model.safetensors").read_bytes() == NEW_WEIGHTS


def test_damage_is_mended_from_the_pinned_commit(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    hub.main = SECOND
    (models / "tiny" / "model.safetensors").write_bytes(b"x" * len(WEIGHTS))
    problems = store.verify(card(), models)
    assert len(problems) == 1
    assert sha256(WEIGHTS) in problems[0]
    assert "models fetch tiny" in problems[0]
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert (models / "tiny" / "model.safetensors").read_bytes() == WEIGHTS
    assert store.verify(card(), models) == []


def test_a_fetch_again_must_give_the_pinned_bytes(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny" / "config.json").unlink()
    hub.commits[FIRST] = {**hub.commits[FIRST], "config.json": b'{"model_type": "other"}'}
    with pytest.raises(DamagedWeights, match=r"pins\.json says"):
        store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.state(card(), models) == "missing"


def test_the_checksum_on_the_card_must_match(hub: FakeHub, models: Path) -> None:
    right = card(sha256={"model.safetensors": sha256(WEIGHTS)})
    store.fetch(right, models, endpoint=hub.endpoint)
    assert store.verify(right, models) == []
    wrong = card(id="other", sha256={"model.safetensors": "0" * 64})
    with pytest.raises(DamagedWeights, match="the card says 0000"):
        store.fetch(wrong, models, endpoint=hub.endpoint)
    assert not (models / "other").exists()
    assert store.state(wrong, models) == "missing"


def test_a_checksum_for_a_file_that_is_not_fetched_is_refused(hub: FakeHub, models: Path) -> None:
    with pytest.raises(DamagedWeights, match=r"a checksum for vocab\.txt"):
        store.fetch(card(sha256={"vocab.txt": "0" * 64}), models, endpoint=hub.endpoint)


def test_bytes_other_than_the_hub_promised_are_not_used(hub: FakeHub, models: Path) -> None:
    hub.lies = {"model.safetensors"}
    with pytest.raises(DamagedWeights, match="the hub says"):
        store.fetch(card(), models, endpoint=hub.endpoint)
    assert not (models / "tiny").exists()
    hub.lies = set()
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.verify(card(), models) == []


def test_an_interrupted_fetch_goes_on_and_is_never_used_half(hub: FakeHub, models: Path) -> None:
    hub.withheld = {"model.safetensors"}
    with pytest.raises(MissingWeights):
        store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.state(card(), models) == "missing"
    with pytest.raises(MissingWeights, match="models fetch tiny"):
        store.require(card(), models)
    hub.withheld, hub.sent = set(), []
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert hub.sent == ["model.safetensors"]
    assert sorted(path.name for path in models.iterdir()) == [".tiny.lock", "tiny"]


def test_what_an_interrupted_fetch_left_of_another_commit_does_not_come_in(
    hub: FakeHub, models: Path
) -> None:
    hub.withheld = {"model.safetensors"}
    with pytest.raises(MissingWeights):
        store.fetch(card(files=("*.json", "*.safetensors")), models, endpoint=hub.endpoint)
    (models / ".tiny.partial" / "stale.json").write_text("{}")
    hub.withheld = set()
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert sorted(contents(models / "tiny")) == ["config.json", "model.safetensors", "pins.json"]


def test_exports_outlive_a_mending_but_not_an_update(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    export = models / "tiny" / "exports" / "model.onnx"
    export.parent.mkdir()
    export.write_bytes(b"onnx")
    (models / "tiny" / "config.json").unlink()
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert export.read_bytes() == b"onnx"
    assert store.verify(card(), models) == []
    hub.main = SECOND
    store.fetch(card(), models, update=True, endpoint=hub.endpoint)
    assert not export.exists()


def test_offline_mode_is_one_message_with_the_remedy(
    hub: FakeHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingWeights) as caught:
        store.fetch(card(), models, endpoint=hub.endpoint)
    message = str(caught.value)
    assert "\n" not in message
    assert "offline mode is on (HF_HUB_OFFLINE)" in message
    assert "machine with a network" in message
    assert "copy the folder 'tiny'" in message
    assert hub.sent == []


def test_no_network_is_one_message_with_the_remedy(models: Path) -> None:
    with pytest.raises(MissingWeights, match="machine with a network") as caught:
        store.fetch(card(), models, endpoint="http://127.0.0.1:9")
    assert "\n" not in str(caught.value)
    assert not (models / "tiny").exists()


@pytest.mark.parametrize("wrong", [{"repository": "somebody/else"}, {"revision": "no-such-branch"}])
def test_a_repository_or_revision_that_is_not_there_is_said_so(
    hub: FakeHub, models: Path, wrong: dict[str, str]
) -> None:
    with pytest.raises(MissingWeights, match="correct `repository` or `revision`"):
        store.fetch(card(**wrong), models, endpoint=hub.endpoint)


def test_a_file_that_the_repository_lacks_is_said_so(hub: FakeHub, models: Path) -> None:
    with pytest.raises(DamagedWeights, match=r"no file 'vocab\.txt'"):
        store.fetch(card(files=("vocab.txt",)), models, endpoint=hub.endpoint)


def test_a_name_that_leads_out_of_the_folder_is_refused(hub: FakeHub, models: Path) -> None:
    hub.commits[FIRST] = {**hub.commits[FIRST], "../../outside.json": b"{}"}
    with pytest.raises(DamagedWeights, match=r"\.\./\.\./outside\.json"):
        store.fetch(card(files=("*.json",)), models, endpoint=hub.endpoint)
    assert hub.sent == []


def test_a_repository_that_is_no_name_is_refused(models: Path) -> None:
    with pytest.raises(UsageError, match="owner/name"):
        store.fetch(card(repository="a/b/c"), models, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize("pattern", ["pytorch_model.bin", "*.pt", "model.pkl", "*", "*.py"])
def test_files_that_can_run_code_are_refused_before_anything_is_asked(
    models: Path, pattern: str
) -> None:
    with pytest.raises(UsageError, match="can run code"):
        store.fetch(card(files=("config.json", pattern)), models, endpoint="http://127.0.0.1:9")


def test_a_card_that_names_no_files_is_refused(models: Path) -> None:
    with pytest.raises(UsageError, match="safetensors"):
        store.fetch(card(files=()), models, endpoint="http://127.0.0.1:9")


def test_too_little_space_is_said_before_anything_comes(
    hub: FakeHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100_000_000})
    monkeypatch.setattr("media_pipeline.models.store.shutil.disk_usage", lambda path: usage)
    with pytest.raises(DiskFull, match="MEDIA_MODELS"):
        store.fetch(card(size_mb=500), models, endpoint=hub.endpoint)
    assert hub.sent == []


def test_two_fetches_of_one_model_do_not_meet(hub: FakeHub, models: Path) -> None:
    models.mkdir()
    descriptor = os.open(models / ".tiny.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(LibraryBusy, match="another command fetches 'tiny'"):
            store.fetch(card(), models, endpoint=hub.endpoint)
    finally:
        os.close(descriptor)


def test_a_model_that_ships_with_us_needs_nothing(models: Path) -> None:
    built_in = card(repository="", files=())
    assert store.fetch(built_in, models) is None
    assert store.state(built_in, models) == "built in"
    assert store.verify(built_in, models) == []
    assert not models.exists()


def test_verify_names_what_is_missing_and_what_nobody_fetched(hub: FakeHub, models: Path) -> None:
    assert "models fetch tiny" in store.verify(card(), models)[0]
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny" / "extra.txt").write_text("mine")
    assert "extra.txt is unpinned" in store.verify(card(), models)[0]
    (models / "tiny" / "config.json").unlink()
    assert "config.json" in store.verify(card(), models)[0]


def test_files_that_were_put_there_by_hand_are_used_and_called_unpinned(models: Path) -> None:
    folder = models / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    assert store.require(card(), models) == folder
    assert store.state(card(), models) == "unpinned"
    assert "is unpinned" in store.verify(card(), models)[0]


def test_a_folder_copied_from_another_machine_is_as_good_as_a_fetch(
    hub: FakeHub, models: Path, tmp_path: Path
) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (tmp_path / "elsewhere").mkdir()
    (models / "tiny").rename(tmp_path / "elsewhere" / "tiny")
    assert store.verify(card(), tmp_path / "elsewhere") == []


def test_a_file_of_another_size_is_seen_without_hashing(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny" / "model.safetensors").write_bytes(WEIGHTS[:-1])
    with pytest.raises(DamagedWeights, match=r"model\.safetensors has changed: 13,999 bytes"):
        store.require(card(), models)


def test_a_card_that_asks_for_another_commit_makes_the_files_outdated(
    hub: FakeHub, models: Path
) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    moved = card(revision=SECOND)
    assert store.state(moved, models) == "outdated"
    with pytest.raises(MissingWeights, match="--update"):
        store.require(moved, models)
    with pytest.raises(UsageError, match="--update"):
        store.fetch(moved, models, endpoint=hub.endpoint)
    store.fetch(moved, models, update=True, endpoint=hub.endpoint)
    assert store.state(moved, models) == "fetched"


def test_damaged_pins_are_said_so_and_mended_by_a_fetch(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny" / "pins.json").write_text('{"files": 3}')
    with pytest.raises(DamagedWeights, match=r"pins\.json cannot be read"):
        store.fingerprint(card(), models)
    assert store.state(card(), models) == "damaged"
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.verify(card(), models) == []


def test_the_fingerprint_changes_with_bytes_commit_and_card_but_not_with_words(
    hub: FakeHub, models: Path
) -> None:
    seen = [store.fingerprint(card(), models)]
    store.fetch(card(), models, endpoint=hub.endpoint)
    seen.append(store.fingerprint(card(), models))
    assert store.fingerprint(card(title="Another title", note="and a note"), models) == seen[-1]
    seen.append(store.fingerprint(card(parameters={"max_new_tokens": 20}), models))
    hub.main = SECOND
    store.fetch(card(), models, update=True, endpoint=hub.endpoint)
    seen.append(store.fingerprint(card(), models))
    texts = [json.dumps(value, sort_keys=True) for value in seen]
    assert len(set(texts)) == len(texts)
