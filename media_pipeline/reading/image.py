"""Still pictures: size, colour and metadata from the header, without decoding pixels.

Pillow opens most formats. The headers of GIF, WebP, JPEG XL and icons are walked by hand, because
Pillow or its plugins allocate or decode pixels while they open those.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, BinaryIO, cast

from PIL import Image, ImageFile, IptcImagePlugin

from media_pipeline.errors import ItemError
from media_pipeline.formats import Format
from media_pipeline.paths import item_error_of
from media_pipeline.reading import avif, tiff
from media_pipeline.reading.capture import capture_times
from media_pipeline.reading.clocks import Clock, parse_clock
from media_pipeline.reading.exif import ExifFacts, exif_facts
from media_pipeline.reading.gif import read_gif
from media_pipeline.reading.ico import read_ico
from media_pipeline.reading.iptc import parse_iptc
from media_pipeline.reading.jpeg import salvage_jpeg
from media_pipeline.reading.jxl import read_jxl
from media_pipeline.reading.pictures import READ_ERRORS, Picture, is_disk_error
from media_pipeline.reading.png import XMP_KEYWORD, read_chunks
from media_pipeline.reading.values import clean_text, keywords, message, number
from media_pipeline.reading.webp import read_webp
from media_pipeline.reading.xmp import Xmp, parse_xmp

_BY_HAND: MappingProxyType[str, Callable[[BinaryIO], Picture]] = MappingProxyType(
    {"gif": read_gif, "webp": read_webp, "jxl": read_jxl, "ico": read_ico}
)
_SECOND_READERS: MappingProxyType[str, Callable[[BinaryIO], Picture]] = MappingProxyType(
    {"avif": avif.read_with_pyav, "heif": avif.read_with_pyav, "jpeg": salvage_jpeg}
)
_MODE_BITS = MappingProxyType(
    {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I;16N": 16, "I": 32, "F": 32}
)
_UPRIGHT_FORMATS = frozenset({"heif", "tiff"})
"""Formats that Pillow (or its plugin) turns itself, and whose size it states upright."""

_PHOTOSHOP_EXIF, _PHOTOSHOP_XMP = 1058, 1060  # image resource numbers, Photoshop file format


def read_image(handle: BinaryIO, fmt: Format, head: bytes) -> dict[str, Any]:
    """The columns of `schema.METADATA` that a still picture fills.

    Damaged metadata leaves a message and the picture as it is.

    Args:
        handle: The file.
        fmt: Its format.
        head: Its first `formats.HEAD_BYTES` bytes.

    Raises:
        ItemError: `undecodable`: the header cannot be read. `damaged`: it states no size.
            `io_error`: the disk failed.
    """
    with warnings.catch_warnings(record=True) as caught, _pillow_set_up():
        warnings.simplefilter("always")
        try:
            picture = _open(handle, fmt, head)
        except READ_ERRORS as error:
            raise _item_error(error, fmt, caught) from error
        row = picture_columns(picture)
    row["message"] = message(*picture.notes, *_words(caught))
    if picture.is_damaged:
        row |= {"state": "degraded", "reason": "damaged", "retryable": False}
    return row


def _item_error(error: Exception, fmt: Format, caught: list[warnings.WarningMessage]) -> ItemError:
    if isinstance(error, OSError) and is_disk_error(error):
        return item_error_of(error)
    why = message(*_words(caught)) or str(error)
    return ItemError("undecodable", f"no {fmt.name} header can be read: {why}")


@contextmanager
def _pillow_set_up() -> Iterator[None]:
    # Opening allocates nothing; whether a picture is too large to decode is decided elsewhere.
    before = Image.MAX_IMAGE_PIXELS, Image.WARN_POSSIBLE_FORMATS
    Image.MAX_IMAGE_PIXELS, Image.WARN_POSSIBLE_FORMATS = None, True  # warn: say why it fails
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, Image.WARN_POSSIBLE_FORMATS = before


def _words(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(warning.message) for warning in caught]


def _open(handle: BinaryIO, fmt: Format, head: bytes) -> Picture:
    if fmt.name in _BY_HAND:
        return _BY_HAND[fmt.name](handle)
    _register(fmt)
    try:
        image = Image.open(handle, formats=[fmt.decoder])
    except READ_ERRORS:
        if fmt.name in _SECOND_READERS:
            return _SECOND_READERS[fmt.name](handle)
        raise
    return _pillow_picture(image, handle, fmt, head)


def _register(fmt: Format) -> None:
    if fmt.name == "heif":
        import pillow_heif

        pillow_heif.register_heif_opener()


def _pillow_picture(
    image: ImageFile.ImageFile, handle: BinaryIO, fmt: Format, head: bytes
) -> Picture:
    picture = Picture(
        *image.size,
        color_mode=image.mode,
        bit_depth=_bit_depth(image, handle, fmt, head),
        has_alpha=image.has_transparency_data,
        is_upright=fmt.name in _UPRIGHT_FORMATS,
        orientation=image.info.get("original_orientation"),  # set by pillow_heif
        frame_count=_frame_count(image, handle, fmt),
        icc_profile=image.info.get("icc_profile") or b"",
        xmp=image.info.get("xmp") or b"",
    )
    _add_exif(picture, image)
    try:
        picture.iptc = parse_iptc(IptcImagePlugin.getiptcinfo(image))
    except READ_ERRORS as error:
        picture.notes.append(f"IPTC cannot be read: {error}")
    if fmt.name == "png":
        _add_png_chunks(picture, handle)
    elif fmt.name == "psd":
        _add_photoshop_resources(picture, image)
    return picture


def _add_exif(picture: Picture, image: ImageFile.ImageFile) -> None:
    block = image.info.get("exif")
    if block:  # parsed again: Pillow has swallowed its errors when it looked for the resolution
        picture.load_exif(block)
        return
    try:
        # Not the image's own method: PNG's decodes all pixels in search of a late chunk.
        picture.exif = Image.Image.getexif(image)
    except READ_ERRORS as error:
        picture.notes.append(f"EXIF cannot be read: {error}")


def _bit_depth(
    image: ImageFile.ImageFile, handle: BinaryIO, fmt: Format, head: bytes
) -> int | None:
    if fmt.name == "png":
        return head[24]  # IHDR
    if fmt.name == "psd":
        return int.from_bytes(head[22:24], "big")
    if fmt.name == "heif":
        return cast("int | None", image.info.get("bit_depth"))
    if fmt.name == "avif":
        return avif.bit_depth(handle)
    if fmt.name == "tiff":
        bits = number(getattr(image, "tag_v2", {}).get(258, 1))  # BitsPerSample
        return None if bits is None else int(bits)
    if fmt.name == "ppm" and image.mode == "I":
        return 16
    return _MODE_BITS.get(image.mode, 8)


def _frame_count(image: ImageFile.ImageFile, handle: BinaryIO, fmt: Format) -> int | None:
    if fmt.name == "tiff":
        return tiff.page_count(handle)
    if fmt.name in ("png", "jpeg", "avif", "heif"):
        return getattr(image, "n_frames", 1)
    return 1  # layers of a PSD are not pictures of their own


def _add_png_chunks(picture: Picture, handle: BinaryIO) -> None:
    chunks = read_chunks(handle)
    picture.duration_s = chunks.duration_s
    picture.xmp = picture.xmp or chunks.xmp
    if chunks.exif and not picture.exif:
        picture.load_exif(chunks.exif)
    picture.texts = {key: text for key, text in chunks.texts.items() if key != XMP_KEYWORD}
    clock = _creation_time(picture.texts.get("Creation Time", ""))
    if clock:
        picture.times.append(("container", clock))


def _creation_time(text: str) -> Clock | None:
    # PNG recommends RFC 1123 dates; most programs write EXIF's or ISO 8601.
    clock = parse_clock(text)
    if clock or not text:
        return clock
    try:
        return parse_clock(parsedate_to_datetime(text).isoformat())
    except READ_ERRORS:
        return None


def _add_photoshop_resources(picture: Picture, image: ImageFile.ImageFile) -> None:
    blocks = {number: data for number, _, data in getattr(image, "resources", [])}
    picture.xmp = blocks.get(_PHOTOSHOP_XMP, b"")
    if _PHOTOSHOP_EXIF in blocks:
        picture.load_exif(blocks[_PHOTOSHOP_EXIF])


def picture_columns(picture: Picture) -> dict[str, Any]:
    """The columns a header fills; EXIF, XMP and IPTC are weighed against each other here.

    Raises:
        ItemError: `damaged`: the header states no size.
    """
    if picture.width_px <= 0 or picture.height_px <= 0:
        raise ItemError("damaged", f"a size of {picture.width_px} x {picture.height_px} pixels")
    iptc, texts, xmp = picture.iptc, picture.texts, _xmp(picture)
    exif = _exif(picture, xmp)
    orientation = picture.orientation or exif.orientation or xmp.orientation
    is_turned = not picture.is_upright and (orientation or 1) >= 5
    width, height = picture.width_px, picture.height_px
    return {
        "width_px": height if is_turned else width,
        "height_px": width if is_turned else height,
        "orientation": orientation,
        "color_mode": picture.color_mode,
        "bit_depth": picture.bit_depth,
        "has_alpha": picture.has_alpha,
        "icc_profile": icc_description(picture.icc_profile),
        "frame_count": picture.frame_count,
        "duration_s": picture.duration_s,
        **dict(xmp.position),
        **exif.columns,
        "lens_model": exif.columns.get("lens_model") or xmp.lens_model,
        "software": exif.columns.get("software") or clean_text(texts.get("Software")),
        "title": xmp.title or iptc.title or exif.title or clean_text(texts.get("Title")),
        "description": xmp.description
        or iptc.description
        or exif.description
        or clean_text(texts.get("Description")),
        "keywords": keywords(xmp.keywords, iptc.keywords) or keywords(exif.keywords),
        "rating": exif.rating if xmp.rating is None else xmp.rating,
        "creator": exif.creator or xmp.creator or iptc.creator or clean_text(texts.get("Author")),
        "capture_times": capture_times(
            [
                *exif.times,
                *(("xmp", clock) for clock in xmp.times),
                *(("iptc", clock) for clock in iptc.times),
                *picture.times,
            ]
        ),
    }


def _exif(picture: Picture, xmp: Xmp) -> ExifFacts:
    try:
        return exif_facts(picture.exif, xmp.gps_instant)
    except READ_ERRORS as error:
        picture.notes.append(f"EXIF cannot be read: {error}")
        return ExifFacts()


def _xmp(picture: Picture) -> Xmp:
    if not picture.xmp:
        return Xmp()
    try:
        return parse_xmp(picture.xmp)
    except ItemError as error:
        picture.notes.append(error.message)
        return Xmp()


@lru_cache(maxsize=64)
def icc_description(profile: bytes) -> str | None:
    """The description inside an ICC profile, `None` for no profile or a damaged one."""
    if not profile:
        return None
    from PIL import ImageCms

    try:
        # The description is decoded when it is asked for, and may be broken too.
        return clean_text(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description)
    except READ_ERRORS:
        return None
