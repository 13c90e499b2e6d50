"""How fast models run, with random weights: `python -m benchmarks.models [--device cpu|cuda]`.

For every model, in one run: pictures per second end to end from cached thumbnails (`engine.run`:
read, decode, prepare, infer; no tables are read or written), those of the bare model in a loop over
inputs that are prepared already, their ratio, and what `transformers.pipeline` does with the same
files at its best batch size. Random weights: speed only, nothing is said about quality. Needs
neither dagster nor duckdb.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.model_checkpoints import parameters_of, write_checkpoint
from benchmarks.model_peers import best_pipeline
from benchmarks.report import Figure
from media_pipeline.errors import OutOfDeviceMemory, UsageError
from media_pipeline.models.cards import ModelCard
from media_pipeline.models.engine import read_picture, run
from media_pipeline.models.exporting import FIXED_SHAPE
from media_pipeline.models.loading import Device, load, resolve_device
from media_pipeline.models.protocols import Pixels, VisionModel
from media_pipeline.models.qualifying import machine_name, open_session, qualify, runtime_of

WHAT = (
    "random weights: speed only; end to end is engine.run (read, decode, prepare, infer), "
    "without tables"
)

THUMBNAIL_PX = 512
QUALITY = 85
SHAPES = ((512, 384), (384, 512), (512, 341), (512, 512))
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
ROUNDS = 3
"""End to end and bare take turns; the best of each counts."""

SLOW_MS = 20.0
RATIO_LEAST = 0.9
CPU_BATCHES, CUDA_BATCHES = (1, 4, 8), (32, 64, 128, 256)
GPU_POLL_S = 0.02


@dataclass(frozen=True)
class Subject:
    """One model to measure.

    Attributes:
        card: Id of its card.
        on_cpu, on_cuda: Thumbnails per round.
        least_per_s: Target end to end, `None` where there is none: (CPU, CUDA).
    """

    card: str
    on_cpu: int
    on_cuda: int
    least_per_s: tuple[float | None, float | None] = (None, None)


SUBJECTS = (
    Subject("mobilenetv3-small-100", 1200, 8192, (600.0, None)),
    Subject("vit-base-patch16-224", 48, 8192, (None, 3000.0)),
    Subject("siglip2-base-patch16-224", 48, 8192, (None, 3000.0)),
    Subject("rt-detr-v2-r18vd", 32, 2048),
    Subject("blip-image-captioning-base", 4, 512),
)


def main() -> None:
    """Measure what was asked for, print it as it is known and as one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--models", type=Path, help="scratch folder for random weights, kept")
    parser.add_argument("--only", help="only models whose id contains this")
    parser.add_argument("--workers", type=int, default=0, help="threads; 0 takes one per core")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of thumbnails")
    parser.add_argument("--qualify", action="store_true", help="let OpenVINO or bf16 be chosen")
    parser.add_argument("--no-peers", action="store_true", help="leave transformers.pipeline out")
    chosen = parser.parse_args()
    device = resolve_device(chosen.device)
    print(f"{WHAT}\n{_where(device)}", flush=True)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-models-") as scratch:
        models = chosen.models or Path(scratch) / "models"
        bench = Bench(device, models, chosen.workers or _cpus(), chosen.scale)
        for subject in SUBJECTS:
            if chosen.only and chosen.only not in subject.card:
                continue
            print(f"\n{subject.card}", flush=True)
            folder = Path(scratch) / "thumbnails"
            for figure in bench.measure(subject, folder, chosen.qualify, not chosen.no_peers):
                figures.append(figure)
                print("  " + "  ".join(cell for cell in figure.cells() if cell), flush=True)
    header = ("measured", "value", "target", "", "note")
    rows = [header, ("---",) * len(header), *(figure.cells() for figure in figures)]
    print(f"\n{WHAT}\n{_where(device)}\n")
    print("".join("| " + " | ".join(row) + " |\n" for row in rows))


class Bench:
    """Measures on one device.

    Args:
        device: What models run on.
        models: Folder of random weights.
        workers: Threads.
        scale: Of the number of thumbnails.
    """

    def __init__(self, device: Device, models: Path, workers: int, scale: float) -> None:
        self.device, self.models, self.workers, self.scale = device, models, workers, scale
        self.is_cuda = device.name == "cuda"

    def measure(
        self, subject: Subject, folder: Path, qualified: bool, peers: bool
    ) -> Iterator[Figure]:
        """Every number of one model."""
        card = write_checkpoint(subject.card, self.models)
        count = max(2, round((subject.on_cuda if self.is_cuda else subject.on_cpu) * self.scale))
        paths = write_thumbnails(folder, min(count, 512))
        files = [paths[number % len(paths)] for number in range(count)]
        if qualified and card.loader in FIXED_SHAPE:
            yield from self._qualified(card, paths)
        model = load(card, self.models, self.device.name, lambda text: print("  " + text))
        runtime = self._runtime(card)
        millions = parameters_of(self.models / card.id) / 1e6
        note = f"{runtime}, {self.workers} threads, {millions:.0f} million weights"
        whole, bare, idle = self._rates(model, card, files)
        target = subject.least_per_s[self.is_cuda]
        yield Figure(f"{card.id}, end to end", whole, "images/s", least=target, note=note)
        yield Figure(f"{card.id}, bare model", bare, "images/s", note=runtime)
        model_ms, parts = self._parts(model, files)
        must = self.is_cuda or model_ms >= SLOW_MS
        least = RATIO_LEAST if must else None
        yield Figure(f"{card.id}, end to end / bare", whole / bare, "", least=least, note=parts)
        if idle is not None:
            yield Figure(f"{card.id}, GPU idle", 100 * idle, "%", note="of the end-to-end run")
        if peers:
            yield from self._peer(card, files, whole)

    def _runtime(self, card: ModelCard) -> str:
        if card.loader in FIXED_SHAPE:
            return runtime_of(card, self.models, self.device.name)
        return "torch-bf16" if self.is_cuda else "torch-float32"

    def _qualified(self, card: ModelCard, paths: Sequence[Path]) -> Iterator[Figure]:
        pictures = [read_picture(path.read_bytes()) for path in paths[:100]]
        for one in qualify(card, self.models, pictures, self.device.name).candidates:
            agreement = "failed" if one.agreement is None else f"{100 * one.agreement:.1f} % agree"
            name = f"{card.id}, qualifying {one.runtime}"
            yield Figure(name, one.pictures_per_s or 0.0, "images/s", note=one.problem or agreement)

    def _rates(
        self, model: VisionModel[Any], card: ModelCard, files: Sequence[Path]
    ) -> tuple[float, float, float | None]:
        """End to end, bare, and the idle share of the GPU; the best of some rounds."""
        bare = self._bare_on_cuda(card, model) if self.is_cuda else self._bare(model, files)
        self._end_to_end(model, files)  # sizes of batches are found, files and code are warm
        wholes, bares, idles = [], [], []
        for _ in range(ROUNDS):
            with GpuWatch(self.is_cuda) as watch:
                wholes.append(self._end_to_end(model, files))
            idles.append(watch.idle)
            bares.append(bare())
        return max(wholes), max(bares), idles[wholes.index(max(wholes))]

    def _end_to_end(self, model: VisionModel[Any], files: Sequence[Path]) -> float:
        sources = [(path.name, _reader(path)) for path in files]
        started = time.perf_counter()
        answered = sum(1 for _ in run(model, sources, self.workers))
        return answered / (time.perf_counter() - started)

    def _bare(self, model: VisionModel[Any], files: Sequence[Path]) -> Callable[[], float]:
        """The model in a loop over prepared inputs, one thread per core where it allows that."""
        inputs = [model.prepare(read_picture(path.read_bytes())) for path in files[:16]]
        threads = self.workers if model.is_parallel else 1

        def rate(batch: int) -> float:
            batches = [
                [inputs[(start + n) % len(inputs)] for n in range(batch)]
                for start in range(0, max(len(files), threads), batch)
            ]
            started = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                answers = sum(len(answer) for answer in pool.map(model.infer, batches))
            return answers / (time.perf_counter() - started)

        best = max((b for b in CPU_BATCHES if b <= len(files)), key=rate)
        return lambda: rate(best)

    def _bare_on_cuda(self, card: ModelCard, model: VisionModel[Any]) -> Callable[[], float]:
        """The torch module over inputs that lie on the GPU, nothing copied or waited for."""
        how = card.preprocessing
        if card.loader not in FIXED_SHAPE or how is None:
            inputs = [model.prepare(np.zeros((384, 512, 3), np.uint8))] * max(CUDA_BATCHES)
            return lambda: max(_captioned(model, inputs[:batch]) for batch in CUDA_BATCHES)
        import torch

        from media_pipeline.models.sessions import TorchSession

        runtime = runtime_of(card, self.models, self.device.name)
        session = open_session(runtime, card, self.models)  # precision and kernels as end to end
        if not isinstance(session, TorchSession):
            raise UsageError(f"{card.id} runs in {runtime} on {self.device}: torch was expected")
        is_bf16 = runtime == "torch-bf16"
        forward = session.forward_on_device

        def rate(batch: int) -> float:
            shape = (batch, 3, how.height_px, how.width_px)
            pixels = torch.randn(shape, device="cuda").to(
                torch.bfloat16 if is_bf16 else torch.float32, memory_format=torch.channels_last
            )
            rounds = max(4, 4096 // batch)
            with torch.inference_mode():
                forward(pixels)
                torch.cuda.synchronize()
                started = time.perf_counter()
                for _ in range(rounds):
                    forward(pixels)
                torch.cuda.synchronize()
            return rounds * batch / (time.perf_counter() - started)

        best = max(CUDA_BATCHES, key=rate)
        return lambda: rate(best)

    def _parts(self, model: VisionModel[Any], files: Sequence[Path]) -> tuple[float, str]:
        """CPU milliseconds of each step for one picture in one thread: the least of some."""
        some = files[: 30 if len(files) > 100 else 4]
        spent: dict[str, list[float]] = {"read": [], "decode": [], "prepare": [], "infer": []}
        for path in some:
            marks = [time.process_time()]
            jpeg = path.read_bytes()
            marks.append(time.process_time())
            picture = read_picture(jpeg)
            marks.append(time.process_time())
            prepared = model.prepare(picture)
            marks.append(time.process_time())
            model.infer([prepared])
            marks.append(time.process_time())
            for name, ms in zip(spent, np.diff(marks) * 1000, strict=True):
                spent[name].append(float(ms))
        least = {name: min(ms) for name, ms in spent.items()}
        text = ", ".join(f"{name} {ms:.2f}" for name, ms in least.items())
        return least["infer"], f"CPU-ms per picture: {text}"

    def _peer(self, card: ModelCard, files: Sequence[Path], ours: float) -> Iterator[Figure]:
        batches = CUDA_BATCHES if self.is_cuda else CPU_BATCHES
        some = files[
            : max(max(b for b in batches if b <= len(files)), 16 if len(files) > 16 else 2)
        ]
        found = best_pipeline(card, self.models / card.id, some, self.device.name, batches)
        if isinstance(found, str):
            yield Figure(f"{card.id}, transformers.pipeline", 0.0, "images/s", note=found)
            return
        name, rate, batch = found
        note = f"{name}, batch {batch}, same files"
        yield Figure(f"{card.id}, transformers.pipeline", rate, "images/s", note=note)
        yield Figure(f"{card.id}, end to end / transformers.pipeline", ours / rate, "x")


def _captioned(model: VisionModel[Any], inputs: list[Any]) -> float:
    started = time.perf_counter()
    try:
        answers = model.infer(inputs)
    except OutOfDeviceMemory:
        return 0.0
    return len(answers) / (time.perf_counter() - started)


class GpuWatch:
    """Looks at the GPU's utilisation while something runs; `idle` is the share without work."""

    def __init__(self, is_cuda: bool) -> None:
        self.idle: float | None = None
        self._is_cuda = is_cuda
        self._done = threading.Event()
        self._seen: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> GpuWatch:
        if self._is_cuda:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._is_cuda:
            self._thread.join()
            self.idle = 1 - float(np.mean(self._seen)) / 100 if self._seen else None

    def _watch(self) -> None:
        try:
            import pynvml
        except ImportError:
            return
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not self._done.wait(GPU_POLL_S):
            self._seen.append(float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu))


def _reader(path: Path) -> Callable[[], Pixels]:
    return lambda: read_picture(path.read_bytes(), path.name)


def write_thumbnails(folder: Path, count: int) -> list[Path]:
    """Varied 512-px JPEGs cut from scikit-image's photographs; those that exist are kept."""
    import skimage

    data = Path(skimage.__file__).parent / "data"
    photographs = [Image.open(data / name).convert("RGB") for name in PHOTOGRAPHS]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        paths.append(path)
        if not path.exists():
            buffer = io.BytesIO()
            _varied(photographs[number % len(photographs)], number).save(
                buffer, "JPEG", quality=QUALITY
            )
            path.write_bytes(buffer.getvalue())
    return paths


def _varied(photograph: Image.Image, seed: int) -> Image.Image:
    """Another crop, brightness and shape of a photograph."""
    random = np.random.default_rng(seed)
    share = random.uniform(0.6, 1.0)
    width, height = (int(side * share) for side in photograph.size)
    left = int(random.integers(0, photograph.width - width + 1))
    top = int(random.integers(0, photograph.height - height + 1))
    part = photograph.crop((left, top, left + width, top + height))
    shaped = part.resize(SHAPES[seed % len(SHAPES)], Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(shaped).enhance(random.uniform(0.7, 1.3))


def _where(device: Device) -> str:
    names = ("torch", "transformers", "timm", "onnxruntime", "opencv-python-headless")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    load_average = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine_name('cpu')}, load before "
        f"{load_average:.1f}, {device}, {versions}"
    )


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
