"""The tables that are read and measured per batch: metadata, thumbnails, quality."""

from __future__ import annotations

import pyarrow as pa

from media_pipeline.schema.columns import (
    BINARY,
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
    score,
)

# One column, one line.
# fmt: off
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
        fraction("clipped_low_fraction", "Pixels whose luma is at most 2"),
        fraction("clipped_high_fraction", "Pixels whose luma is at least 253"),
        Column("colorfulness", FLOAT, "Colourfulness (Hasler and Suesstrunk 2003)", low=0),
        Column("chroma_p99", FLOAT, "99th percentile of max(R,G,B) - min(R,G,B)", unit="levels", low=0, high=255),
        Column("aspect_ratio", FLOAT, "Short side over long side of the original", low=0, high=1),
        Column("size_px", FLOAT, "Geometric mean of the original's width and height", unit="px", low=0),
        score("blur_score", "Blur"),
        score("low_light_score", "Darkness"),
        score("overexposure_score", "Over-exposure"),
        score("low_contrast_score", "Lack of contrast"),
        score("noise_score", "Noise"),
        score("compression_score", "Block artefacts"),
        score("low_information_score", "Lack of content"),
        score("odd_aspect_ratio_score", "Distance from the usual 1:1 to 2:1 shapes"),
        score("tiny_size_score", "Smallness: 0 from 256 px on, 1 at 1 px"),
        score("grayscale_score", "Absence of colour"),
        *OUTCOME_COLUMNS,
    ),
    key=("media_id", "frame"),
)
# fmt: on
