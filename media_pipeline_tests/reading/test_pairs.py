"""Files that belong together by their names."""

from __future__ import annotations

from media_pipeline.reading.pairs import Pair, find_pairs


def test_a_raw_and_its_jpeg_pair_whatever_the_case() -> None:
    found = find_pairs([b"a/IMG_1.CR2", b"a/img_1.jpg", b"b/IMG_1.jpg"])
    assert found == {
        b"a/IMG_1.CR2": Pair("raw_jpeg", b"a/img_1.jpg"),
        b"a/img_1.jpg": Pair("raw_jpeg", b"a/IMG_1.CR2"),
    }


def test_a_picture_and_a_video_of_one_name_are_a_live_photo() -> None:
    found = find_pairs([b"IMG_2.HEIC", b"IMG_2.MOV"])
    assert found[b"IMG_2.HEIC"] == Pair("live_photo", b"IMG_2.MOV")


def test_a_sidecar_carries_the_stem_or_the_whole_name() -> None:
    found = find_pairs([b"a.jpg", b"a.xmp", b"b.jpg", b"b.jpg.xmp"])
    assert found[b"a.jpg"] == Pair("sidecar", b"a.xmp")
    assert found[b"b.jpg.xmp"] == Pair("sidecar", b"b.jpg")


def test_a_raw_with_everything_names_the_jpeg_first() -> None:
    found = find_pairs([b"a.dng", b"a.jpg", b"a.mov", b"a.xmp"])
    assert found[b"a.dng"] == Pair("raw_jpeg", b"a.jpg")
    assert found[b"a.mov"] == Pair("live_photo", b"a.jpg")
    assert found[b"a.xmp"] == Pair("sidecar", b"a.dng")


def test_what_stands_alone_has_no_pair() -> None:
    assert find_pairs([b"a.jpg", b"b.jpg", b"c.xmp", b"a.txt"]) == {}
