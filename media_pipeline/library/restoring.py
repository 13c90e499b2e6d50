"""What a library lost is restored from what it still has: batches, keys, roots."""

from __future__ import annotations

import re
from dataclasses import replace

from media_pipeline.paths import Layout
from media_pipeline.scan.batches import manifest_keys, restore_lost
from media_pipeline.scan.ledger import Ledger
from media_pipeline.settings import LibraryConfig, Root


def open_ledger(layout: Layout) -> Ledger:
    """Open the ledger; batches that it lost are restored from their manifests.

    Manifests are listed first: a ledger knows a batch before its manifest is written.
    """
    manifests = manifest_keys(layout.batches)
    ledger = Ledger(layout.ledger)
    known = ledger.batches().keys()
    if not known:
        with ledger.transaction():
            ledger.never_use_again(_keys_in_use(layout))
    if manifests - known:
        restore_lost(ledger, layout.batches, manifests - known)
    return ledger


def _keys_in_use(layout: Layout) -> set[str]:
    """Batch keys that a lost ledger gave away: tables and damaged manifests still carry them."""
    files = [*layout.batches.glob("b*.json*"), *layout.tables.glob("*/*/b*.parquet*")]
    return {key for file in files if re.fullmatch(r"b\d+", key := file.name.split(".")[0])}


def config_from_ledger(layout: Layout) -> LibraryConfig:
    """A default configuration with the roots the ledger remembers."""
    config = LibraryConfig()
    if layout.ledger.exists():
        ledger = Ledger(layout.ledger)
        roots = tuple(Root(root_id, path) for root_id, path, _ in ledger.roots())
        config = replace(config, roots=roots)
        ledger.close()
    return config
