"""Composed captions: whatever the tables hold, one short line comes out."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from media_pipeline.judging.composing import compose, facts_of
from media_pipeline.schema.columns import Column, Table
from media_pipeline.schema.models import DETECTIONS, LABELS
from media_pipeline.schema.pictures import METADATA, QUALITY, THUMBNAILS
from media_pipeline_tests.judging.composed import NOW

WORDS = ["cat", "person", "face", "beach", "Bigfoot's cousin", "a\nb", "\u2028", "x" * 300, ""]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=60)
CLOCKS = st.one_of(
    st.none(),
    TEXTS,
    st.datetimes().map(lambda time: time.isoformat()),
    st.datetimes().map(lambda time: time.isoformat() + "Z"),
    st.dates().map(lambda date: date.isoformat()),
)
SOURCES = st.sampled_from(["exif_original", "exif_digitized", "gps", "xmp", "exif_modified"])
TIMES = st.lists(
    st.fixed_dictionaries(
        {"source": SOURCES, "local": CLOCKS, "offset_min": st.none(), "utc": CLOCKS}
    ),
    max_size=2,
)


def values(column: Column) -> st.SearchStrategy[Any]:
    """Values of a column, null where it may be."""
    some: st.SearchStrategy[Any] = TEXTS
    if column.name in ("capture_times", "frame"):
        some = TIMES if column.name == "capture_times" else st.integers(0, 1)
    elif column.choices:
        some = st.sampled_from(column.choices)
    elif pa.types.is_floating(column.dtype):
        some = st.floats(column.low, column.high)
    elif pa.types.is_integer(column.dtype):
        some = st.integers(int(column.low or 0), 20_000)
    elif column.dtype == pa.list_(pa.string()):
        some = st.lists(TEXTS, max_size=2)
    return some if column.required else st.none() | some


READ = {
    "metadata": "kind format width_px height_px duration_s iso capture_times "
    "gps_latitude_deg gps_longitude_deg",
    "thumbnails": "frame role",
    "quality": "frame low_light_score overexposure_score low_information_score grayscale_score",
    "labels": "frame label model probability share ancestors",
    "detections": "frame number kind part_of model score probability",
}
"""The columns that are looked at; the others stay null, or examples grow too large to draw."""


def rows_of(table: Table) -> st.SearchStrategy[dict[str, Any]]:
    states = {"state": st.sampled_from(["ok", "ok", "degraded", "skipped"])}
    drawn = {name: values(table[name]) for name in READ[table.name].split()}
    return st.fixed_dictionaries({**drawn, **states}).map(
        lambda values: {**table.empty_row(), **values}
    )


@settings(max_examples=150, deadline=None)
@given(
    st.none() | rows_of(METADATA),
    st.lists(rows_of(THUMBNAILS), max_size=2),
    st.lists(rows_of(QUALITY), max_size=2),
    st.lists(rows_of(LABELS), max_size=3),
    st.lists(rows_of(DETECTIONS), max_size=4),
)
def test_any_rows_give_one_short_sentence(
    metadata: Any, thumbnails: Any, qualities: Any, labels: Any, detections: Any
) -> None:
    text, told = compose(facts_of(metadata, thumbnails, qualities, labels, detections, NOW))
    assert text[0].isupper()
    assert text.endswith(".")
    assert len(text) <= 200
    for line in [text, *told]:
        assert line.isprintable()
        assert line == " ".join(line.split())
