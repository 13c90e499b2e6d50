"""ViT on small checkpoints, for labels and for safety: our path against the library's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from media_pipeline.errors import DamagedWeights, MissingWeights
from media_pipeline.models.loaders import vit
from media_pipeline.models.loaders.classifying import PictureClassifier, PictureSafetyRater
from media_pipeline.models.onnx_files import write_onnx
from media_pipeline.models.protocols import ClassLabel
from media_pipeline.models.sessions import OnnxSession, TorchSession
from media_pipeline_tests.models.checkpoints import vit as checkpoint
from media_pipeline_tests.models.checkpoints.damaging import (
    add_weight,
    drop_weight,
    edit_config,
    truncate,
    widen_weight,
)
from media_pipeline_tests.models.loaders.pictures import many

pytestmark = pytest.mark.slow  # torch and transformers are imported

# The names in google/vit-base-patch16-224 and Falconsai/nsfw_image_detection, which are older than
# the library's own names of today.
PUBLISHED_NAMES = {
    "vit.embeddings.cls_token",
    "vit.embeddings.position_embeddings",
    "vit.embeddings.patch_embeddings.projection",
    "vit.encoder.layer.0.attention.attention.query",
    "vit.encoder.layer.0.attention.attention.key",
    "vit.encoder.layer.0.attention.attention.value",
    "vit.encoder.layer.0.attention.output.dense",
    "vit.encoder.layer.0.intermediate.dense",
    "vit.encoder.layer.0.output.dense",
    "vit.encoder.layer.0.layernorm_before",
    "vit.encoder.layer.0.layernorm_after",
    "vit.layernorm",
    "classifier",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / checkpoint.CARD.id
    checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def safety_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / checkpoint.SAFETY_CARD.id
    checkpoint.write_safety(made)
    return made


@pytest.fixture(scope="module")
def classifier(folder: Path) -> PictureClassifier:
    made = vit.adapter(
        checkpoint.CARD, folder, TorchSession(vit.build_module(checkpoint.CARD, folder))
    )
    assert isinstance(made, PictureClassifier)
    return made


def librarys_shares(folder: Path, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Softmax outputs by the library's processor and model alone."""
    import torch
    from transformers import ViTForImageClassification, ViTImageProcessorPil

    model: Any = ViTForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = model(pixel_values=librarys_inputs(ViTImageProcessorPil, folder, pictures)).logits
    return np.asarray(logits.softmax(-1))


def librarys_inputs(kind: Any, folder: Path, pictures: list[NDArray[np.uint8]]) -> Any:
    images = [Image.fromarray(picture) for picture in pictures]
    return kind.from_pretrained(folder)(images, return_tensors="pt")["pixel_values"]


def test_preprocessing_is_that_of_the_checkpoints_processor(
    folder: Path, classifier: PictureClassifier
) -> None:
    from transformers import ViTImageProcessorPil

    ours = np.stack([classifier.prepare(picture) for picture in many()])
    theirs = librarys_inputs(ViTImageProcessorPil, folder, many()).numpy()
    assert np.abs(ours - theirs).max() < 1e-3


def test_answers_are_those_of_the_library(folder: Path, classifier: PictureClassifier) -> None:
    ours = np.stack(classifier.infer([classifier.prepare(picture) for picture in many()]))
    theirs = librarys_shares(folder, many())
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.abs(theirs[0] - theirs[2]).max() > 0.05, "the pictures must differ for this to mean"


def test_safety_is_the_share_of_the_class_nsfw(safety_folder: Path) -> None:
    card = checkpoint.SAFETY_CARD
    rater = vit.adapter(card, safety_folder, TorchSession(vit.build_module(card, safety_folder)))
    assert isinstance(rater, PictureSafetyRater)
    ours = rater.infer([rater.prepare(picture) for picture in many()])
    assert ours == pytest.approx(librarys_shares(safety_folder, many())[:, 1], abs=1e-3)
    assert max(ours) - min(ours) > 0.05


def test_an_export_agrees_with_torch_for_any_batch(
    folder: Path, classifier: PictureClassifier, tmp_path: Path
) -> None:
    module = vit.build_module(checkpoint.CARD, folder)
    assert write_onnx(module, checkpoint.CARD, tmp_path / "model.onnx") == "any"
    exported = vit.adapter(checkpoint.CARD, folder, OnnxSession(tmp_path / "model.onnx"))
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


def test_weights_have_the_names_of_the_published_checkpoints(folder: Path) -> None:
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="np") as weights:
        names = {
            name.removesuffix(".weight").removesuffix(".bias")
            for name in weights.keys()  # noqa: SIM118 - it is no mapping
            if ".layer.1." not in name
        }
    assert names == PUBLISHED_NAMES


def test_a_pooler_left_from_pretraining_does_not_matter(
    classifier: PictureClassifier, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path)
    add_weight(tmp_path, "vit.pooler.dense.bias")
    session = TorchSession(vit.build_module(checkpoint.CARD, tmp_path))
    again = vit.adapter(checkpoint.CARD, tmp_path, session)
    one = classifier.prepare(many(1)[0])
    assert np.abs(again.infer([one])[0] - classifier.infer([one])[0]).max() < 1e-6


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, "SafetensorError"),
        (lambda folder: (folder / "model.safetensors").write_text("<html>"), "SafetensorError"),
        (lambda folder: drop_weight(folder, "classifier.bias"), r"missing: classifier\.bias"),
        (lambda folder: add_weight(folder, "head.bias"), r"unexpected: head\.bias"),
        (
            lambda folder: widen_weight(folder, "classifier.bias"),
            r"another shape: classifier\.bias \(\(10,\), not \(5,\)\)",
        ),
        (lambda folder: edit_config(folder, model_type="deit"), "model_type 'deit'"),
        (lambda folder: (folder / "config.json").write_text("<html>"), r"config\.json is no JSON"),
    ],
)
def test_a_damaged_checkpoint_is_refused_with_the_remedy(
    damage: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path)
    damage(tmp_path)
    with pytest.raises(DamagedWeights, match=rf"'small-vit'.*{told}.*models verify small-vit"):
        vit.build_module(checkpoint.CARD, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_not_there_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingWeights, match=rf"no {name} for 'small-vit'.*models fetch small-vit"):
        vit.build_module(checkpoint.CARD, tmp_path)


@pytest.mark.parametrize("names", [{"0": "a", "2": "b"}, {"pug": "0"}, "pug", {}])
def test_classes_that_are_not_numbered_are_refused(
    names: object, classifier: PictureClassifier, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path)
    edit_config(tmp_path, id2label=names)
    with pytest.raises(DamagedWeights, match=r"id2label in config\.json does not number"):
        vit.adapter(checkpoint.CARD, tmp_path, classifier.session)
