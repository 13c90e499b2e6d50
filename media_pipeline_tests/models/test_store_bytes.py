"""Changed bytes are seen, the user's files are kept, and a kill costs nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_pipeline.errors import (
    DamagedWeights,
    DiskFull,
    LibraryNotWritable,
    MissingWeights,
    UsageError,
)
from media_pipeline.models import hashes, store
from media_pipeline_tests.models.fake_hub import FakeHub, serving
from media_pipeline_tests.models.tiny_model import (
    CONFIG,
    FIRST,
    WEIGHTS,
    card,
    sha256,
    tiny_hub,
)

pytest.importorskip("huggingface_hub")

LONG_AGO_NS = 1_700_000_000_000_000_000


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving(tiny_hub()) as served:
        yield served


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def settle(folder: Path, when_ns: int = LONG_AGO_NS) -> None:
    """Files that have lain here for long: their hashes are kept."""
    for path in folder.rglob("*"):
        os.utime(path, ns=(when_ns, when_ns))


def put_by_hand(models: Path) -> Path:
    folder = models / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def test_the_fingerprint_of_unpinned_files_is_that_of_their_bytes(models: Path) -> None:
    folder = put_by_hand(models)
    before = store.fingerprint(card(), models)
    assert before["files"] == {"config.json": sha256(CONFIG), "model.safetensors": sha256(WEIGHTS)}
    (folder / "model.safetensors").write_bytes(b"x" * len(WEIGHTS))
    assert store.fingerprint(card(), models) != before
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "notes.txt").write_text("mine")
    assert store.fingerprint(card(), models) == before


@pytest.mark.parametrize("is_settled", [True, False])
def test_changed_bytes_of_the_same_size_are_refused_with_file_and_remedy(
    hub: FakeHub, models: Path, is_settled: bool
) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    if is_settled:
        settle(models / "tiny")
    store.require(card(), models)
    (models / "tiny" / "model.safetensors").write_bytes(b"x" * len(WEIGHTS))
    with pytest.raises(DamagedWeights, match=r"tiny/model\.safetensors .*models fetch tiny"):
        store.require(card(), models)
    assert store.state(card(), models) == "damaged"
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.require(card(), models) == models / "tiny"


def test_the_checksum_on_the_card_counts_without_pins_too(models: Path) -> None:
    put_by_hand(models)
    right = card(sha256={"model.safetensors": sha256(WEIGHTS).upper()})
    assert store.require(right, models) == models / "tiny"
    wrong = card(sha256={"model.safetensors": "0" * 64})
    with pytest.raises(DamagedWeights, match=r"model\.safetensors has SHA-256 .* 0000"):
        store.require(wrong, models)
    assert store.state(wrong, models) == "damaged"
    other = card(sha256={"vocab.txt": "0" * 64})
    with pytest.raises(DamagedWeights, match=r"vocab\.txt is missing"):
        store.require(other, models)


def test_a_checksum_that_the_card_was_given_later_counts(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    with pytest.raises(DamagedWeights, match=f"should have {'0' * 64}"):
        store.require(card(sha256={"model.safetensors": "0" * 64}), models)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read to be hashed."""
    names: list[str] = []
    real = hashes.file_sha256

    def noted(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(hashes, "file_sha256", noted)
    return names


def test_a_file_is_hashed_once(hub: FakeHub, models: Path, hashed: list[str]) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    settle(models / "tiny")
    for _ in range(3):
        store.require(card(), models)
    assert sorted(hashed) == ["config.json", "model.safetensors"]
    hashed.clear()
    os.utime(models / "tiny" / "config.json", ns=(LONG_AGO_NS + 1, LONG_AGO_NS + 1))
    store.require(card(), models)
    assert hashed == ["config.json"]


def test_a_file_that_was_just_written_is_hashed_again(models: Path, hashed: list[str]) -> None:
    """It may change once more within one tick of the file system's clock."""
    put_by_hand(models)
    store.fingerprint(card(), models)
    store.fingerprint(card(), models)
    assert len(hashed) == 4
    assert not (models / "tiny" / "hashes.json").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"config.json": 3}'])
def test_damaged_notes_of_hashes_cost_time_only(models: Path, content: bytes) -> None:
    folder = put_by_hand(models)
    settle(folder)
    before = store.fingerprint(card(), models)
    (folder / "hashes.json").write_bytes(content)
    assert store.fingerprint(card(), models) == before
    assert json.loads((folder / "hashes.json").read_bytes()).keys() == before["files"].keys()


def test_where_nothing_can_be_written_the_process_remembers(
    models: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, content: bytes, *, durable: bool = True) -> None:
        raise LibraryNotWritable("cannot write")

    monkeypatch.setattr(hashes, "write_atomically", read_only)
    settle(put_by_hand(models))
    first = store.fingerprint(card(), models)
    assert store.fingerprint(card(), models) == first
    assert len(hashed) == 2


def test_our_own_files_are_none_of_the_models(models: Path) -> None:
    folder = models / "tiny"
    folder.mkdir(parents=True)
    (folder / "pins.json").write_text("{}")
    (folder / "hashes.json").write_text("{}")
    with pytest.raises(MissingWeights, match=r"holds no \*\.json"):
        store.require(card(files=("*.json",)), models)


# -- folders of the user's, kills ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notes.txt", "mine/photo.jpg", ".git/config", "extra.bin"])
def test_a_folder_with_files_of_the_users_is_never_replaced(
    hub: FakeHub, models: Path, name: str
) -> None:
    path = models / "tiny" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(UsageError, match=f"holds {name}, .* move it elsewhere"):
        store.fetch(card(), models, endpoint=hub.endpoint)
    assert path.read_text() == "mine"
    assert hub.sent == []


@pytest.mark.parametrize("update", [True, False])
def test_a_file_beside_pinned_ones_keeps_a_fetch_away(
    hub: FakeHub, models: Path, update: bool
) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds notes\.txt"):
        store.fetch(card(), models, update=update, endpoint=hub.endpoint)
    assert (models / "tiny" / "notes.txt").read_text() == "mine"


def test_files_of_the_model_that_were_put_there_by_hand_are_replaced(
    hub: FakeHub, models: Path
) -> None:
    put_by_hand(models)
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.state(card(), models) == "fetched"


def test_a_kill_between_the_two_renames_is_finished_without_a_network(
    hub: FakeHub, models: Path
) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny").rename(models / ".tiny.partial")
    (models / ".tiny.old").mkdir()
    assert store.state(card(), models) == "missing"
    pins = store.fetch(card(), models, endpoint="http://127.0.0.1:9")
    assert pins is not None
    assert pins.revision == FIRST
    assert store.verify(card(), models) == []
    assert sorted(path.name for path in models.iterdir()) == [".tiny.lock", "tiny"]


def test_after_a_kill_what_is_not_whole_is_fetched(hub: FakeHub, models: Path) -> None:
    store.fetch(card(), models, endpoint=hub.endpoint)
    (models / "tiny").rename(models / ".tiny.partial")
    (models / ".tiny.partial" / "model.safetensors").write_bytes(b"x" * len(WEIGHTS))
    with pytest.raises(MissingWeights):
        store.fetch(card(), models, endpoint="http://127.0.0.1:9")
    assert store.state(card(), models) == "missing"
    (models / ".tiny.partial" / "model.safetensors").write_bytes(b"short")
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.verify(card(), models) == []


def test_what_an_interrupted_fetch_holds_needs_no_space_again(
    hub: FakeHub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.withheld = {"model.safetensors"}
    with pytest.raises(MissingWeights):
        store.fetch(card(), models, endpoint=hub.endpoint)
    held = models / ".tiny.partial" / "config.json"
    assert held.read_bytes() == CONFIG
    hub.withheld = set()
    just_enough = store.SPARE_BYTES + len(WEIGHTS)
    usage = type("Usage", (), {"free": just_enough - 1})
    monkeypatch.setattr("media_pipeline.models.store.shutil.disk_usage", lambda path: usage)
    with pytest.raises(DiskFull):
        store.fetch(card(), models, endpoint=hub.endpoint)
    usage.free = just_enough
    store.fetch(card(), models, endpoint=hub.endpoint)
    assert store.state(card(), models) == "fetched"
