"""Broken media, made from drawn pictures by rules: for the torture tests."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from media_pipeline.demo.video import three_scenes

FLIPPED_SHARES = (0.01, 0.1, 0.5)
SEEDS = 10
HEADER_BYTES = 256
HEADER_SEEDS = 60
GIF_FRAMES = 2000
ENDINGS = {
    "JPEG": "jpg", "PNG": "png", "GIF": "gif", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp",
    "AVIF": "avif", "HEIF": "heic", "JXL": "jxl", "MP4": "mp4",
}  # fmt: skip
"""Formats that are drawn and their file name endings."""


def originals() -> dict[str, bytes]:
    """One sound file of every format, by format."""
    from media_pipeline.imaging.decode import register_plugins

    register_plugins()
    picture = _picture(seed=1)
    sound = {fmt: _saved(picture, fmt) for fmt in ENDINGS if fmt != "MP4"}
    return sound | {"MP4": three_scenes([_picture(2), _picture(3)], (320, 240))}


def _picture(seed: int) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((640, 480), Image.Resampling.BICUBIC)


def _saved(picture: Image.Image, fmt: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, fmt, **options)
    return out.getvalue()


def mutations() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of every mutated file, the same at every call."""
    sound = originals()
    for fmt, content in sound.items():
        ending = ENDINGS[fmt]
        yield f"{fmt} sound.{ending}", content
        for share in FLIPPED_SHARES:
            for seed in range(SEEDS):
                yield f"{fmt} {share:.0%} flipped {seed}.{ending}", _flipped(content, share, seed)
        for seed in range(HEADER_SEEDS):
            head = _flipped(content[:HEADER_BYTES], 0.02, seed)
            yield f"{fmt} head flipped {seed}.{ending}", head + content[HEADER_BYTES:]
        for tenth in range(10):
            yield f"{fmt} cut at {tenth}0.{ending}", content[: len(content) * tenth // 10]
        for other, its_content in sound.items():
            if other != fmt:
                yield f"{fmt} behind a head of {other}.{ending}", its_content[:32] + content[32:]
                yield f"{fmt} called.{ENDINGS[other]}", content + other.encode()


def _flipped(content: bytes, share: float, seed: int) -> bytes:
    """The content with one random bit flipped in a random share of its bytes."""
    random = np.random.default_rng(seed)
    pixels = np.frombuffer(content, np.uint8).copy()
    places = random.random(len(pixels)) < share
    pixels[places] ^= np.left_shift(1, random.integers(0, 8, int(places.sum()))).astype(np.uint8)
    return pixels.tobytes()


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that ask for much: frames, pixels, memory or time."""
    frames = [Image.new("P", (64, 64), number % 256) for number in range(GIF_FRAMES)]
    yield "2000 frames.gif", _saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "400 megapixels.png", _one_bit_png(20_000, 20_000)
    yield "text of 200 MB.png", _png_with_text(200 << 20)
    yield "declared 65500 x 65500.jpg", _declared_jpeg(_saved(_picture(1), "JPEG"), 65_500)
    yield "many scans.jpg", _many_scans(_saved(_picture(1), "JPEG", progressive=True), 3000)
    yield "directory that points at itself.tif", _endless_tiff()
    yield "laughs.jpg", _laughing_jpeg(_saved(_picture(1), "JPEG"))
    yield "zeros.jpg", b"\xff\xd8\xff\xe0" + bytes(5_000_000)
    yield "boxes in boxes.mp4", _nested_boxes(20_000)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _one_bit_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8)) for _ in range(height)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _png_with_text(size: int) -> bytes:
    whole = _saved(_picture(1), "PNG")
    text = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 9))
    return whole[:33] + text + whole[33:]  # behind IHDR


def _declared_jpeg(jpeg: bytes, side: int) -> bytes:
    frame = jpeg.index(b"\xff\xc0")  # SOF0: length, precision, height, width
    return jpeg[: frame + 5] + struct.pack(">HH", side, side) + jpeg[frame + 9 :]


def _many_scans(progressive: bytes, times: int) -> bytes:
    last = progressive.rindex(b"\xff\xda")
    return progressive[:-2] + progressive[last:-2] * times + b"\xff\xd9"


def _endless_tiff() -> bytes:
    entry = struct.pack("<HHII", 256, 3, 1, 8)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)


def _laughing_jpeg(jpeg: bytes) -> bytes:
    """XMP whose entities grow tenfold at each of ten levels."""
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    packet = f'<!DOCTYPE x [<!ENTITY l0 "ha">{levels}]><x:xmpmeta>&l9;</x:xmpmeta>'.encode()
    segment = b"http://ns.adobe.com/xap/1.0/\0" + packet
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def _nested_boxes(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = struct.pack(">I", len(content) + 8) + b"moov" + content
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + content


def plant_oddities(folder: Path) -> None:
    """Make what is no plain file of bytes, and names that are hard to carry."""
    sound = _saved(_picture(5), "JPEG")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "inside.jpg").write_bytes(sound + b"1")
    (folder / "loop").symlink_to(".", target_is_directory=True)
    (folder / "locked.jpg").write_bytes(sound + b"2")
    (folder / "locked.jpg").chmod(0)
    with socket.socket(socket.AF_UNIX) as plug:
        before = os.getcwd()
        os.chdir(folder)  # a socket's path may have 107 bytes
        try:
            plug.bind("socket.jpg")
        finally:
            os.chdir(before)
    names = (b"n" * 251 + b".jpg", b"\xff\xfe\xe9.jpg", b"\x01\x1b[2J\n.jpg", b"-rf.jpg", b" .jpg")
    for number, name in enumerate(names):
        (folder / os.fsdecode(name)).write_bytes(sound + b"n%d" % number)


def plant_too_deep(folder: Path) -> None:
    """A picture at the end of a path that is longer than the system takes in one go."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=place)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    picture = os.open("deep.jpg", os.O_WRONLY | os.O_CREAT, dir_fd=place)
    os.write(picture, _saved(_picture(6), "JPEG"))
    os.close(picture)
    os.close(place)
