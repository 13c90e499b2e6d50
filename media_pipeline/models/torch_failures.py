"""What an error of torch means: no memory is left, the device failed, or the program is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from media_pipeline.errors import ModelError, OutOfDeviceMemory
from media_pipeline.imaging.worker import memory_exhausted
from media_pipeline.models.cards import ModelCard

if TYPE_CHECKING:
    import torch

OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "alloc_failed")
"""How torch's CPU allocator and cuBLAS say it, besides the words that `memory_exhausted` knows."""

OF_CUDA = ("CUDA", "cuDNN", "CUDNN", "CUBLAS", "cuBLAS", "NCCL")
"""What a failure of the GPU names in versions of torch without `AcceleratorError`. Spelt as they
do: a mistake of the program names the device, as in `cuda:0`."""


def kind_of(error: BaseException, device: str) -> type[ModelError] | None:
    """What an error of torch means.

    Args:
        error: What torch raised.
        device: Where it ran, such as `cpu` or `cuda:0`.

    Returns:
        `OutOfDeviceMemory`, `ModelError` for a device that failed, `None` for an error of the
        program.
    """
    import torch

    said = str(error)
    is_full = isinstance(error, torch.OutOfMemoryError) or memory_exhausted(error)
    if is_full or any(words in said.lower() for words in OUT_OF_MEMORY):
        return OutOfDeviceMemory
    accelerator_error = getattr(torch, "AcceleratorError", ())  # since torch 2.8
    of_cuda = isinstance(error, accelerator_error) or any(name in said for name in OF_CUDA)
    return ModelError if device.startswith("cuda") and of_cuda else None


def first_line(error: BaseException) -> str:
    """What an error says, without the advice that torch adds."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def failure_of(
    card: ModelCard, device: str, error: BaseException, what: str
) -> OutOfDeviceMemory | ModelError | None:
    """What the device did, or `None` where the error is one of the program.

    Args:
        card: Of the model that ran.
        device: Where it ran.
        error: What torch raised.
        what: What the device was busy with.
    """
    kind = kind_of(error, device)
    if kind is OutOfDeviceMemory:
        return OutOfDeviceMemory(
            f"{card.id!r} does not fit on {device} with {what} ({first_line(error)}): use smaller "
            "batches, close what else uses the device, or run with device cpu"
        )
    if kind is None:
        return None
    return ModelError(
        f"{device} failed under {card.id!r} with {what} ({first_line(error)}): run again; if it "
        "fails again, see what `nvidia-smi` says, or run with device cpu"
    )


def free_unused(device: str, failure: ModelError) -> None:
    """Give cached memory back after an error of memory; after others CUDA answers no call."""
    if isinstance(failure, OutOfDeviceMemory) and device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


def place(
    card: ModelCard, model: torch.nn.Module, device: str, dtype: torch.dtype
) -> torch.nn.Module:
    """The model on its device.

    Raises:
        OutOfDeviceMemory: It does not fit.
        ModelError: There is no such device, or it failed.
    """
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            f"{card.id!r} is wanted on {device!r} and torch {torch.__version__} finds no CUDA "
            "device: choose device cpu, or install a torch built for this machine's GPU"
        )
    try:
        placed: torch.nn.Module = model.to(device=torch.device(device), dtype=dtype)
        return placed
    except RuntimeError as error:
        failure = failure_of(card, device, error, "its weights") or ModelError(
            f"{card.id!r} cannot be put on device {device!r} ({first_line(error)}): choose "
            "another, such as cpu"
        )
    free_unused(device, failure)
    raise failure
