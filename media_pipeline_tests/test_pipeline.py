"""The whole way on real input: the demo collection ends as its table of expectations says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from media_pipeline.batchwork import Control
from media_pipeline.demo import Expected, build_collection
from media_pipeline.library.catalog import open_catalog
from media_pipeline.library.opened import Library, create_library
from media_pipeline.library.status import read_status
from media_pipeline.recipes import with_inputs
from media_pipeline.runner import RunRequest, run_library
from media_pipeline.schema import TABLES

pytestmark = pytest.mark.slow

Row = dict[str, Any]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "originals"


@pytest.fixture(scope="module")
def expected(originals: Path) -> list[Expected]:
    return build_collection(originals)


@pytest.fixture(scope="module")
def demo(originals: Path, expected: list[Expected]) -> Iterator[Library]:
    """The demo library, made once."""
    library = create_library(originals.parent / "library")
    run(library, library.add_roots([originals]))
    yield library
    library.close()


@pytest.fixture(scope="module")
def catalog(demo: Library) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(demo) as connection:
        yield connection


@pytest.fixture(scope="module")
def files(catalog: duckdb.DuckDBPyConnection) -> dict[bytes, Row]:
    """Every row of `files` with its verdict, by relative path."""
    query = "SELECT * FROM files LEFT JOIN verdicts USING (media_id)"
    rows = catalog.sql(query).to_arrow_table().to_pylist()
    return {row["relative_path"]: row for row in rows}


def run(library: Library, below: dict[str, list[bytes]]) -> None:
    run_library(library, RunRequest(stages=with_inputs([]), below=below), Control())


def test_every_file_ends_in_its_expected_state(
    expected: list[Expected], files: dict[bytes, Row]
) -> None:
    wrong = [
        (e.path, (e.state, e.reason, e.stage), (row["state"], row["reason"], row["stage"]))
        for e in expected
        for row in [files[e.path]]
        if (e.state, e.reason, e.stage) != (row["state"], row["reason"], row["stage"])
    ]
    assert wrong == []
    assert files.keys() == {e.path for e in expected}


def test_every_expected_tag_holds_and_no_excluded_one_does(
    expected: list[Expected], files: dict[bytes, Row]
) -> None:
    wrong = []
    for e in expected:
        tags = set(files[e.path]["tags"] or ())
        missing, extra = set(e.tags_include) - tags, set(e.tags_exclude) & tags
        if missing or extra:
            wrong.append((e.path, "missing", sorted(missing), "extra", sorted(extra)))
    assert wrong == []


def test_people_and_animals_are_seen_where_they_are_and_nowhere_else(
    expected: list[Expected], files: dict[bytes, Row]
) -> None:
    seen = {
        e.path: (files[e.path]["people"], tuple(files[e.path]["animals"]))
        for e in expected
        if e.people is not None
    }
    assert seen == {e.path: (e.people, e.animals) for e in expected if e.people is not None}


def test_junk_is_called_what_it_is_and_good_photos_are_kept(
    expected: list[Expected], files: dict[bytes, Row]
) -> None:
    called = {e.path: files[e.path]["junk_kind"] for e in expected if e.junk}
    assert called == {e.path: e.junk for e in expected if e.junk}
    assert all(files[e.path]["is_junk"] for e in expected if e.junk)
    assert [e.path for e in expected if e.keep and files[e.path]["is_junk"] is not False] == []


def test_every_flag_that_fired_says_why(files: dict[bytes, Row]) -> None:
    for row in files.values():
        for item in row["junk_evidence"] or ():
            assert item["fired"] == (item["score"] >= item["threshold"])
        fired = [item for item in row["junk_evidence"] or () if item["fired"]]
        assert bool(row["is_junk"]) <= bool(fired)
        assert bool(row["is_junk"]) + bool(row["protections"]) <= 1 or fired


def test_captions_say_what_is_recorded(catalog: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT path, caption FROM media WHERE caption IS NOT NULL"
    captions = {Path(path).name: caption for path, caption in catalog.sql(query).fetchall()}
    assert captions["IMG_1003.JPG"] == "A photo of a person, taken on a July morning in 2019."
    assert captions["VID_20230714_200322.mp4"] == "A 4-second video recorded in July 2023."
    assert "Vienna, Austria" in captions["IMG_1001.JPG"]


@pytest.mark.parametrize("stage", ["embeddings", "classifications", "labels", "safety"])
def test_what_no_model_was_asked_about_says_so(demo: Library, stage: str) -> None:
    rows = demo.read_stage(stage).to_pylist()
    assert {(row["state"], row["reason"]) for row in rows} == {("skipped", "not_evaluated")}
    assert all("embedded" in row["message"] for row in rows)


def test_same_pictures_share_a_group_and_others_do_not(
    expected: list[Expected], files: dict[bytes, Row], catalog: duckdb.DuckDBPyConnection
) -> None:
    rows = catalog.sql(
        "SELECT media_id, group_id FROM duplicates WHERE kind = 'same_picture'"
    ).fetchall()
    group = dict(rows)

    def same(one: bytes, other: bytes) -> bool:
        a, b = files[one]["media_id"], files[other]["media_id"]
        return a == b or (a in group and group.get(a) == group.get(b))

    lost = [e.path for e in expected if e.same_picture_as and not same(e.path, e.same_picture_as)]
    wrong = [e.path for e in expected if e.not_same_as and same(e.path, e.not_same_as)]
    assert (lost, wrong) == ([], [])


def test_equal_bytes_are_copies_of_one_content(
    expected: list[Expected], files: dict[bytes, Row]
) -> None:
    for e in expected:
        if e.same_bytes_as:
            assert files[e.path]["media_id"] == files[e.same_bytes_as]["media_id"], e.path


def test_the_states_add_up_to_the_files(demo: Library, expected: list[Expected]) -> None:
    status = read_status(demo)
    assert status.ok + status.degraded + status.failed + status.skipped == status.files
    assert (status.files, status.pending, status.missing) == (len(expected), 0, 0)


def test_no_poster_is_black(demo: Library, catalog: duckdb.DuckDBPyConnection) -> None:
    rows = catalog.sql(
        "SELECT mean_intensity FROM quality JOIN thumbnails USING (media_id, frame) "
        "WHERE role = 'poster'"
    ).fetchall()
    assert len(rows) >= 2
    assert all(mean > 30 for (mean,) in rows)


def test_every_table_of_the_catalogue_is_documented(catalog: duckdb.DuckDBPyConnection) -> None:
    tables = dict(catalog.sql("SELECT table_name, comment FROM duckdb_tables()").fetchall())
    wanted = {name for name, table in TABLES.items() if table.in_catalog} | {"media", "outcomes"}
    assert wanted <= tables.keys()
    assert all(tables[name] for name in wanted)
    bare = catalog.sql(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE NOT internal AND comment IS NULL AND table_name NOT LIKE '\\_%' ESCAPE '\\'"
    ).fetchall()
    assert bare == []


def test_a_second_run_computes_nothing(demo: Library) -> None:
    stamps = catalog_stamp(demo)
    run(demo, {})
    status = read_status(demo)
    assert {name: s.computed for name, s in status.stages.items()} == dict.fromkeys(
        status.stages, 0
    )
    assert catalog_stamp(demo) == stamps


def catalog_stamp(library: Library) -> tuple[int, int]:
    stat = os.stat(library.layout.catalog)
    return stat.st_ino, stat.st_mtime_ns


def test_a_renamed_tree_computes_nothing_and_keeps_every_state(
    demo: Library, originals: Path
) -> None:
    before = read_status(demo)
    inner = originals / "2019 Holiday"
    assert inner.is_dir()
    inner.rename(originals / "2019 Summer")
    try:
        run(demo, {})
        after = read_status(demo)
        for stage in demo.batch_stages():
            assert after.stages[stage.name].computed == 0
        assert (after.ok, after.failed, after.files) == (before.ok, before.failed, before.files)
    finally:
        (originals / "2019 Summer").rename(inner)
