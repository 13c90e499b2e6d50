"""The tables over the whole library: files, duplicates, verdicts."""

from __future__ import annotations

import pyarrow as pa

from media_pipeline.schema.columns import (
    BINARY,
    BOOL,
    FLOAT,
    INT32,
    INT64,
    MEDIA_ID,
    STATES,
    STRING,
    STRINGS,
    UTC,
    Column,
    Table,
    fraction,
)
from media_pipeline.schema.models import JUNK_KINDS
from media_pipeline.schema.reasons import REASONS

# One column, one line.
# fmt: off
FILES = Table(
    "files",
    "library",
    "One row per path: where a content was seen, when it was taken, what became of it",
    (
        Column("root_id", STRING, "The root it lies in", required=True),
        Column("relative_path", BINARY, "Path below the root, the bytes as they are on disk", required=True),
        Column("path", STRING, "The whole path, safe to print", required=True),
        Column("name", STRING, "File name, safe to print", required=True),
        Column("media_id", STRING, "Its content; null where it has none (FIFO, unreadable, not media)"),
        Column("size_bytes", INT64, "Size", unit="bytes", low=0),
        Column("modified_at_utc", UTC, "Modification time of the file"),
        Column("presence", STRING, "Whether it is there", choices=("present", "offline"), required=True),
        Column("hard_link_of", STRING, "The first path (safe to print) of the same inode, if it is not the first"),
        Column("copy_of", STRING, "The first path (safe to print) with the same bytes, if it is not the first"),
        Column("taken_local", STRING, "Best capture time on the clock of the place, ISO 8601 without offset"),
        Column("taken_offset_min", INT32, "Minutes east of UTC, null where unknown", unit="min", low=-840, high=840),
        Column("taken_at_utc", UTC, "Best capture time in UTC, null where the offset is unknown"),
        Column(
            "taken_source", STRING, "Where the capture time comes from",
            choices=("exif_original", "exif_digitized", "gps", "xmp", "iptc", "container", "file_name", "exif_modified", "modified"),
        ),
        fraction("taken_confidence", "How far the source of the capture time is to be trusted"),
        Column("pair_kind", STRING, "What it forms with a neighbour", choices=("raw_jpeg", "live_photo", "sidecar")),
        Column("pair_with", STRING, "The neighbour's path, safe to print"),
        Column("previous_media_id", STRING, "The content this path held before it was edited in place"),
        Column("previous_same_pixels", BOOL, "Whether the edit left the pixels as they were"),
        Column("state", STRING, "What became of it", required=True, choices=STATES),
        Column("stage", STRING, "The stage that decided a state other than ok"),
        Column("reason", STRING, "Why it is not ok", choices=tuple(REASONS)),
        Column("message", STRING, "The reason in detail"),
        Column("retryable", BOOL, "Whether trying again could succeed without the bytes changing"),
    ),
    key=("root_id", "relative_path"),
)

DUPLICATES = Table(
    "duplicates",
    "library",
    "One row per member of a group: files of the same bytes, contents that show the same picture",
    (
        Column("group_id", STRING, "Group name, stable while its centre stays", required=True),
        Column("kind", STRING, "Class of duplicate", required=True, choices=("same_bytes", "same_picture")),
        MEDIA_ID,
        Column("root_id", STRING, "For same_bytes: the root of the file; null for same_picture"),
        Column("relative_path", BINARY, "For same_bytes: the path below it, the bytes as they are on disk"),
        Column("path", STRING, "For same_bytes: the whole path, safe to print"),
        Column("is_centre", BOOL, "Whether it is the member all others were compared with", required=True),
        Column("distance_bits", INT32, "Hamming distance of the perceptual hashes to the centre", unit="bits", low=0, high=64),
        Column("difference", FLOAT, "Mean luma difference of the 16 x 16 signatures to the centre", unit="grey levels", low=0, high=255),
        Column("transform", INT32, "EXIF orientation that takes the centre to the member", low=1, high=8),
    ),
    key=("group_id", "media_id", "root_id", "relative_path"),
)

EVIDENCE = pa.struct(
    [
        ("tag", pa.string()),
        ("score", pa.float64()),
        ("threshold", pa.float64()),
        ("fired", pa.bool_()),
        ("rule", pa.string()),
    ]
)

SHOWN_LABEL = pa.struct(
    [
        ("label", pa.string()),
        ("concept", pa.string()),
        ("probability", pa.float64()),
        ("score", pa.float64()),
        ("proposer", pa.string()),
        ("rule", pa.string()),  # why it is shown, with the threshold
        ("ancestors", pa.list_(pa.string())),
        ("times_ms", pa.list_(pa.int64())),  # where in a video it is seen, empty for a still
    ]
)

SEEN = pa.struct(
    [
        ("kind", pa.string()),  # person, face, cat, dog, ...
        ("count", pa.int32()),  # the most seen in one frame
        ("probability", pa.float64()),  # of the best box
        ("score", pa.float64()),
        ("times_ms", pa.list_(pa.int64())),  # where in a video it is seen, empty for a still
    ]
)

JUNK_RULING = pa.struct(
    [
        ("flag", pa.string()),
        ("score", pa.float64()),
        ("threshold", pa.float64()),
        ("fired", pa.bool_()),
        ("rule", pa.string()),
    ]
)

PROTECTION = pa.struct([("protection", pa.string()), ("detail", pa.string())])

VERDICTS = Table(
    "verdicts",
    "library",
    "What the scores mean under the threshold sets in use, and the user's word: quality, junk, labels, people",
    (
        MEDIA_ID,
        Column("quality", STRING, "Technical quality; null where nothing could be measured", choices=("good", "fair", "poor")),
        Column("tags", STRINGS, "Tags that hold"),
        Column("evidence", pa.list_(EVIDENCE), "For every tag: score, threshold, rule and whether it fired"),
        Column("thresholds", STRING, "Name of the threshold set", required=True),
        Column("not_evaluated", STRING, "Why there is no verdict, null where there is one"),
        Column("is_junk", BOOL, "Whether it may be thrown away: a flag fired and nothing protects it, or the user said so; null where not evaluated"),
        Column("junk_kind", STRING, "The flag that fired highest, protected or not", choices=JUNK_KINDS),
        Column("junk_evidence", pa.list_(JUNK_RULING), "For every flag: score, threshold, rule and whether it fired"),
        Column("protections", pa.list_(PROTECTION), "What speaks against throwing it away, and would veto a flag"),
        Column("junk_thresholds", STRING, "Name of the threshold set for junk and labels", required=True),
        Column("nsfw_score", FLOAT, "Highest score of its frames; null is not evaluated", low=0, high=1),
        Column("is_nsfw", BOOL, "Whether that reaches its threshold; null is not evaluated"),
        Column("label", STRING, "The best label shown, `unknown` where none is sure enough, null where not evaluated"),
        Column("labels", pa.list_(SHOWN_LABEL), "Labels shown, best first, the user's word first of all; null is not evaluated"),
        Column("people", INT32, "People found at once: 0 says that none was found, not that nobody is there; null is not evaluated", low=0),
        Column("animals", STRINGS, "Kinds of animals found, which need not be all; null is not evaluated"),
        Column("seen", pa.list_(SEEN), "Every kind of person or animal seen, how many, and when in a video"),
        Column("decision", STRING, "The user's word on keeping it", choices=("keep", "junk")),
    ),
    key=("media_id",),
)

QUALITY_TAGS = (
    "blurry", "low_light", "overexposed", "low_contrast", "noisy", "over_compressed",
    "low_information", "odd_aspect_ratio", "odd_size", "grayscale", "well_exposed",
)
# fmt: on
