"""Sessions: what runs a model's arithmetic - ONNX Runtime, OpenVINO or torch.

A session takes a stack of prepared pictures and gives the model's raw outputs. Which one runs is
decided in `loading`; the adapters of `models.loaders` work with any of them.

On CPU every inference uses one thread and several run side by side: measured under contention, two
threads inside one inference collapse, N inferences of one thread each do not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, MissingWeights, ModelError, OutOfDeviceMemory
from media_pipeline.imaging.worker import memory_exhausted
from media_pipeline.models.torch_failures import first_line, free_unused, kind_of

if TYPE_CHECKING:
    import torch

Batch = NDArray[np.float32]
"""Prepared pictures: float32, shape (n, 3, height, width)."""

Precision = Literal["float32", "bf16"]

CUDA_LANES = 2
"""Batches on their way at once: while one is computed, the next is copied to the device."""

GPU_FAILED = (
    "the GPU failed ({error}): run the same command again; finished batches are kept. If it fails "
    "again, `MEDIA_DEVICE=cpu` runs without it"
)


class Session(Protocol):
    """Runs one model; the first axis of what goes in and what comes out is the picture."""

    @property
    def is_parallel(self) -> bool:
        """Whether `run` may be called from any number of threads at once."""
        ...

    def run(self, batch: Batch) -> list[NDArray[np.float32]]:
        """The model's outputs.

        Args:
            batch: float32, shape (n, 3, height, width).

        Returns:
            One float32 array per output, first axis n.

        Raises:
            OutOfDeviceMemory: The batch was too large.
            ModelError: The device or the runtime failed.
        """
        ...


def lanes_of(model: object) -> int:
    """How many batches a model that is not parallel may be given at once: 2 on CUDA, else 1."""
    session = getattr(model, "session", None) or getattr(model, "_session", None)
    return int(getattr(session, "lanes", 1))


class OnnxSession:
    """A model in ONNX Runtime on the CPU, one thread per call.

    Args:
        path: An ONNX file; its first axis is free, or fixed to 1.

    Raises:
        MissingWeights: There is no such file.
        DamagedWeights: It is no model that ONNX Runtime can run.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        _require_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors; the warnings are about its own optimiser
        self._errors = _onnxruntime_errors()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            raise _damaged(path, error) from error
        first = self._session.get_inputs()[0]
        self._name = first.name
        self._one_by_one = first.shape[0] == 1

    @property
    def is_parallel(self) -> bool:
        """Calls share nothing but the weights."""
        return True

    def run(self, batch: Batch) -> list[NDArray[np.float32]]:
        """See `Session.run`."""
        if self._one_by_one:
            return _one_by_one(self._run, batch)
        return self._run(batch)

    def _run(self, batch: Batch) -> list[NDArray[np.float32]]:
        try:
            outputs = self._session.run(None, {self._name: batch})
        except self._errors as error:
            raise _cpu_failure("ONNX Runtime", batch, error) from error
        return [np.asarray(output, dtype=np.float32) for output in outputs]


class OpenVinoSession:
    """A model in OpenVINO on the CPU; every calling thread has its own request of one thread.

    Args:
        path: An ONNX file; its first axis is free, or fixed to 1.
        precision: `bf16` lets OpenVINO compute in bfloat16.

    Raises:
        MissingWeights: There is no such file, or OpenVINO is not installed.
        DamagedWeights: It is no model that OpenVINO can run.
    """

    def __init__(self, path: Path, precision: Precision = "float32") -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingWeights(
                "OpenVINO was chosen for this machine but is not installed: install the extra "
                "`models`, or run `media-pipeline models qualify` again"
            ) from error
        _require_file(path)
        threads = _usable_cpus()
        how = {
            # as many streams as threads: each inference has one
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        }
        try:
            core = openvino.Core()
            model = core.read_model(path)
            self._one_by_one = model.inputs[0].partial_shape[0] == 1
            self._compiled = core.compile_model(model, "CPU", how)
        except RuntimeError as error:
            raise _damaged(path, error) from error
        self._local = threading.local()

    @property
    def is_parallel(self) -> bool:
        """Every thread has its own request."""
        return True

    def run(self, batch: Batch) -> list[NDArray[np.float32]]:
        """See `Session.run`."""
        if self._one_by_one:
            return _one_by_one(self._run, batch)
        return self._run(batch)

    def _run(self, batch: Batch) -> list[NDArray[np.float32]]:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        try:
            results = self._local.request.infer([np.ascontiguousarray(batch)], share_inputs=True)
        except RuntimeError as error:
            raise _cpu_failure("OpenVINO", batch, error) from error
        # the request writes the next results into the same memory
        return [np.array(results[output], dtype=np.float32) for output in self._compiled.outputs]


class TorchSession:
    """A model in torch, on the CPU (float32, as it is) or on CUDA.

    On CUDA the weights are channels-last, in bfloat16 where asked for (batch norms stay float32),
    and the inputs go through pinned memory on one of two streams, so that copying a batch overlaps
    with computing the one before.

    Args:
        module: In float32 and evaluation mode; takes (n, 3, height, width), gives a tuple.
        device: `cpu` or `cuda`.
        precision: What CUDA computes in; the CPU always computes in float32.
        compiled: Whether CUDA kernels are generated by `torch.compile`. It costs a minute at the
            start and pays for models of many small layers over some 100,000 pictures.

    Raises:
        OutOfDeviceMemory: The weights do not fit.
        ModelError: The device failed.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        device: str = "cpu",
        precision: Precision = "float32",
        *,
        compiled: bool = False,
    ) -> None:
        import torch

        self._torch = torch
        self._device = torch.device(device)
        self._is_cuda = self._device.type == "cuda"
        self._dtype = torch.float32
        self._is_compiled = compiled and self._is_cuda
        self._forward: Callable[[Any], Any] = module
        if self._is_cuda:
            self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            self._forward = self._guarded(lambda: self._moved(module))
        self.lanes = CUDA_LANES if self._is_cuda else 1
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        for _ in range(self.lanes):
            self._lanes.put(_Lane(self._device))

    def _moved(self, module: torch.nn.Module) -> Callable[[Any], Any]:
        torch = self._torch
        module = module.to(device=self._device, dtype=self._dtype)
        for part in module.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.float()  # running variances lose too much in 8 bits of mantissa
        module = module.to(memory_format=torch.channels_last)
        if self._is_cuda:
            torch.cuda.synchronize(self._device)  # the lanes' streams do not wait for this one
        return torch.compile(module, dynamic=True) if self._is_compiled else module

    @property
    def is_parallel(self) -> bool:
        """Torch has threads of its own; see `lanes` for what CUDA takes at once."""
        return False

    def run(self, batch: Batch) -> list[NDArray[np.float32]]:
        """See `Session.run`."""
        with self._lane() as lane:
            outputs: list[NDArray[np.float32]] = self._guarded(lambda: self._run(batch, lane))
            return outputs

    def forward_on_device(self, pixels: torch.Tensor) -> Any:
        """The bare module, for measuring: what goes in and comes out stays on the device."""
        return self._forward(pixels)

    @contextmanager
    def _lane(self) -> Iterator[_Lane]:
        lane = self._lanes.get()
        try:
            yield lane
        finally:
            self._lanes.put(lane)

    def _run(self, batch: Batch, lane: _Lane) -> list[NDArray[np.float32]]:
        torch = self._torch
        with torch.inference_mode(), lane.stream():
            pixels = lane.to_device(batch, self._dtype)
            outputs = self._forward(pixels)
            # .cpu() waits for this lane's stream only
            return [output.float().cpu().numpy() for output in outputs]

    def _guarded(self, function: Callable[[], Any]) -> Any:
        """Call a function; what torch raises comes out as one of our errors.

        It is raised after the `except` has ended: until then the traceback would hold the memory
        of the layers that were computed.
        """
        try:
            return function()
        except RuntimeError as error:
            problem = self._meaning(error)
            if problem is None:
                raise
        free_unused(self._device.type, problem)
        raise problem

    def _meaning(self, error: RuntimeError) -> ModelError | None:
        """What an error of torch means, `None` for one of the program."""
        said = first_line(error)
        kind = kind_of(error, "cuda" if self._is_cuda else "cpu")
        if kind is OutOfDeviceMemory:
            return OutOfDeviceMemory(f"the memory of {self._device} is full: {said}")
        if kind is not None:
            return ModelError(GPU_FAILED.format(error=said))
        if self._is_compiled and type(error).__module__.startswith("torch._"):
            return ModelError(
                f"torch.compile failed ({said}): take `compile = true` out of the card's parameters"
            )
        return None


class _Lane:
    """A stream of the device, and pinned memory to copy from."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self._torch = torch
        self._device = device
        self._is_cuda = device.type == "cuda"
        new_stream: Any = torch.cuda.Stream
        self._stream = new_stream(device) if self._is_cuda else None
        self._pinned: torch.Tensor | None = None

    @contextmanager
    def stream(self) -> Iterator[None]:
        if self._stream is None:
            yield
        else:
            with self._torch.cuda.stream(self._stream):
                yield

    def to_device(self, batch: Batch, dtype: torch.dtype) -> torch.Tensor:
        pixels = self._torch.from_numpy(np.ascontiguousarray(batch))
        if not self._is_cuda:
            return pixels
        if self._pinned is None or self._pinned.numel() < pixels.numel():
            self._pinned = self._torch.empty(pixels.numel(), pin_memory=True)
        host = self._pinned[: pixels.numel()].view(pixels.shape)
        host.copy_(pixels)  # the last copy from here has ended: its run waited for the results
        return host.to(self._device, non_blocking=True).to(
            dtype=dtype, memory_format=self._torch.channels_last
        )


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise MissingWeights(
            f"there is no {path}: run `media-pipeline models export {path.parent.parent.name}`"
        )


def _damaged(path: Path, error: Exception) -> DamagedWeights:
    said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return DamagedWeights(
        f"{path} is no ONNX model that can be run ({said}): delete it and run `media-pipeline "
        f"models export {path.parent.parent.name}`"
    )


def _cpu_failure(runtime: str, batch: Batch, error: Exception) -> ModelError:
    said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    if memory_exhausted(error) or "failed to allocate" in str(error).lower():
        return OutOfDeviceMemory(f"{runtime} has no memory for {len(batch)} pictures: {said}")
    return ModelError(f"{runtime} failed on an input of shape {batch.shape}: {said}")


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no common root below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (RuntimeError, *(kind for kind in kinds if issubclass(kind, Exception)))


def _one_by_one(
    run: Callable[[Batch], list[NDArray[np.float32]]], batch: Batch
) -> list[NDArray[np.float32]]:
    """Run a model whose first axis is fixed to 1 over a batch."""
    answers: Sequence[list[NDArray[np.float32]]] = [run(one[np.newaxis]) for one in batch]
    return [np.concatenate(outputs) for outputs in zip(*answers, strict=True)]


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux has it, macOS does not
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
