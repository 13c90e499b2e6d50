"""The demo collection: every case is there, once, as described, and stays as it is."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import stat
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

from media_pipeline import formats, schema
from media_pipeline.demo import Expected, build_collection, expected_outcomes, expected_page
from media_pipeline.demo import collection as collection_module
from media_pipeline.demo.drawing import PHONE_SCREEN_PX
from media_pipeline.demo.photographs import photograph
from media_pipeline.errors import UsageError

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "originals"
    build_collection(folder)
    return folder


@pytest.fixture(scope="module")
def outcomes(originals: Path) -> dict[bytes, Expected]:
    return {expected.path: expected for expected in build_collection(originals)}


def names_under(folder: Path) -> Iterator[bytes]:
    root = os.fsencode(folder)
    for place, folders, files in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in [*files, *links]:
            yield os.path.relpath(os.path.join(place, name), root)


def fingerprints(folder: Path) -> dict[bytes, tuple[int, int, int]]:
    """Inode, modification and change time: nothing can be rewritten without changing one."""
    root = os.fsencode(folder)
    found = {}
    for name in names_under(folder):
        status = os.lstat(os.path.join(root, name))
        found[name] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def contents(folder: Path) -> dict[bytes, bytes | str]:
    """What each regular file holds and what each link points to."""
    found: dict[bytes, bytes | str] = {}
    for name in names_under(folder):
        path = folder / os.fsdecode(name)
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and os.access(path, os.R_OK):
            found[name] = path.read_bytes()
    return found


def opened(folder: Path, name: str) -> Image.Image:
    return Image.open(io.BytesIO((folder / name).read_bytes()))


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    left, right = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (one, other))
    assert left.shape == right.shape
    return float(np.abs(left - right).mean())


def test_every_expected_file_is_there_and_no_other(
    originals: Path, outcomes: dict[bytes, Expected]
) -> None:
    assert sorted(names_under(originals)) == sorted(outcomes)


def test_no_two_cases_share_a_path() -> None:
    paths = [case.expected.path for case in collection_module.all_cases()]
    assert len(paths) == len(set(paths))
    assert 60 <= len(paths) <= 80


def test_every_outcome_is_spelled_as_the_schema_spells_it() -> None:
    for expected in expected_outcomes(is_root=False).values():
        assert expected.state in schema.STATES
        assert (expected.reason is None) == (expected.stage is None) == (expected.state == "ok")
        assert expected.reason is None or expected.reason in schema.REASONS
        assert set(expected.tags_include) | set(expected.tags_exclude) <= set(schema.QUALITY_TAGS)
        assert not set(expected.tags_include) & set(expected.tags_exclude)


def test_every_relation_names_another_file_that_is_ok() -> None:
    outcomes = expected_outcomes(is_root=False)
    for expected in outcomes.values():
        for other in (expected.same_picture_as, expected.same_bytes_as, expected.not_same_as):
            assert other is None or (other != expected.path and outcomes[other].state == "ok")


def test_every_state_and_every_defect_occurs() -> None:
    expected = expected_outcomes(is_root=False).values()
    assert {e.state for e in expected} == set(schema.STATES)
    assert {tag for e in expected for tag in e.tags_include} >= {
        "blurry", "low_light", "overexposed", "low_contrast", "noisy", "over_compressed",
        "low_information", "odd_aspect_ratio", "odd_size", "grayscale",
    }  # fmt: skip


def test_building_again_changes_nothing(originals: Path) -> None:
    before = fingerprints(originals)
    build_collection(originals)
    assert fingerprints(originals) == before


def test_two_builds_hold_the_same_bytes_and_times(originals: Path, tmp_path: Path) -> None:
    build_collection(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(originals)
    times = {name: mtime for name, (_, mtime, _) in fingerprints(originals).items()}
    assert {n: mtime for n, (_, mtime, _) in fingerprints(tmp_path / "again").items()} == times


def test_a_build_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    folder = tmp_path / "originals"
    build_collection(folder)
    before = fingerprints(folder)
    (folder / "phone/IMG_2006.jpg").unlink()
    (folder / "broken/pipe.jpg").unlink()
    (folder / collection_module.TEMPORARY).write_bytes(b"half a file")
    build_collection(folder)
    after = fingerprints(folder)
    assert after.keys() == before.keys()
    rewritten = {name for name in after if after[name] != before[name]}
    assert rewritten == {b"phone/IMG_2006.jpg", b"broken/pipe.jpg"}


def test_another_version_is_built_anew_without_its_leftovers(tmp_path: Path) -> None:
    folder, outside = tmp_path / "originals", tmp_path / "outside.jpg"
    build_collection(folder)
    marker = tmp_path / "originals.collection.json"
    found = json.loads(marker.read_bytes())
    marker.write_text(
        json.dumps({"version": 0, "files": [*found["files"], "phone/old.jpg", "../outside.jpg"]})
    )
    for path in (
        folder / "phone/IMG_2006.jpg",
        folder / "phone/old.jpg",
        folder / "mine.jpg",
        outside,
    ):
        path.write_bytes(b"something else")
    build_collection(folder)
    assert opened(folder, "phone/IMG_2006.jpg").format == "JPEG"
    assert not (folder / "phone/old.jpg").exists()
    assert (folder / "mine.jpg").exists()
    assert outside.exists()


def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "my photos"
    folder.mkdir()
    (folder / "mine.jpg").write_bytes(b"not ours")
    with pytest.raises(UsageError, match="my photos holds files and is no demo collection"):
        build_collection(folder)
    assert os.listdir(folder) == ["mine.jpg"]
    assert os.listdir(tmp_path) == ["my photos"]


def test_what_the_file_system_refuses_is_copied_or_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "mkfifo", refuse)
    with caplog.at_level(logging.WARNING):
        built = {expected.path for expected in build_collection(tmp_path / "originals")}
    assert built == set(names_under(tmp_path / "originals"))
    assert expected_outcomes(is_root=False).keys() - built == {b"broken/pipe.jpg"}
    assert [record.getMessage() for record in caplog.records] == [
        "copies/hard link.jpg is replaced by a copy: Operation not permitted",
        "broken/pipe.jpg is left out: Operation not permitted",
    ]


def test_the_collection_is_small(originals: Path) -> None:
    sizes = (os.lstat(originals / os.fsdecode(name)).st_size for name in names_under(originals))
    assert sum(sizes) < 40e6


def test_copies_hold_the_same_bytes_and_no_others_do(
    originals: Path, outcomes: dict[bytes, Expected]
) -> None:
    holds = contents(originals)
    for name, data in holds.items():
        original = outcomes[name].same_bytes_as
        same = {other for other in holds if other != name and holds[other] == data}
        assert original is None or original in same
        assert original is not None or all(outcomes[o].same_bytes_as == name for o in same)


def test_the_hard_link_shares_its_inode(originals: Path) -> None:
    assert (originals / "copies/hard link.jpg").samefile(originals / "2019 Holiday/IMG_1003.JPG")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_applying_the_exif_orientation_gives_the_upright_cat(
    originals: Path, orientation: int
) -> None:
    stored = opened(originals, f"phone/IMG_200{orientation}.jpg")
    cat = photograph("chelsea.png")
    assert stored.getexif()[0x0112] == orientation
    assert stored.size == (cat.size if orientation <= 4 else cat.size[::-1])
    assert mean_difference(ImageOps.exif_transpose(stored), cat) < 3


def test_untagged_copies_are_mirrored_and_turned(originals: Path) -> None:
    cat = photograph("chelsea.png")
    mirrored = opened(originals, "phone/cat mirrored.jpg")
    assert mean_difference(ImageOps.mirror(mirrored), cat) < 3
    assert mean_difference(ImageOps.flip(opened(originals, "phone/cat flipped.jpg")), cat) < 3
    assert (
        mean_difference(opened(originals, "phone/cat lying.jpg").rotate(-90, expand=True), cat) < 3
    )


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("scans/coffee_cmyk.jpg", "CMYK"),
        ("scans/cat_rgba.png", "RGBA"),
        ("scans/cameraman.png", "L"),
        ("scans/coffee_grey.jpg", "L"),
        ("scans/coffee_grey_as_rgb.jpg", "RGB"),
        ("scans/cameraman_16bit.png", "I;16"),
    ],
)
def test_pictures_are_stored_in_the_colour_mode_they_claim(
    originals: Path, name: str, mode: str
) -> None:
    assert opened(originals, name).mode == mode


def test_48_bit_pictures_hold_16_bits_per_channel(originals: Path) -> None:
    png = (originals / "scans/astronaut_48bit.png").read_bytes()
    assert png[24:26] == bytes([16, 2])  # bit depth and colour type of IHDR
    tiff = opened(originals, "scans/coffee_48bit.tif")
    assert isinstance(tiff, TiffImagePlugin.TiffImageFile)
    assert tiff.tag_v2[258] == (16, 16, 16)  # BitsPerSample
    assert mean_difference(tiff, photograph("coffee.png")) < 1


def test_photos_carry_times_cameras_and_places(originals: Path) -> None:
    exif = opened(originals, "2019 Holiday/IMG_1002.JPG").getexif()
    assert exif[0x0110] == "Canon EOS 80D"
    details, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert (details[0x9003], details[0x9011]) == ("2019:07:20 20:14:02", "-04:00")
    degrees, minutes, seconds = (float(part) for part in gps[4])
    assert gps[3] == "W"
    assert degrees + minutes / 60 + seconds / 3600 == pytest.approx(80.5772, abs=1e-5)


def test_the_screenshot_fills_a_phone_screen_exactly(originals: Path) -> None:
    assert opened(originals, "phone/Screenshot_20230714-094100.png").size == PHONE_SCREEN_PX


def test_the_film_starts_black_and_shows_three_scenes(originals: Path) -> None:
    frames = decoded(originals / "phone/VID_20230714_200322.mp4")
    means = [float(frame.to_ndarray(format="gray").mean()) for frame in frames]
    assert max(means[:13]) < 2
    assert len(frames) == 13 + 3 * 25
    jumps = [i for i, (a, b) in enumerate(pairwise(means), 1) if abs(a - b) > 4]
    assert jumps == [13, 38, 63]


def test_the_rotated_film_is_upright_once_turned_clockwise(originals: Path) -> None:
    first = decoded(originals / "phone/VID_20230714_201500.mp4")[0]
    assert (first.width, first.height, first.rotation) == (320, 240, -90)
    stored = Image.fromarray(first.to_ndarray(format="rgb24"))
    upright = stored.rotate(first.rotation, expand=True)
    rocket = photograph("rocket.jpg")
    left, top = (640 - 240 - 50) // 2, (427 - 320 - 50) // 2
    assert mean_difference(upright, rocket.crop((left, top, left + 240, top + 320))) < 5


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(path.read_bytes()), "r") as container:
        return list(container.decode(video=0))


def test_the_huge_png_declares_60000_by_60000_pixels_in_few_bytes(originals: Path) -> None:
    data = (originals / "broken/huge.png").read_bytes()
    assert struct.unpack(">II", data[16:24]) == (60_000, 60_000)
    assert len(data) < 1000


def test_the_truncated_jpeg_loses_its_lower_part(
    originals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="truncated"):
        opened(originals, "broken/truncated.jpg").load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    rows = np.asarray(opened(originals, "broken/truncated.jpg")).std(axis=(1, 2))
    assert rows[:200].min() > 5
    assert rows[-50:].max() < 1


def test_wrongly_named_files_are_of_no_known_format(originals: Path) -> None:
    for name in ("broken/shopping.jpg", "broken/VID_0001.mp4"):
        data = (originals / name).read_bytes()
        assert formats.sniff(data[: formats.HEAD_BYTES], os.fsencode(name)) is None


def test_special_files_are_what_they_claim(originals: Path) -> None:
    modes = {
        name: os.lstat(originals / "broken" / name).st_mode for name in ("pipe.jpg", "locked.jpg")
    }
    assert stat.S_ISFIFO(modes["pipe.jpg"])
    assert stat.S_IMODE(modes["locked.jpg"]) == 0
    assert (originals / "broken/loop/loop/loop/truncated.jpg").is_file()
    assert not (originals / "broken/gone.jpg").exists()
    assert (originals / "broken/empty.jpg").stat().st_size == 0


@pytest.mark.parametrize(
    "part", [b"\n", "\N{BEACH WITH UMBRELLA}".encode(), b"[/b]", b"=cmd()", b"\xe9"]
)
def test_odd_names_are_there(outcomes: dict[bytes, Expected], part: bytes) -> None:
    assert [path for path in outcomes if part in path and path.startswith(b"odd names/")]


def test_the_locked_file_is_read_by_root_only() -> None:
    locked = b"broken/locked.jpg"
    assert expected_outcomes(is_root=True)[locked].state == "ok"
    refused = expected_outcomes(is_root=False)[locked]
    assert (refused.state, refused.reason, refused.stage) == ("failed", "permission_denied", "scan")


def test_the_docs_page_is_up_to_date() -> None:
    page = (REPOSITORY / "docs/demo-collection.md").read_text(encoding="utf-8")
    assert page == expected_page(expected_outcomes(is_root=False).values())
