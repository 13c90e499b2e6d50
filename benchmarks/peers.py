"""What others do with the same files, each in a process of its own: seconds, printed as JSON.

python -m benchmarks.peers decode FOLDER        Pillow's bare half-scale decode
python -m benchmarks.peers cleanvision FOLDER   cleanvision with one process and all its issues
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

DECODE_LONG_SIDE_PX = 2000


def decode(paths: list[Path]) -> None:
    """Decode at the smallest scale that keeps a long side of 2000 px; nothing else."""
    from PIL import Image

    for path in paths:
        with Image.open(path) as image:
            shrink = max(image.size) / DECODE_LONG_SIDE_PX
            if shrink > 1:
                image.draft("RGB", (int(image.width / shrink), int(image.height / shrink)))
            image.load()


def cleanvision(paths: list[Path]) -> None:
    """Look for every issue that cleanvision knows."""
    from cleanvision import Imagelab

    lab = Imagelab(filepaths=[str(path) for path in paths], verbose=False)
    lab.find_issues(n_jobs=1, verbose=False)


PEERS = {"decode": decode, "cleanvision": cleanvision}


def main(peer: str, folder: str, limit: str) -> None:
    """Time one peer on the first files of a folder; one is done before, for the imports."""
    paths = sorted(Path(folder).iterdir())[: int(limit)]
    PEERS[peer](paths[:1])
    started = time.perf_counter()
    PEERS[peer](paths)
    seconds = time.perf_counter() - started
    print(json.dumps({"images": len(paths), "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
