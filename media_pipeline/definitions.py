"""The graph on one screen.

    metadata ───────────────────────────────────────────┐
    thumbnails ─┬─ quality ──────────────┬─ junk_flags ─┤
                ├─ embeddings ──────┐    │              │
                ├─ classifications ─┴ labels ─┐         ├─ files ─ verdicts ─┐
                ├─ detections ────────────────┼─────────┤    └─ duplicates ──┴─ catalog
                ├─ safety ────────────────────┼─────────┤
                └─────────────────────── captions ──────┘

No `from __future__ import annotations` here: Dagster reads annotations at run time.
"""

import warnings

import dagster as dg

import media_pipeline.automation as automation
from media_pipeline.batchwork import Control
from media_pipeline.library.opened import Library, create_library
from media_pipeline.resources import control_of_daemon
from media_pipeline.settings import read_settings
from media_pipeline.stages import (
    captions,
    catalog,
    classifications,
    detections,
    duplicates,
    embeddings,
    files,
    junk_flags,
    labels,
    metadata,
    quality,
    safety,
    thumbnails,
    verdicts,
)


def build_definitions(
    library: Library | None = None, control: Control | None = None
) -> dg.Definitions:
    """The assets in the order data flows, their checks, and what starts them.

    Args:
        library: The library to work on; by default the one the environment names.
        control: Who runs the graph; by default a daemon.
    """
    library = library or create_library(read_settings().library)
    return dg.Definitions(
        assets=[
            metadata.build(library),
            thumbnails.build(library),
            quality.build(library),
            embeddings.build(library),
            classifications.build(library),
            labels.build(library),
            detections.build(library),
            safety.build(library),
            captions.build(library),
            junk_flags.build(library),
            files.build(library),
            duplicates.build(library),
            verdicts.build(library),
            catalog.build(library),
        ],
        jobs=automation.jobs(),
        sensors=automation.sensors(library),
        schedules=automation.schedules(),
        resources={"library": library, "control": control or control_of_daemon(library)},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # `backfill_policy`, once per asset and run
        return build_definitions()
