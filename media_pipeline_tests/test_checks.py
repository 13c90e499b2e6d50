"""What the asset checks find wrong with a table, and what a failed one stops."""

from __future__ import annotations

import math
from collections.abc import Callable

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from media_pipeline.checks import problems_of
from media_pipeline.instance import open_instance
from media_pipeline.library.opened import Library
from media_pipeline.recipes import STAGES, stage
from media_pipeline.tables import WHOLE
from media_pipeline_tests.running import materialise, partitions_of

pytestmark = pytest.mark.slow

Damage = Callable[[pa.Table], pa.Table]
BATCH = "b000000"


def put(name: str, value: object) -> Damage:
    """Another value in the first row of a column."""

    def damage(table: pa.Table) -> pa.Table:
        place, field = table.schema.get_field_index(name), table.schema.field(name)
        values = [value, *table[name].to_pylist()[1:]]
        return table.set_column(place, field, pa.array(values, field.type))

    return damage


def repeat(table: pa.Table) -> pa.Table:
    """The first row twice."""
    return pa.concat_tables([table.slice(0, 1), table])


def with_a_stranger(table: pa.Table) -> pa.Table:
    """A row of a content that is not in the batch."""
    return put("media_id", "f" * 32)(repeat(table))


def narrowed(table: pa.Table) -> pa.Table:
    """Sizes in 32 bits."""
    place = table.schema.get_field_index("size_bytes")
    return table.set_column(place, "size_bytes", pc.cast(table["size_bytes"], pa.int32()))


DAMAGES: list[tuple[str, Damage, str]] = [
    ("thumbnails", lambda t: t.slice(1), "1 contents have no row, 0 too many"),
    ("thumbnails", with_a_stranger, "0 contents have no row, 1 too many"),
    ("thumbnails", repeat, "1 rows repeat their media_id, frame"),
    ("thumbnails", put("fine_noise_sigma", math.nan), "fine_noise_sigma has numbers that are not"),
    ("thumbnails", put("tile_sharpness", [math.inf]), "tile_sharpness has numbers that are not"),
    ("thumbnails", put("frame", -1), "frame goes down to -1, allowed from 0"),
    ("metadata", put("orientation", 9), "orientation goes up to 9, allowed to 8"),
    ("metadata", put("state", "splendid"), "state has ['splendid'], none of its choices"),
    ("metadata", lambda t: t.drop_columns(["camera_make"]), "its columns are"),
    ("metadata", narrowed, "its columns are"),
]
"""The stage, what is done to its table, and what is said of it."""


def write(library: Library, name: str, table: pa.Table) -> None:
    library.store.write(name, library.recipes[name], BATCH, table, {})


def read(library: Library, name: str) -> pa.Table:
    table = library.store.read(name, library.recipes[name], BATCH)
    assert table is not None
    return table


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGES)
def test_damage_is_named(copied: Library, name: str, damage: Damage, said: str) -> None:
    write(copied, name, damage(read(copied, name)))
    found = list(problems_of(copied, stage(name), BATCH))
    assert [problem[: len(said)] for problem in found] == [said]


def test_a_table_that_is_not_there_is_named(copied: Library) -> None:
    copied.store.path("metadata", copied.recipes["metadata"], BATCH).unlink()
    assert list(problems_of(copied, stage("metadata"), BATCH)) == ["there is no table"]


def test_every_table_of_a_run_is_sound(ran: Library) -> None:
    for one in STAGES:
        for key in partitions_of(ran, one) if one.has_table else ():
            assert list(problems_of(ran, one, key)) == []


def test_a_failed_integrity_check_stops_what_is_below(copied: Library) -> None:
    write(copied, "thumbnails", put("fine_noise_sigma", math.nan)(read(copied, "thumbnails")))
    with open_instance(copied) as instance:
        tags = {"dagster/partition": BATCH}
        result = materialise(copied, instance, ["thumbnails", "quality"], tags)
    assert not result.success
    checked = {
        (e.asset_key.to_user_string(), e.check_name): e
        for e in result.get_asset_check_evaluations()
    }
    integrity = checked["thumbnails", "integrity"]
    assert not integrity.passed
    assert integrity.severity == dg.AssetCheckSeverity.ERROR
    assert f"{BATCH}: fine_noise_sigma" in str(integrity.metadata["problems"].value)
    assert ("quality", "integrity") not in checked
    assert not result.asset_materializations_for_node("quality")


def test_many_failures_warn_and_stop_nothing(copied: Library) -> None:
    table = read(copied, "metadata")
    for name, value in {"state": "failed", "reason": "undecodable", "retryable": False}.items():
        table = put(name, value)(table)
    write(copied, "metadata", table)
    with open_instance(copied) as instance:
        result = materialise(copied, instance, ["metadata"], {"dagster/partition": BATCH})
    assert result.success
    failures = next(e for e in result.get_asset_check_evaluations() if e.check_name == "failures")
    assert not failures.passed
    assert failures.severity == dg.AssetCheckSeverity.WARN
    assert failures.metadata["failed"].value == 1


def test_whole_library_tables_are_checked_too(copied: Library) -> None:
    recipe = copied.recipes["verdicts"]
    table = copied.store.read("verdicts", recipe, WHOLE)
    assert table is not None
    copied.store.write("verdicts", recipe, WHOLE, pa.concat_tables([table, table]), {})
    (said,) = problems_of(copied, stage("verdicts"), WHOLE)
    assert said == "10 rows repeat their media_id"
