"""Shells over the core: how a stage becomes a Dagster asset, per batch or for the whole library.

No `from __future__ import annotations` here: Dagster reads the annotations of assets at run time.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pyarrow as pa

import media_pipeline.checks as checks
from media_pipeline.batchwork import BatchReport, Compute, Control, make_table
from media_pipeline.errors import MediaPipelineError
from media_pipeline.library.catalog import media_columns
from media_pipeline.library.opened import Library
from media_pipeline.library.plan import fingerprint, record_made, switch_recipes
from media_pipeline.recipes import Stage, stage
from media_pipeline.scan.rows import WorkRow
from media_pipeline.schema import Column
from media_pipeline.settings import may_use_cuda, read_settings
from media_pipeline.tables import WHOLE

FILE_BATCHES = dg.DynamicPartitionsDefinition(name="file_batches")
BATCHES_PER_BACKFILL_RUN = 8
CPU_POOL, GPU_POOL = "cpu", "gpu"
"""Stages that keep all cores, or the one GPU, busy share a pool; `dagster.yaml` limits it."""

TRANSIENT = (sqlite3.OperationalError, ConnectionError, TimeoutError, InterruptedError)
"""Errors of the machinery that may pass by themselves; one file's problem never raises these."""

RETRIES = 3
RETRY_WAIT_S = 2.0

Make = Callable[[Library, Stage], Mapping[str, Any]]
"""Makes a whole-library output; returns at least `rows`, plus whatever is worth showing."""


def run_lock(run_id: str) -> str:
    """The lock that the process of a Dagster run holds as long as it lives."""
    return f"run-{run_id}"


@contextmanager
def alive(library: Library, run_id: str) -> Iterator[None]:
    """Hold the lock of a run; a run that is left by an exception is found dead by the next."""
    with library.locked(run_lock(run_id)):
        yield
    (library.layout.locks / f"{run_lock(run_id)}.lock").unlink(missing_ok=True)


def control_of_daemon(library: Library) -> dg.ResourceDefinition:
    """A `Control` of its own for every run that a daemon starts, alive as long as the run."""

    @dg.resource(description="What the stages of one run share: decode workers, and a life sign.")
    def control(context: dg.InitResourceContext) -> Iterator[Control]:
        made = Control()
        with alive(library, context.run.run_id if context.run else "none"):
            try:
                yield made
            finally:
                made.close()

    return control


def batch_asset(library: Library, name: str, compute: Compute) -> dg.AssetsDefinition:
    """A per-batch stage as a partitioned asset.

    Args:
        library: The library whose recipes become code versions.
        name: Stage name.
        compute: Computes the rows of a batch's items.
    """
    spec = stage(name, library.stages)

    @dg.asset(
        name=name,
        partitions_def=FILE_BATCHES,
        deps=list(spec.inputs),
        backfill_policy=dg.BackfillPolicy.multi_run(BATCHES_PER_BACKFILL_RUN),
        pool=pool_of(library, spec),
        required_resource_keys={"library", "control"},
        group_name="per_batch",
        description=spec.meaning,
        code_version=library.recipes[name],
        metadata=_column_metadata(spec),
        kinds={"parquet"},
        check_specs=checks.specs(spec),
    )
    def run(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        control: Control = context.resources.control
        opened: Library = context.resources.library
        keys = list(context.partition_keys)
        with _ordered(opened, spec, keys):
            with _failures(control), _recorded_as(control, opened, context.run.run_id):
                _make_batches(context, opened, control, spec, compute)
                found = checks.results(opened, spec, keys)
            yield dg.MaterializeResult(check_results=found)

    return run


def pool_of(library: Library, spec: Stage) -> str:
    """The pool of a per-batch stage: the GPU's where its model runs there, else the cores'."""
    texts = (
        library.cards.get("embedder") if spec.name == "labels" else None
    )  # embeds the vocabulary
    cards = [card for card in (library.card_of(spec), texts) if card is not None]
    is_on_gpu = any(card.needs_files for card in cards) and may_use_cuda(read_settings())
    return GPU_POOL if is_on_gpu else CPU_POOL


@contextmanager
def _ordered(library: Library, spec: Stage, keys: list[str]) -> Iterator[None]:
    """An order that is struck when Dagster has written down the materialisation, and not before.

    A run that is cut off anywhere in between leaves it, so its tables come due again.
    """
    with library.ledger.transaction():
        library.ledger.add_orders(spec.name, keys, "unfinished")
    yield
    with library.ledger.transaction():
        library.ledger.fill_orders(spec.name, keys)


def _make_batches(
    context: dg.AssetExecutionContext,
    library: Library,
    control: Control,
    spec: Stage,
    compute: Compute,
) -> None:
    for key in context.partition_keys:
        report = make_table(library, control, spec, key, compute)
        context.add_asset_metadata(metadata_of(report), partition_key=key)
        context.log.info(f"{spec.name} {key}: {report.computed} computed, {report.copied} copied")
    if library.is_current:  # else a run that began before would switch back
        switch_recipes(library)


def library_asset(library: Library, name: str, make: Make) -> dg.AssetsDefinition:
    """A whole-library stage as an asset without partitions.

    Args:
        library: The library whose recipes become code versions.
        name: Stage name.
        make: Makes the output and writes it.
    """
    spec = stage(name, library.stages)

    @dg.asset(
        name=name,
        deps=list(spec.inputs),
        required_resource_keys={"library", "control"},
        group_name="whole_library",
        description=spec.meaning,
        code_version=library.recipes[name],
        metadata=_column_metadata(spec),
        kinds={"duckdb" if name == "catalog" else "parquet"},
        check_specs=checks.specs(spec),
    )
    def run(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        control: Control = context.resources.control
        opened: Library = context.resources.library
        with _ordered(opened, spec, [WHOLE]):
            with _failures(control), _recorded_as(control, opened, context.run.run_id):
                facts = make_whole(opened, control, spec, make, context.run.run_id)
                found = checks.results(opened, spec, [WHOLE])
            yield dg.MaterializeResult(metadata=facts, check_results=found)

    return run


def make_whole(
    library: Library, control: Control, spec: Stage, make: Make, written_by: str
) -> dict[str, Any]:
    """Make the output of a whole-library stage and remember from what."""
    started = time.monotonic()
    with library.locked(spec.name):
        inputs = fingerprint(library, spec)
        facts = dict(make(library, spec))
        record_made(library, spec, inputs, written_by)
    seconds = time.monotonic() - started
    rows = int(facts.pop("rows"))
    work = WorkRow(spec.name, WHOLE, rows, rows, 0, seconds)
    with library.ledger.transaction():
        library.ledger.add_work(control.run or "", work)
    control.work_seconds += seconds
    control.on_progress(spec.name, 1)
    rate = round(rows / seconds, 2) if seconds else 0.0
    return {
        "dagster/row_count": rows,
        "seconds": round(seconds, 3),
        "rows_per_second": rate,
        **facts,
    }


def write_whole(library: Library, spec: Stage, rows: pa.Table) -> None:
    """Write the table of a whole-library stage."""
    recipe = library.recipes[spec.name]
    facts = {"stage": spec.name, "recipe": recipe}
    library.store.write(spec.name, recipe, WHOLE, rows, facts)


@contextmanager
def _failures(control: Control) -> Iterator[None]:
    """Say to Dagster what a failure means: transient ones are retried, ours are final."""
    try:
        yield
    except TRANSIENT as error:
        control.failure = error
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_WAIT_S) from error
    except MediaPipelineError as error:
        control.failure = error
        raise dg.Failure(description=str(error), allow_retries=False) from error


@contextmanager
def _recorded_as(control: Control, library: Library, run_id: str) -> Iterator[None]:
    """Record work under the command line's run, or under Dagster's where a daemon runs it."""
    if control.run is not None:
        yield
        return
    control.run = run_id
    try:
        with library.ledger.transaction():
            library.ledger.start_run(run_id)
        yield
    finally:
        control.run = None


def metadata_of(report: BatchReport) -> dict[str, Any]:
    """What a materialisation of one batch tells: rows, states, computed, copied, seconds, rate."""
    rate = report.computed / report.seconds if report.seconds else 0.0
    return {
        "dagster/row_count": report.rows,
        "computed": report.computed,
        "copied": report.copied,
        "seconds": round(report.seconds, 3),
        "items_per_second": round(rate, 2),
        "states": dg.MetadataValue.json(report.states),
    }


def _column_metadata(spec: Stage) -> dict[str, Any]:
    columns = spec.table.columns if spec.has_table else media_columns()
    return {"dagster/column_schema": column_schema(columns)}


def column_schema(columns: Iterable[Column]) -> dg.TableSchema:
    """Columns as Dagster shows them; of the catalogue those of `media`."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                str(c.dtype),
                c.description,
                constraints=dg.TableColumnConstraints(nullable=not c.required),
            )
            for c in columns
        ]
    )
