"""The tables that models fill per batch, and the junk scores.

A row of state `skipped` and reason `not_evaluated` means that no model was asked: everything else
in it is null, which is never "safe", "no people" or "no label".
"""

from __future__ import annotations

import pyarrow as pa

from media_pipeline.schema.columns import (
    BOOL,
    FLOAT,
    INT32,
    INT64,
    MEDIA_ID,
    OUTCOME_COLUMNS,
    STRING,
    STRINGS,
    Column,
    Table,
    fraction,
)

JUNK_KINDS = ("screenshot", "document", "receipt", "meme", "graphic", "blank", "tiny", "accidental")
"""What a junk score can be about."""

# One column, one line.
# fmt: off
FRAME = Column("frame", INT32, "The thumbnail's frame", low=0, required=True)
TIME = Column("time_ms", INT64, "Where in the video the frame was taken, null for a still", unit="ms", low=0)
MODEL = Column("model", STRING, "The card of the model that said so")

EMBEDDINGS = Table(
    "embeddings",
    "batch",
    "One vector per thumbnail; vectors of different recipes are never compared",
    (
        MEDIA_ID, FRAME, TIME, MODEL,
        Column("dim", INT32, "Length of the vector", low=1),
        Column("vector", pa.list_(pa.float16()), "Unit vector of the picture (L2 norm 1)", low=-1, high=1),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame"),
    in_catalog=False,
)

CLASSIFICATIONS = Table(
    "classifications",
    "batch",
    "The likeliest classes of every thumbnail, as the classifier says; nothing is decided here",
    (
        MEDIA_ID, FRAME, TIME,
        Column("rank", INT32, "1 for the likeliest; 0 where there is no answer", low=0, required=True),
        MODEL,
        Column("label", STRING, "Name of the class"),
        Column("concept", STRING, "WordNet synset of the class, such as pug.n.01, null where it has none"),
        fraction("score", "Softmax output of the class, not calibrated"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame", "rank"),
)

LABELS = Table(
    "labels",
    "batch",
    "What every thumbnail may show, from the vocabulary and the classifier, best first per proposer",
    (
        MEDIA_ID, FRAME, TIME,
        Column("proposer", STRING, "Who proposed it: `vocabulary` or `classifier`; empty where nobody was asked", required=True),
        Column("rank", INT32, "1 for the best of the proposer; 0 where there is no answer", low=0, required=True),
        MODEL,
        Column("label", STRING, "Name of the concept, for people"),
        Column("concept", STRING, "WordNet synset such as pug.n.01, `curated:<name>` of ours or `user:<term>`"),
        Column("score", FLOAT, "What the proposer gave: cosine similarity or softmax output", low=-1, high=1),
        Column("margin", FLOAT, "Score minus the score of the proposer's next concept", low=0, high=2),
        fraction("probability", "Calibrated probability that the picture shows it, null where the model has no calibration"),
        fraction("share", "Softmax share of the concept and everything below it, among all the proposer knows"),
        Column("is_backoff", BOOL, "Whether it is a parent that stands for children nobody is sure of"),
        Column("ancestors", STRINGS, "Names of what it is a kind of, nearest first, such as dog, animal"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame", "proposer", "rank"),
)

DETECTIONS = Table(
    "detections",
    "batch",
    "Where people and animals are in every thumbnail; a frame with nothing found has one row without a kind",
    (
        MEDIA_ID, FRAME, TIME,
        Column("number", INT32, "1, 2, ... by falling probability; 0 where nothing was found or asked", low=0, required=True),
        MODEL,
        Column("kind", STRING, "person, face, or the animal (cat, dog, bird, ...); null where nothing was found"),
        Column("part_of", INT32, "For a face: the number of the person it belongs to", low=1),
        fraction("left", "Left edge of the box, of the width of the upright picture"),
        fraction("top", "Upper edge, of the height"),
        fraction("width", "Width of the box"),
        fraction("height", "Height of the box"),
        Column("score", FLOAT, "What the detector gave"),
        fraction("probability", "Calibrated probability that the box shows it, null where the model has no calibration"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame", "number"),
)

SAFETY = Table(
    "safety",
    "batch",
    "How far every thumbnail is unsafe for work; apart from junk",
    (
        MEDIA_ID, FRAME, TIME, MODEL,
        fraction("nsfw_score", "Softmax output of the class `nsfw`; null is not evaluated, never safe"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame"),
)

CAPTIONS = Table(
    "captions",
    "batch",
    "One sentence on what a picture shows, and what it was made from",
    (
        MEDIA_ID, FRAME, TIME, MODEL,
        Column("caption", STRING, "The sentence"),
        Column("facts", STRINGS, "The recorded facts a composed caption was made from; null for a captioning model"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame"),
)

JUNK_EVIDENCE = pa.struct(
    [
        ("measure", pa.string()),  # what was looked at
        ("value", pa.float64()),  # null for a fact that is no number
        ("weight", pa.float64()),  # what it added to the score (negative: took away)
        ("detail", pa.string()),  # the fact in words
    ]
)

JUNK_FLAGS = Table(
    "junk_flags",
    "batch",
    "How far a content looks like something people throw away, per kind; nothing is decided here",
    (
        MEDIA_ID,
        Column("flag", STRING, "The kind of junk; `none` where nothing could be measured", choices=(*JUNK_KINDS, "none"), required=True),
        fraction("score", "How far it is that: 0 not at all, 1 as far as it goes"),
        Column("evidence", pa.list_(JUNK_EVIDENCE), "What was measured, and what each measure added"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "flag"),
)
# fmt: on
