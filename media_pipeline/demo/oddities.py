"""The files that make trouble: broken bytes, things that are no files of bytes, odd names."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from media_pipeline.demo.case import Case, Content, fifo, picture, symlink, trouble, written
from media_pipeline.demo.expected import Expected
from media_pipeline.demo.photographs import jpeg, photograph

LOCKED = b"broken/locked.jpg"
DECLARED_SIDE_PX = 60_000

XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="5">
   <dc:subject><rdf:Bag><rdf:li>rocket</rdf:li><rdf:li>evening</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
NOTE = b"Vienna first, then Florida. The cat stayed at home.\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>\n'
APPLE_DOUBLE = bytes.fromhex("00051607 00020000") + b"Mac OS X        " + bytes(58)


def oddity_cases() -> Iterator[Case]:
    """All files of bad content, of another kind than a file of bytes, or of an odd name."""
    yield from _broken_files()
    yield from _not_media()
    yield from _not_files()
    yield from _odd_names()


def _broken_files() -> Iterator[Case]:
    yield trouble(
        b"broken/truncated.jpg",
        "a stained tissue section, cut off after 60 % of its bytes",
        written(_truncated),
        ("degraded", "truncated", "thumbnails"),
    )
    yield trouble(b"broken/empty.jpg", "nothing", written(bytes), ("failed", "empty_file", "scan"))
    yield trouble(
        b"broken/shopping.jpg",
        "a text file called .jpg",
        written(lambda: b"Bread, milk, apples, coffee.\n"),
        ("failed", "unrecognised_format", "metadata"),
    )
    yield trouble(
        b"broken/VID_0001.mp4",
        "random bytes called .mp4",
        written(lambda: np.random.default_rng(4).bytes(20_000)),
        ("failed", "unrecognised_format", "metadata"),
    )
    yield trouble(
        b"broken/huge.png",
        "a PNG that declares 60,000 x 60,000 pixels",
        written(lambda: declared_png(DECLARED_SIDE_PX, DECLARED_SIDE_PX)),
        ("failed", "too_many_pixels", "thumbnails"),
    )
    yield trouble(
        LOCKED,
        "a wheel of colours, mode 000: nobody may read it",
        written(lambda: jpeg(photograph("color.png")), mode=0),
        ("failed", "permission_denied", "scan"),
    )


def _not_media() -> Iterator[Case]:
    for path, shows, content, reason in (
        (b"2019 Holiday/IMG_1002.xmp", "the rocket's XMP sidecar: 5 stars", XMP, "not_media"),
        (b"2019 Holiday/notes.txt", "a note", NOTE, "not_media"),
        (b"copies/._IMG_1001.JPG", "what macOS leaves on sticks", APPLE_DOUBLE, "apple_double"),
        (b"scans/triangle.svg", "a vector drawing", SVG, "unsupported_format"),
    ):
        yield trouble(path, shows, written(_always(content)), ("skipped", reason, "scan"))


def _not_files() -> Iterator[Case]:
    for path, shows, target in (
        (b"broken/loop", "a symlink to the folder it lies in", "."),
        (b"broken/itself.jpg", "a symlink to itself", "itself.jpg"),
        (b"broken/gone.jpg", "a symlink to nothing", "../2019 Holiday/IMG_0999.JPG"),
        (b"copies/shortcut.jpg", "a symlink to the coffee", "../2019 Holiday/IMG_1001.JPG"),
    ):
        yield trouble(path, shows, symlink(target), ("skipped", "symlink", "scan"))
    yield trouble(b"broken/pipe.jpg", "a FIFO", fifo, ("skipped", "not_a_regular_file", "scan"))


def _odd_names() -> Iterator[Case]:
    for name, shows, source in (
        (b"two\nlines.jpg", "grass; a name with a newline", "grass.png"),
        ("\N{BEACH WITH UMBRELLA}\ufe0f beach.jpg".encode(), "gravel; an emoji", "gravel.png"),
        (b"moon[/b].jpg", "the moon; terminal markup in its path", "moon.png"),
        (b"=cmd().jpg", "a cell; a name that spreadsheets execute", "cell.png"),
        (b"caf\xe9.jpg", "coins; a name that is not UTF-8", "coins.png"),
    ):
        yield picture(
            Expected(b"odd names/" + name, shows, tags_include=("grayscale",)), _grey_jpeg(source)
        )


def declared_png(width_px: int, height_px: int) -> bytes:
    """A PNG whose header declares this size and which holds no more than one row's worth of data.

    Source: PNG specification, third edition: signature, then chunks of length, type, data, CRC.
    """
    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)  # 8-bit RGB
    row = zlib.compress(bytes(1 + 3 * width_px))
    chunks = ((b"IHDR", header), (b"IDAT", row), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _truncated() -> bytes:
    whole = jpeg(photograph("ihc.png"))
    return whole[: len(whole) * 6 // 10]


def _grey_jpeg(name: str) -> Content:
    return lambda: jpeg(photograph(name).convert("L"))


def _always(content: bytes) -> Content:
    return lambda: content
