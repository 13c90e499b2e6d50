"""The graph as Dagster's users see it: what it says of itself, its partitions, what is stale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.definitions.data_version import StaleStatus
from dagster._utils.test.data_versions import get_stale_status_resolver

from media_pipeline.definitions import build_definitions
from media_pipeline.instance import RANGE_END, RANGE_START, open_instance
from media_pipeline.library.opened import Library
from media_pipeline.recipes import STAGES, Stage
from media_pipeline.resources import pool_of
from media_pipeline.schema import JUNK_KINDS, TABLES
from media_pipeline.tables import WHOLE
from media_pipeline_tests.running import computed, materialise, new_library, run

BATCHES = ["b000000", "b000001", "b000002"]
PER_BATCH = [
    "metadata", "thumbnails", "quality", "embeddings", "classifications", "labels", "detections",
    "safety", "captions", "junk_flags",
]  # fmt: skip
NOT_EVALUATED = {"embeddings", "classifications", "labels", "safety"}
"""What the profile `embedded` has no model for."""

WHOLE_LIBRARY = ["files", "duplicates", "verdicts", "catalog"]


@pytest.fixture
def instance(copied: Library) -> Iterator[dg.DagsterInstance]:
    with open_instance(copied) as opened:
        yield opened


@pytest.fixture
def bumped(copied: Library) -> Iterator[Library]:
    """The same library under a later version of `quality`."""
    stages = [replace(s, version=99) if s.name == "quality" else s for s in copied.stages]
    later = Library(copied.layout, copied.config, tuple(stages))
    yield later
    later.close()


# -- what the graph says of itself ---------------------------------------------------------------


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A library that was never run."""
    return new_library(tmp_path_factory.mktemp("declared"), pictures=0)


@pytest.fixture(scope="module")
def definitions(declared: Library) -> dg.Definitions:
    return build_definitions(declared)


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_the_assets_are_the_stages_in_two_groups(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name: spec.group_name for name, spec in specs.items()} == {
        **dict.fromkeys(PER_BATCH, "per_batch"),
        **dict.fromkeys(WHOLE_LIBRARY, "whole_library"),
    }


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: str(stage.name))
def test_every_asset_says_what_it_holds_and_what_made_it(
    stage: Stage, specs: dict[str, dg.AssetSpec], declared: Library
) -> None:
    spec = specs[stage.name]
    assert spec.description
    assert spec.code_version == declared.recipes[stage.name]
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == set(stage.inputs)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_declares_its_columns(name: str, specs: dict[str, dg.AssetSpec]) -> None:
    schema = specs[name].metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [c.name for c in schema.columns] == [c.name for c in TABLES[name].columns]
    assert all(column.description and column.type for column in schema.columns)


def test_every_table_has_checks_and_integrity_blocks(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    checks = {
        (key.asset_key.to_user_string(), key.name): graph.get_check_spec(key).blocking
        for key in graph.asset_check_keys
    }
    assert checks == {
        **{(name, "integrity"): True for name in TABLES},
        **{(name, "failures"): False for name in PER_BATCH},
    }


def test_sensors_run_from_the_start_and_the_schedule_does_not(definitions: dg.Definitions) -> None:
    sensors = {sensor.name: sensor.default_status for sensor in definitions.sensors or ()}
    assert sensors == dict.fromkeys(["new_files", "work_due"], dg.DefaultSensorStatus.RUNNING)
    (nightly,) = definitions.schedules or ()
    assert isinstance(nightly, dg.ScheduleDefinition)
    assert nightly.name == "nightly_scan"
    assert nightly.default_status == dg.DefaultScheduleStatus.STOPPED
    assert {job.name for job in definitions.jobs or ()} == {"scan", "backfill_stale"}
    described = [*(definitions.sensors or ()), *(definitions.jobs or ()), nightly]
    assert all(one.description for one in described)


def test_stages_that_keep_every_core_busy_share_a_pool_of_one(
    definitions: dg.Definitions, declared: Library
) -> None:
    graph = definitions.resolve_asset_graph()
    pools = {node.key.to_user_string(): node.pools for node in graph.asset_nodes}
    assert {name for name, used in pools.items() if used == {"cpu"}} == set(PER_BATCH)
    assert {name for name, used in pools.items() if not used} == set(WHOLE_LIBRARY)
    with open_instance(declared) as instance:
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_stages_whose_models_run_on_the_gpu_share_a_pool_of_their_own(
    declared: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    standard = Library(declared.layout, replace(declared.config, profile="standard"))
    monkeypatch.setattr("media_pipeline.resources.may_use_cuda", lambda settings: True)
    pools = {stage.name: pool_of(standard, stage) for stage in standard.batch_stages()}
    on_gpu = {"embeddings", "classifications", "labels", "detections", "safety", "captions"}
    assert {name for name, pool in pools.items() if pool == "gpu"} == on_gpu
    embedded = {pool_of(declared, stage) for stage in declared.batch_stages()}
    assert embedded == {"cpu"}, "nothing of the embedded profile runs on a GPU"


def test_one_run_takes_at_most_eight_batches_of_a_backfill(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in PER_BATCH:
        policy = graph.get(dg.AssetKey(name)).backfill_policy
        assert policy == dg.BackfillPolicy.multi_run(8)


# -- partitions ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_dagster_knows_every_batch_and_a_run_fills_them_all(
    copied: Library, instance: dg.DagsterInstance
) -> None:
    assert list(instance.get_dynamic_partitions("file_batches")) == BATCHES
    for name in PER_BATCH:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == set(BATCHES)
    for name in WHOLE_LIBRARY:
        assert instance.get_latest_materialization_event(dg.AssetKey(name)) is not None


@pytest.mark.slow
def test_every_partition_says_what_became_of_it(instance: dg.DagsterInstance) -> None:
    for name in PER_BATCH:
        said = {batch: metadata(instance, name, batch) for batch in BATCHES}
        per_content = len(JUNK_KINDS) if name == "junk_flags" else 1
        rows = [said[b]["dagster/row_count"] for b in BATCHES]
        assert rows == [4 * per_content, 4 * per_content, 2 * per_content]
        assert [said[b]["computed"] for b in BATCHES] == [4, 4, 2]
        assert [said[b]["copied"] for b in BATCHES] == [0, 0, 0]
        state = "skipped" if name in NOT_EVALUATED else "ok"
        assert [said[b]["states"] for b in BATCHES] == [{state: 4}, {state: 4}, {state: 2}]
        assert all(said[b]["seconds"] > 0 and said[b]["items_per_second"] > 0 for b in BATCHES)


@pytest.mark.slow
def test_a_single_key_materialises_and_copies_what_is_there(
    copied: Library, instance: dg.DagsterInstance
) -> None:
    table = copied.store.path("thumbnails", copied.recipes["thumbnails"], "b000001")
    table.unlink()
    before = computed(copied)
    result = materialise(copied, instance, PER_BATCH, {"dagster/partition": "b000001"})
    assert result.success
    assert table.exists()
    assert metadata(instance, "metadata", "b000001")["copied"] == 4
    assert metadata(instance, "thumbnails", "b000001")["computed"] == 4
    assert metadata(instance, "thumbnails", "b000000")["computed"] == 4  # of the run before
    assert grown(before, computed(copied)) == {("thumbnails", "b000001"): 4}


@pytest.mark.slow
def test_a_range_of_keys_materialises_in_one_run(
    copied: Library, instance: dg.DagsterInstance
) -> None:
    for batch in BATCHES:
        copied.store.path("quality", copied.recipes["quality"], batch).unlink()
    before = computed(copied)
    tags = {RANGE_START: "b000001", RANGE_END: "b000002"}
    result = materialise(copied, instance, ["quality"], tags)
    assert result.success
    assert grown(before, computed(copied)) == {
        ("quality", "b000001"): 4,
        ("quality", "b000002"): 2,
    }
    materialised = result.asset_materializations_for_node("quality")
    assert sorted(str(event.partition) for event in materialised) == ["b000001", "b000002"]
    assert copied.ledger.orders() == set()


def metadata(instance: dg.DagsterInstance, name: str, batch: str) -> dict[str, object]:
    """What the latest materialisation of a partition says."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[batch])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return {name: entry.value for name, entry in record.asset_materialization.metadata.items()}


def grown(
    before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]
) -> dict[tuple[str, str], int]:
    """What was computed between two looks at the work."""
    return {key: n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)}


# -- stale ---------------------------------------------------------------------------------------


def stale(library: Library, instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """What the UI shows as stale: asset to its stale partitions."""
    assets = [
        a for a in build_definitions(library).assets or () if isinstance(a, dg.AssetsDefinition)
    ]
    resolver = get_stale_status_resolver(instance, assets)
    found: dict[str, list[str]] = {}
    for name in [*PER_BATCH, *WHOLE_LIBRARY]:
        for batch in BATCHES if name in PER_BATCH else [None]:
            status = resolver.get_status(dg.AssetKey(name), batch)
            assert status in (StaleStatus.FRESH, StaleStatus.STALE)
            if status == StaleStatus.STALE:
                found.setdefault(name, []).append(batch or WHOLE)
    return found


BELOW_QUALITY = {
    "captions": BATCHES,
    "junk_flags": BATCHES,
    **{name: [WHOLE] for name in WHOLE_LIBRARY},
}


@pytest.mark.slow
def test_nothing_is_stale_after_a_run(copied: Library, instance: dg.DagsterInstance) -> None:
    assert stale(copied, instance) == {}


@pytest.mark.slow
def test_a_new_version_shows_as_stale_all_the_way_down(
    bumped: Library, instance: dg.DagsterInstance
) -> None:
    assert stale(bumped, instance) == {"quality": BATCHES, **BELOW_QUALITY}


@pytest.mark.slow
def test_run_reports_what_is_stale_and_leaves_it(
    bumped: Library, instance: dg.DagsterInstance
) -> None:
    before = computed(bumped)
    outcome = run(bumped)
    assert outcome.left_stale == {"quality": BATCHES, **BELOW_QUALITY}
    assert outcome.estimate_s > 0
    assert computed(bumped) == before
    assert stale(bumped, instance) == {"quality": BATCHES, **BELOW_QUALITY}


@pytest.mark.slow
def test_backfilling_makes_the_stale_stage_and_what_is_below_and_nothing_else(
    bumped: Library, instance: dg.DagsterInstance, copied: Library
) -> None:
    before = computed(bumped)
    outcome = run(bumped, scan=False, stale=True)
    assert outcome.left_stale == {}
    again = grown(before, computed(bumped))
    assert {key: n for key, n in again.items() if key[1] != WHOLE} == {
        (stage, batch): size
        for stage in ("quality", "captions", "junk_flags")
        for batch, size in zip(BATCHES, (4, 4, 2), strict=True)
    }
    assert {stage for stage, key in again if key == WHOLE} == set(WHOLE_LIBRARY)
    assert stale(bumped, instance) == {}
    for recipe in (copied.recipes["quality"], bumped.recipes["quality"]):  # side by side
        assert bumped.store.keys("quality", recipe) == set(BATCHES)
    assert set(bumped.chosen("quality").values()) == {bumped.recipes["quality"]}
