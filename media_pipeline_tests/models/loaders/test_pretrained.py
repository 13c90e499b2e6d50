"""Damaged checkpoints of every architecture end in an error that names the remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media_pipeline.errors import DamagedWeights, MissingWeights, ModelError
from media_pipeline.models.loaders import clip, rt_detr_v2, siglip2
from media_pipeline.models.loaders.pretrained import library_reads
from media_pipeline_tests.models.checkpoints import clip as clip_files
from media_pipeline_tests.models.checkpoints import damaging
from media_pipeline_tests.models.checkpoints import rt_detr_v2 as rt_detr_v2_files
from media_pipeline_tests.models.checkpoints import siglip2 as siglip2_files

pytestmark = pytest.mark.slow  # torch and transformers are imported

ALL = (
    (siglip2, siglip2_files, "vision_model.post_layernorm.weight"),
    (clip, clip_files, "visual_projection.weight"),
    (rt_detr_v2, rt_detr_v2_files, "model.enc_score_head.weight"),
)
"""Loader, its small checkpoint, and the name of a weight in it."""


@pytest.fixture(scope="module", params=ALL, ids=["siglip2", "clip", "rt_detr_v2"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any, str, Path]:
    loader, files, weight = request.param
    folder = tmp_path_factory.mktemp("whole") / files.CARD.id
    files.write(folder)
    return loader, files.CARD, weight, folder


@pytest.fixture
def copy(whole: tuple[Any, Any, str, Path], tmp_path: Path) -> tuple[Any, Any, str, Path]:
    loader, card, weight, folder = whole
    shutil.copytree(folder, tmp_path / card.id)
    return loader, card, weight, tmp_path / card.id


def refused(
    copy: tuple[Any, Any, str, Path],
    damage: Callable[[Path, str], object],
    kind: type[ModelError] = DamagedWeights,
) -> str:
    loader, card, weight, folder = copy
    damage(folder, weight)
    with pytest.raises(kind) as caught:
        loader.build_module(card, folder)
    message = str(caught.value)
    assert repr(card.id) in message
    assert f"`media-pipeline models fetch {card.id}`" in message
    if kind is DamagedWeights:
        assert f"`media-pipeline models verify {card.id}`" in message
    return message


Copy = tuple[Any, Any, str, Path]


def test_a_whole_checkpoint_loads_for_inference_in_float32(whole: Copy) -> None:
    import torch

    loader, card, _, folder = whole
    module = loader.build_module(card, folder)
    assert not module.training
    assert {weight.dtype for weight in module.parameters()} == {torch.float32}


def test_half_a_download_is_damaged(copy: Copy) -> None:
    assert "Safetensor" in refused(copy, lambda folder, _: damaging.truncate(folder))


def test_a_missing_weight_is_damage_and_never_random_numbers(copy: Copy) -> None:
    assert "1 weights missing" in refused(copy, damaging.drop_weight)


def test_an_unexpected_weight_is_damage(copy: Copy) -> None:
    def add(folder: Path, _: str) -> None:
        damaging.add_weight(folder, "adapter.weight")

    assert "1 weights unexpected: adapter.weight" in refused(copy, add)


def test_a_weight_of_another_shape_is_damage(copy: Copy) -> None:
    assert "1 weights of another shape" in refused(copy, damaging.widen_weight)


def test_the_config_of_another_architecture_is_damage(copy: Copy) -> None:
    def edit(folder: Path, _: str) -> None:
        damaging.edit_config(folder, model_type="bert")

    assert "model_type 'bert'" in refused(copy, edit)


def test_a_config_that_is_no_json_is_damage(copy: Copy) -> None:
    def cut(folder: Path, _: str) -> None:
        (folder / "config.json").write_text('{"model_type": ')

    assert "config.json is no JSON" in refused(copy, cut)


def test_a_config_with_a_value_of_another_type_is_damage(copy: Copy) -> None:
    def edit(folder: Path, _: str) -> None:
        damaging.edit_config(folder, vision_config="large", d_model="wide")

    refused(copy, edit)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_missing_weights(copy: Copy, name: str) -> None:
    def remove(folder: Path, _: str) -> None:
        (folder / name).unlink()

    assert f"no {name}" in refused(copy, remove, MissingWeights)


def test_a_missing_shard_is_missing_weights(copy: Copy) -> None:
    def split(folder: Path, _: str) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(
            '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'
        )

    assert "no model-00001-of-00002.safetensors" in refused(copy, split, MissingWeights)


@pytest.mark.parametrize("loader_files", ALL[:2], ids=["siglip2", "clip"])
def test_a_missing_or_damaged_tokenizer_is_told(loader_files: Any, tmp_path: Path) -> None:
    loader, files, _ = loader_files
    files.write(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DamagedWeights, match=r"tokenizer\.json is no JSON"):
        loader.build_text_embedder(files.CARD, tmp_path, "cpu")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(MissingWeights, match=r"no tokenizer\.json.*models fetch"):
        loader.build_text_embedder(files.CARD, tmp_path, "cpu")


def without_a_token(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["merges"] = [["zzz", "qqq"]]


def of_another_kind(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["type"] = "Nonsense"


def emptied(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"] = {}


@pytest.mark.parametrize("damage", [without_a_token, of_another_kind, emptied])
@pytest.mark.parametrize("loader_files", ALL[:2], ids=["siglip2", "clip"])
def test_a_tokenizer_that_is_json_and_cannot_be_used_is_damage(
    loader_files: Any, tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    """The tokenizers library raises a bare Exception for the first two."""
    loader, files, _ = loader_files
    files.write(tmp_path)
    path = tmp_path / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    damage(tokenizer)
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(DamagedWeights, match=r"tokenizer: .*models verify"):
        loader.build_text_embedder(files.CARD, tmp_path, "cpu")


@pytest.mark.parametrize("loader_files", ALL[:2], ids=["siglip2", "clip"])
def test_a_config_of_wrong_types_is_damage_also_for_the_tokenizer(
    loader_files: Any, tmp_path: Path
) -> None:
    loader, files, _ = loader_files
    files.write(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["hidden_act"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(DamagedWeights, match=r"tokenizer: StrictDataclass.*'hidden_act'"):
        loader.build_text_embedder(files.CARD, tmp_path, "cpu")


def test_an_error_of_the_program_while_the_library_reads_is_not_called_damage() -> None:
    class Odd(Exception):
        pass

    with pytest.raises(Odd), library_reads(clip_files.CARD, Path(), "weights"):
        raise Odd
