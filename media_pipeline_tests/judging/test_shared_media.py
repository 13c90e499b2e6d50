"""What was calibrated still holds on the real pictures (numbers: `benchmarks.calibrate`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibrate import DEFECT_TAGS, good_photographs, group, look, read_all, verdict
from benchmarks.degradations import DEFECTS
from media_pipeline.imaging.geometry import Pixels, shrunk_to

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def good(shared_media: Path) -> dict[str, Pixels]:
    return good_photographs(shared_media)


def test_at_most_two_percent_of_good_photographs_get_any_one_defect_tag(
    good: dict[str, Pixels],
) -> None:
    tags = [verdict(rgb)["tags"] for rgb in good.values()]
    shares = {tag: np.mean([tag in found for found in tags]) for tag in DEFECT_TAGS}
    assert all(share <= 0.02 for share in shares.values()), shares


@pytest.mark.parametrize(
    ("defect", "least"),
    [
        ("blur 0.5 %", 0.90),
        ("blur 0.7 %", 0.95),
        ("-3 EV", 0.97),
        ("+2.5 EV", 0.85),
        ("contrast x 0.2", 0.97),
        ("noise 25", 0.97),
        ("JPEG 8", 0.93),
        ("grey as RGB", 1.0),
    ],
)
def test_clear_defects_are_tagged(good: dict[str, Pixels], defect: str, least: float) -> None:
    tag, change = DEFECTS[defect]
    found = [tag in verdict(change(shrunk_to(rgb, 1000)))["tags"] for rgb in good.values()]
    assert np.mean(found) >= least


def test_of_real_triplets_the_sharp_one_is_sharpest_and_never_blurry(shared_media: Path) -> None:
    found = {k: verdict(v) for k, v in read_all(shared_media, ("quality/blur/*",)).items()}
    for name, row in found.items():
        if "_S." in name:
            assert "blurry" not in row["tags"]
            for soft in ("_F.", "_M."):
                other = found[name.replace("_S.", soft)]
                assert other["sharpness_p90"] < 0.6 * row["sharpness_p90"]
        if "HONOR" in name and "_F." in name:
            assert "blurry" in row["tags"]


def test_edits_of_one_photo_are_one_group(shared_media: Path) -> None:
    pictures = read_all(shared_media, ("duplicates/bridge/*", "photos/*"))
    members = group({k: look(v) for k, v in pictures.items()}, [v.size for v in pictures.values()])
    assert {m.media_id for m in members} == {k for k in pictures if "bridge" in k}
    assert len({m.centre for m in members}) == 1


def test_upright_pictures_of_all_orientation_tags_are_two_groups(shared_media: Path) -> None:
    pictures = read_all(shared_media, ("orientation/*",))
    members = group({k: look(v) for k, v in pictures.items()}, [1] * len(pictures))
    assert len(members) == len(pictures)
    assert len({m.centre for m in members}) == 2
    assert {m.transform for m in members} == {1}
