"""Tables on disk: whole or not at all, damaged ones set aside, local or on any file system."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from upath import UPath

from media_pipeline.errors import CorruptLibraryFile
from media_pipeline.schema import QUALITY, TABLES
from media_pipeline.tables import TableStore

ROWS = pa.table({"media_id": ["a", "b"], "state": ["ok", "failed"]})


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TableStore:
    if request.param == "local":
        return TableStore(UPath(tmp_path))
    return TableStore(UPath(f"memory://{tmp_path.name}"))


def test_what_is_written_is_read_back(store: TableStore) -> None:
    store.write("quality", "11111111", "b000000", ROWS, {"stage": "quality"})
    table = store.read("quality", "11111111", "b000000")
    assert table is not None
    assert table.to_pylist() == ROWS.to_pylist()
    assert store.keys("quality", "11111111") == {"b000000"}
    assert store.recipes_of("quality") == ["11111111"]
    assert store.row_count("quality", "11111111", "b000000") == 2


def test_what_is_not_there_is_none_and_empty(store: TableStore) -> None:
    assert store.read("quality", "11111111", "b000000") is None
    assert store.keys("quality", "11111111") == set()
    assert store.recipes_of("nothing") == []
    assert store.row_count("quality", "11111111") == 0


def test_a_partial_is_no_table_and_goes_when_the_table_comes(store: TableStore) -> None:
    store.write_partial("quality", "11111111", "b000000", ROWS)
    assert store.keys("quality", "11111111") == set()
    partial = store.read_partial("quality", "11111111", "b000000")
    assert partial is not None
    assert partial.num_rows == 2
    store.write("quality", "11111111", "b000000", ROWS, {})
    assert store.read_partial("quality", "11111111", "b000000") is None


def test_the_stamp_changes_with_every_writing(store: TableStore) -> None:
    store.write("quality", "11111111", "b000000", ROWS, {})
    before = store.stamp("quality", "11111111", "b000000")
    store.write("quality", "11111111", "b000000", ROWS.slice(0, 1), {})
    assert store.stamp("quality", "11111111", "b000000") != before


def test_a_damaged_table_is_set_aside_with_the_remedy(store: TableStore) -> None:
    store.write("quality", "11111111", "b000000", ROWS, {})
    path = store.path("quality", "11111111", "b000000")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptLibraryFile, match="run `media-pipeline run`"):
        store.check_footers("quality", "11111111")
    assert store.keys("quality", "11111111") == set()
    store.check_footers("quality", "11111111")


def test_damage_inside_a_table_is_found_when_it_is_read(store: TableStore) -> None:
    store.write("quality", "11111111", "b000000", ROWS, {})
    path = store.path("quality", "11111111", "b000000")
    content = bytearray(path.read_bytes())
    content[8:40] = bytes(32)
    path.write_bytes(bytes(content))
    with pytest.raises(CorruptLibraryFile):
        store.read("quality", "11111111", "b000000")
    assert store.read("quality", "11111111", "b000000") is None


def test_no_flipped_byte_changes_what_is_read(tmp_path: Path) -> None:
    store = TableStore(UPath(tmp_path))
    rows = QUALITY.to_arrow(
        {
            "media_id": f"{n:032x}",
            "frame": n,
            "recipe": "11111111",
            "state": "ok",
            "blur_score": n / 20,
        }
        for n in range(20)
    )
    store.write("quality", "11111111", "b000000", rows, {"stage": "quality"})
    path = Path(store.path("quality", "11111111", "b000000").path)
    whole, expected = path.read_bytes(), store.read("quality", "11111111", "b000000")
    found = 0
    for place in range(0, len(whole), 23):
        content = bytearray(whole)
        content[place] ^= 0xFF if place % 2 else 0x01
        path.write_bytes(bytes(content))
        try:
            assert store.read("quality", "11111111", "b000000") == expected, place
        except CorruptLibraryFile:
            found += 1
    assert found > 0.5 * len(whole) / 23  # the rest are bytes that nothing reads


def test_an_interrupted_writing_leaves_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    store = TableStore(UPath(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        store.write("quality", "11111111", "b000000", ROWS, {})
    assert list((tmp_path / "quality" / "11111111").iterdir()) == []


def test_removing_a_recipe_leaves_the_others(store: TableStore) -> None:
    store.write("quality", "11111111", "b000000", ROWS, {})
    store.write("quality", "22222222", "b000000", ROWS, {})
    assert store.size_of("quality", "11111111") > 0
    store.remove("quality", "11111111")
    assert store.recipes_of("quality") == ["22222222"]


def test_every_column_has_a_meaning_and_every_number_a_unit_or_a_range() -> None:
    for table in TABLES.values():
        assert len({c.name for c in table.columns}) == len(table.columns), table.name
        for column in table.columns:
            assert column.meaning, (table.name, column.name)
        assert set(table.key) <= {c.name for c in table.columns}


def test_a_row_with_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError, match="quality has no column"):
        QUALITY.to_arrow([{"media_id": "a", "sharpness": 1.0}])
