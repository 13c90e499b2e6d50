from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from media_pipeline.errors import ItemError
from media_pipeline.formats import BY_EXTENSION
from media_pipeline.reading.media import read_metadata
from media_pipeline_tests.reading.conftest import Reader, fits_schema


def jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (40, 30)).save(target, "JPEG")
    return target.getvalue()


def reason(path: Path, name: bytes = b"x") -> str:
    with pytest.raises(ItemError) as caught:
        read_metadata(bytes(path), name)
    return caught.value.reason


def test_the_bytes_decide_and_not_the_name(read: Reader) -> None:
    row = read(jpeg(), "film.mp4")

    assert (row["format"], row["mime_type"], row["size_bytes"]) == (
        "jpeg",
        "image/jpeg",
        len(jpeg()),
    )


def test_what_is_no_picture_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "half.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    os.mkfifo(tmp_path / "fifo.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "text.jpg")

    assert reason(tmp_path / "empty.jpg") == "empty_file"
    assert reason(tmp_path / "text.jpg") == "unrecognised_format"
    assert reason(tmp_path / "half.png") == "undecodable"
    assert reason(tmp_path / "fifo.jpg") == "not_a_regular_file"
    assert reason(tmp_path / "link.jpg") == "not_a_regular_file"
    assert reason(tmp_path / "gone.jpg") == "original_unavailable"


def test_a_name_that_is_no_text_is_no_obstacle(tmp_path: Path) -> None:
    path = bytes(tmp_path) + b"/\xff\n[b].jpg"
    Path(os.fsdecode(path)).write_bytes(jpeg())

    assert read_metadata(path, b"\xff\n[b].jpg")["state"] == "ok"


def test_the_reader_can_be_sent_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(read_metadata)) is read_metadata


STARTS = [
    jpeg()[:200], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X",
    b"II*\0\x08\0\0\0",
    b"MM\0+\0\x08\0\0", b"BM", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x18ftypheic",
    b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypmp42", b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51",
    b"8BPS\0\1", b"P6 ", b"\0\0\1\0\1\0", b"\x1a\x45\xdf\xa3", b"OggS", b"FLV\1",
    b"FUJIFILMCCD-RAW", b"",
]  # fmt: skip


@given(
    st.sampled_from(STARTS),
    st.binary(max_size=400),
    st.sampled_from(["", *sorted(BY_EXTENSION)]),
)
@pytest.mark.filterwarnings("ignore")
def test_no_bytes_raise_anything_but_an_item_error(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "anything"
    path.write_bytes(start + rest)
    try:
        row = read_metadata(bytes(path), f"x{ending}".encode())
    except ItemError:
        return
    assert fits_schema(row)
