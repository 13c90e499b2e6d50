"""Every table and every column, once: type, unit, range, meaning. The producer is the table.

Parquet schemas, asset checks, the catalogue's comments, the docs and Dagster's column metadata are
all made from these declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import pyarrow as pa

TABLE_SCHEMA_VERSION = 1

ROWS_AT_ONCE = 4096
"""Rows of a whole-library table that are Python objects at a time."""

Scope = Literal["batch", "library"]

STATES = ("ok", "degraded", "failed", "skipped")
"""What can become of a file; batch tables use all but `skipped`."""

REASONS: Mapping[str, str] = {
    # skipped, by which rule
    "not_media": "neither the name nor the first bytes say photo or video",
    "not_a_regular_file": "a FIFO, socket, device or something else that is not a file of bytes",
    "symlink": "symbolic links are not followed",
    "apple_double": "a `._` file: macOS resource data, not the picture",
    "unsupported_format": "a picture or video format this program does not read",
    # failed before anything could be read
    "permission_denied": "the operating system refuses to open it",
    "name_too_long": "the path is longer than the operating system accepts",
    "empty_file": "zero bytes",
    "growing": "the file changed while it was being read",
    "original_unavailable": "the file is gone or its drive is away",
    "original_changed": "the file is no longer what was scanned; the next scan takes it up",
    "io_error": "the disk or network reported an error",
    # failed while decoding
    "unrecognised_format": "the bytes are no format this program knows, whatever the name says",
    "too_many_pixels": "decoding would take more memory than a worker may use",
    "truncated": "the data ends early; what was there is used",
    "damaged": "the data contradicts itself; what could be decoded is used",
    "undecodable": "nothing could be decoded",
    "no_video_track": "a container without pictures",
    "encrypted": "the content is encrypted",
    "no_frame": "no frame could be decoded",
    # failed in the sandbox
    "out_of_memory": "decoding needed more memory than a worker may use",
    "cpu_limit": "decoding took more CPU time than a file may use",
    "timeout": "decoding took longer than a file may take",
    "worker_crashed": "the decoder crashed (signal)",
    "worker_killed": "the worker was killed from outside, most often for memory",
    "worker_exited": "the worker ended by itself",
    "internal_error": "an error of this program; please report it",
    # failed because something before failed
    "input_failed": "an earlier stage has no usable row for it",
    "thumbnail_missing": "the thumbnail is not where it should be",
}
"""Every reason a row can carry, and what it means to a person."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As it stands in the table; units are part of it.
        dtype: Arrow type.
        meaning: One sentence for people.
        unit: Unit, empty where there is none.
        low, high: Closed range of valid values, `None` where open.
        required: Whether null is an error.
        choices: The closed list of values, empty where open.
    """

    name: str
    dtype: pa.DataType
    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    required: bool = False
    choices: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Meaning, unit and range in one line."""
        extra = [f"unit {self.unit}"] if self.unit else []
        if self.low is not None or self.high is not None:
            low = "-inf" if self.low is None else f"{self.low:g}"
            high = "inf" if self.high is None else f"{self.high:g}"
            extra.append(f"range [{low}, {high}]")
        if self.choices:
            extra.append("one of " + ", ".join(self.choices))
        return self.meaning + (f" ({'; '.join(extra)})" if extra else "")

    @property
    def field(self) -> pa.Field[Any]:
        """The Arrow field, with the description in its metadata."""
        about = {"description": self.description}
        return pa.field(self.name, self.dtype, nullable=not self.required, metadata=about)


@dataclass(frozen=True)
class Table:
    """One table: its name is its stage's name.

    Attributes:
        name: Stage and table name.
        scope: `batch` (one Parquet file per batch) or `library` (one file).
        meaning: One sentence for people.
        columns: In the order they are written.
        key: Columns that together name a row.
    """

    name: str
    scope: Scope
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, with the meaning of each column in its field metadata."""
        return pa.schema([column.field for column in self.columns])

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name!r} has no column {name!r}")

    def empty_row(self) -> dict[str, Any]:
        """A row of nulls, to be filled."""
        return {column.name: None for column in self.columns}

    def to_arrow_in_parts(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """The same as `to_arrow`, holding no more than some thousand rows as Python objects."""
        rows = iter(rows)
        parts = iter(lambda: list(islice(rows, ROWS_AT_ONCE)), [])
        return pa.concat_tables([self.arrow.empty_table(), *map(self.to_arrow, parts)])

    def to_arrow(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as an Arrow table of exactly this schema.

        Raises:
            KeyError: A row has a key that is no column.
        """
        names = {column.name for column in self.columns}
        rows = list(rows)
        for row in rows:
            if not row.keys() <= names:
                raise KeyError(f"{self.name} has no column {sorted(row.keys() - names)}")
        return pa.Table.from_pylist([dict(row) for row in rows], schema=self.arrow)


STRING, BOOL, BINARY = pa.string(), pa.bool_(), pa.binary()
INT32, INT64, FLOAT = pa.int32(), pa.int64(), pa.float64()
UTC = pa.timestamp("us", tz="UTC")
STRINGS = pa.list_(pa.string())

# One column, one line.
# fmt: off
MEDIA_ID = Column("media_id", STRING, "First 16 bytes of the BLAKE3 hash of the file's bytes, in hex", required=True)
STATE = Column("state", STRING, "What became of it", required=True, choices=STATES)
REASON = Column("reason", STRING, "Why it is not ok, null where it is", choices=tuple(REASONS))
MESSAGE = Column("message", STRING, "The reason in detail, as the library that failed put it")
RETRYABLE = Column("retryable", BOOL, "Whether trying again could succeed without the bytes changing")
RECIPE = Column("recipe", STRING, "First 8 hex digits of the recipe that made this row", required=True)
OUTCOME_COLUMNS = (STATE, REASON, MESSAGE, RETRYABLE, RECIPE)


def _score(name: str, meaning: str) -> Column:
    return Column(name, FLOAT, f"{meaning}; 0 none, 1 the defect at its worst", low=0, high=1)


def _fraction(name: str, meaning: str) -> Column:
    return Column(name, FLOAT, meaning, unit="fraction", low=0, high=1)


CAPTURE_TIME = pa.struct(
    [
        ("source", pa.string()),  # exif_original, exif_digitized, exif_modified, gps, xmp, iptc, container
        ("local", pa.string()),  # ISO 8601 without offset, as recorded; null where only UTC is known
        ("offset_min", pa.int32()),  # minutes east of UTC where recorded with it, else null
        ("utc", pa.string()),  # ISO 8601 ending in Z where it can be known, else null
    ]
)

METADATA = Table(
    "metadata",
    "batch",
    "What the bytes of a file say about it; nothing from its path",
    (
        MEDIA_ID,
        Column("kind", STRING, "Still picture or video", choices=("image", "video")),
        Column("format", STRING, "Format by content, such as jpeg, png, heif, mp4, matroska"),
        Column("mime_type", STRING, "Media type by content"),
        Column("size_bytes", INT64, "Size of the file", unit="bytes", low=0),
        Column("width_px", INT32, "Width of the upright picture", unit="px", low=0),
        Column("height_px", INT32, "Height of the upright picture", unit="px", low=0),
        Column("orientation", INT32, "EXIF orientation tag, 1 upright", low=1, high=8),
        Column("rotation_deg", INT32, "Clockwise rotation a player must apply to a video", unit="degrees"),
        Column("color_mode", STRING, "Colour mode as stored, such as RGB, L, CMYK, RGBA, I;16, yuv420p"),
        Column("bit_depth", INT32, "Bits per channel as stored", unit="bits", low=1, high=64),
        Column("has_alpha", BOOL, "Whether there is a transparency channel"),
        Column("icc_profile", STRING, "Description of the embedded colour profile"),
        Column("frame_count", INT32, "Pictures in the file: frames of an animation, pages, 1 for a photo", low=0),
        Column("camera_make", STRING, "Camera maker"),
        Column("camera_model", STRING, "Camera model"),
        Column("lens_model", STRING, "Lens"),
        Column("software", STRING, "Program that wrote the file"),
        Column("exposure_time_s", FLOAT, "Exposure time", unit="s", low=0),
        Column("f_number", FLOAT, "Aperture as f-number", low=0),
        Column("iso", INT32, "ISO speed", low=0),
        Column("focal_length_mm", FLOAT, "Focal length", unit="mm", low=0),
        Column("flash_fired", BOOL, "Whether the flash fired"),
        Column("gps_latitude_deg", FLOAT, "Latitude, north positive", unit="degrees", low=-90, high=90),
        Column("gps_longitude_deg", FLOAT, "Longitude, east positive", unit="degrees", low=-180, high=180),
        Column("gps_altitude_m", FLOAT, "Altitude above sea level", unit="m"),
        Column("capture_times", pa.list_(CAPTURE_TIME), "Every capture time the bytes record, best first"),
        Column("title", STRING, "Title (XMP dc:title, IPTC object name)"),
        Column("description", STRING, "Description (XMP dc:description, IPTC caption, EXIF ImageDescription)"),
        Column("keywords", STRINGS, "Keywords (XMP dc:subject, IPTC keywords)"),
        Column("rating", INT32, "Rating in stars, -1 rejected (XMP xmp:Rating)", low=-1, high=5),
        Column("creator", STRING, "Who made it (EXIF Artist, XMP dc:creator, IPTC by-line)"),
        Column("container", STRING, "Video container"),
        Column("video_codec", STRING, "Video codec"),
        Column("audio_codec", STRING, "Audio codec"),
        Column("has_audio", BOOL, "Whether there is an audio track"),
        Column("duration_s", FLOAT, "Duration of a video or animation", unit="s", low=0),
        Column("frame_rate_fps", FLOAT, "Average frame rate", unit="1/s", low=0),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id",),
)

COLOR = pa.struct([("hex", pa.string()), ("fraction", pa.float64())])

THUMBNAILS = Table(
    "thumbnails",
    "batch",
    "One row per still and per video keyframe: where its 512-px picture lies and what it looks like",
    (
        MEDIA_ID,
        Column("frame", INT32, "0 for a still or a video's poster, then its keyframes", low=0, required=True),
        Column("role", STRING, "What the frame is", choices=("still", "poster", "keyframe")),
        Column("time_ms", INT64, "Where in the video it was taken", unit="ms", low=0),
        Column("path", STRING, "Thumbnail file, relative to the thumbnails folder"),
        Column("width_px", INT32, "Width of the thumbnail", unit="px", low=1),
        Column("height_px", INT32, "Height of the thumbnail", unit="px", low=1),
        Column("source_width_px", INT32, "Width of the upright original", unit="px", low=1),
        Column("source_height_px", INT32, "Height of the upright original", unit="px", low=1),
        Column("decoded_long_side_px", INT32, "Long side at which it was decoded and measured", unit="px", low=1),
        Column("thumbhash", BINARY, "ThumbHash placeholder, about 25 bytes"),
        Column("pixel_hash", STRING, "BLAKE3 (16 bytes, hex) of the upright pixels of the thumbnail"),
        Column("phash", pa.uint64(), "64-bit DCT perceptual hash of the upright picture"),
        Column("phash_variants", pa.list_(pa.uint64()), "The hash of its 8 flips and rotations in the order of EXIF orientation 1 to 8"),
        Column("signature", BINARY, "16 x 16 luma of the upright picture, row by row, one byte each"),
        Column("dominant_colors", pa.list_(COLOR), "Up to 5 colours (sRGB hex) with their share, largest first"),
        Column("tile_sharpness", pa.list_(pa.float64()), "Deciles 0..100 % (11 values) of the tiles' sharpness (imaging.measures.tile_sharpness)"),
        Column("fine_noise_sigma", FLOAT, "Noise at the decoded size (Immerkaer 1996)", unit="grey levels", low=0),
        Column("fine_blockiness", FLOAT, "Block-border excess at the decoded size", low=0),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame"),
)

QUALITY = Table(
    "quality",
    "batch",
    "Technical measures and defect scores of every thumbnail; nothing is decided here",
    (
        MEDIA_ID,
        Column("frame", INT32, "The thumbnail's frame", low=0, required=True),
        Column("laplacian_variance", FLOAT, "Variance of the Laplacian of the thumbnail's luma", low=0),
        Column("sharpness_p90", FLOAT, "9th decile of the tile sharpness at decoded size", low=0),
        Column("mean_intensity", FLOAT, "Mean luma (Rec. 601)", unit="grey levels", low=0, high=255),
        Column("intensity_p01", FLOAT, "1st percentile of luma", unit="grey levels", low=0, high=255),
        Column("intensity_p05", FLOAT, "5th percentile of luma", unit="grey levels", low=0, high=255),
        Column("intensity_p50", FLOAT, "Median luma", unit="grey levels", low=0, high=255),
        Column("intensity_p95", FLOAT, "95th percentile of luma", unit="grey levels", low=0, high=255),
        Column("intensity_p99", FLOAT, "99th percentile of luma", unit="grey levels", low=0, high=255),
        Column("histogram_spread", FLOAT, "Standard deviation of luma", unit="grey levels", low=0, high=128),
        Column("entropy_bits", FLOAT, "Shannon entropy of the luma histogram", unit="bits", low=0, high=8),
        Column("noise_sigma", FLOAT, "Noise of the thumbnail (Immerkaer 1996)", unit="grey levels", low=0),
        Column("blockiness", FLOAT, "Gradient excess across 8-pixel block borders at decoded size", low=0),
        _fraction("clipped_low_fraction", "Pixels whose luma is at most 2"),
        _fraction("clipped_high_fraction", "Pixels whose luma is at least 253"),
        Column("colorfulness", FLOAT, "Colourfulness (Hasler and Suesstrunk 2003)", low=0),
        Column("chroma_p99", FLOAT, "99th percentile of max(R,G,B) - min(R,G,B)", unit="levels", low=0, high=255),
        Column("aspect_ratio", FLOAT, "Short side over long side of the original", low=0, high=1),
        Column("size_px", FLOAT, "Geometric mean of the original's width and height", unit="px", low=0),
        _score("blur_score", "Blur"),
        _score("low_light_score", "Darkness"),
        _score("overexposure_score", "Over-exposure"),
        _score("low_contrast_score", "Lack of contrast"),
        _score("noise_score", "Noise"),
        _score("compression_score", "Block artefacts"),
        _score("low_information_score", "Lack of content"),
        _score("odd_aspect_ratio_score", "Distance from the usual 1:1 to 2:1 shapes"),
        _score("tiny_size_score", "Smallness: 0 from 256 px on, 1 at 1 px"),
        _score("grayscale_score", "Absence of colour"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame"),
)

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
        _fraction("taken_confidence", "How far the source of the capture time is to be trusted"),
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

VERDICTS = Table(
    "verdicts",
    "library",
    "What the scores mean under the threshold set in use: tags and good / fair / poor, with evidence",
    (
        MEDIA_ID,
        Column("quality", STRING, "Technical quality; null where nothing could be measured", choices=("good", "fair", "poor")),
        Column("tags", STRINGS, "Tags that hold"),
        Column("evidence", pa.list_(EVIDENCE), "For every tag: score, threshold, rule and whether it fired"),
        Column("thresholds", STRING, "Name of the threshold set", required=True),
        Column("not_evaluated", STRING, "Why there is no verdict, null where there is one"),
    ),
    key=("media_id",),
)

QUALITY_TAGS = (
    "blurry", "low_light", "overexposed", "low_contrast", "noisy", "over_compressed",
    "low_information", "odd_aspect_ratio", "odd_size", "grayscale", "well_exposed",
)
# fmt: on

BATCH_TABLES = (METADATA, THUMBNAILS, QUALITY)
LIBRARY_TABLES = (FILES, DUPLICATES, VERDICTS)
TABLES: Mapping[str, Table] = {t.name: t for t in (*BATCH_TABLES, *LIBRARY_TABLES)}
