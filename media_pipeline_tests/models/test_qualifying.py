"""Which runtime is chosen: never a wrong one, never a slower one, never one of another machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_pipeline.errors import ModelError, UsageError
from media_pipeline.models import qualifying
from media_pipeline.models.agreement import share_alike
from media_pipeline.models.protocols import Box
from media_pipeline.models.qualifying import Candidate, _best, qualify, runtime_of
from media_pipeline_tests.models import small_loader
from media_pipeline_tests.models.small_loader import CARD, SmallLoader

pytest.importorskip("torch")


def test_every_runtime_is_measured_and_the_choice_is_used(
    small: SmallLoader, exported: Path
) -> None:
    pytest.importorskip("openvino")
    made = qualify(CARD, exported, small_loader.pictures(40))
    assert [c.runtime for c in made.candidates] == ["onnxruntime", "openvino", "openvino-bf16"]
    assert made.candidates[0].agreement == 1.0
    assert made.candidates[1].agreement == 1.0
    assert all((c.pictures_per_s or 0) > 0 for c in made.candidates)
    assert made.pictures == 40
    assert runtime_of(CARD, exported, "cpu") == made.chosen


def test_nothing_was_qualified_so_the_safe_runtime_runs(small: SmallLoader, exported: Path) -> None:
    assert runtime_of(CARD, exported, "cpu") == "onnxruntime"


@pytest.fixture
def openvino_chosen(small: SmallLoader, exported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which OpenVINO was chosen; returns the file that says so."""
    monkeypatch.setattr(qualifying, "_best", lambda found: "openvino")
    qualify(CARD, exported, small_loader.pictures(4))
    assert runtime_of(CARD, exported, "cpu") == "openvino"
    return exported / CARD.id / "exports" / "qualified.json"


def test_a_choice_of_another_processor_does_not_count(
    openvino_chosen: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qualifying, "machine_name", lambda device: "another processor")
    assert runtime_of(CARD, exported, "cpu") == "onnxruntime"


def test_a_choice_for_other_weights_does_not_count(openvino_chosen: Path, exported: Path) -> None:
    small_loader.write(exported, seed=1)
    assert runtime_of(CARD, exported, "cpu") == "onnxruntime"


@pytest.mark.parametrize("content", ["{", "[]", "{}", None])
def test_a_choice_that_cannot_be_read_is_an_error_with_a_remedy(
    openvino_chosen: Path, exported: Path, content: str | None
) -> None:
    if content is None:
        known = json.loads(openvino_chosen.read_text())
        known["qualification"]["chosen"] = "abacus"
        content = json.dumps(known)
    openvino_chosen.write_text(content)
    with pytest.raises(ModelError, match="models qualify small"):
        runtime_of(CARD, exported, "cpu")


@pytest.mark.parametrize("error", [ModelError("it crashed"), RuntimeError("it crashed\nat line 9")])
def test_a_runtime_that_cannot_run_is_left_out(
    small: SmallLoader, exported: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def absent(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(qualifying, "OpenVinoSession", absent)
    made = qualify(CARD, exported, small_loader.pictures(4))
    assert made.chosen == "onnxruntime"
    assert made.candidates[1] == Candidate("openvino", None, None, "it crashed")
    assert made.candidates[2] == Candidate("openvino-bf16", None, None, "it crashed")


def test_a_reference_that_cannot_run_ends_the_qualification(
    small: SmallLoader, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*arguments: Any) -> Any:
        raise RuntimeError("it crashed")

    monkeypatch.setattr(qualifying, "OnnxSession", absent)
    with pytest.raises(RuntimeError, match="it crashed"):
        qualify(CARD, exported, small_loader.pictures(4))


def test_without_pictures_nothing_can_be_said(small: SmallLoader, exported: Path) -> None:
    with pytest.raises(UsageError, match="100 or more"):
        qualify(CARD, exported, [])


def test_a_captioner_has_one_runtime_only(exported: Path) -> None:
    card = CARD.model_copy(update={"loader": "blip", "task": "captioner"})
    with pytest.raises(UsageError, match="nothing to qualify"):
        qualify(card, exported, small_loader.pictures(1))


REFERENCE = Candidate("onnxruntime", 1.0, 100.0)
ALIKE = Candidate("openvino", 1.0, 120.0)


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([ALIKE], "openvino"),
        ([Candidate("openvino", 0.99, 120.0)], "openvino"),
        ([Candidate("openvino", 0.98, 500.0)], "onnxruntime"),
        ([Candidate("openvino", 1.0, 104.0)], "onnxruntime"),
        ([ALIKE, Candidate("openvino-bf16", 1.0, 200.0)], "openvino-bf16"),
        ([ALIKE, Candidate("openvino-bf16", 0.9, 200.0)], "openvino"),
        ([Candidate("openvino", None, None, "crashed")], "onnxruntime"),
    ],
)  # fmt: skip
def test_the_fastest_that_agrees_is_chosen(others: list[Candidate], chosen: str) -> None:
    assert _best([REFERENCE, *others]) == chosen


def test_a_cards_precision_decides_on_cuda(exported: Path) -> None:
    def runtime(**change: Any) -> str:
        return runtime_of(CARD.model_copy(update=change), exported, "cuda")

    assert runtime(parameters={"precision": "float32"}) == "torch-float32"
    assert runtime(parameters={"precision": "bf16"}, task="detector") == "torch-bf16"
    assert runtime() == "torch-bf16"
    assert runtime(task="detector") == "torch-float32"
    with pytest.raises(UsageError, match="int4"):
        runtime(parameters={"precision": "int4"})


# -- agreement -----------------------------------------------------------------------------------


def test_classes_agree_by_the_likeliest() -> None:
    one = [np.array([0.6, 0.4]), np.array([0.4, 0.6])]
    other = [np.array([0.9, 0.1]), np.array([0.6, 0.4])]
    assert share_alike("classifier", one, other) == 0.5


def test_vectors_agree_from_a_cosine_of_0_99() -> None:
    degrees = np.radians([0.0, 8.0, 9.0])  # cosines 1, 0.9903, 0.9877
    vectors = [np.array([np.cos(angle), np.sin(angle)]) for angle in degrees]
    assert share_alike("embedder", vectors, [vectors[0]] * 3) == pytest.approx(2 / 3)


def test_ratings_agree_on_one_side_or_nearly_equal() -> None:
    assert share_alike("safety", [0.9, 0.51, 0.2], [0.6, 0.495, 0.7]) == pytest.approx(2 / 3)


def test_detections_agree_when_every_box_has_its_partner() -> None:
    dog = Box("dog", 0.1, 0.1, 0.5, 0.5, 0.9)
    moved = Box("dog", 0.11, 0.1, 0.5, 0.5, 0.8)  # overlap 0.49 / 0.51 = 0.96
    far = Box("dog", 0.2, 0.1, 0.5, 0.5, 0.8)  # 0.4 / 0.6
    cat = Box("cat", 0.1, 0.1, 0.5, 0.5, 0.9)
    pairs = [([dog], [moved]), ([dog], [far]), ([dog], [cat]), ([dog], []), ([], []),
             ([dog, cat], [cat, moved]), ([dog, dog], [dog, cat])]  # fmt: skip
    alike = [share_alike("detector", [one], [other]) for one, other in pairs]
    assert alike == [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
