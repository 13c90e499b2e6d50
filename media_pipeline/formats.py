"""Formats by content: what the first bytes say, and which formats are read at all.

The allow-list is the security boundary of decoding: a decoder is only ever called by the name of
a format that stands here. Sources: each format's specification, as collected in the `file` magic
database and Pillow's own `_accept` functions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from media_pipeline.errors import ItemError

HEAD_BYTES = 4096
"""How many first bytes `sniff` wants to see; fewer are fine."""

Kind = Literal["image", "video"]
Reader = Literal["pillow", "pyav", "rawpy"]


@dataclass(frozen=True)
class Format:
    """One format this program reads.

    Attributes:
        name: Our name for it, as it stands in `metadata.format`.
        kind: Still picture or video.
        mime_type: Media type.
        reader: The library that opens it.
        decoder: The library's own name for it (Pillow format or FFmpeg demuxer).
        extensions: Usual file name endings, lower case with dot.
    """

    name: str
    kind: Kind
    mime_type: str
    reader: Reader
    decoder: str
    extensions: tuple[str, ...]


RAW_EXTENSIONS = tuple(
    ".dng .cr2 .cr3 .nef .nrw .arw .sr2 .orf .rw2 .raf .pef .srw .x3f .3fr .erf .mrw .rwl .iiq "
    ".kdc .dcr".split()
)

FORMATS: tuple[Format, ...] = (
    Format(
        "jpeg", "image", "image/jpeg", "pillow", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")
    ),
    Format("png", "image", "image/png", "pillow", "PNG", (".png", ".apng")),
    Format("gif", "image", "image/gif", "pillow", "GIF", (".gif",)),
    Format("webp", "image", "image/webp", "pillow", "WEBP", (".webp",)),
    Format("tiff", "image", "image/tiff", "pillow", "TIFF", (".tif", ".tiff")),
    Format("bmp", "image", "image/bmp", "pillow", "BMP", (".bmp", ".dib")),
    Format("heif", "image", "image/heif", "pillow", "HEIF", (".heic", ".heif", ".hif")),
    Format("avif", "image", "image/avif", "pillow", "AVIF", (".avif", ".avifs")),
    Format("jxl", "image", "image/jxl", "pillow", "JXL", (".jxl",)),
    Format(
        "jpeg2000", "image", "image/jp2", "pillow", "JPEG2000", (".jp2", ".j2k", ".jpx", ".j2c")
    ),
    Format("psd", "image", "image/vnd.adobe.photoshop", "pillow", "PSD", (".psd",)),
    Format(
        "ppm", "image", "image/x-portable-anymap", "pillow", "PPM", (".ppm", ".pgm", ".pbm", ".pnm")
    ),
    Format("ico", "image", "image/x-icon", "pillow", "ICO", (".ico",)),
    Format("tga", "image", "image/x-tga", "pillow", "TGA", (".tga",)),
    Format("raw", "image", "image/x-dcraw", "rawpy", "LibRaw", RAW_EXTENSIONS),
    Format("mp4", "video", "video/mp4", "pyav", "mov", (".mp4", ".m4v", ".3gp", ".3g2")),
    Format("mov", "video", "video/quicktime", "pyav", "mov", (".mov", ".qt")),
    Format("matroska", "video", "video/matroska", "pyav", "matroska", (".mkv",)),
    Format("webm", "video", "video/webm", "pyav", "matroska", (".webm",)),
    Format("avi", "video", "video/x-msvideo", "pyav", "avi", (".avi",)),
    Format("flv", "video", "video/x-flv", "pyav", "flv", (".flv",)),
    Format("asf", "video", "video/x-ms-asf", "pyav", "asf", (".wmv", ".asf")),
    Format("ogg", "video", "video/ogg", "pyav", "ogg", (".ogv", ".ogg", ".ogm")),
    Format("mpeg-ps", "video", "video/mpeg", "pyav", "mpeg", (".mpg", ".mpeg", ".vob")),
    Format("mpeg-ts", "video", "video/mp2t", "pyav", "mpegts", (".mts", ".m2ts", ".ts")),
    Format("h264", "video", "video/h264", "pyav", "h264", (".264", ".h264")),
)

BY_NAME = {f.name: f for f in FORMATS}
BY_EXTENSION = {extension: f for f in FORMATS for extension in f.extensions}

UNSUPPORTED_EXTENSIONS = frozenset(
    ".svg .svgz .eps .ai .pdf .dds .blp .fli .flc .sgi .rgb .bw .pcx .xcf .icns .cur .wmf .emf "
    ".hdr .exr .swf .rm .rmvb .mxf".split()
)
"""Pictures and videos by name that are knowingly not read: recorded as `unsupported_format`."""

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"mif2"}
_AVIF_BRANDS = {b"avif", b"avis"}
_RAW_BRANDS = {b"crx "}


def sniff(head: bytes, name: bytes = b"") -> Format | None:
    """The format of a file by its first bytes, or `None` for none of ours.

    The name only decides between formats that share their first bytes (TIFF and the RAW formats
    built on it, TGA, which has no signature, raw H.264).

    Args:
        head: The first `HEAD_BYTES` bytes of the file, or all of a shorter one.
        name: File name.
    """
    found = _by_signature(head)
    by_name = format_of_name(name)
    if by_name is not None and by_name.name == "raw" and (found is None or found == "tiff"):
        return by_name if len(head) > 16 else None
    if found is None and by_name is not None and by_name.name == "tga" and _is_tga(head):
        found = "tga"
    return BY_NAME[found] if found else None


def recognise(head: bytes, name: bytes) -> Format:
    """The format of a file by its first bytes.

    Raises:
        ItemError: `empty_file` or `unrecognised_format`.
    """
    if not head:
        raise ItemError("empty_file", "the file has no bytes")
    found = sniff(head, name)
    if found is None:
        raise ItemError("unrecognised_format", f"no known format starts with {head[:8].hex(' ')}")
    return found


def format_of_name(name: bytes) -> Format | None:
    """The format that a file name promises, or `None`."""
    return BY_EXTENSION.get(extension(name))


def extension(name: bytes) -> str:
    """The lower-case ending of a file name with its dot, empty where there is none."""
    return os.path.splitext(name)[1].decode("ascii", "replace").lower()


def _by_signature(head: bytes) -> str | None:
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi"}.get(head[8:12])
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "matroska"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b" ", b"\n", b"\r", b"\t"):
        return "ppm"
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "mpeg-ts"
    if len(head) > 388 and head[4] == head[196] == head[388] == 0x47:  # m2ts: 4 bytes of timecode
        return "mpeg-ts"
    return None


_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"BM", "bmp"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"8BPS\x00\x01", "psd"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"IIRS", "raw"),
    (b"IIRO", "raw"),
    (b"IIU\x00", "raw"),
    (b"FOVb", "raw"),
    (b"\x00MRM", "raw"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"OggS", "ogg"),
    (b"\x00\x00\x01\xba", "mpeg-ps"),
    (b"\x00\x00\x01\xb3", "mpeg-ps"),
    (b"\x00\x00\x00\x01\x67", "h264"),
    (b"\x00\x00\x01\x67", "h264"),
    (b"\x00\x00\x00\x01\x09", "h264"),
)


def _by_brand(head: bytes) -> str:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, size - 3, 4))}
    if head[8:12] in _RAW_BRANDS:
        return "raw"
    if brands & _AVIF_BRANDS:
        return "avif"
    if head[8:12] in _HEIF_BRANDS or brands & (_HEIF_BRANDS - {b"mif1", b"msf1"}):
        return "heif"
    return "mov" if head[8:12] == b"qt  " else "mp4"


def _is_tga(head: bytes) -> bool:
    # TGA 2.0 specification: colour map type 0 or 1, image types, plausible depth.
    return (
        len(head) >= 18
        and head[1] in (0, 1)
        and head[2] in (1, 2, 3, 9, 10, 11)
        and head[16] in (1, 8, 15, 16, 24, 32)
    )
