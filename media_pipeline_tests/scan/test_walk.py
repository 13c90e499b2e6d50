"""The walk of a root: every entry once, in a fixed order, however deep."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from media_pipeline.scan.walk import Entry, walk


def test_walk_goes_through_a_tree_deeper_than_any_recursion_limit(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(folder)
    assert list(walk(os.fsencode(tmp_path))) == []
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # shutil recurses


def test_walk_is_in_byte_order_and_names_stay_below_the_root(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.jpg", "a/b.jpg", "C.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    entries: list[Entry] = list(walk(os.fsencode(tmp_path)))
    assert [e.relative for e in entries] == [b"C.jpg", b"a/b.jpg", b"a/z.jpg", b"b.jpg"]
