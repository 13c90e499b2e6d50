"""Exports are made once, checked against torch, and made again when weights or card change."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_pipeline.errors import DamagedWeights, MissingWeights, ModelError, UsageError
from media_pipeline.models import exporting
from media_pipeline.models.cards import Calibration, ModelCard
from media_pipeline.models.exporting import current_export, export, require_export
from media_pipeline.models.onnx_files import PICTURES_ALIKE, _apart, _worst
from media_pipeline.models.sessions import OnnxSession
from media_pipeline_tests.models import small_loader
from media_pipeline_tests.models.small_loader import CARD, SIDE_PX, SmallLoader, small_module

torch = pytest.importorskip("torch")


def one_picture() -> NDArray[np.float32]:
    random = np.random.default_rng(5)
    return random.normal(size=(1, 3, SIDE_PX, SIDE_PX)).astype(np.float32)


def files_in(models: Path) -> list[str]:
    return sorted(os.listdir(models / CARD.id / "exports"))


@pytest.mark.slow
def test_an_export_answers_like_torch(small: SmallLoader, models: Path) -> None:
    told: list[str] = []
    path = export(CARD, models, told.append)
    module = small_module(small_loader.read_weights(models / CARD.id))
    expected = module(torch.from_numpy(one_picture()))[0].numpy()
    np.testing.assert_allclose(OnnxSession(path).run(one_picture())[0], expected, atol=1e-5)
    assert files_in(models) == [".lock", "export.json", "model.onnx"]
    assert "exporting small to ONNX" in told[0]
    facts = json.loads((path.parent / "export.json").read_text())
    assert facts["batch"] == "any"
    assert facts["largest_difference"] < 1e-3


@pytest.mark.slow
def test_an_export_is_made_once(small: SmallLoader, models: Path) -> None:
    assert current_export(CARD, models) is None
    first = require_export(CARD, models)
    assert require_export(CARD, models) == first == current_export(CARD, models)
    assert small.built == 1


@pytest.mark.slow
def test_threads_that_want_the_same_export_make_it_once(small: SmallLoader, models: Path) -> None:
    together = threading.Barrier(3)

    def want() -> None:
        together.wait(30)
        require_export(CARD, models)

    threads = [threading.Thread(target=want) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert small.built == 1


@pytest.mark.slow
def test_an_export_of_other_weights_is_made_again(small: SmallLoader, models: Path) -> None:
    require_export(CARD, models)
    before = OnnxSession(models / CARD.id / "exports" / "model.onnx").run(one_picture())[0]
    small_loader.write(models, seed=1)
    assert current_export(CARD, models) is None
    after = OnnxSession(require_export(CARD, models)).run(one_picture())[0]
    assert small.built == 2
    assert np.abs(after - before).max() > 0.01


def changed(**how: Any) -> ModelCard:
    assert CARD.preprocessing is not None
    return CARD.model_copy(update={"preprocessing": CARD.preprocessing.model_copy(update=how)})


@pytest.mark.parametrize(
    "card",
    [
        CARD.model_copy(update={"title": "Renamed"}),
        CARD.model_copy(update={"parameters": {"score_threshold": 0.3, "precision": "bf16"}}),
        CARD.model_copy(update={"calibration": {"any": Calibration(slope=2, offset=1)}}),
        changed(interpolation="bicubic", mean=(0.1, 0.2, 0.3)),
    ],
    ids=["title", "parameters", "calibration", "preprocessing"],
)
def test_what_a_card_says_about_answers_needs_no_other_export(
    small: SmallLoader, exported: Path, card: ModelCard
) -> None:
    assert current_export(card, exported) is not None


@pytest.mark.parametrize(
    "card",
    [changed(height_px=16), changed(width_px=16), CARD.model_copy(update={"loader": "timm"})],
    ids=["height", "width", "loader"],
)
def test_an_export_of_another_input_or_loader_is_not_taken(
    small: SmallLoader, exported: Path, card: ModelCard
) -> None:
    assert current_export(card, exported) is None


def test_an_export_by_another_version_of_the_exporter_is_not_taken(
    small: SmallLoader, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert current_export(CARD, exported) is not None
    monkeypatch.setattr(exporting, "EXPORT_VERSION", exporting.EXPORT_VERSION + 1)
    assert current_export(CARD, exported) is None


@pytest.mark.parametrize("gone", ["export.json", "model.onnx"])
def test_half_an_export_is_none(small: SmallLoader, exported: Path, gone: str) -> None:
    assert current_export(CARD, exported) is not None
    (exported / CARD.id / "exports" / gone).unlink()
    assert current_export(CARD, exported) is None


@pytest.mark.slow
def test_what_a_killed_export_left_is_removed(small: SmallLoader, models: Path) -> None:
    exports = models / CARD.id / "exports"
    exports.mkdir()
    (exports / ".model.onnx.12345.tmp").write_bytes(b"half")
    require_export(CARD, models)
    assert files_in(models) == [".lock", "export.json", "model.onnx"]


@pytest.mark.slow
def test_a_file_that_differs_from_torch_gets_no_name(
    small: SmallLoader, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an exporter that gets an operator wrong would: other weights go into the file."""
    real = torch.onnx.export

    def wrong(module: Any, *arguments: Any, **more: Any) -> Any:
        other = small_module(-small_loader.read_weights(models / CARD.id))
        return real(other, *arguments, **more)

    monkeypatch.setattr(torch.onnx, "export", wrong)
    with pytest.raises(ModelError, match=r"differs from torch by .*at most 0\.001"):
        export(CARD, models)
    assert files_in(models) == [".lock"]


@pytest.mark.slow
def test_where_the_first_axis_cannot_be_free_it_is_one(
    small: SmallLoader, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.onnx.export

    def picky(*arguments: Any, dynamic_shapes: Any, **more: Any) -> Any:
        if dynamic_shapes is not None:
            raise RuntimeError("Constraints violated (batch)!")
        return real(*arguments, dynamic_shapes=None, **more)

    monkeypatch.setattr(torch.onnx, "export", picky)
    path = export(CARD, models)
    assert json.loads((path.parent / "export.json").read_text())["batch"] == "1"
    three = np.concatenate([one_picture()] * 3)
    assert OnnxSession(path).run(three)[0].shape == (3, 5)


def test_what_torch_cannot_export_is_an_error_with_a_remedy(
    small: SmallLoader, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*arguments: Any, **more: Any) -> Any:
        raise RuntimeError("no lowering for aten::grid_sampler_3d\ntraceback")

    monkeypatch.setattr(torch.onnx, "export", unable)
    with pytest.raises(ModelError, match=r"grid_sampler_3d\): copy the exports folder"):
        export(CARD, models)


def test_damaged_weights_are_said_to_be_damaged(small: SmallLoader, models: Path) -> None:
    (models / CARD.id / "weights.json").write_text("[[")
    with pytest.raises(DamagedWeights, match="fetch it again"):
        export(CARD, models)


def test_without_weights_the_error_names_the_command(small: SmallLoader, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="models fetch small"):
        require_export(CARD, tmp_path)


def test_without_torch_the_error_names_extra_and_folder(
    small: SmallLoader, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_torch(card: Any, folder: Any) -> Any:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(small, "build_module", no_torch)
    with pytest.raises(MissingWeights, match=r"needs torch.*extra `models`.*or copy .*exports"):
        require_export(CARD, models)


def test_without_torch_a_current_export_is_enough(
    small: SmallLoader, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "build_module", None)
    made = exported / CARD.id / "exports" / "model.onnx"
    assert require_export(CARD, exported) == made


def test_a_model_without_fixed_shape_is_not_exported(models: Path) -> None:
    card = CARD.model_copy(update={"loader": "blip"})
    with pytest.raises(UsageError, match="cannot be exported"):
        export(card, models)


def test_queries_may_change_places_but_not_values() -> None:
    random = np.random.default_rng(0)
    theirs = random.normal(size=(300, 4)).astype(np.float32)
    shuffled = theirs[random.permutation(300)]
    assert _apart(shuffled, theirs, in_any_order=True) == 0.0
    assert _apart(shuffled, theirs, in_any_order=False) > 0.5
    other = shuffled.copy()
    other[:12] += 5.0  # 4 % of the queries
    assert _apart(other, theirs, in_any_order=True) > 0.1


def test_an_answer_that_is_not_finite_is_not_close() -> None:
    theirs = np.zeros(4, dtype=np.float32)
    ours = np.array([0, np.nan, 0, 0], dtype=np.float32)
    assert not _apart(ours, theirs, in_any_order=False) <= 1e-3


def test_a_detectors_export_is_close_on_four_pictures_of_five() -> None:
    assert _worst([0.0, 9.0, 0.2, 0.1, 0.0], PICTURES_ALIKE) == 0.2
    assert _worst([0.0, 9.0, 0.0, 0.0, 8.0], PICTURES_ALIKE) == 8.0
    assert _worst([0.0, 9.0, 0.2, 0.1, 0.0], 1.0) == 9.0
    assert np.isnan(_worst([0.0, float("nan"), 0.0, 0.0, 0.0], PICTURES_ALIKE))
