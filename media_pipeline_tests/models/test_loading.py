"""Loading: one model per process, on the device that is there, with errors that name the remedy."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from media_pipeline.errors import MissingWeights, ModelError, UsageError
from media_pipeline.models import loading
from media_pipeline.models.agreement import share_alike
from media_pipeline.models.engine import run
from media_pipeline.models.loading import forget_loaded, load, resolve_device, text_embedder
from media_pipeline.models.sessions import OnnxSession, OpenVinoSession
from media_pipeline.modelwork import is_finite
from media_pipeline_tests.models import small_loader
from media_pipeline_tests.models.small_loader import CARD, SmallClassifier, SmallLoader

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def nothing_stays_loaded() -> Iterator[None]:
    forget_loaded()
    yield
    forget_loaded()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What this machine has, as the tests say; torch says what `cuda` and `name` say."""
    has: dict[str, Any] = {"driver": True, "cuda": "13.0", "available": True, "torch": True}

    def load_library(name: str) -> None:
        if not has["driver"]:
            raise OSError(name)

    torch = ModuleType("torch")
    vars(torch).update(
        __version__="2.11.0",
        version=SimpleNamespace(cuda=None),
        cuda=SimpleNamespace(
            is_available=lambda: has["available"], get_device_name=lambda: "NVIDIA H200"
        ),
    )
    monkeypatch.setattr(ctypes, "CDLL", load_library)
    monkeypatch.setitem(sys.modules, "torch", torch)

    class Has(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, value)
            has[key] = value
            torch.version.cuda = has["cuda"]  # type: ignore[attr-defined]
            if not has["torch"]:
                monkeypatch.setitem(sys.modules, "torch", None)

    made = Has(has)
    made["cuda"] = "13.0"
    return made


def test_a_gpu_that_is_there_is_taken(driver: dict[str, Any]) -> None:
    assert str(resolve_device("auto")) == "device=cuda (NVIDIA H200)"
    assert resolve_device("cuda").name == "cuda"


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ({"driver": False}, "no CUDA device found"),
        ({"available": False}, "no CUDA device found"),
        ({"cuda": None}, "torch 2.11.0 is built without CUDA"),
        ({"torch": False}, "a CUDA driver is here, but torch is not installed"),
    ],
)
def test_without_a_gpu_the_choice_explains_itself(
    driver: dict[str, Any], missing: dict[str, Any], why: str
) -> None:
    for key, value in missing.items():
        driver[key] = value
    assert str(resolve_device("auto")) == f"device=cpu ({why})"
    with pytest.raises(ModelError, match=f"{why}.*MEDIA_DEVICE=cpu"):
        resolve_device("cuda")


def test_the_cpu_can_be_asked_for(driver: dict[str, Any]) -> None:
    assert str(resolve_device("cpu")) == "device=cpu (as asked for)"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UsageError, match="there is auto, cpu, cuda"):
        resolve_device("tpu")


@pytest.mark.slow
def test_on_cpu_a_model_runs_from_its_export(small: SmallLoader, models: Path) -> None:
    told: list[str] = []
    model = load(CARD, models, "cpu", told.append)
    assert isinstance(model, SmallClassifier)
    assert isinstance(model.session, OnnxSession)
    (answer,) = model.infer([model.prepare(small_loader.pictures(1)[0])])
    assert answer.sum() == pytest.approx(1.0, abs=1e-5)
    assert told[0].startswith("exporting small")


@pytest.mark.slow
def test_a_model_is_loaded_once_also_by_threads(small: SmallLoader, models: Path) -> None:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(load(CARD, models, "cpu"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model) for model in found}) == 1
    assert small.built == 1


@pytest.mark.slow
def test_a_changed_model_is_loaded_anew_and_the_old_one_let_go(
    small: SmallLoader, models: Path
) -> None:
    first = load(CARD, models, "cpu")
    small_loader.write(models, seed=1)
    second = load(CARD, models, "cpu")
    assert second is not first
    assert load(CARD, models, "cpu") is second
    assert len(loading._loaded._made) == 1


def test_a_qualified_runtime_is_taken(
    small: SmallLoader, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(loading, "runtime_of", lambda card, models, device: "openvino")
    model = load(CARD, exported, "cpu")
    assert isinstance(model, SmallClassifier)
    assert isinstance(model.session, OpenVinoSession)


def test_missing_weights_name_the_command(small: SmallLoader, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="models fetch small"):
        load(CARD, tmp_path, "cpu")


@pytest.mark.slow
def test_what_could_not_be_loaded_is_tried_again(small: SmallLoader, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights):
        load(CARD, tmp_path, "cpu")
    small_loader.write(tmp_path)
    assert load(CARD, tmp_path, "cpu").card == CARD


def test_a_loader_that_does_not_exist_is_refused(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, small_loader.NAME, None)
    with pytest.raises(UsageError, match="has the loader 'vit'"):
        load(CARD, models, "cpu")


def test_captions_that_are_composed_look_at_no_pictures(tmp_path: Path) -> None:
    card = CARD.model_copy(update={"loader": "composed"})
    with pytest.raises(UsageError, match="looks at no pictures"):
        load(card, tmp_path)


def fake_module(monkeypatch: pytest.MonkeyPatch, loader: str, **functions: Any) -> None:
    module = ModuleType(f"media_pipeline.models.loaders.{loader}")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_captioners_and_cascades_are_built_by_their_own_loaders(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_module(monkeypatch, "blip", build_captioner=lambda card, folder, device: ("blip", device))
    fake_module(monkeypatch, "cascades", load=lambda card: ("cascades", card.id))
    captioner: Any = load(CARD.model_copy(update={"loader": "blip"}), models, "cpu")
    assert captioner == ("blip", "cpu")
    own = CARD.model_copy(update={"loader": "cascades", "repository": "", "id": "boxes"})
    detector: Any = load(own, models)
    assert detector == ("cascades", "boxes")


def test_a_captioner_without_torch_names_the_extra(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(card: Any, folder: Any, device: Any) -> Any:
        raise ModuleNotFoundError("No module named 'transformers'", name="transformers")

    fake_module(monkeypatch, "blip", build_captioner=build)
    with pytest.raises(MissingWeights, match=r"needs transformers.*extra `models`"):
        load(CARD.model_copy(update={"loader": "blip"}), models, "cpu")


def test_text_sides_are_loaded_once_too(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(card: Any, folder: Any, device: str) -> Any:
        built.append(device)
        return object()

    fake_module(monkeypatch, "siglip2", build_text_embedder=build)
    card = CARD.model_copy(update={"loader": "siglip2"})
    assert text_embedder(card, models, "cpu") is text_embedder(card, models, "cpu")
    assert built == ["cpu"]


def test_a_card_without_texts_is_refused(models: Path) -> None:
    with pytest.raises(UsageError, match="embeds no texts"):
        text_embedder(CARD, models, "cpu")


# -- the architectures there are, on small checkpoints ---------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["timm", "vit", "siglip2", "clip", "rt_detr_v2"])
def test_every_fixed_shape_architecture_goes_from_its_files_to_answers(
    architecture: str, tmp_path: Path
) -> None:
    where = f"media_pipeline_tests.models.checkpoints.{architecture}"
    checkpoint: Any = importlib.import_module(where)
    card = checkpoint.write(tmp_path / checkpoint.CARD.id)
    model = load(card, tmp_path, "cpu")
    assert model.is_parallel
    sources = [(n, lambda n=n: np.full((40, 60, 3), 50 * n, np.uint8)) for n in range(5)]
    together = list(run(model, sources, workers=2, batch=4))
    one_by_one = list(run(model, sources, workers=1, batch=1))
    assert [key for key, _ in together] == [0, 1, 2, 3, 4]
    assert all(is_finite(answer) for _, answer in together)
    assert share_alike(card.task, [a for _, a in together], [a for _, a in one_by_one]) == 1.0
