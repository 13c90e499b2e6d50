"""How good the measures, thresholds and duplicate limits are: known defects, known edits.

    python -m benchmarks.calibrate [--media FOLDER] [quality] [duplicates] [index]

Real photographs, as they are and changed by known amounts, go through the functions that the
stages call. Photographs: `../shared/media` where it lies beside the checkout (or `--media`), and
scikit-image's. Prints tables; about 3 minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data

from benchmarks.degradations import DEFECTS, EDITS, HARMLESS, Change
from media_pipeline.errors import ItemError
from media_pipeline.formats import HEAD_BYTES, sniff
from media_pipeline.imaging import hashing, measures
from media_pipeline.imaging.decode import decode_upright
from media_pipeline.imaging.geometry import Pixels, luma, shrunk_to
from media_pipeline.imaging.thumbnail import jpeg
from media_pipeline.judging.duplicates import Member, differences, group_same_picture
from media_pipeline.judging.hash_index import near_pairs
from media_pipeline.judging.quality import decide
from media_pipeline.judging.rating import rate_thumbnail
from media_pipeline.judging.thresholds import load_thresholds
from media_pipeline.recipes import stage
from media_pipeline.schema import QUALITY_TAGS

SHARED = Path(__file__).parents[2] / "shared" / "media"
GOOD = ("photos/*", "orientation/*_1.jpg", "library/**/*")
NOT_GOOD = ("/dates/", "density_plot")  # drawn, not photographed
PAGES = ("screens/*", "documents/*", "graphics/*")
FROM_SKIMAGE = ("astronaut.png", "chelsea.png", "coffee.png", "camera.png", "motorcycle_left.png")
STEREO = ("motorcycle_left.png", "motorcycle_right.png")
DEFECT_TAGS = frozenset(QUALITY_TAGS) - {"grayscale", "well_exposed"}
LIMITS = stage("duplicates").parameters

Pictures = dict[str, Pixels]
Look = tuple[list[int], np.ndarray]


def read(path: Path) -> Pixels | None:
    """The picture at the decoded size, `None` for what is no picture."""
    with path.open("rb") as handle:
        fmt = sniff(handle.read(HEAD_BYTES), path.name.encode())
        if fmt is None or fmt.kind != "image":
            return None
        try:
            return np.ascontiguousarray(decode_upright(handle, fmt, 2000, 1 << 26).srgb())
        except ItemError:
            return None


def read_all(folder: Path, patterns: Sequence[str]) -> Pictures:
    """Every picture below a folder that matches, by relative path."""
    paths = sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})
    found = {str(path.relative_to(folder)): read(path) for path in paths}
    return {name: rgb for name, rgb in found.items() if rgb is not None}


def good_photographs(media: Path) -> Pictures:
    """Photographs that nothing is wrong with, as far as anybody knows."""
    good = {k: v for k, v in read_all(media, GOOD).items() if not any(n in k for n in NOT_GOOD)}
    return {**good, **read_all(Path(skimage.data.__file__).parent, FROM_SKIMAGE)}


def verdict(rgb: Pixels) -> dict[str, Any]:
    """Tags and scores of a picture, by the functions of the stages."""
    gray = luma(rgb)
    frame = {
        "path": "",
        "source_width_px": rgb.shape[1],
        "source_height_px": rgb.shape[0],
        "tile_sharpness": measures.tile_sharpness(gray),
        "fine_noise_sigma": measures.noise_sigma(gray),
        "fine_blockiness": measures.blockiness(gray),
        **dict.fromkeys(("reason", "message")),
        "state": "ok",
    }
    row = rate_thumbnail(jpeg(shrunk_to(rgb, 512), 85), frame)
    return {**row, **decide([row], load_thresholds("quality-v1"), None)}


def table(title: str, header: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    """Print a Markdown table as its rows come."""
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        print(f"| {' | '.join(cells)} |", flush=True)


def quality(media: Path) -> None:
    """False flags on good photographs, and how many of the defects are noticed."""
    good = good_photographs(media)
    clean = {name: verdict(rgb) for name, rgb in good.items()}
    flagged = {k: sorted(DEFECT_TAGS.intersection(v["tags"])) for k, v in clean.items()}
    print(f"{len(good)} good photographs; flagged:", {k: v for k, v in flagged.items() if v})
    table("False flags", ("tag", "flagged", "share"), _false_flags(clean))
    header = ("change", "tag", "tagged", "score p5", "score p50", "clean score p98")
    table("Defects, to be tagged", header, _tagged(DEFECTS, good, clean))
    table("Harmless, not to be tagged", header, _tagged(HARMLESS, good, clean))
    table("Real blur", ("picture", "sharpness p90", "tags"), _tags(media, ("quality/blur/*",)))
    table("Pages", ("picture", "sharpness p90", "tags"), _tags(media, PAGES))


def _false_flags(clean: dict[str, dict[str, Any]]) -> Iterator[Sequence[Any]]:
    for tag in (*sorted(DEFECT_TAGS), "grayscale", "well_exposed"):
        count = sum(tag in row["tags"] for row in clean.values())
        yield tag, count, count / len(clean)
    good = sum(row["quality"] == "good" for row in clean.values())
    yield "quality: good", good, good / len(clean)


def _tagged(
    changes: dict[str, tuple[str, Change]], good: Pictures, clean: dict[str, dict[str, Any]]
) -> Iterator[Sequence[Any]]:
    for name, (tag, change) in changes.items():
        rows = [verdict(change(rgb)) for rgb in good.values()]
        scores = [_score(row, tag) for row in rows]
        tagged = sum(tag in row["tags"] for row in rows) / len(rows)
        usual = float(np.percentile([_score(row, tag) for row in clean.values()], 98))
        yield name, tag, tagged, *map(float, np.percentile(scores, (5, 50))), usual


def _score(row: dict[str, Any], tag: str) -> float:
    return float(next(item["score"] for item in row["evidence"] if item["tag"] == tag))


def _tags(media: Path, patterns: Sequence[str]) -> Iterator[Sequence[Any]]:
    for name, rgb in read_all(media, patterns).items():
        row = verdict(rgb)
        yield name, row["sharpness_p90"], ", ".join(row["tags"])


def look(rgb: Pixels) -> Look:
    """Hashes and signature, as the stage `thumbnails` makes them."""
    gray = luma(shrunk_to(rgb, 512))
    return hashing.dihedral_hashes(gray), np.frombuffer(hashing.signature(gray), dtype=np.uint8)


def group(looks: dict[str, Look], sizes: Sequence[int]) -> list[Member]:
    """Groups under the limits in use."""
    variants = np.array([hashes for hashes, _ in looks.values()], dtype=np.uint64)
    signatures = np.array([signature for _, signature in looks.values()])
    return group_same_picture(
        list(looks), variants[:, 0], variants, signatures, np.array(sizes), **LIMITS
    )


def duplicates(media: Path) -> None:
    """How many edits are found as the same picture, and what else is."""
    pictures = {k: shrunk_to(v, 1200) for k, v in good_photographs(media).items()}
    pictures |= {k: shrunk_to(v, 1200) for k, v in read_all(media, PAGES).items()}
    looks = {name: look(rgb) for name, rgb in pictures.items()}
    print(f"\n{len(looks)} pictures, limits {dict(LIMITS)}")
    header = ("edit", "found", "bits p50", "bits p95", "bits max", "difference p50", "p95", "max")
    table("Edits found as the same picture", header, _found(pictures, looks))
    everything = {**looks, **{k: look(v) for k, v in read_all(media, ("duplicates/*/*",)).items()}}
    folder = Path(skimage.data.__file__).parent
    everything |= {k: look(v) for k, v in read_all(folder, ("*.png", "*.jpg")).items()}
    members = group(everything, [1] * len(everything))
    rows = ((m.centre, m.media_id, m.distance_bits, m.difference, m.transform) for m in members)
    header = ("centre", "member", "bits", "difference", "transform")
    table("Groups among all pictures as they are", header, (r for r in rows if r[0] != r[1]))
    stereo = [everything[name] for name in STEREO]
    bits, apart, _ = _distance(*stereo)
    print(f"\nStereo pair: {bits} bits, difference {apart:.1f}")


def _distance(centre: Look, other: Look) -> tuple[int, float, int]:
    """Bits, difference and orientation - 1 of the orientation with the least difference."""
    bits = np.array([(hash_ ^ other[0][0]).bit_count() for hash_ in centre[0]])
    apart = differences(centre[1], np.tile(other[1], (8, 1)), np.arange(8), bits)
    apart = np.minimum(apart, 255)  # flat pictures that are not equal differ by infinity
    best = int(np.lexsort((bits, apart))[0])
    return int(bits[best]), float(apart[best]), best


def _found(pictures: Pictures, looks: dict[str, Look]) -> Iterator[Sequence[Any]]:
    for name, change in EDITS.items():
        found, near = 0, []
        for key, rgb in pictures.items():
            edited = look(change(rgb))
            found += len(group({"centre": looks[key], "edited": edited}, (2, 1))) == 2
            near.append(_distance(looks[key], edited))
        bits, apart = [n[0] for n in near], [n[1] for n in near]
        yield (
            name,
            found / len(pictures),
            *map(int, np.percentile(bits, (50, 95, 100))),
            *map(float, np.percentile(apart, (50, 95, 100))),
        )


def index(_: Path) -> None:
    """The hash index against comparing all pairs, and against a graph of usearch."""
    header = ("hashes", "way", "seconds", "pairs", "share of all pairs found")
    table("Near pairs of 64-bit hashes and 8 variants, at most 6 bits", header, _ways())


def _ways() -> Iterator[Sequence[Any]]:
    for count in (5_000, 20_000, 100_000):
        hashes = _clustered(count)
        variants = np.random.default_rng(1).integers(0, 2**64, (count, 8), dtype=np.uint64)
        variants[:, 0] = hashes
        ways: dict[str, Callable[..., Any]] = {"index": near_pairs}
        ways |= {"usearch": _usearch_pairs} if count <= 20_000 else {}
        ways |= {"all pairs": _all_pairs} if count <= 5_000 else {}
        took: dict[str, tuple[float, set[Any]]] = {}
        for name, way in ways.items():
            started = time.perf_counter()
            pairs = way(hashes, variants, 6)
            seconds = time.perf_counter() - started
            took[name] = (seconds, set(zip(*map(np.ndarray.tolist, _columns(pairs)), strict=True)))
        exact = took.get("all pairs", took["index"])[1]
        for name, (seconds, found) in took.items():
            yield count, name, seconds, len(found), len(found & exact) / len(exact)


def _columns(pairs: Any) -> Sequence[np.ndarray]:
    return (pairs.query, pairs.variant, pairs.found) if hasattr(pairs, "query") else pairs


def _clustered(count: int) -> np.ndarray:
    """Random hashes, a tenth of them within 6 bits of another one."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    for i in range(count // 10):
        flips = rng.choice(64, rng.integers(0, 7), replace=False).astype(np.uint64)
        hashes[-1 - i] = hashes[i] ^ np.bitwise_or.reduce(np.uint64(1) << flips, initial=0)
    return hashes


def _all_pairs(hashes: np.ndarray, variants: np.ndarray, limit: int) -> Sequence[np.ndarray]:
    rows = [np.bitwise_count(row[:, np.newaxis] ^ hashes) <= limit for row in variants]
    return np.nonzero(np.stack(rows))


def _usearch_pairs(hashes: np.ndarray, variants: np.ndarray, limit: int) -> Sequence[np.ndarray]:
    from usearch.index import Index

    graph = Index(ndim=64, metric="hamming", dtype="b1")
    graph.add(np.arange(len(hashes)), hashes.view(np.uint8).reshape(-1, 8))
    found = []
    for variant in range(8):
        wanted = np.ascontiguousarray(variants[:, variant]).view(np.uint8).reshape(-1, 8)
        matches = graph.search(wanted, 10)
        query, place = np.nonzero(matches.distances <= limit)
        found.append((query, np.full_like(query, variant), matches.keys[query, place].astype(int)))
    return [np.concatenate(column) for column in zip(*found, strict=True)]


def main() -> None:
    """Run the sections that are asked for."""
    sections: dict[str, Callable[[Path], None]] = {
        function.__name__: function for function in (quality, duplicates, index)
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--media", type=Path, default=SHARED, help="folder of real media")
    parser.add_argument("sections", nargs="*", help=f"{', '.join(sections)}; all by default")
    asked = parser.parse_args()
    if unknown := set(asked.sections) - set(sections):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(sections)}")
    for name in asked.sections or sections:
        sections[name](asked.media)


if __name__ == "__main__":
    main()
