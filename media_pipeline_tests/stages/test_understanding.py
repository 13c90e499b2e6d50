"""Small models of the real architectures through loading, stages, tables and catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from media_pipeline.batchwork import Control
from media_pipeline.demo import video
from media_pipeline.demo.photographs import photograph
from media_pipeline.library.catalog import read_catalog
from media_pipeline.library.opened import Library, create_library, open_library
from media_pipeline.library.plan import stale_tables
from media_pipeline.sampling import sample_rows
from media_pipeline.settings import write_config
from media_pipeline_tests.models.checkpoints import vit
from media_pipeline_tests.models.equipped import add_model, equip
from media_pipeline_tests.running import computed, run

pytestmark = pytest.mark.slow

TASK_STAGES = ("embeddings", "classifications", "detections", "safety", "captions")
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


@pytest.fixture(scope="module")
def understood_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Four photos, a film and three odd pictures, understood by small random models."""
    folder = tmp_path_factory.mktemp("understood")
    originals = folder / "originals"
    originals.mkdir()
    for name in PHOTOS:
        photograph(name).convert("RGB").save(originals / f"{Path(name).stem}.jpg")
    scenes = [photograph(name) for name in PHOTOS[:3]]
    (originals / "film.mp4").write_bytes(video.three_scenes(scenes, (320, 240)))
    photograph("coffee.png").resize((1, 1)).save(originals / "one pixel.png")
    photograph("coffee.png").resize((1, 10_000)).save(originals / "thread.png")
    photograph("astronaut.png").convert("LA").save(originals / "grey with alpha.png")
    whole = (originals / "rocket.jpg").read_bytes()
    (originals / "torn.jpg").write_bytes(whole[: len(whole) * 6 // 10])
    library = create_library(folder / "library")
    library.config = replace(library.config, batch_size=6)
    library.add_roots([originals])
    write_config(library.layout, library.config)
    library = equip(library)
    run(library)
    yield library
    library.close()


@pytest.fixture
def understood(understood_once: Library, tmp_path: Path) -> Iterator[Library]:
    """A copy that may be changed."""
    shutil.copytree(understood_once.layout.root, tmp_path / "library")
    library = open_library(tmp_path / "library")
    yield library
    library.close()


@pytest.mark.parametrize("name", TASK_STAGES)
def test_every_frame_of_every_content_has_its_row(understood_once: Library, name: str) -> None:
    frames = understood_once.read_stage("thumbnails", ["media_id", "frame", "state"])
    rows = understood_once.read_stage(name, ["media_id", "frame", "state"])
    expected = {(f["media_id"], f["frame"], f["state"]) for f in frames.to_pylist()}
    assert {(r["media_id"], r["frame"], r["state"]) for r in rows.to_pylist()} == expected
    assert len({frame for _, frame, _ in expected}) > 2, "the film has keyframes"
    assert "degraded" in {state for _, _, state in expected}, "the torn photo"


def test_vectors_are_unit_vectors_of_the_cards_width(understood_once: Library) -> None:
    rows = understood_once.read_stage("embeddings", ["vector", "dim", "model"]).to_pylist()
    vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
    assert {row["dim"] for row in rows} == {vectors.shape[1]}
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    assert {row["model"] for row in rows} == {understood_once.cards["embedder"].id}


def test_labels_come_from_the_vocabulary_and_from_the_classifier(understood_once: Library) -> None:
    rows = understood_once.read_stage("labels").to_pylist()
    assert {row["proposer"] for row in rows} == {"vocabulary", "classifier"}
    for row in rows:
        assert row["label"]
        assert row["score"] is not None
    ranks = [row["rank"] for row in rows if row["proposer"] == "vocabulary"]
    assert set(ranks) >= {1, 2, 3, 4, 5}


def test_the_catalogue_holds_everything_but_the_vectors(understood_once: Library) -> None:
    found = read_catalog(understood_once, "SELECT label, caption, people, is_junk FROM media")
    assert found.num_rows == understood_once.ledger.content_count()
    assert all(row["caption"] for row in found.to_pylist())
    tables = read_catalog(understood_once, "SELECT table_name FROM duckdb_tables()")
    names = set(tables["table_name"].to_pylist())
    assert {"labels", "detections", "captions", "junk_flags", "safety"} <= names
    assert "embeddings" not in names


def test_a_film_says_when_a_thing_is_seen(understood_once: Library) -> None:
    found = read_catalog(
        understood_once,
        "SELECT v.labels, m.kind FROM verdicts v JOIN metadata m USING (media_id)",
    ).to_pylist()
    film = next(row for row in found if row["kind"] == "video")
    stills = [row for row in found if row["kind"] == "image"]
    assert all(label["times_ms"] for label in film["labels"])
    assert not [label for row in stills for label in row["labels"] or () if label["times_ms"]]


def test_a_second_run_asks_no_model(understood: Library) -> None:
    before = computed(understood)
    run(understood)
    assert computed(understood) == before


def test_a_new_term_redoes_labels_and_leaves_the_vectors(understood: Library) -> None:
    understood.layout.vocabulary.write_text("our blue tent\n", encoding="utf-8")
    library = open_library(understood.layout.root)
    stale = stale_tables(library, [stage.name for stage in library.stages])
    assert "labels" in stale
    assert not {"embeddings", "classifications", "detections", "safety", "captions"} & stale.keys()
    before = computed(library)
    run(library, stale=True)
    changed = {stage for (stage, _), count in computed(library).items()
               if count != before.get((stage, _))}  # fmt: skip
    assert changed >= {"labels", "verdicts"}
    assert not changed & {"embeddings", "classifications", "detections", "safety", "captions"}


def test_a_term_taken_back_serves_the_labels_of_before(understood: Library) -> None:
    before = understood.read_stage("labels").to_pylist()
    understood.layout.vocabulary.write_text("our blue tent\n", encoding="utf-8")
    run(open_library(understood.layout.root), stale=True)
    understood.layout.vocabulary.unlink()
    library = open_library(understood.layout.root)
    run(library, stale=True)
    assert library.ledger.active()["labels"] == library.recipes["labels"]
    assert library.read_stage("labels").to_pylist() == before


def test_a_model_change_is_served_when_it_is_complete_and_not_before(understood: Library) -> None:
    old = understood.recipes["classifications"]
    other = add_model(understood, vit.write)
    understood.config = replace(
        understood.config, models={**understood.config.models, "classifier": other}
    )
    write_config(understood.layout, understood.config)
    library = open_library(understood.layout.root)
    assert library.recipes["classifications"] != old
    run(library)
    assert library.ledger.active()["classifications"] == old
    assert read_catalog(library, "SELECT DISTINCT model FROM classifications").num_rows == 1
    run(library, stale=True)
    assert library.ledger.active()["classifications"] == library.recipes["classifications"]
    served = read_catalog(library, "SELECT DISTINCT model FROM classifications")
    assert served["model"].to_pylist() == [other]


def test_a_sample_shows_a_change_and_writes_nothing(understood: Library) -> None:
    other = add_model(understood, vit.write)
    understood.config = replace(
        understood.config, models={**understood.config.models, "classifier": other}
    )
    write_config(understood.layout, understood.config)
    library = open_library(understood.layout.root)
    files = sorted(path.name for path in library.layout.tables.rglob("*"))
    before, after = sample_rows(library, Control(), "labels", 3)
    assert sorted(path.name for path in library.layout.tables.rglob("*")) == files
    assert len(set(before["media_id"].to_pylist())) == 3
    assert set(after["media_id"].to_pylist()) == set(before["media_id"].to_pylist())
    named = {row["model"] for row in after.to_pylist() if row["proposer"] == "classifier"}
    assert named == {other}
