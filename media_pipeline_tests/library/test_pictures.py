"""Pictures to compare runtimes on: from a folder, or a library's thumbnails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media_pipeline.errors import UsageError
from media_pipeline.library.opened import Library
from media_pipeline.library.pictures import LONG_SIDE_PX, some_pictures, some_thumbnails


def test_pictures_of_a_folder_are_upright_rgb_and_of_thumbnail_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.new("L", (1024, 256), 200).save(tmp_path / "grey.jpg", exif=exif)
    (tmp_path / "below").mkdir()
    Image.new("RGBA", (3, 2), (10, 20, 30, 255)).save(tmp_path / "below" / "tiny.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 cut off")
    (tmp_path / "notes.txt").write_text("no picture")
    tiny, grey = some_pictures(tmp_path, 10)
    assert tiny.tolist() == [[[10, 20, 30]] * 3] * 2
    assert grey.shape == (LONG_SIDE_PX, 128, 3)
    assert grey.dtype == np.uint8


def test_no_more_pictures_are_read_than_asked_for(tmp_path: Path) -> None:
    for number in range(5):
        Image.new("RGB", (2, 2)).save(tmp_path / f"{number}.png")
    assert len(some_pictures(tmp_path, 3)) == 3


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folder"):
        some_pictures(tmp_path, 3)


def test_a_library_without_thumbnails_is_refused(library: Library) -> None:
    library.recipes = {stage.name: "00000001" for stage in library.stages}
    with pytest.raises(UsageError, match="has no thumbnails"):
        some_thumbnails(library, 3)


def test_thumbnails_are_spread_over_the_library(library: Library) -> None:
    from media_pipeline_tests.conftest import draw, scan_everything
    from media_pipeline_tests.library.test_changes import rows

    draw(Path(library.config.roots[0].path) / "one.jpg")
    scan_everything(library)
    library.recipes = {stage.name: "00000001" for stage in library.stages}
    folder = Path(library.thumbnails.path)
    folder.mkdir()
    given = []
    for number in range(9):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(folder / f"{number}.png")
        given.append({"media_id": f"{number:032x}", "role": "still", "path": f"{number}.png"})
    given.append({"media_id": "f" * 32, "role": "still", "path": None})
    for batch in library.ledger.batches():
        library.store.write("thumbnails", "00000001", batch, rows("thumbnails", *given), {})
    assert [int(picture[0, 0, 0]) for picture in some_thumbnails(library, 3)] == [0, 3, 6]
