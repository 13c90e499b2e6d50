"""The 1,000 classes of ImageNet-1k (Russakovsky et al. 2015), with their WordNet synsets.

The table is written by `scripts/imagenet_build.py` from WordNet 3.0 (Princeton University) and
the class list of timm.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

from media_pipeline.models.protocols import ClassLabel

TABLE = Path(__file__).parent / "data" / "imagenet-1k.csv"


@lru_cache(maxsize=1)
def imagenet_labels() -> tuple[ClassLabel, ...]:
    """Name and synset of every class, in the order of a model's 1,000 outputs.

    Names are lower-case, differ from each other and say what is in the picture (`crane bird`,
    `crane machine`); synsets are of WordNet 3.0, as NLTK writes them.
    """
    with TABLE.open(encoding="utf-8", newline="") as handle:
        return tuple(ClassLabel(row["name"], row["concept"]) for row in csv.DictReader(handle))
