"""docs/tables.md, written from the declarations in schema/ (`make docs`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from media_pipeline.schema import REASONS, TABLES, Column, Table

DESTINATION = Path(__file__).parent.parent / "docs" / "tables.md"

INTRODUCTION = """\
# Tables

Every table of a library and every column in it. Written by `make docs` from `schema/`, where each
column is declared once; a test compares the two, so change that file and not this one.

A *batch* table is one Parquet file per batch, a *library* table one file for the whole library;
both become tables of `catalog.duckdb` under the same name, but for `embeddings`, whose vectors stay
in Parquet.
"""


def document() -> str:
    """The whole of docs/tables.md, as Markdown."""
    sections = (_section(table) for table in TABLES.values())
    return "\n".join([INTRODUCTION, *sections, _reasons()])


def _section(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    heading = f"## {table.name}\n\n{table.meaning}. One {table.scope} table; key {key}.\n\n"
    header = ("column", "type", "unit", "range", "meaning")
    return heading + _grid(header, (_cells(column) for column in table.columns))


def _cells(column: Column) -> tuple[str, ...]:
    name = f"`{column.name}`" + (" (never null)" if column.required else "")
    return name, f"`{column.dtype}`", column.unit, _range(column), column.meaning


def _range(column: Column) -> str:
    if column.choices == tuple(REASONS):
        return "see [reasons](#reasons)"
    if column.choices:
        return ", ".join(f"`{choice}`" for choice in column.choices)
    if column.low is None and column.high is None:
        return ""
    low = "(-inf" if column.low is None else f"[{column.low:g}"
    high = "inf)" if column.high is None else f"{column.high:g}]"
    return f"{low}, {high}"


def _reasons() -> str:
    rows = ((f"`{reason}`", meaning) for reason, meaning in REASONS.items())
    return "## Reasons\n\nWhy a file is not `ok`.\n\n" + _grid(("reason", "meaning"), rows)


def _grid(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "".join(_line(cells) for cells in (header, ("---",) * len(header), *rows))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    DESTINATION.write_text(document(), encoding="utf-8")
    print(f"wrote {DESTINATION}")
