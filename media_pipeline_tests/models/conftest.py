"""A small model whose export was made once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from media_pipeline.models.exporting import export
from media_pipeline_tests.models import small_loader


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> small_loader.SmallLoader:
    """The loader of the small model, in the place of `vit`."""
    return small_loader.install(monkeypatch)


@pytest.fixture(scope="session")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the small model and its export; tests work on copies."""
    pytest.importorskip("torch")
    models = tmp_path_factory.mktemp("exported")
    small_loader.write(models)
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_loader.install(monkeypatch)
        export(small_loader.CARD, models)
    return models


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Path:
    """A models folder with the small model and its export."""
    return Path(shutil.copytree(exported_once, tmp_path / "models"))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with the small model, not exported."""
    folder = tmp_path / "models"
    small_loader.write(folder)
    return folder
