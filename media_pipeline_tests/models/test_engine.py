"""The engine: order, failures, memory, stopping - with models written by hand."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from media_pipeline.errors import ItemError, ModelError, ShapeError
from media_pipeline.imaging.worker import Failure
from media_pipeline.models import engine
from media_pipeline.models.engine import THREADS, BatchSize, read_picture, run
from media_pipeline.models.protocols import Input, Pixels
from media_pipeline_tests.models.fake_models import Adder

PARALLEL = pytest.mark.parametrize("is_parallel", [True, False])

PATIENCE_S = 30.0
"""How long a test waits for a thread before it calls it a hang."""

MEETING_S = 0.5
"""How long a thread waits, once, for another one that should not come."""


def pixel(value: int) -> Pixels:
    return np.full((1, 1, 3), value, dtype=np.uint8)


def pictures(count: int) -> list[tuple[int, Callable[[], Pixels]]]:
    return [(number, lambda number=number: pixel(number % 80)) for number in range(count)]


def expected(count: int) -> list[tuple[int, float]]:
    return [(number, 3.0 * (number % 80)) for number in range(count)]


def threads_left() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(THREADS)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert threads_left() == []


@PARALLEL
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_every_picture_is_answered_in_order(is_parallel: bool, workers: int, batch: int) -> None:
    assert list(run(Adder(is_parallel), pictures(100), workers, batch)) == expected(100)


@PARALLEL
def test_order_is_kept_when_the_first_picture_is_the_slowest(is_parallel: bool) -> None:
    others_done = threading.Event()
    done = [0]

    def slow() -> Pixels:
        assert others_done.wait(PATIENCE_S)
        return pixel(7)

    def quick() -> Pixels:
        done[0] += 1
        if done[0] >= 3:
            others_done.set()
        return pixel(1)

    sources: list[tuple[str, Callable[[], Pixels]]] = [("slow", slow), *[("q", quick)] * 20]
    answers = list(run(Adder(is_parallel), sources, 3, batch=1))
    assert answers == [("slow", 21.0), *[("q", 3.0)] * 20]


@PARALLEL
def test_no_sources_give_no_answers_and_ask_no_model(is_parallel: bool) -> None:
    model = Adder(is_parallel)
    assert list(run(model, [], 2)) == []
    assert model.batches == []


@PARALLEL
def test_a_picture_that_cannot_be_read_fails_alone(is_parallel: bool) -> None:
    def broken() -> Pixels:
        raise ItemError("undecodable", "x.jpg is no JPEG", retryable=True)

    sources = pictures(9)
    sources[4] = (4, broken)
    answers = expected(9)
    failure = Failure("undecodable", "x.jpg is no JPEG", True)
    assert list(run(Adder(is_parallel), sources, 2)) == [*answers[:4], (4, failure), *answers[5:]]


@PARALLEL
def test_when_no_picture_can_be_read_no_model_is_asked(is_parallel: bool) -> None:
    def broken() -> Pixels:
        raise ItemError("undecodable", "x", retryable=True)

    model = Adder(is_parallel)
    answers = list(run(model, [(number, broken) for number in range(9)], 2))
    assert [key for key, _ in answers] == list(range(9))
    assert all(isinstance(answer, Failure) for _, answer in answers)
    assert model.batches == []


@PARALLEL
def test_a_batch_that_does_not_fit_is_halved_and_the_size_remembered(is_parallel: bool) -> None:
    model = Adder(is_parallel, fits=3)
    assert list(run(model, pictures(64), 1)) == expected(64)
    assert max(model.batches) == 4
    assert sum(size for size in model.batches if size <= 3) == 64
    model.batches.clear()
    assert list(run(model, pictures(64), 1)) == expected(64)
    assert max(model.batches) == 2


@PARALLEL
def test_a_size_that_was_asked_for_is_halved_too(is_parallel: bool) -> None:
    model = Adder(is_parallel, fits=10)
    assert list(run(model, pictures(64), 1, batch=32)) == expected(64)
    assert model.batches[:4] == [32, 16, 8, 8]


@PARALLEL
def test_no_memory_for_a_single_picture_is_an_error_with_a_remedy(is_parallel: bool) -> None:
    with pytest.raises(ModelError, match=r"even one picture .*MEDIA_DEVICE=cpu"):
        list(run(Adder(is_parallel, fits=0), pictures(8), 2))


@PARALLEL
def test_a_failing_device_ends_the_run_after_what_it_had_answered(is_parallel: bool) -> None:
    answers = run(Adder(is_parallel, fails_after=3), pictures(64), 1, batch=2)
    assert [next(answers) for _ in range(6)] == expected(6)
    with pytest.raises(ModelError, match="device lost"):
        next(answers)


@PARALLEL
def test_an_error_of_the_program_is_not_hidden(is_parallel: bool) -> None:
    def wrong() -> Pixels:
        raise ShapeError("expected (height, width, 3)")

    with pytest.raises(ShapeError):
        list(run(Adder(is_parallel), [(0, wrong)], 2))


@PARALLEL
def test_an_error_of_the_sources_is_not_hidden(is_parallel: bool) -> None:
    def sources() -> Iterator[tuple[int, Callable[[], Pixels]]]:
        yield from pictures(5)
        raise FileNotFoundError("table")

    with pytest.raises(FileNotFoundError):
        list(run(Adder(is_parallel), sources(), 2))


@PARALLEL
def test_a_stop_ends_the_answers_early(is_parallel: bool) -> None:
    stop = threading.Event()
    answers = []
    for answer in run(Adder(is_parallel), pictures(10_000), 2, batch=4, stop=stop):
        answers.append(answer)
        if len(answers) == 8:
            stop.set()
    assert answers == expected(len(answers))
    assert 8 <= len(answers) <= 12


@PARALLEL
def test_a_stop_that_was_set_before_answers_nothing(is_parallel: bool) -> None:
    stop = threading.Event()
    stop.set()
    model = Adder(is_parallel)
    assert list(run(model, pictures(10), 2, stop=stop)) == []
    assert model.batches == []


@PARALLEL
def test_closing_early_ends_the_threads(is_parallel: bool) -> None:
    answers = run(Adder(is_parallel), pictures(10_000), 3)
    assert next(answers) == (0, 0.0)
    assert threads_left() != []
    answers.close()
    assert threads_left() == []


@PARALLEL
def test_sources_are_taken_only_a_little_ahead(is_parallel: bool) -> None:
    taken = [0]

    def counted() -> Iterator[tuple[int, Callable[[], Pixels]]]:
        for source in pictures(10_000):
            taken[0] += 1
            yield source

    answers = run(Adder(is_parallel), counted(), 2, batch=8)
    next(answers)
    assert taken[0] < 200
    answers.close()


def test_inputs_that_wait_for_the_device_are_bounded_by_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("media_pipeline.models.engine.AHEAD_BYTES", 40 * 12)
    taken = [0]

    def counted(
        sources: Iterable[tuple[int, Callable[[], Pixels]]],
    ) -> Iterator[tuple[int, Callable[[], Pixels]]]:
        for source in sources:
            taken[0] += 1
            yield source

    answers = run(Adder(is_parallel=False), counted(pictures(10_000)), 1, batch=16)
    for _ in range(64):
        next(answers)
    # 64 answered, up to 2 batches at the device and one being put together, 40 waiting
    assert taken[0] <= 64 + 3 * 16 + 40
    answers.close()


class Meeting:
    """Two threads inside `infer` at once meet here; one alone waits a little, the first time."""

    def __init__(self) -> None:
        self.met = 0
        self._both = threading.Barrier(2, timeout=MEETING_S)

    def __call__(self, size: int) -> None:
        with suppress(threading.BrokenBarrierError):
            self._both.wait()
            self.met += 1


def test_one_thread_at_a_time_asks_a_model_that_is_not_parallel() -> None:
    meeting = Meeting()
    assert list(run(Adder(False, before=meeting), pictures(40), 4, batch=1)) == expected(40)
    assert meeting.met == 0


def test_two_threads_that_ask_at_once_would_be_seen() -> None:
    meeting = Meeting()
    assert list(run(Adder(True, before=meeting), pictures(40), 4, batch=1)) == expected(40)
    assert meeting.met > 0


def test_several_threads_ask_a_parallel_model() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_S)
    answers = list(run(Adder(True, before=lambda size: both.wait() and None), pictures(40), 2, 1))
    assert answers == expected(40)


def test_a_session_with_two_lanes_is_asked_by_two_threads() -> None:
    class TwoLanes(Adder):
        session = type("Session", (), {"lanes": 2})()

    both = threading.Barrier(2, timeout=PATIENCE_S)
    model = TwoLanes(False, before=lambda size: both.wait() and None)
    assert list(run(model, pictures(40), 2, 1)) == expected(40)


def test_a_model_that_loses_an_answer_is_an_error() -> None:
    class Forgetful(Adder):
        def infer(self, inputs: list[Input]) -> list[float]:  # type: ignore[override]
            return super().infer(inputs)[1:]

    with pytest.raises(ModelError, match="3 answers for 4 pictures"):
        list(run(Forgetful(), pictures(4), 1, batch=4))


# -- the size of batches -------------------------------------------------------------------------


SECONDS = {4: 0.4, 8: 0.4, 16: 0.4, 32: 0.8}
"""Per batch: 10, 20, 40 and again 40 pictures per second."""


def test_batches_grow_while_they_become_faster_and_go_back_when_not() -> None:
    size = BatchSize(start=4, most=256, longest_s=100.0)
    seen = []
    for _ in range(12):
        seen.append(size.now)
        size.worked(size.now, SECONDS[size.now])
    assert seen == [4, 4, 8, 8, 16, 16, 32, 32, 16, 16, 16, 16]


@PARALLEL
def test_a_run_uses_the_size_of_batches_that_is_fastest(
    is_parallel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]

    def compute(size: int) -> None:
        now_s[0] += SECONDS.get(size, 0.0)

    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: now_s[0]))
    monkeypatch.setattr(
        engine, "_size_of", lambda model, batch: BatchSize(start=4, most=256, longest_s=100.0)
    )
    model = Adder(is_parallel, before=compute)
    assert list(run(model, pictures(800), 1)) == expected(800)
    sizes = [size for size, _ in groupby(model.batches)]
    assert sizes[:5] == [4, 8, 16, 32, 16]
    assert len(sizes[5:]) <= 1, "only the last batch, of what is left, has another size"
    assert model.batches.count(16) > 20
    assert sum(model.batches) == 800


def test_batches_stay_below_the_most() -> None:
    size = BatchSize(start=4, most=8, longest_s=100.0)
    for _ in range(10):
        size.worked(size.now, 1.0)
    assert size.now == 8


def test_batches_that_take_too_long_become_smaller() -> None:
    size = BatchSize(start=8, most=64, longest_s=1.0)
    for _ in range(10):
        size.worked(size.now, size.now * 0.4)
    assert size.now == 2


def test_a_batch_that_takes_long_does_not_grow() -> None:
    size = BatchSize(start=4, most=64, longest_s=1.0)
    for _ in range(10):
        size.worked(size.now, 0.6)
    assert size.now == 4


def test_shorter_batches_at_the_end_say_nothing() -> None:
    size = BatchSize(start=4, most=64, longest_s=1.0)
    for _ in range(10):
        size.worked(3, 0.001)
    assert size.now == 4


# -- reading -------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_a_colour_jpeg_is_read_as_pillow_reads_it() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    jpeg = encoded(Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC))
    ours = read_picture(jpeg).astype(int)
    theirs = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)
    assert ours.shape == (48, 64, 3)
    assert np.abs(ours - theirs).max() <= 3  # two builds of libjpeg-turbo


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
def test_every_kind_of_jpeg_becomes_rgb(mode: str) -> None:
    pixels = read_picture(encoded(Image.new(mode, (5, 4))))
    assert (pixels.shape, pixels.dtype) == ((4, 5, 3), np.uint8)


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    pixels = read_picture(encoded(Image.new("L", (5, 4), 77)))
    assert (pixels == 77).all()


@pytest.mark.parametrize(
    ("jpeg", "reason"),
    [
        (b"", "thumbnail_missing"),
        (b"no picture", "undecodable"),
        (b"\xff\xd8\xff\xe0" + bytes(64), "undecodable"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_the_item(jpeg: bytes, reason: str) -> None:
    with pytest.raises(ItemError, match=r"aa/bb\.jpg") as caught:
        read_picture(jpeg, "aa/bb.jpg")
    assert (caught.value.reason, caught.value.retryable) == (reason, True)
