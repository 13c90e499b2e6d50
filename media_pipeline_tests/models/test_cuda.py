"""Sessions, texts and captions on a GPU; skipped where there is none."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import OutOfDeviceMemory
from media_pipeline.models.loaders import blip, clip
from media_pipeline.models.sessions import CUDA_LANES, TorchSession
from media_pipeline_tests.models.checkpoints import blip as blip_files
from media_pipeline_tests.models.checkpoints import clip as clip_files
from media_pipeline_tests.models.loaders.captioners import are_lines, pictures
from media_pipeline_tests.models.small_loader import CLASSES, SIDE_PX, small_module

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

WEIGHTS = np.random.default_rng(0).normal(size=(CLASSES, 3, 4, 4)).astype(np.float32)

TF32_APART = 0.01
"""Of softmax outputs: convolutions on a GPU round their inputs to 10 bits of mantissa."""

MORE_THAN_ANY_GPU_BYTES = 1 << 44


def batch_of(count: int) -> NDArray[np.float32]:
    random = np.random.default_rng(count)
    return random.normal(size=(count, 3, SIDE_PX, SIDE_PX)).astype(np.float32)


def on_cpu(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return TorchSession(small_module(WEIGHTS)).run(batch)[0]


def test_a_gpu_answers_like_the_cpu() -> None:
    session = TorchSession(small_module(WEIGHTS), "cuda")
    (answer,) = session.run(batch_of(5))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, on_cpu(batch_of(5)), atol=TF32_APART)
    assert (session.is_parallel, session.lanes) == (False, CUDA_LANES)


def test_threads_that_share_pinned_memory_do_not_mix_up_their_batches() -> None:
    """Batches of other sizes go through the same pinned memory, on both lanes, many times."""
    session = TorchSession(small_module(WEIGHTS), "cuda")
    right = {count: on_cpu(batch_of(count)) for count in (1, 7, 3, 64)}
    wrong: list[int] = []

    def ask(order: list[int]) -> None:
        for count in order * 50:
            if not np.allclose(session.run(batch_of(count))[0], right[count], atol=TF32_APART):
                wrong.append(count)

    orders = [list(right), list(reversed(right)), [64, 1, 64, 3]]
    threads = [threading.Thread(target=ask, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    lanes = [session._lanes.get() for _ in range(session.lanes)]
    assert any(lane._pinned is not None for lane in lanes)
    assert all(lane._pinned.is_pinned() for lane in lanes if lane._pinned is not None)


def test_bf16_is_close_to_float32() -> None:
    session = TorchSession(small_module(WEIGHTS), "cuda", "bf16")
    (answer,) = session.run(batch_of(64))
    assert answer.dtype == np.float32
    difference = np.abs(answer - on_cpu(batch_of(64))).max()
    assert 0 < difference < 0.1


class Hungry(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Needs more memory than there is for more than one picture."""

    def forward(self, pixels: Any) -> tuple[Any]:
        if len(pixels) > 1:
            torch.empty(MORE_THAN_ANY_GPU_BYTES, dtype=torch.uint8, device=pixels.device)
        return (pixels.mean(dim=(2, 3)),)


def test_a_batch_that_does_not_fit_can_be_answered_in_parts() -> None:
    session = TorchSession(Hungry(), "cuda")
    for _ in range(CUDA_LANES + 1):  # no lane is lost
        with pytest.raises(OutOfDeviceMemory, match="the memory of cuda is full"):
            session.run(batch_of(2))
    one = batch_of(1)
    np.testing.assert_allclose(session.run(one)[0], one.mean(axis=(2, 3)), atol=1e-5)


def test_a_captioner_writes_on_a_gpu(tmp_path: Path) -> None:
    card = blip_files.write(tmp_path)
    captioner = blip.build_captioner(card, tmp_path, "cuda")
    inputs = [captioner.prepare(picture) for picture in pictures(5)]
    captions = captioner.infer(inputs)
    assert len(captions) == 5
    assert are_lines(captions)
    assert any(captions)
    assert captioner.infer(inputs) == captions


def test_texts_are_embedded_on_a_gpu_as_on_the_cpu(tmp_path: Path) -> None:
    card = clip_files.write(tmp_path)
    texts = ["a photo of a cat", "two dogs on the beach at sunset"]
    vectors = [
        clip.build_text_embedder(card, tmp_path, device).embed_texts(texts)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-2)
