"""timm on a small checkpoint: our path against the library's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_pipeline.errors import DamagedWeights, MissingWeights, UsageError
from media_pipeline.models.loaders import timm
from media_pipeline.models.loaders.classifying import PictureClassifier
from media_pipeline.models.onnx_files import write_onnx
from media_pipeline.models.protocols import ClassLabel
from media_pipeline.models.sessions import OnnxSession, TorchSession
from media_pipeline_tests.models.checkpoints import timm as checkpoint
from media_pipeline_tests.models.checkpoints.damaging import (
    add_weight,
    drop_weight,
    edit_config,
    truncate,
    widen_weight,
)
from media_pipeline_tests.models.loaders.pictures import many

pytestmark = pytest.mark.slow  # torch and timm are imported


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / checkpoint.CARD.id
    checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def classifier(folder: Path) -> PictureClassifier:
    session = TorchSession(timm.build_module(checkpoint.CARD, folder))
    return timm.adapter(checkpoint.CARD, folder, session)


@pytest.fixture(scope="module")
def library_model(folder: Path) -> Any:
    import timm as library

    return library.create_model(f"local-dir:{folder}", pretrained=True).eval()


@pytest.fixture(scope="module")
def transform(library_model: Any) -> Any:
    from timm.data import create_transform, resolve_model_data_config

    return create_transform(**resolve_model_data_config(library_model), is_training=False)


def test_preprocessing_is_that_of_the_library(
    transform: Any, classifier: PictureClassifier
) -> None:
    for picture in many():
        theirs = transform(Image.fromarray(picture)).numpy()
        assert np.abs(classifier.prepare(picture) - theirs).max() < 1e-3


def test_answers_are_those_of_the_library(
    library_model: Any, transform: Any, classifier: PictureClassifier
) -> None:
    import torch

    ours = np.stack(classifier.infer([classifier.prepare(picture) for picture in many()]))
    stack = torch.stack([transform(Image.fromarray(picture)) for picture in many()])
    with torch.inference_mode():
        theirs = library_model(stack).softmax(-1).numpy()
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.abs(theirs[0] - theirs[2]).max() > 0.05, "the pictures must differ for this to mean"


def test_an_export_agrees_with_torch_for_any_batch(
    folder: Path, classifier: PictureClassifier, tmp_path: Path
) -> None:
    module = timm.build_module(checkpoint.CARD, folder)
    assert write_onnx(module, checkpoint.CARD, tmp_path / "model.onnx") == "any"
    exported = timm.adapter(checkpoint.CARD, folder, OnnxSession(tmp_path / "model.onnx"))
    inputs = [classifier.prepare(picture) for picture in many(5)]
    for count in (1, 5):
        ours = np.stack(exported.infer(inputs[:count]))
        assert np.abs(ours - np.stack(classifier.infer(inputs[:count]))).max() < 1e-3


def test_a_picture_alone_is_answered_as_among_32(classifier: PictureClassifier) -> None:
    inputs = [classifier.prepare(picture) for picture in many(32)]
    alone = np.stack([classifier.infer([one])[0] for one in inputs])
    assert np.abs(alone - np.stack(classifier.infer(inputs))).max() < 1e-4


def test_classes_have_the_names_of_the_checkpoint(classifier: PictureClassifier) -> None:
    assert classifier.labels == tuple(ClassLabel(name, None) for name in checkpoint.CLASSES)


def test_a_checkpoint_with_1000_classes_has_those_of_imagenet(
    classifier: PictureClassifier, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "mobilenetv3_small_100"}))
    card = checkpoint.CARD.model_copy(update={"labels": "imagenet-1k"})
    labels = timm.adapter(card, tmp_path, classifier.session).labels
    assert labels[254] == ClassLabel("pug", "pug.n.01")


def test_another_number_of_classes_than_imagenet_has_is_refused(
    folder: Path, classifier: PictureClassifier
) -> None:
    card = checkpoint.CARD.model_copy(update={"labels": "imagenet-1k"})
    with pytest.raises(DamagedWeights, match="has 7 classes, imagenet-1k has 1000"):
        timm.adapter(card, folder, classifier.session)


def test_classes_that_nobody_names_are_refused(
    classifier: PictureClassifier, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    with pytest.raises(UsageError, match=r"names the 1000 classes.*labels = \"imagenet-1k\""):
        timm.adapter(checkpoint.CARD, tmp_path, classifier.session)


def test_too_few_class_names_are_refused(classifier: PictureClassifier, tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    edit_config(tmp_path, label_names=["pug"])
    with pytest.raises(DamagedWeights, match=r"label_names in config\.json are not the names of 7"):
        timm.adapter(checkpoint.CARD, tmp_path, classifier.session)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, "SafetensorError"),
        (lambda folder: (folder / "model.safetensors").write_text("<html>"), "SafetensorError"),
        (lambda folder: drop_weight(folder, "classifier.bias"), r"Missing.*classifier\.bias"),
        (lambda folder: add_weight(folder, "head.bias"), r"Unexpected.*head\.bias"),
        (lambda folder: widen_weight(folder, "classifier.bias"), r"size mismatch.*\[14\]"),
        (lambda folder: edit_config(folder, num_classes=1000), "says 1000 classes"),
        (lambda folder: edit_config(folder, num_classes=1000, model_args={}), "size mismatch"),
        (lambda folder: edit_config(folder, architecture="resnet_9000"), "resnet_9000"),
        (lambda folder: edit_config(folder, architecture=None), "names no architecture"),
        (lambda folder: (folder / "config.json").write_text("<html>"), r"config\.json is no JSON"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_remedy(
    damage: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path)
    damage(tmp_path)
    remedy = "models verify small-mobilenet"
    with pytest.raises(DamagedWeights, match=rf"'small-mobilenet'.*{told}.*{remedy}"):
        timm.build_module(checkpoint.CARD, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_not_there_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingWeights, match=rf"no {name} for 'small-mob.*models fetch small-mob"):
        timm.build_module(checkpoint.CARD, tmp_path)


def test_a_pickle_is_never_read_in_place_of_missing_weights(tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(MissingWeights, match=r"no model\.safetensors"):
        timm.build_module(checkpoint.CARD, tmp_path)
