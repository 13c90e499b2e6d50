"""Every table and every column, once: type, unit, range, meaning. The producer is the table.

Parquet schemas, asset checks, the catalogue's comments, the docs and Dagster's column metadata are
all made from these declarations.
"""

from __future__ import annotations

from collections.abc import Mapping

from media_pipeline.schema.columns import (
    ROWS_AT_ONCE,
    STATES,
    TABLE_SCHEMA_VERSION,
    Column,
    Scope,
    Table,
)
from media_pipeline.schema.library import (
    DUPLICATES,
    EVIDENCE,
    FILES,
    QUALITY_TAGS,
    VERDICTS,
)
from media_pipeline.schema.models import (
    CAPTIONS,
    CLASSIFICATIONS,
    DETECTIONS,
    EMBEDDINGS,
    JUNK_FLAGS,
    JUNK_KINDS,
    LABELS,
    SAFETY,
)
from media_pipeline.schema.pictures import METADATA, QUALITY, THUMBNAILS
from media_pipeline.schema.reasons import REASONS

__all__ = [
    "CAPTIONS",
    "CLASSIFICATIONS",
    "DETECTIONS",
    "DUPLICATES",
    "EMBEDDINGS",
    "EVIDENCE",
    "FILES",
    "JUNK_FLAGS",
    "JUNK_KINDS",
    "LABELS",
    "METADATA",
    "QUALITY",
    "QUALITY_TAGS",
    "REASONS",
    "ROWS_AT_ONCE",
    "SAFETY",
    "STATES",
    "TABLES",
    "TABLE_SCHEMA_VERSION",
    "THUMBNAILS",
    "VERDICTS",
    "Column",
    "Scope",
    "Table",
]

BATCH_TABLES = (
    METADATA,
    THUMBNAILS,
    QUALITY,
    EMBEDDINGS,
    CLASSIFICATIONS,
    LABELS,
    DETECTIONS,
    SAFETY,
    CAPTIONS,
    JUNK_FLAGS,
)
LIBRARY_TABLES = (FILES, DUPLICATES, VERDICTS)
TABLES: Mapping[str, Table] = {t.name: t for t in (*BATCH_TABLES, *LIBRARY_TABLES)}
