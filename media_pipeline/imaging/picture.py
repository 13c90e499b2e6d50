"""What decoding a still picture gives, and how large a picture may be."""

from __future__ import annotations

from dataclasses import dataclass

from media_pipeline.errors import ItemError
from media_pipeline.imaging.geometry import Pixels, luma, shrunk_to, upright
from media_pipeline.imaging.profiles import Transform, apply

BYTES_PER_BUDGET_PIXEL = 12
"""What `WorkerLimits.pixel_budget` counts for a pixel."""

COEFFICIENT_BYTES = 6
"""A progressive JPEG keeps 2 bytes per coefficient and channel, at full size whatever the scale."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    It is kept as it was stored, because callers need it small or grey: turning and converting
    that takes 1 ms, turning 3 megapixels of RGB 4 ms and converting them to sRGB 36 ms.

    Attributes:
        stored: uint8 RGB, shape (height, width, 3), neither turned nor converted.
        source_width_px: Width of the upright original.
        source_height_px: Height of the upright original.
        orientation: EXIF orientation of `stored`, 1 to 8.
        transform: What its colours still need to be sRGB, `None` for nothing.
        is_degraded: Whether the data was broken and only a part could be decoded.
        reason: `truncated` or `damaged` for a degraded picture.
        message: What was wrong, in the decoder's words, or a remark on an ignored profile.
    """

    stored: Pixels
    source_width_px: int
    source_height_px: int
    orientation: int = 1
    transform: Transform | None = None
    is_degraded: bool = False
    reason: str | None = None
    message: str | None = None

    @property
    def long_side_px(self) -> int:
        """Long side at which it was decoded."""
        return int(max(self.stored.shape[:2]))

    def srgb(self, long_side_px: int | None = None) -> Pixels:
        """The upright picture in sRGB.

        Args:
            long_side_px: Upper limit of the long side, `None` for none; never enlarged.

        Returns:
            uint8 sRGB, shape (height, width, 3).
        """
        pixels = self.stored if long_side_px is None else shrunk_to(self.stored, long_side_px)
        if self.transform is not None:
            pixels = apply(self.transform, pixels)
        return upright(pixels, self.orientation)

    def luma(self) -> Pixels:
        """Rec. 601 luma of the upright picture at the decoded size, of the colours as stored.

        Returns:
            uint8, shape (height, width).
        """
        return upright(luma(self.stored), self.orientation)


def check_budget(
    width_px: int,
    height_px: int,
    pixel_budget: int,
    *,
    scale: int = 1,
    is_progressive: bool = False,
) -> None:
    """Refuse a picture whose decoding would take more memory than a worker may use.

    Args:
        width_px: Declared width.
        height_px: Declared height.
        pixel_budget: Pixels that may be decoded at once, 12 bytes each.
        scale: The decoder gives 1/scale of both.
        is_progressive: Whether a JPEG decoder has to keep all coefficients.

    Raises:
        ItemError: `too_many_pixels`.
    """
    needed = -(-width_px // scale) * -(-height_px // scale)
    if is_progressive:
        needed += width_px * height_px * COEFFICIENT_BYTES // BYTES_PER_BUDGET_PIXEL
    if needed > pixel_budget:
        raise ItemError(
            "too_many_pixels",
            f"{width_px} x {height_px} px take {needed * BYTES_PER_BUDGET_PIXEL >> 20} MiB to "
            f"decode, a worker may use {pixel_budget * BYTES_PER_BUDGET_PIXEL >> 20} MiB",
        )


def is_filler(pixels: Pixels) -> bool:
    """Whether all pixels are the same: what a tolerant decoder gives when it found nothing."""
    return bool((pixels == pixels[0, 0]).all())
