"""Reading a checkpoint in the layout of the transformers library: whole, or not at all.

Reads   config.json, model.safetensors (or its shards), tokenizer files of one card's folder
Fails   a file that is not there is `MissingWeights`, one that does not fit `DamagedWeights`; the
        library itself fills missing weights with random numbers and only warns
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media_pipeline.errors import DamagedWeights, MissingWeights
from media_pipeline.models.cards import ModelCard

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"

NAMES_SHOWN = 3
"""How many names of a list of wrong weights a message shows."""


def missing(card: ModelCard, folder: Path, name: str) -> MissingWeights:
    """The error for a file that is not there."""
    return MissingWeights(
        f"no {name} for {card.id!r} in {folder}: run `media-pipeline models fetch {card.id}`"
    )


def damaged(card: ModelCard, folder: Path, what: str) -> DamagedWeights:
    """The error for files that are not what they should be."""
    return DamagedWeights(
        f"the files of {card.id!r} in {folder} are damaged or of another model: {what}; run "
        f"`media-pipeline models verify {card.id}`, then `media-pipeline models fetch {card.id}`"
    )


def read_json(card: ModelCard, folder: Path, name: str) -> dict[str, Any]:
    """One JSON file of a checkpoint.

    Raises:
        MissingWeights: It is not there.
        DamagedWeights: It is no JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise missing(card, folder, name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise damaged(card, folder, f"{name} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise damaged(card, folder, f"{name} holds a {type(found).__name__}, not an object")
    return found


def read_config(card: ModelCard, folder: Path, model_type: str) -> dict[str, Any]:
    """The checkpoint's config.json, of the architecture that the loader knows.

    Raises:
        MissingWeights: It is not there.
        DamagedWeights: It is no JSON, or of another architecture.
    """
    config = read_json(card, folder, CONFIG)
    if config.get("model_type") != model_type:
        raise damaged(
            card,
            folder,
            f"{CONFIG} says model_type {config.get('model_type')!r}, the loader {card.loader!r} "
            f"takes {model_type!r}",
        )
    return config


def config_number(card: ModelCard, folder: Path, holder: object, name: str, default: int) -> int:
    """A positive number of a config; configs leave out what equals the library's default.

    Raises:
        DamagedWeights: It is no positive integer.
    """
    value = holder.get(name, default) if isinstance(holder, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise damaged(card, folder, f"{CONFIG} has {name} {value!r}, not a positive integer")
    return value


def weight_files(card: ModelCard, folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, all of them present.

    Raises:
        MissingWeights: One is not there.
        DamagedWeights: The list of shards cannot be read.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / SHARDS).is_file():
        raise missing(card, folder, WEIGHTS)
    shards = read_json(card, folder, SHARDS).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise damaged(card, folder, f"{SHARDS} has no weight_map")
    names = sorted({Path(str(name)).name for name in shards.values()})
    for name in names:
        if not (folder / name).is_file():
            raise missing(card, folder, name)
    return [folder / name for name in names]


def load_model(
    card: ModelCard,
    folder: Path,
    model_class: Any,
    elsewhere: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> torch.nn.Module:
    """The model by the library's own loading code: float32, for inference, every weight read.

    Args:
        card: Whose files they are, for messages.
        folder: Where they lie.
        model_class: Class of the transformers library with `from_pretrained`.
        elsewhere: Patterns of weights that are in the checkpoint but not in this class, such as
            the text half of a model of which only the picture half is loaded.
        overrides: Values of the class's own config that the checkpoint keeps elsewhere.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: A file cannot be read, or a weight is missing, unexpected or of another
            shape than the config says.
    """
    import torch

    weight_files(card, folder)
    with library_reads(card, folder, "weights"):
        model, found = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are listed, and refused below by name
            output_loading_info=True,
            **(overrides or {}),
        )
    _refuse_misfits(card, folder, found, elsewhere)
    module: torch.nn.Module = model.eval().requires_grad_(False)
    return module


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"


def _refuse_misfits(
    card: ModelCard, folder: Path, found: Mapping[str, Any], elsewhere: Sequence[str]
) -> None:
    unexpected = [
        name
        for name in found["unexpected_keys"]
        if not any(re.match(pattern, name) for pattern in elsewhere)
    ]
    shapes = [
        f"{name} ({tuple(stored)}, not {tuple(wanted)})"
        for name, stored, wanted in found["mismatched_keys"]
    ]
    problems = [
        _listed("missing", found["missing_keys"]),
        _listed("unexpected", unexpected),
        _listed("of another shape", shapes),
        *found["error_msgs"],
    ]
    told = "; ".join(problem for problem in problems if problem)
    if told:
        raise damaged(card, folder, told)


def _listed(problem: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(sorted(names)[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{len(names)} weights {problem}: {shown}" + (f" and {more} more" if more > 0 else "")


def read_scalar(card: ModelCard, folder: Path, name: str) -> float:
    """One number of a checkpoint, without loading the model.

    Raises:
        MissingWeights: A file is not there.
        DamagedWeights: The files cannot be read, or hold no such single finite number.
    """
    from safetensors import SafetensorError, safe_open

    for path in weight_files(card, folder):
        try:
            with safe_open(path, framework="pt") as tensors:
                if name not in tensors.keys():  # noqa: SIM118 - it is no mapping
                    continue
                value = tensors.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise damaged(card, folder, f"{path.name}: {_first_line(error)}") from error
        if value.numel() != 1:
            raise damaged(card, folder, f"{name} has shape {tuple(value.shape)}, not one number")
        if not math.isfinite(float(value)):
            raise damaged(card, folder, f"{name} is {float(value)}")
        return float(value)
    raise damaged(card, folder, f"{_listed('missing', [name])}")


def load_tokenizer(card: ModelCard, folder: Path, vocabulary: int) -> Any:
    """The checkpoint's tokenizer by the library's own loading code; never code of the checkpoint.

    Args:
        card: Whose files they are, for messages.
        folder: Where they lie.
        vocabulary: How many tokens the text model knows.

    Raises:
        MissingWeights: There are no tokenizer files.
        DamagedWeights: They cannot be read, or know more tokens than the model.
    """
    from transformers import AutoTokenizer

    _check_tokenizer_files(card, folder)
    with library_reads(card, folder, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    if len(tokenizer) > vocabulary:
        # On a GPU a token that the model does not know would poison the whole process.
        raise damaged(
            card, folder, f"its tokenizer has {len(tokenizer)} tokens, its model {vocabulary}"
        )
    return tokenizer


def _check_tokenizer_files(card: ModelCard, folder: Path) -> None:
    if (folder / "tokenizer.json").is_file():
        if "model" not in read_json(card, folder, "tokenizer.json"):
            raise damaged(card, folder, "tokenizer.json has no model")
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        read_json(card, folder, "vocab.json")
    elif not (folder / "spiece.model").is_file():
        raise missing(card, folder, "tokenizer.json")


@contextmanager
def library_reads(card: ModelCard, folder: Path, what: str) -> Iterator[None]:
    """Files are read by the library, in silence: whatever it cannot read is damaged.

    Args:
        card: Whose files they are, for messages.
        folder: Where they lie.
        what: Which of them are read.

    Raises:
        DamagedWeights: The library raised one of the many errors that damage gives.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        with quiet_library():
            yield
    except ModuleNotFoundError:  # of this installation, not of the files
        raise
    except (
        SafetensorError,
        StrictDataclassError,
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ImportError,
    ) as error:
        raise _unreadable(card, folder, what, error) from error
    except Exception as error:
        if type(error) is Exception:  # all that the tokenizers library, written in Rust, raises
            raise _unreadable(card, folder, what, error) from error
        raise


def _unreadable(card: ModelCard, folder: Path, what: str, error: Exception) -> DamagedWeights:
    return damaged(card, folder, f"{what}: {type(error).__name__}: {_first_line(error)}")


@contextmanager
def quiet_library() -> Iterator[None]:
    """No progress bars and no reports of the library while it loads: we check and say it."""
    from transformers.utils import logging as library_logging

    logging: Any = library_logging  # half of it has no types
    verbosity = logging.get_verbosity()
    had_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
