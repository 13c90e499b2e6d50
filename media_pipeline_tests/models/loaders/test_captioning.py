"""What captioners share: limits, lines, and what a failing device means."""

from __future__ import annotations

import numpy as np
import pytest

from media_pipeline.errors import ModelError, OutOfDeviceMemory
from media_pipeline.models.loaders.captioning import (
    Decoding,
    TextCaptioner,
    generation_config,
    one_line,
)
from media_pipeline.models.torch_failures import failure_of
from media_pipeline_tests.models.checkpoints.blip import CARD

torch = pytest.importorskip("torch")

INPUT = np.zeros((3, 4, 4), dtype=np.float32)


def failing(error: Exception) -> TextCaptioner:
    def write(pixel_values: object) -> list[str]:
        raise error

    return TextCaptioner(CARD, "cpu", write)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  a dog\n on a\tbeach  ", "a dog on a beach"),
        ("two\u2028lines\x85and\x00more\x1b[0m", "two lines and more [0m"),
        (" \n ", ""),
        ("un café à la plage 🏖", "un café à la plage 🏖"),
    ],
)
def test_a_caption_is_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_model_with_nothing_to_say_gives_an_empty_caption() -> None:
    captioner = TextCaptioner(CARD, "cpu", lambda batch: [" "] * len(batch))
    assert captioner.infer([INPUT, INPUT]) == ["", ""]


def test_the_model_is_given_one_float32_batch_on_cpu() -> None:
    seen = []

    def write(batch: object) -> list[str]:
        seen.append(batch)
        return ["x", "y"]

    assert TextCaptioner(CARD, "cpu", write).infer([INPUT, INPUT + 1]) == ["x", "y"]
    assert [(tuple(batch.shape), batch.dtype) for batch in seen] == [((2, 3, 4, 4), torch.float32)]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
    ],
)
def test_a_batch_too_large_for_the_device_can_be_asked_again_in_halves(error: Exception) -> None:
    with pytest.raises(OutOfDeviceMemory, match="2 pictures at once") as raised:
        failing(error).infer([INPUT, INPUT])
    assert raised.value.__context__ is None, "the frames below would keep the batch in memory"


def test_an_error_of_the_program_is_not_called_one_of_the_device() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        failing(RuntimeError("size mismatch")).infer([INPUT])


def test_a_gpu_that_fails_is_an_error_of_the_model() -> None:
    lost = failure_of(CARD, "cuda:0", RuntimeError("CUDA error: unspecified launch failure"), "x")
    assert type(lost) is ModelError
    assert "nvidia-smi" in str(lost)
    assert failure_of(CARD, "cuda:0", RuntimeError("size mismatch"), "x") is None


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), 1),
        (RuntimeError("CUDA error: device-side assert triggered"), 0),
    ],
)
def test_only_after_an_error_of_memory_the_device_is_asked_to_free_some(
    error: Exception, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After another error of CUDA every call raises it again, and would hide our message."""
    asked: list[None] = []

    def empty_cache() -> None:
        asked.append(None)
        if calls == 0:
            raise error

    def write(pixel_values: object) -> list[str]:
        captioner._device = "cuda"  # there is no GPU here; the words are those of one
        raise error

    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    captioner = TextCaptioner(CARD, "cpu", write)
    with pytest.raises(ModelError) as caught:
        captioner.infer([INPUT])
    assert isinstance(caught.value, OutOfDeviceMemory) == bool(calls)
    assert len(asked) == calls


def test_our_limits_win_over_the_checkpoint_and_leave_it_as_it_is() -> None:
    transformers = pytest.importorskip("transformers")
    preset = transformers.GenerationConfig(
        max_length=20, num_beams=3, early_stopping=True, no_repeat_ngram_size=3, do_sample=True
    )
    greedy = generation_config(preset, Decoding(max_new_tokens=7))
    assert (greedy.max_new_tokens, greedy.num_beams, greedy.do_sample) == (7, 1, False)
    assert greedy.no_repeat_ngram_size == 3
    assert (preset.max_length, preset.num_beams, preset.do_sample) == (20, 3, True)
