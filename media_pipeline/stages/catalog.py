"""Catalog: one DuckDB file of all tables, the product that people query.

Reads   every table
Writes  catalog.duckdb: `media`, `files`, `outcomes` and one table per stage, with comments
Cost    only changed batches are read again
Fails   a damaged catalogue is set aside and rebuilt; readers never see a half-built one
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from media_pipeline.library.catalog import build_catalog
from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage
from media_pipeline.resources import library_asset


def make(library: Library, spec: Stage) -> Mapping[str, Any]:
    """Build the catalogue aside and swap it in."""
    counts = build_catalog(library)
    return {
        "rows": counts["media"],
        "tables": dg.MetadataValue.json(counts),
        "path": dg.MetadataValue.path(str(library.layout.catalog)),
    }


def build(library: Library) -> dg.AssetsDefinition:
    """The `catalog` asset."""
    return library_asset(library, "catalog", make)
