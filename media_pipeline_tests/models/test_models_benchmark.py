"""The benchmark of models: what it says it measures, and that both sides run alike."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import models as benchmark
from media_pipeline.errors import UsageError
from media_pipeline.models.loading import Device
from media_pipeline_tests.models.fake_models import Adder
from media_pipeline_tests.models.small_loader import CARD


def test_the_output_says_what_end_to_end_means(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["models", "--device", "cpu", "--only", "no such model"])
    benchmark.main()
    said = capsys.readouterr().out
    assert "end to end is engine.run (read, decode, prepare, infer), without tables" in said
    assert "random weights: speed only" in said


def test_the_bare_model_is_opened_as_the_engine_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precision and compiled kernels come from the card; see `qualifying.open_session`."""
    opened: list[tuple[str, bool]] = []

    def record(runtime: str, card: Any, models: Path) -> object:
        opened.append((runtime, card.parameters["compile"]))
        return object()

    monkeypatch.setattr(benchmark, "open_session", record)
    pytest.importorskip("torch")
    card = CARD.model_copy(update={"parameters": {"compile": True, "precision": "float32"}})
    bench = benchmark.Bench(Device("cuda", "a GPU"), tmp_path, workers=1, scale=1.0)
    with pytest.raises(UsageError, match="torch was expected"):
        bench._bare_on_cuda(card, Adder())
    assert opened == [("torch-float32", True)]
