"""What each table is made with: stages, their versions, parameters and inputs.

A recipe is the hash of a stage's version, its parameters and the recipes of its inputs. It is
Dagster's `code_version` of the asset and the folder of its tables, so a change shows as stale all
the way down, and old and new tables lie side by side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from media_pipeline.errors import UnknownStage
from media_pipeline.schema import TABLE_SCHEMA_VERSION, TABLES, Table

CATALOG_MEANING = "The catalogue people query: every table in one DuckDB file, with comments"


@dataclass(frozen=True)
class Stage:
    """One stage: one asset, one table.

    Attributes:
        name: Name of the stage, its asset and its table.
        version: Raised by hand when its code changes what it writes.
        inputs: Stages it reads.
        parameters: Everything else that changes what it writes; JSON values.
        task: The task of the model it asks, empty where it asks none.
    """

    name: str
    version: int
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""

    @property
    def table(self) -> Table:
        """The table it writes."""
        return TABLES[self.name]

    @property
    def has_table(self) -> bool:
        """Whether it writes Parquet; the catalogue does not."""
        return self.name in TABLES

    @property
    def meaning(self) -> str:
        """One sentence for people."""
        return self.table.meaning if self.has_table else CATALOG_MEANING

    @property
    def per_batch(self) -> bool:
        """Whether it runs once per batch, or once over the whole library."""
        return self.name in TABLES and self.table.scope == "batch"


COMPOSED_FROM = ("metadata", "thumbnails", "quality", "labels", "detections")
"""What a composed caption is made from; a captioning model looks at thumbnails only."""

# fmt: off
STAGES: tuple[Stage, ...] = (
    Stage("metadata", version=1),
    Stage(
        "thumbnails",
        version=1,
        parameters={
            "long_side_px": 512,
            "decode_long_side_px": 2000,
            "jpeg_quality": 85,
            "keyframes": 8,
        },
    ),
    Stage("quality", version=1, inputs=("thumbnails",)),
    Stage("embeddings", version=1, inputs=("thumbnails",), task="embedder"),
    Stage(
        "classifications",
        version=1,
        inputs=("thumbnails",),
        parameters={"classes": 10},
        task="classifier",
    ),
    Stage("labels", version=1, inputs=("embeddings", "classifications"), parameters={"labels": 5}),
    Stage("detections", version=1, inputs=("thumbnails",), task="detector"),
    Stage("safety", version=1, inputs=("thumbnails",), task="safety"),
    Stage("captions", version=1, inputs=COMPOSED_FROM, task="captioner"),
    Stage("junk_flags", version=1, inputs=("metadata", "thumbnails", "quality")),
    Stage(
        "files",
        version=2,
        inputs=(
            "metadata", "thumbnails", "quality", "embeddings", "classifications", "labels",
            "detections", "safety", "captions", "junk_flags",
        ),
    ),
    Stage(
        "duplicates",
        version=2,
        inputs=("files", "thumbnails"),
        parameters={"max_distance_bits": 6, "max_difference": 8.0},
    ),
    Stage(
        "verdicts",
        version=2,
        inputs=("metadata", "quality", "labels", "detections", "safety", "junk_flags", "files"),
    ),
    Stage(
        "catalog",
        version=2,
        inputs=(
            "metadata", "thumbnails", "quality", "classifications", "labels", "detections",
            "safety", "captions", "junk_flags", "files", "duplicates", "verdicts",
        ),
    ),
)
"""In the order data flows."""
# fmt: on


def with_captions_from(stages: Iterable[Stage], inputs: tuple[str, ...]) -> tuple[Stage, ...]:
    """The same stages, captions made from these inputs."""
    return tuple(replace(one, inputs=inputs) if one.name == "captions" else one for one in stages)


def stage(name: str, stages: Iterable[Stage] = STAGES) -> Stage:
    """The stage of that name.

    Raises:
        UnknownStage: With the names that exist.
    """
    for candidate in stages:
        if candidate.name == name:
            return candidate
    known = ", ".join(s.name for s in stages)
    raise UnknownStage(f"no stage {name!r}: the stages are {known}")


def recipes(stages: Iterable[Stage], extra: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The recipe of every stage, as 8 hex digits.

    Args:
        stages: In the order data flows.
        extra: Further parameters per stage name, such as a threshold set's checksum.
    """
    made: dict[str, str] = {}
    for one in stages:
        ingredients = {
            "stage": one.name,
            "schema": TABLE_SCHEMA_VERSION,
            "version": one.version,
            "parameters": dict(one.parameters),
            "extra": (extra or {}).get(one.name),
            "inputs": {name: made[name] for name in one.inputs},
        }
        text = json.dumps(ingredients, sort_keys=True)
        made[one.name] = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return made


def with_inputs(names: Iterable[str], stages: Iterable[Stage] = STAGES) -> list[str]:
    """The named stages and everything they read, in the order data flows; no name means all.

    Raises:
        UnknownStage: A name that is no stage.
    """
    stages = tuple(stages)
    wanted: set[str] = set()
    queue = [stage(name, stages).name for name in names] or [s.name for s in stages]
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted.add(name)
            queue.extend(stage(name, stages).inputs)
    return [s.name for s in stages if s.name in wanted]
