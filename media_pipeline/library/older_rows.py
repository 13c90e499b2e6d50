"""Good rows under older recipes: what is kept where a content cannot be made again for now."""

from __future__ import annotations

from typing import Any

from media_pipeline.library.opened import Library
from media_pipeline.recipes import Stage

Row = dict[str, Any]


def older_rows(
    library: Library, stage: Stage, key: str, media_ids: list[str]
) -> dict[str, list[Row]]:
    """Good rows of contents under older recipes; the recipe in use is asked first."""
    wanted = library.recipes[stage.name]
    active = library.ledger.active().get(stage.name)
    older = [r for r in library.store.recipes_of(stage.name) if r != wanted]
    older.sort(key=lambda recipe: recipe != active)
    found: dict[str, list[Row]] = {}
    columns = {c.name for c in stage.table.columns}
    for recipe in older:
        table = library.store.read(stage.name, recipe, key)
        for row in table.to_pylist() if table is not None else ():
            if row["media_id"] in media_ids and row["state"] in ("ok", "degraded"):
                row = {**stage.table.empty_row(), **{k: v for k, v in row.items() if k in columns}}
                if row["media_id"] not in found or found[row["media_id"]][0]["recipe"] == recipe:
                    found.setdefault(row["media_id"], []).append(row)
    return found
