"""What a column and a table are, and the columns that every table shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import pyarrow as pa

from media_pipeline.schema.reasons import REASONS

TABLE_SCHEMA_VERSION = 1

ROWS_AT_ONCE = 4096
"""Rows of a whole-library table that are Python objects at a time."""

Scope = Literal["batch", "library"]

STATES = ("ok", "degraded", "failed", "skipped")
"""What can become of a file. In a batch table `skipped` means that no model was asked."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As it stands in the table; units are part of it.
        dtype: Arrow type.
        meaning: One sentence for people.
        unit: Unit, empty where there is none.
        low, high: Closed range of valid values, `None` where open.
        required: Whether null is an error.
        choices: The closed list of values, empty where open.
    """

    name: str
    dtype: pa.DataType
    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    required: bool = False
    choices: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Meaning, unit and range in one line."""
        extra = [f"unit {self.unit}"] if self.unit else []
        if self.low is not None or self.high is not None:
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            extra.append(f"range [{low}, {high}]")
        if self.choices:
            extra.append("one of " + ", ".join(self.choices))
        return self.meaning + (f" ({'; '.join(extra)})" if extra else "")

    @property
    def field(self) -> pa.Field[Any]:
        """The Arrow field, with the description in its metadata."""
        about = {"description": self.description}
        return pa.field(self.name, self.dtype, nullable=not self.required, metadata=about)


@dataclass(frozen=True)
class Table:
    """One table: its name is its stage's name.

    Attributes:
        name: Stage and table name.
        scope: `batch` (one Parquet file per batch) or `library` (one file).
        meaning: One sentence for people.
        columns: In the order they are written.
        key: Columns that together name a row.
        in_catalog: Whether the catalogue holds it; vectors stay in Parquet.
    """

    name: str
    scope: Scope
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    in_catalog: bool = True

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, with the meaning of each column in its field metadata."""
        return pa.schema([column.field for column in self.columns])

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name!r} has no column {name!r}")

    def empty_row(self) -> dict[str, Any]:
        """A row of nulls, to be filled."""
        return {column.name: None for column in self.columns}

    def to_arrow_in_parts(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """The same as `to_arrow`, holding no more than some thousand rows as Python objects."""
        rows = iter(rows)
        parts = iter(lambda: list(islice(rows, ROWS_AT_ONCE)), [])
        return pa.concat_tables([self.arrow.empty_table(), *map(self.to_arrow, parts)])

    def to_arrow(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as an Arrow table of exactly this schema.

        Raises:
            KeyError: A row has a key that is no column.
        """
        names = {column.name for column in self.columns}
        rows = list(rows)
        for row in rows:
            if not row.keys() <= names:
                raise KeyError(f"{self.name} has no column {sorted(row.keys() - names)}")
        return pa.Table.from_pylist([dict(row) for row in rows], schema=self.arrow)


STRING, BOOL, BINARY = pa.string(), pa.bool_(), pa.binary()
INT32, INT64, FLOAT = pa.int32(), pa.int64(), pa.float64()
UTC = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.string())

# One column, one line.
# fmt: off
MEDIA_ID = Column("media_id", STRING, "First 16 bytes of the BLAKE3 hash of the file's bytes, in hex", required=True)
STATE = Column("state", STRING, "What became of it", required=True, choices=STATES)
REASON = Column("reason", STRING, "Why it is not ok, null where it is", choices=tuple(REASONS))
MESSAGE = Column("message", STRING, "The reason in detail, as the library that failed put it")
RETRYABLE = Column("retryable", BOOL, "Whether trying again could succeed without the bytes changing")
RECIPE = Column("recipe", STRING, "First 8 hex digits of the recipe that made this row", required=True)
OUTCOME_COLUMNS = (STATE, REASON, MESSAGE, RETRYABLE, RECIPE)


def score(name: str, meaning: str) -> Column:
    """A defect's score."""
    return Column(name, FLOAT, f"{meaning}; 0 none, 1 the defect at its worst", low=0, high=1)


def fraction(name: str, meaning: str) -> Column:
    """A number from 0 to 1."""
    return Column(name, FLOAT, meaning, unit="fraction", low=0, high=1)
# fmt: on
