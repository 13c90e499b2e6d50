"""What a picture's header says, whichever format it comes in."""

from __future__ import annotations

import errno
import struct
import zlib
from dataclasses import dataclass, field

from PIL import Image

from media_pipeline.reading.clocks import Clock
from media_pipeline.reading.iptc import Iptc

READ_ERRORS: tuple[type[Exception], ...] = (
    OSError,  # also UnidentifiedImageError
    SyntaxError,
    ValueError,  # also UnicodeError
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow and its plugins raise for broken bytes; met by opening fuzzed files."""

_IMPOSSIBLE_SEEKS = (errno.EINVAL, errno.EOVERFLOW)

METADATA_LIMIT_BYTES = 16 << 20
"""Largest block of metadata that is read into memory."""


def is_disk_error(error: Exception) -> bool:
    """Whether the operating system failed, and not a reader on the bytes.

    Readers raise OSError too, without a number, and seek to places that cannot be.
    """
    number = error.errno if isinstance(error, OSError) else None
    return number is not None and number not in _IMPOSSIBLE_SEEKS


@dataclass
class Picture:
    """A picture's header.

    Attributes:
        width_px, height_px: Size as stored, or upright where `is_upright`.
        color_mode: Colour mode as stored, in Pillow's names.
        bit_depth: Bits per channel as stored.
        has_alpha: Whether there is a transparency channel.
        is_upright: Whether decoders of this format turn the picture themselves.
        orientation: Orientation that the format itself records, outside EXIF.
        frame_count: Pictures in the file, `None` where counting would be dear.
        duration_s: Duration of an animation in seconds.
        exif: Parsed EXIF, empty where there is none.
        xmp: XMP packet, empty where there is none.
        iptc: IPTC captions.
        icc_profile: ICC profile, empty where there is none.
        texts: PNG text by keyword.
        times: Capture times that the format itself records.
        is_damaged: Whether the header is broken and only part of it could be read.
        notes: What was wrong with the metadata, for people.
    """

    width_px: int
    height_px: int
    color_mode: str | None = None
    bit_depth: int | None = None
    has_alpha: bool | None = None
    is_upright: bool = False
    orientation: int | None = None
    frame_count: int | None = 1
    duration_s: float | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)
    xmp: bytes = b""
    iptc: Iptc = field(default_factory=Iptc)
    icc_profile: bytes = b""
    texts: dict[str, str] = field(default_factory=dict)
    times: list[tuple[str, Clock]] = field(default_factory=list)
    is_damaged: bool = False
    notes: list[str] = field(default_factory=list)

    def load_exif(self, block: bytes) -> None:
        """Parse an EXIF block; a broken one leaves a note and the picture stays as it is."""
        try:
            self.exif.load(block)
        except READ_ERRORS as error:
            self.exif = Image.Exif()
            self.notes.append(f"EXIF cannot be read: {error}")
