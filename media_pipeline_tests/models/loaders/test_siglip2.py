"""SigLIP 2 on a small checkpoint: our path against the library's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_pipeline.errors import DamagedWeights
from media_pipeline.models.loaders import siglip2
from media_pipeline.models.onnx_files import write_onnx
from media_pipeline.models.sessions import OnnxSession, TorchSession
from media_pipeline_tests.models.checkpoints import siglip2 as checkpoint
from media_pipeline_tests.models.checkpoints.damaging import drop_weight, edit_config
from media_pipeline_tests.models.loaders.pictures import many

pytestmark = pytest.mark.slow  # torch and transformers are imported

TEXTS = ("a photo of a cat", "A Photo Of A CAT", "x", "größer ☃", "dogs on the beach " * 40, "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / checkpoint.CARD.id
    checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def embedder(folder: Path) -> siglip2.PictureEmbedder:
    session = TorchSession(siglip2.build_module(checkpoint.CARD, folder))
    return siglip2.adapter(checkpoint.CARD, folder, session)


@pytest.fixture(scope="module")
def texts(folder: Path) -> siglip2.SpaceTexts:
    return siglip2.build_text_embedder(checkpoint.CARD, folder, "cpu")


@pytest.fixture(scope="module")
def library_model(folder: Path) -> Any:
    from transformers import SiglipModel

    return SiglipModel.from_pretrained(folder).eval()


def processed(folder: Path) -> Any:
    from transformers import SiglipImageProcessorPil

    processor = SiglipImageProcessorPil.from_pretrained(folder)
    # By itself the library takes a picture of one row for one of channels first.
    found = processor(many(), input_data_format="channels_last", return_tensors="pt")
    return found["pixel_values"]


def test_preprocessing_is_that_of_the_library(
    folder: Path, embedder: siglip2.PictureEmbedder
) -> None:
    ours = np.stack([embedder.prepare(picture) for picture in many()])
    assert np.abs(ours - processed(folder).numpy()).max() < 1e-3


def test_picture_vectors_are_those_of_the_library(
    folder: Path, embedder: siglip2.PictureEmbedder, library_model: Any
) -> None:
    import torch

    ours = np.stack(embedder.infer([embedder.prepare(picture) for picture in many()]))
    with torch.inference_mode():
        found = library_model.get_image_features(processed(folder)).pooler_output
    theirs = torch.nn.functional.normalize(found).numpy()
    assert ours.shape == (len(many()), checkpoint.DIM)
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.abs(theirs[0] - theirs[1]).max() > 0.01, "the pictures must differ for this to mean"


def test_text_vectors_are_those_of_the_library_for_lower_case(
    folder: Path, texts: siglip2.SpaceTexts, library_model: Any
) -> None:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(
        [text.lower() for text in TEXTS],
        padding="max_length",
        max_length=64,
        truncation=True,
        return_tensors="pt",
    )
    assert "attention_mask" not in tokens
    with torch.inference_mode():
        found = library_model.get_text_features(**tokens).pooler_output
    theirs = torch.nn.functional.normalize(found).numpy()
    assert np.abs(texts.embed_texts(TEXTS) - theirs).max() < 1e-3
    assert np.abs(theirs[0] - theirs[2]).max() > 0.01


def test_capitals_do_not_matter(texts: siglip2.SpaceTexts) -> None:
    small, capital = texts.embed_texts(TEXTS[:2])
    assert np.array_equal(small, capital)


def test_the_end_of_a_text_is_marked_even_where_the_tokenizer_forgets_it(
    texts: siglip2.SpaceTexts, tmp_path: Path
) -> None:
    checkpoint.write(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "post_processor": None}))
    forgetful = siglip2.build_text_embedder(checkpoint.CARD, tmp_path, "cpu")
    assert np.abs(forgetful.embed_texts(TEXTS) - texts.embed_texts(TEXTS)).max() < 1e-6


def test_a_text_alone_is_embedded_as_among_many(texts: siglip2.SpaceTexts) -> None:
    among_many = texts.embed_texts([f"a photo of {number} cats" for number in range(70)])
    assert np.abs(texts.embed_texts(["a photo of 66 cats"])[0] - among_many[66]).max() < 1e-4


def test_scores_are_those_of_the_library(
    folder: Path, embedder: siglip2.PictureEmbedder, texts: siglip2.SpaceTexts, library_model: Any
) -> None:
    import torch

    pictures = np.stack(embedder.infer([embedder.prepare(picture) for picture in many()]))
    words = ["a photo of a cat", "a drawing of a horse"]
    ours = pictures @ texts.embed_texts(words).T * texts.logit_scale + texts.logit_bias
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(
        words, padding="max_length", max_length=64, return_tensors="pt"
    )
    with torch.inference_mode():
        theirs = library_model(pixel_values=processed(folder), **tokens).logits_per_image.numpy()
    assert texts.logit_scale == pytest.approx(np.exp(checkpoint.LOGIT_SCALE))
    assert texts.logit_bias == checkpoint.LOGIT_BIAS
    assert np.abs(ours - theirs).max() < 1e-3


def test_no_texts_give_no_rows(texts: siglip2.SpaceTexts) -> None:
    assert texts.embed_texts([]).shape == (0, checkpoint.DIM)


def test_an_export_agrees_with_torch_for_any_batch(
    folder: Path, embedder: siglip2.PictureEmbedder, tmp_path: Path
) -> None:
    module = siglip2.build_module(checkpoint.CARD, folder)
    assert write_onnx(module, checkpoint.CARD, tmp_path / "model.onnx") == "any"
    exported = siglip2.adapter(checkpoint.CARD, folder, OnnxSession(tmp_path / "model.onnx"))
    inputs = [embedder.prepare(picture) for picture in many(5)]
    for count in (1, 5):
        ours = np.stack(exported.infer(inputs[:count]))
        assert np.abs(ours - np.stack(embedder.infer(inputs[:count]))).max() < 1e-3


def test_a_picture_alone_is_embedded_as_among_32(embedder: siglip2.PictureEmbedder) -> None:
    inputs = [embedder.prepare(picture) for picture in many(32)]
    alone = np.stack([embedder.infer([one])[0] for one in inputs])
    assert np.abs(alone - np.stack(embedder.infer(inputs))).max() < 1e-4


def test_a_checkpoint_that_takes_patches_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    edit_config(tmp_path, model_type="siglip2")
    with pytest.raises(DamagedWeights, match=r"'siglip2'.*'siglip'.*models fetch small-siglip2"):
        siglip2.build_module(checkpoint.CARD, tmp_path)


def test_a_damaged_text_half_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    drop_weight(tmp_path, "text_model.head.weight")
    with pytest.raises(DamagedWeights, match=r"missing: head\.weight"):
        siglip2.build_text_embedder(checkpoint.CARD, tmp_path, "cpu")


def test_a_checkpoint_without_its_scale_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    drop_weight(tmp_path, "logit_scale")
    with pytest.raises(DamagedWeights, match="logit_scale"):
        siglip2.build_text_embedder(checkpoint.CARD, tmp_path, "cpu")
