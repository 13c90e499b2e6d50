"""Sessions: three runtimes give the same answers, and fail in our words."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, MissingWeights, ModelError, OutOfDeviceMemory
from media_pipeline.models.sessions import (
    OnnxSession,
    OpenVinoSession,
    Session,
    TorchSession,
    lanes_of,
)
from media_pipeline_tests.models.fake_models import Adder, FakeSession
from media_pipeline_tests.models.small_loader import CLASSES, SIDE_PX, small_module

torch = pytest.importorskip("torch")

WEIGHTS = np.random.default_rng(0).normal(size=(CLASSES, 3, 4, 4)).astype(np.float32)
BOTH = pytest.mark.parametrize("runtime", [OnnxSession, OpenVinoSession])


def batch_of(count: int) -> NDArray[np.float32]:
    random = np.random.default_rng(count)
    return random.normal(size=(count, 3, SIDE_PX, SIDE_PX)).astype(np.float32)


def answer_by_hand(batch: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the module computes: 4 windows of 4 x 4, their mean, softmax."""
    bias = small_module(WEIGHTS).convolution.bias.numpy()
    windows = batch.reshape(len(batch), 3, 2, 4, 2, 4).astype(np.float64)
    scores = np.einsum("nciyjx,kcyx->nk", windows, WEIGHTS) / 4 + bias
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    answer: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return answer


@pytest.fixture(scope="module", params=["any", "1"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file whose first axis is free, and one where it is fixed to 1."""
    path = tmp_path_factory.mktemp("card") / "exports" / "model.onnx"
    path.parent.mkdir()
    free = ({0: torch.export.Dim.DYNAMIC},) if request.param == "any" else None
    example = (torch.from_numpy(batch_of(2 if free else 1)),)
    module = small_module(WEIGHTS)
    torch.onnx.export(
        module, example, path, dynamic_shapes=free, dynamo=True, external_data=False, verbose=False
    )
    return path


def session_of(runtime: Any, path: Path) -> Session:
    if runtime is OpenVinoSession:
        pytest.importorskip("openvino")
    session: Session = runtime(path)
    return session


@BOTH
@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_exported_model_answers_as_computed_by_hand(
    runtime: Any, exported: Path, count: int
) -> None:
    (answer,) = session_of(runtime, exported).run(batch_of(count))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, answer_by_hand(batch_of(count)), atol=1e-5)


def test_torch_answers_as_computed_by_hand() -> None:
    session = TorchSession(small_module(WEIGHTS))
    (answer,) = session.run(batch_of(3))
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, answer_by_hand(batch_of(3)), atol=1e-5)
    assert (session.is_parallel, session.lanes) == (False, 1)


def test_openvino_in_bf16_is_nearly_right(exported: Path) -> None:
    pytest.importorskip("openvino")
    (answer,) = OpenVinoSession(exported, "bf16").run(batch_of(4))
    np.testing.assert_allclose(answer, answer_by_hand(batch_of(4)), atol=0.05)


@BOTH
def test_threads_do_not_mix_up_their_answers(runtime: Any, exported: Path) -> None:
    session = session_of(runtime, exported)
    assert session.is_parallel
    wrong: list[int] = []
    right = {count: answer_by_hand(batch_of(count)) for count in (1, 2, 3, 4)}

    def ask(count: int) -> None:
        kept = [session.run(batch_of(count))[0] for _ in range(20)]
        if not all(np.allclose(answer, right[count], atol=1e-5) for answer in kept):
            wrong.append(count)

    threads = [threading.Thread(target=ask, args=(count,)) for count in right]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@BOTH
def test_a_missing_file_names_the_command_that_makes_it(runtime: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="models export mycard"):
        session_of(runtime, tmp_path / "mycard" / "exports" / "model.onnx")


@BOTH
@pytest.mark.parametrize("damage", ["empty", "garbage", "cut"])
def test_a_damaged_file_is_said_to_be_damaged(
    runtime: Any, exported: Path, tmp_path: Path, damage: str
) -> None:
    whole = exported.read_bytes()
    content = {"empty": b"", "garbage": bytes(range(256)) * 8, "cut": whole[: len(whole) // 2]}
    path = tmp_path / "mycard" / "exports" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(content[damage])
    with pytest.raises(DamagedWeights, match="models export mycard"):
        session_of(runtime, path).run(batch_of(1))


@BOTH
def test_an_input_of_another_shape_is_an_error_of_the_model(runtime: Any, exported: Path) -> None:
    with pytest.raises(ModelError, match=r"\(1, 3, 9, 9\)"):
        session_of(runtime, exported).run(np.zeros((1, 3, 9, 9), dtype=np.float32))


# -- torch's errors in our words -----------------------------------------------------------------


class Failing(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, pixel_values: Any) -> Any:
        raise self.error


def test_memory_that_is_full_can_be_answered_with_a_smaller_batch() -> None:
    session = TorchSession(Failing(torch.OutOfMemoryError("CUDA out of memory. Tried to ...")))
    with pytest.raises(OutOfDeviceMemory, match="Tried to"):
        session.run(batch_of(2))


def test_memory_that_is_missing_on_the_cpu_is_recognised() -> None:
    said = "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
    with pytest.raises(OutOfDeviceMemory):
        TorchSession(Failing(RuntimeError(said.replace("can't", "cannot")))).run(batch_of(2))


def test_an_error_of_the_program_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        TorchSession(Failing(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))).run(
            batch_of(2)
        )


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory",
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_memory_that_is_full_is_recognised_by_its_words(said: str) -> None:
    session = TorchSession(Failing(RuntimeError(f"{said}\nCompile with ...")))
    session._is_cuda = True  # there is no GPU here; the words are those of one
    with pytest.raises(OutOfDeviceMemory, match=re.escape(said)):
        session.run(batch_of(2))


def test_a_tensor_on_the_wrong_device_is_an_error_of_the_program() -> None:
    said = "Expected all tensors to be on the same device, but found cuda:0 and cpu!"
    session = TorchSession(Failing(RuntimeError(said)))
    session._is_cuda = True
    with pytest.raises(RuntimeError, match="same device"):
        session.run(batch_of(2))


@pytest.mark.parametrize(
    "said",
    ["CUDA error: device-side assert triggered", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"],
)
def test_a_gpu_that_fails_is_an_error_with_a_remedy(said: str) -> None:
    session = TorchSession(Failing(RuntimeError(f"{said}\nCompile with ...")))
    session._is_cuda = True  # there is no GPU here; the words are those of one
    with pytest.raises(ModelError, match=f"{said}.*run the same command again") as caught:
        session.run(batch_of(2))
    assert not isinstance(caught.value, OutOfDeviceMemory)


def test_after_an_error_of_memory_nothing_holds_the_tensors_of_the_failed_batch() -> None:
    import weakref

    kept: list[weakref.ref[Any]] = []

    class Hungry(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, pixel_values: Any) -> Any:
            large = pixel_values * 2
            kept.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory")

    try:
        TorchSession(Hungry()).run(batch_of(2))
    except OutOfDeviceMemory:
        assert kept[0]() is None
    assert len(kept) == 1


def test_a_session_is_free_again_after_an_error() -> None:
    session = TorchSession(Failing(torch.OutOfMemoryError("CUDA out of memory")))
    for _ in range(3):
        with pytest.raises(OutOfDeviceMemory):
            session.run(batch_of(1))


def test_batch_norms_stay_in_float32_when_weights_are_cast() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    session = TorchSession(torch.nn.Identity())
    session._dtype = torch.bfloat16
    session._moved(module)
    assert module[0].weight.dtype == torch.bfloat16
    assert module[1].running_var.dtype == torch.float32


def test_lanes_are_those_of_the_models_session() -> None:
    class Model:
        def __init__(self, session: Any) -> None:
            self._session = session

    assert lanes_of(Adder()) == 1
    assert lanes_of(Model(FakeSession())) == 1
    assert lanes_of(Model(type("Session", (), {"lanes": 2})())) == 2
