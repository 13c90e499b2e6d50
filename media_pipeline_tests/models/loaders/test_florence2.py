"""Florence-2, taken through the library's own loading code on a small random checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_pipeline.errors import DamagedWeights, MissingWeights, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders import florence2
from media_pipeline.models.protocols import Captioner
from media_pipeline_tests.models.checkpoints import florence2 as checkpoint
from media_pipeline_tests.models.loaders.captioners import (
    are_lines,
    copied,
    export_difference,
    picture,
    pictures,
    rewrite_weights,
    with_parameters,
)

pytestmark = [
    pytest.mark.slow,
    # torch and onnxscript warn of their own coming changes while exporting
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint."""
    made = tmp_path_factory.mktemp("models") / checkpoint.CARD.id
    checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def captioner(folder: Path) -> Captioner:
    """The captioner of the checkpoint."""
    return florence2.build_captioner(checkpoint.CARD, folder, "cpu")


def captions(captioner: Captioner, count: int) -> list[str]:
    return captioner.infer([captioner.prepare(image) for image in pictures(count)])


def official(folder: Path, count: int, prompt: str = "<CAPTION>", **limits: Any) -> list[str]:
    """The captions by the library's documented path."""
    from transformers import AutoProcessor, Florence2ForConditionalGeneration

    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    model = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    inputs = processor(images=pictures(count), text=[prompt] * count, return_tensors="pt")
    tokens = model.generate(**inputs, do_sample=False, **limits)
    texts = processor.batch_decode(tokens, skip_special_tokens=True)
    return [" ".join(text.split()) for text in texts]


def test_preprocessing_is_that_of_the_library(folder: Path, captioner: Captioner) -> None:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    for image in [*pictures(12), picture(1, 1, 1), picture(2, 1, 700)]:
        expected = processor(images=Image.fromarray(image), return_tensors="np")["pixel_values"][0]
        ours = captioner.prepare(image)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("prompt", "beams"), [("<CAPTION>", 1), ("<CAPTION>", 3), ("<DETAILED_CAPTION>", 1)]
)
def test_captions_are_those_of_the_library(folder: Path, prompt: str, beams: int) -> None:
    card = with_parameters(checkpoint.CARD, num_beams=beams, prompt=prompt)
    ours = captions(florence2.build_captioner(card, folder, "cpu"), 12)

    limit = checkpoint.MAX_NEW_TOKENS
    theirs = official(folder, 12, prompt, max_new_tokens=limit, num_beams=beams)
    assert ours == theirs
    assert len(set(ours)) > 6, "the pictures must be told apart for this to mean anything"
    assert are_lines(ours)


def test_a_picture_alone_gets_the_caption_it_gets_among_32(captioner: Captioner) -> None:
    together = captions(captioner, 32)
    alone = [captioner.infer([captioner.prepare(image)])[0] for image in pictures(32)]
    assert alone == together


def test_no_caption_is_longer_than_the_limit(folder: Path, captioner: Captioner) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    card = with_parameters(checkpoint.CARD, max_new_tokens=5)
    short = captions(florence2.build_captioner(card, folder, "cpu"), 12)
    longest = max(len(text) for text in tokenizer.get_vocab())
    assert max(map(len, short)) <= 3 * longest  # of 5 tokens one starts and one ends
    assert max(map(len, short)) < max(map(len, captions(captioner, 12)))


def test_nothing_in_gives_nothing_out(captioner: Captioner) -> None:
    assert captioner.infer([]) == []


def test_the_picture_half_is_what_the_text_half_reads(folder: Path) -> None:
    import torch
    from transformers import Florence2ForConditionalGeneration

    whole = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    module = florence2.build_module(checkpoint.CARD, folder)
    batch = torch.randn(2, 3, checkpoint.SIDE_PX, checkpoint.SIDE_PX)
    with torch.inference_mode():
        (ours,) = module(batch)
        expected = whole.get_image_features(batch)
    assert not module.training
    assert ours.shape == (2, checkpoint.PICTURE_TOKENS, checkpoint.WIDTH)
    torch.testing.assert_close(ours, expected.pooler_output)


def test_the_export_of_the_picture_half_agrees_with_torch(folder: Path, tmp_path: Path) -> None:
    import torch

    module = florence2.build_module(checkpoint.CARD, folder)
    batch = torch.randn(3, 3, checkpoint.SIDE_PX, checkpoint.SIDE_PX)
    assert export_difference(module, batch, tmp_path / "model.onnx") < 1e-3


FILES = ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_there_is_named_with_the_remedy(
    folder: Path, tmp_path: Path, name: str
) -> None:
    broken = copied(folder, tmp_path / "broken")
    (broken / name).unlink()
    with pytest.raises(MissingWeights, match=rf"{name}.*models fetch small-florence2"):
        florence2.build_captioner(checkpoint.CARD, broken, "cpu")


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_is_damaged_and_the_remedy_is_named(
    folder: Path, tmp_path: Path, name: str
) -> None:
    broken = copied(folder, tmp_path / "broken")
    content = (broken / name).read_bytes()
    (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedWeights, match="models verify small-florence2"):
        florence2.build_captioner(checkpoint.CARD, broken, "cpu")


def test_missing_weights_are_not_filled_with_chance(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "broken")
    name = "model.multi_modal_projector.image_projection.weight"
    rewrite_weights(broken, lambda tensors: tensors.pop(name))
    with pytest.raises(DamagedWeights, match=r"1 weights missing.*image_projection"):
        florence2.build_module(checkpoint.CARD, broken)


def test_the_layout_with_a_preprocessor_config_is_read_too(
    folder: Path, tmp_path: Path, captioner: Captioner
) -> None:
    old = copied(folder, tmp_path / "old")
    processor = json.loads((old / "processor_config.json").read_text())
    pictures_part = processor.pop("image_processor")
    (old / "preprocessor_config.json").write_text(json.dumps(pictures_part))
    (old / "processor_config.json").write_text(json.dumps(processor))
    ours = captions(florence2.build_captioner(checkpoint.CARD, old, "cpu"), 4)
    assert ours == captions(captioner, 4)


def test_a_prompt_that_asks_for_boxes_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"'<OD>'.*<CAPTION>"):
        florence2.build_captioner(with_parameters(checkpoint.CARD, prompt="<OD>"), folder, "cpu")


def test_a_card_of_another_size_than_the_checkpoint_is_refused(folder: Path) -> None:
    how = checkpoint.CARD.preprocessing
    assert how is not None
    larger = how.model_copy(update={"height_px": 96, "width_px": 96})
    card: ModelCard = checkpoint.CARD.model_copy(update={"preprocessing": larger})
    with pytest.raises(UsageError, match=r"96 x 96 px: that gives 10 picture tokens.*expects 5"):
        florence2.build_captioner(card, folder, "cpu")
