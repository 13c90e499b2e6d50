"""BLIP, taken through the library's own loading code on a small random checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media_pipeline.errors import (
    DamagedWeights,
    MissingWeights,
    ModelError,
    ShapeError,
    UsageError,
)
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.loaders import blip
from media_pipeline.models.protocols import Captioner
from media_pipeline_tests.models.checkpoints import blip as checkpoint
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

WORD_EMBEDDINGS = "text_decoder.bert.embeddings.word_embeddings.weight"
PREDICTIONS = "text_decoder.cls.predictions"
WORD_SCORES = f"{PREDICTIONS}.decoder.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint."""
    made = tmp_path_factory.mktemp("models") / checkpoint.CARD.id
    checkpoint.write(made)
    return made


@pytest.fixture(scope="module")
def captioner(folder: Path) -> Captioner:
    """The captioner of the checkpoint."""
    return blip.build_captioner(checkpoint.CARD, folder, "cpu")


def captions(captioner: Captioner, count: int) -> list[str]:
    return captioner.infer([captioner.prepare(image) for image in pictures(count)])


def official(folder: Path, count: int, **limits: Any) -> list[str]:
    """The captions by the library's documented path."""
    from transformers import BlipForConditionalGeneration, BlipProcessor

    processor = BlipProcessor.from_pretrained(folder, backend="pil")
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    inputs = processor(images=pictures(count), return_tensors="pt")
    tokens = model.generate(**inputs, do_sample=False, **limits)
    return [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]


def test_preprocessing_is_that_of_the_library(folder: Path, captioner: Captioner) -> None:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    for image in [*pictures(12), picture(1, 1, 1), picture(2, 1, 700)]:
        expected = processor(images=Image.fromarray(image), return_tensors="np")["pixel_values"][0]
        ours = captioner.prepare(image)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, atol=1e-3)


@pytest.mark.parametrize("beams", [1, 3])
def test_captions_are_those_of_the_library(folder: Path, beams: int) -> None:
    card = with_parameters(checkpoint.CARD, num_beams=beams)
    ours = captions(blip.build_captioner(card, folder, "cpu"), 12)

    limit = checkpoint.MAX_NEW_TOKENS
    assert ours == official(folder, 12, max_new_tokens=limit, num_beams=beams)
    assert len(set(ours)) > 6, "the pictures must be told apart for this to mean anything"
    assert are_lines(ours)


def test_a_picture_alone_gets_the_caption_it_gets_among_32(captioner: Captioner) -> None:
    together = captions(captioner, 32)
    alone = [captioner.infer([captioner.prepare(image)])[0] for image in pictures(32)]
    assert alone == together


def test_no_caption_is_longer_than_the_limit(folder: Path, captioner: Captioner) -> None:
    short = blip.build_captioner(with_parameters(checkpoint.CARD, max_new_tokens=3), folder, "cpu")
    assert max(len(text.split()) for text in captions(short, 12)) == 3  # a word is one token here
    assert max(len(text.split()) for text in captions(captioner, 12)) > 3


def test_nothing_in_gives_nothing_out(captioner: Captioner) -> None:
    assert captioner.infer([]) == []


def test_the_captioner_is_asked_by_one_thread_at_a_time(captioner: Captioner) -> None:
    assert captioner.is_parallel is False
    assert captioner.card == checkpoint.CARD


def test_something_that_is_no_picture_is_refused(captioner: Captioner) -> None:
    with pytest.raises(ShapeError):
        captioner.prepare(np.zeros((4, 4), dtype=np.uint8))


def test_the_picture_half_is_what_the_text_half_looks_at(folder: Path) -> None:
    import torch
    from transformers import BlipForConditionalGeneration

    whole = BlipForConditionalGeneration.from_pretrained(folder).eval()
    module = blip.build_module(checkpoint.CARD, folder)
    batch = torch.randn(2, 3, checkpoint.SIDE_PX, checkpoint.SIDE_PX)
    with torch.inference_mode():
        (ours,) = module(batch)
        expected = whole(pixel_values=batch, input_ids=torch.ones(2, 1, dtype=torch.long))
    assert not module.training
    assert ours.shape == (2, 10, checkpoint.WIDTH)  # 3 x 3 patches of 16 px and the class token
    torch.testing.assert_close(ours, expected.image_embeds)


def test_the_export_of_the_picture_half_agrees_with_torch(folder: Path, tmp_path: Path) -> None:
    import torch

    module = blip.build_module(checkpoint.CARD, folder)
    batch = torch.randn(3, 3, checkpoint.SIDE_PX, checkpoint.SIDE_PX)
    assert export_difference(module, batch, tmp_path / "model.onnx") < 1e-3


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_that_is_not_there_is_named_with_the_remedy(
    folder: Path, tmp_path: Path, name: str
) -> None:
    broken = copied(folder, tmp_path / "broken")
    (broken / name).unlink()
    with pytest.raises(MissingWeights, match=rf"{name}.*models fetch small-blip"):
        blip.build_captioner(checkpoint.CARD, broken, "cpu")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_cut_off_is_damaged_and_the_remedy_is_named(
    folder: Path, tmp_path: Path, name: str
) -> None:
    broken = copied(folder, tmp_path / "broken")
    content = (broken / name).read_bytes()
    (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedWeights, match="models verify small-blip"):
        blip.build_captioner(checkpoint.CARD, broken, "cpu")


def test_missing_weights_are_not_filled_with_chance(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "broken")
    rewrite_weights(broken, lambda tensors: tensors.pop("vision_model.post_layernorm.weight"))
    with pytest.raises(DamagedWeights, match=r"1 weights missing.*post_layernorm"):
        blip.build_module(checkpoint.CARD, broken)


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "broken")

    def add(tensors: dict[str, Any]) -> None:
        tensors["itm_head.weight"] = tensors["vision_model.post_layernorm.weight"].clone()

    rewrite_weights(broken, add)
    with pytest.raises(DamagedWeights, match=r"unexpected.*itm_head"):
        blip.build_module(checkpoint.CARD, broken)


def test_weights_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "broken")

    def cut(tensors: dict[str, Any]) -> None:
        tensors[WORD_EMBEDDINGS] = tensors[WORD_EMBEDDINGS][:-1].clone()

    rewrite_weights(broken, cut)
    with pytest.raises(DamagedWeights, match="another shape"):
        blip.build_captioner(checkpoint.CARD, broken, "cpu")


def test_a_checkpoint_of_another_architecture_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "broken")
    text = (broken / "config.json").read_text()
    (broken / "config.json").write_text(text.replace('"blip"', '"clip"'))
    with pytest.raises(DamagedWeights, match="'clip'"):
        blip.build_captioner(checkpoint.CARD, broken, "cpu")


def test_tied_weights_may_be_saved_under_either_name_and_with_old_counters(
    folder: Path, tmp_path: Path, captioner: Captioner
) -> None:
    import torch

    old = copied(folder, tmp_path / "old")

    def as_saved_years_ago(tensors: dict[str, Any]) -> None:
        tensors[WORD_SCORES] = tensors.pop(WORD_EMBEDDINGS)
        tensors[f"{PREDICTIONS}.decoder.bias"] = tensors.pop(f"{PREDICTIONS}.bias")
        tensors["text_decoder.bert.embeddings.position_ids"] = torch.arange(64)[None]

    rewrite_weights(old, as_saved_years_ago)
    assert captions(blip.build_captioner(checkpoint.CARD, old, "cpu"), 4) == captions(captioner, 4)


@pytest.mark.parametrize(
    ("name", "value"), [("max_new_tokens", 0), ("max_new_tokens", "20"), ("num_beams", 1.5)]
)
def test_a_card_with_an_impossible_limit_is_refused(folder: Path, name: str, value: Any) -> None:
    card = with_parameters(checkpoint.CARD, **{name: value})
    with pytest.raises(UsageError, match=rf"{name} {value!r}"):
        blip.build_captioner(card, folder, "cpu")


def test_a_card_without_a_limit_is_refused(folder: Path) -> None:
    card: ModelCard = checkpoint.CARD.model_copy(update={"parameters": {}})
    with pytest.raises(UsageError, match="max_new_tokens None"):
        blip.build_captioner(card, folder, "cpu")


def test_a_card_without_preprocessing_is_refused(folder: Path) -> None:
    card: ModelCard = checkpoint.CARD.model_copy(update={"preprocessing": None})
    with pytest.raises(UsageError, match="preprocessing"):
        blip.build_captioner(card, folder, "cpu")


def test_a_device_that_is_not_there_is_an_error_with_a_remedy(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ModelError, match="device cpu"):
        blip.build_captioner(checkpoint.CARD, folder, "cuda")
