"""Asset checks, one factory, from `schema/`: errors for integrity, warnings for what looks odd.

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

FAILED_SHARE = 0.1


def specs(stage: Stage) -> list[dg.AssetCheckSpec]:
    """The checks of a stage that writes a table; its own step evaluates them.

    A check of its own step costs as much of Dagster's time as the asset (0.09 s each, measured).
    """
    found = []
    if stage.has_table:
        text = "Declared columns, one entry per content, no nulls or numbers out of range."
        found.append(
            dg.AssetCheckSpec("integrity", asset=stage.name, blocking=True, description=text)
        )
    if stage.per_batch:
        text = f"At most {FAILED_SHARE:.0%} of the contents failed."
        found.append(dg.AssetCheckSpec("failures", asset=stage.name, description=text))
    return found


def results(library: Library, stage: Stage, keys: Sequence[str]) -> list[dg.AssetCheckResult]:
    """What the checks of a stage find in the tables of these batches (or of the whole library)."""
    found = [_integrity(library, stage, keys)] if stage.has_table else []
    return [*found, _failures(library, stage, keys)] if stage.per_batch else found


def _integrity(library: Library, stage: Stage, keys: Sequence[str]) -> dg.AssetCheckResult:
    problems = [f"{key}: {p}" for key in keys for p in problems_of(library, stage, key)]
    return dg.AssetCheckResult(
        check_name="integrity", passed=not problems, metadata={"problems": problems[:20]}
    )


def _failures(library: Library, stage: Stage, keys: Sequence[str]) -> dg.AssetCheckResult:
    failed, total = 0, 0
    for key in keys:
        table = library.store.read(stage.name, library.recipes[stage.name], key, ["state"])
        if table is not None:
            total += table.num_rows
            failed += table["state"].to_pylist().count("failed")
    return dg.AssetCheckResult(
        check_name="failures",
        passed=failed <= FAILED_SHARE * total,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"failed": failed, "rows": total},
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
        members -= library.decisions.forgotten
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
        if pa.types.is_float16(values.type):  # Arrow has no kernels for half floats
            values = values.cast(pa.float32())
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
