"""Asset checks, one factory, from `schema.py`: errors for integrity, warnings for what looks odd.

    integrity (blocking)  the table has the declared columns, an entry for every content of the
                          manifest and none twice, no null where none may be, no number that is
                          not finite or out of its range
    failures (warning)    more than a tenth of the contents failed

No `from __future__ import annotations` here: Dagster reads annotations at run time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage
from media_pipeline.scan.batches import read_manifest
from media_pipeline.schema import Column, Table
from media_pipeline.tables import WHOLE

FAILED_SHARE = 0.1


def build(library: Library) -> list[dg.AssetChecksDefinition]:
    """The checks of every stage that writes a table."""
    found = []
    for stage in library.stages:
        if stage.name != "catalog":
            found.append(_integrity(stage))
        if stage.per_batch:
            found.append(_failures(stage))
    return found


def _integrity(stage: Stage) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=stage.name,
        name="integrity",
        blocking=True,
        required_resource_keys={"library"},
        description="Declared columns, one entry per content, no nulls or numbers out of range.",
    )
    def integrity(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        library: Library = context.resources.library
        problems: list[str] = []
        for key in _keys(context, stage):
            problems += [f"{key}: {p}" for p in problems_of(library, stage, key)]
        return dg.AssetCheckResult(passed=not problems, metadata={"problems": problems[:20]})

    return integrity


def _failures(stage: Stage) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=stage.name,
        name="failures",
        required_resource_keys={"library"},
        description=f"At most {FAILED_SHARE:.0%} of the contents failed.",
    )
    def failures(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        library: Library = context.resources.library
        failed, total = 0, 0
        for key in _keys(context, stage):
            table = library.store.read(stage.name, library.recipes[stage.name], key, ["state"])
            if table is not None:
                total += table.num_rows
                failed += table["state"].to_pylist().count("failed")
        return dg.AssetCheckResult(
            passed=failed <= FAILED_SHARE * total,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"failed": failed, "rows": total},
        )

    return failures


def _keys(context: dg.AssetCheckExecutionContext, stage: Stage) -> Sequence[str]:
    """The batches of the run, `library` for a whole-library stage."""
    if not stage.per_batch:
        return [WHOLE]
    operation = context.op_execution_context
    return (
        operation.partition_keys if operation.has_partition_key_range else [operation.partition_key]
    )


def problems_of(library: Library, stage: Stage, key: str) -> Iterator[str]:
    """What is wrong with the table of one batch; nothing where all is well."""
    table = library.store.read(stage.name, library.recipes[stage.name], key)
    if table is None:
        yield "there is no table"
        return
    declared = stage.table.arrow
    if not table.schema.equals(declared, check_metadata=False):
        yield f"its columns are {table.schema.names}, declared are {declared.names}"
        return
    yield from _wrong_values(stage.table, table)
    if stage.per_batch:
        members = {m.media_id for m in read_manifest(library.layout.batches, key)}
        found = set(table["media_id"].to_pylist())
        if members != found:
            yield f"{len(members - found)} contents have no row, {len(found - members)} too many"


def _wrong_values(declared: Table, table: pa.Table) -> Iterator[str]:
    for column in declared.columns:
        values: pa.ChunkedArray[Any] | pa.Array[Any] = table[column.name]
        if column.required and values.null_count:
            yield f"{column.name} has {values.null_count} nulls"
        if column.choices:
            odd = set(values.drop_null().unique().to_pylist()) - set(column.choices)
            if odd:
                yield f"{column.name} has {sorted(map(str, odd))[:5]}, none of its choices"
        if pa.types.is_list(column.dtype):
            values = pc.list_flatten(values)
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            yield from _wrong_numbers(column, values)
    distinct = table.select(list(declared.key)).group_by(list(declared.key)).aggregate([])
    if distinct.num_rows < table.num_rows:
        yield f"{table.num_rows - distinct.num_rows} rows repeat their {', '.join(declared.key)}"


def _wrong_numbers(column: Column, values: "pa.ChunkedArray[Any] | pa.Array[Any]") -> Iterator[str]:
    numbers = values.drop_null()
    if len(numbers) == 0:
        return
    if pa.types.is_floating(numbers.type) and not pc.all(pc.is_finite(numbers)).as_py():
        yield f"{column.name} has numbers that are not finite"
    smallest, largest = pc.min(numbers).as_py(), pc.max(numbers).as_py()
    if column.low is not None and smallest < column.low:
        yield f"{column.name} goes down to {smallest}, allowed from {column.low}"
    if column.high is not None and largest > column.high:
        yield f"{column.name} goes up to {largest}, allowed to {column.high}"
