"""CLIP on a small checkpoint: our path against the library's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_pipeline.errors import DamagedWeights
from media_pipeline.models.loaders import clip
from media_pipeline.models.onnx_files import write_onnx
from media_pipeline.models.sessions import OnnxSession, TorchSession
from media_pipeline_tests.models.checkpoints import clip as checkpoint
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
def embedder(folder: Path) -> clip.PictureEmbedder:
    session = TorchSession(clip.build_module(checkpoint.CARD, folder))
    return clip.adapter(checkpoint.CARD, folder, session)


@pytest.fixture(scope="module")
def texts(folder: Path) -> clip.SpaceTexts:
    return clip.build_text_embedder(checkpoint.CARD, folder, "cpu")


@pytest.fixture(scope="module")
def library_model(folder: Path) -> Any:
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(folder).eval()


def processed(folder: Path) -> Any:
    from transformers import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil.from_pretrained(folder)
    # By itself the library takes a picture of one row for one of channels first.
    found = processor(many(), input_data_format="channels_last", return_tensors="pt")
    return found["pixel_values"]


def test_preprocessing_is_that_of_the_library(folder: Path, embedder: clip.PictureEmbedder) -> None:
    ours = np.stack([embedder.prepare(picture) for picture in many()])
    assert np.abs(ours - processed(folder).numpy()).max() < 1e-3


def test_picture_vectors_are_those_of_the_library(
    folder: Path, embedder: clip.PictureEmbedder, library_model: Any
) -> None:
    import torch

    ours = np.stack(embedder.infer([embedder.prepare(picture) for picture in many()]))
    with torch.inference_mode():
        found = library_model.get_image_features(processed(folder)).pooler_output
    theirs = torch.nn.functional.normalize(found).numpy()
    assert ours.shape == (len(many()), checkpoint.DIM)
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.abs(theirs[0] - theirs[1]).max() > 0.01, "the pictures must differ for this to mean"


def test_text_vectors_are_those_of_the_library(
    folder: Path, texts: clip.SpaceTexts, library_model: Any
) -> None:
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(
        list(TEXTS), padding=True, max_length=77, truncation=True, return_tensors="pt"
    )
    with torch.inference_mode():
        found = library_model.get_text_features(**tokens).pooler_output
    theirs = torch.nn.functional.normalize(found).numpy()
    assert np.abs(texts.embed_texts(TEXTS) - theirs).max() < 1e-3
    assert np.abs(theirs[0] - theirs[2]).max() > 0.01


def test_a_short_text_alone_is_embedded_as_among_long_ones(texts: clip.SpaceTexts) -> None:
    among_many = texts.embed_texts(["x" * number for number in range(1, 71)])
    assert np.abs(texts.embed_texts(["x"])[0] - among_many[0]).max() < 1e-4


def test_scores_are_those_of_the_library(
    folder: Path, embedder: clip.PictureEmbedder, texts: clip.SpaceTexts, library_model: Any
) -> None:
    import torch
    from transformers import AutoTokenizer

    pictures = np.stack(embedder.infer([embedder.prepare(picture) for picture in many()]))
    words = ["a photo of a cat", "a drawing of a horse"]
    ours = pictures @ texts.embed_texts(words).T * texts.logit_scale
    tokens = AutoTokenizer.from_pretrained(folder)(words, padding=True, return_tensors="pt")
    with torch.inference_mode():
        theirs = library_model(pixel_values=processed(folder), **tokens).logits_per_image.numpy()
    assert texts.logit_scale == pytest.approx(np.exp(checkpoint.LOGIT_SCALE))
    assert texts.logit_bias == 0
    assert np.abs(ours - theirs).max() < 1e-3


def test_no_texts_give_no_rows(texts: clip.SpaceTexts) -> None:
    assert texts.embed_texts([]).shape == (0, checkpoint.DIM)


def test_an_export_agrees_with_torch_for_any_batch(
    folder: Path, embedder: clip.PictureEmbedder, tmp_path: Path
) -> None:
    module = clip.build_module(checkpoint.CARD, folder)
    assert write_onnx(module, checkpoint.CARD, tmp_path / "model.onnx") == "any"
    exported = clip.adapter(checkpoint.CARD, folder, OnnxSession(tmp_path / "model.onnx"))
    inputs = [embedder.prepare(picture) for picture in many(5)]
    for count in (1, 5):
        ours = np.stack(exported.infer(inputs[:count]))
        assert np.abs(ours - np.stack(embedder.infer(inputs[:count]))).max() < 1e-3


def test_a_picture_alone_is_embedded_as_among_32(embedder: clip.PictureEmbedder) -> None:
    inputs = [embedder.prepare(picture) for picture in many(32)]
    alone = np.stack([embedder.infer([one])[0] for one in inputs])
    assert np.abs(alone - np.stack(embedder.infer(inputs))).max() < 1e-4


def test_the_length_of_vectors_is_read_where_the_whole_model_reads_it(
    tmp_path: Path, embedder: clip.PictureEmbedder
) -> None:
    checkpoint.write(tmp_path)
    config = clip.read_config(checkpoint.CARD, tmp_path, "clip")
    for half in ("text_config", "vision_config"):
        edit_config(tmp_path, **{half: {**config[half], "projection_dim": 512}})
    session = TorchSession(clip.build_module(checkpoint.CARD, tmp_path))
    again = clip.adapter(checkpoint.CARD, tmp_path, session)
    one = embedder.prepare(many(1)[0])
    assert np.array_equal(again.infer([one])[0], embedder.infer([one])[0])
    found = clip.build_text_embedder(checkpoint.CARD, tmp_path, "cpu").embed_texts(["x"])
    assert found.shape == (1, checkpoint.DIM)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    text = clip.read_config(checkpoint.CARD, tmp_path, "clip")["text_config"]
    edit_config(tmp_path, text_config={**text, "vocab_size": 300})
    with pytest.raises(DamagedWeights, match=r"598 tokens, its model 300.*models verify"):
        clip.build_text_embedder(checkpoint.CARD, tmp_path, "cpu")


def test_a_damaged_text_half_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path)
    drop_weight(tmp_path, "text_projection.weight")
    with pytest.raises(DamagedWeights, match=r"missing: text_projection\.weight"):
        clip.build_text_embedder(checkpoint.CARD, tmp_path, "cpu")
