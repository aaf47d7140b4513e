"""The inference thread answers or accounts for every frame, whatever raises."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from oodseg_ros.errors import ImageError
from oodseg_ros.frame import Frame, Prediction
from oodseg_ros.pipeline import account as timing
from oodseg_ros.pipeline.mailbox import Item, Mailbox
from oodseg_ros.pipeline.worker import Handlers, InferenceWorker

CAMERAS = ("front", "left", "rear")
BAD = 66  # pixel value that makes the engine fail


class PixelRunner:
    """Answers the pixel values; records what it was asked."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.warmed: list[tuple[int, int, int]] = []
        self.broken = False

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool:
        return (height, width, batch) in self.warmed

    def warm(self, height: int, width: int, batch: int = 1) -> None:
        if height < 4:
            raise ImageError("too small")
        self.warmed.append((height, width, batch))

    def __call__(self, images: Sequence[Any]) -> list[Prediction]:
        self.batches.append(len(images))
        if self.broken or any((image == BAD).any() for image in images):
            raise RuntimeError("device error")
        return [Prediction(image[..., 0], image[..., 0].astype(np.float32), "test") for image in images]


class Bench:
    """A worker with recording handlers; `run` feeds rounds of items and waits until all are accounted for."""

    def __init__(self, batch: int = 1, max_age: float = 0.0, retries: int = 3) -> None:
        self.runner = PixelRunner()
        self.events: list[tuple[str, str, int]] = []
        self.errors: list[Exception] = []
        self.warming: list[bool] = []
        self.fatal: list[Exception] = []
        self.now_ns = 0
        self.fail_answer: Callable[[Item], bool] = lambda item: False
        self.mailbox = Mailbox(CAMERAS, lambda item: self.dropped(item, timing.OVERWRITTEN, None))
        handlers = Handlers(
            decode=self.decode,
            answer=self.answer,
            answered=lambda item: self.events.append(("answered", item.camera, item.stamp_ns)),
            dropped=self.dropped,
            warming=self.warming.append,
            fatal=self.fatal.append,
        )
        self.worker = InferenceWorker(
            self.runner, self.mailbox, handlers, lambda: self.now_ns, lambda: max_age, batch, retries
        )
        self.answers: list[tuple[Item, Frame, Prediction]] = []

    def decode(self, item: Item) -> Frame:
        if item.payload is None:
            raise ImageError("no picture")
        return Frame(item.payload, item.stamp_ns, item.camera)

    def answer(self, item: Item, frame: Frame, prediction: Prediction) -> None:
        if self.fail_answer(item):
            raise ValueError("judging failed")
        self.answers.append((item, frame, prediction))

    def dropped(self, item: Item, reason: str, error: Exception | None) -> None:
        self.events.append((reason, item.camera, item.stamp_ns))
        if error is not None:
            self.errors.append(error)

    def run(self, *rounds: list[Item]) -> Counter:
        """Each round is in the mailbox before the worker can see any of it, as when frames arrive during inference."""
        sent = 0
        for index, items in enumerate(rounds):
            with self.mailbox._condition:
                for item in items:
                    self.mailbox._slots[item.camera] = item
                self.mailbox._condition.notify()
            if index == 0 and self.worker._thread.ident is None:
                self.worker.start()
            sent += len(items)
            end = time.monotonic() + 30
            while len(self.events) < sent and time.monotonic() < end:
                time.sleep(0.002)
        return Counter(reason for reason, _, _ in self.events)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    benches: list[Bench] = []

    def make(**options: Any) -> Bench:
        benches.append(Bench(**options))
        return benches[-1]

    yield make
    for each in benches:
        if each.worker._thread.ident is not None:
            assert each.worker.stop(30)


def picture(camera: str, value: int = 1, stamp: int = 1, size: tuple[int, int] = (8, 8)) -> Item:
    return Item(camera, stamp, np.full((*size, 3), value, np.uint8))


def test_each_camera_gets_its_own_answer(bench: Callable[..., Bench]) -> None:
    b = bench(batch=3)
    assert b.run([picture(camera, value) for value, camera in enumerate(CAMERAS)]) == {"answered": 3}
    assert {item.camera: int(prediction.labels[0, 0]) for item, _, prediction in b.answers} == {
        "front": 0,
        "left": 1,
        "rear": 2,
    }
    assert b.runner.batches == [3]


def test_only_whole_batches_and_singles_run_so_that_nothing_compiles_on_the_way(bench: Callable[..., Bench]) -> None:
    b = bench(batch=3)
    b.run([picture("front")], [picture("front"), picture("rear")], [picture(camera) for camera in CAMERAS])
    assert b.runner.batches == [1, 1, 1, 3]
    assert b.runner.warmed == [(8, 8, 1), (8, 8, 3)]
    assert b.warming == [True, False]


def test_other_sizes_run_apart(bench: Callable[..., Bench]) -> None:
    b = bench(batch=2)
    counts = b.run([picture("front"), picture("left", size=(4, 8)), picture("rear")])
    assert counts == {"answered": 3}
    assert sorted(b.runner.batches) == [1, 2]


def test_what_cannot_be_decoded_is_counted_and_the_next_frame_lives(bench: Callable[..., Bench]) -> None:
    b = bench(batch=2)
    counts = b.run([Item("front", 1, None), picture("rear")], [picture("front", stamp=2)])
    assert counts == {timing.DECODE_FAILED: 1, "answered": 2}
    assert str(b.errors[0]) == "no picture"


def test_a_size_that_no_engine_takes_is_no_engine_error(bench: Callable[..., Bench]) -> None:
    b = bench(retries=0)
    assert b.run([picture("front", size=(2, 8))], [picture("front")]) == {timing.DECODE_FAILED: 1, "answered": 1}
    assert not b.fatal


def test_one_bad_frame_does_not_take_the_batch_with_it(bench: Callable[..., Bench]) -> None:
    b = bench(batch=3)
    counts = b.run([picture("front"), picture("left", BAD), picture("rear")])
    assert counts == {"answered": 2, timing.ENGINE_ERROR: 1}
    assert not b.fatal


def test_judging_that_raises_costs_one_frame(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.fail_answer = lambda item: item.stamp_ns == 1
    assert b.run([picture("front")], [picture("front", stamp=2)]) == {timing.INTERNAL_ERROR: 1, "answered": 1}


def test_old_frames_are_dropped_before_they_cost_anything(bench: Callable[..., Bench]) -> None:
    b = bench(max_age=1.0)
    b.now_ns = 10_000_000_000
    counts = b.run([picture("front", stamp=8_900_000_000), picture("rear", stamp=9_100_000_000)])
    assert counts == {timing.TOO_OLD: 1, "answered": 1}
    assert b.runner.batches == [1]


def test_no_camera_starves_where_a_round_takes_longer_than_a_frame_may_wait(bench: Callable[..., Bench]) -> None:
    """Each answer takes 0.6 s and frames are too old after 1 s, so two of three cameras are answered per round."""
    b = bench(max_age=1.0)

    def slowly(item: Item) -> bool:
        b.now_ns += 600_000_000
        return False

    b.fail_answer = slowly
    for _ in range(6):
        b.run([picture(camera, stamp=b.now_ns) for camera in CAMERAS])
        b.events, done = [], b.events
        assert Counter(reason for reason, _, _ in done) == {"answered": 2, timing.TOO_OLD: 1}
    served = Counter(item.camera for item, _, _ in b.answers)
    assert set(served) == set(CAMERAS)
    assert max(served.values()) - min(served.values()) <= 1


def test_failures_in_a_row_end_the_thread_and_success_resets_them(bench: Callable[..., Bench]) -> None:
    b = bench(retries=2)
    bad = [[picture("front", BAD, stamp)] for stamp in (1, 2)]
    b.run(*bad, [picture("front", 1, 3)])
    assert not b.fatal
    b.events.clear()
    b.runner.broken = True
    b.run(*[[picture("front", 1, stamp)] for stamp in (4, 5, 6)])
    b.worker._thread.join(30)
    assert not b.worker._thread.is_alive()
    assert len(b.fatal) == 1
    b.mailbox.put(picture("front", 1, 7))
    assert b.worker.stop(30)
    assert ("inactive", "front", 7) in b.events


def test_stopping_accounts_for_what_waits(bench: Callable[..., Bench]) -> None:
    b = bench()
    gate = threading.Event()
    entered = threading.Event()
    decode = b.decode

    def slow(item: Item) -> Frame:
        entered.set()
        gate.wait(30)
        return decode(item)

    object.__setattr__(b.worker._handlers, "decode", slow)
    b.worker.start()
    b.mailbox.put(picture("front", 1, 1))
    assert entered.wait(30)
    b.mailbox.put(picture("front", 1, 2))
    b.mailbox.put(picture("front", 1, 3))
    b.worker._stop.set()
    gate.set()
    assert b.worker.stop(30)
    assert Counter(reason for reason, _, _ in b.events) == {timing.OVERWRITTEN: 1, timing.INACTIVE: 2}


@pytest.mark.parametrize("fault", ["too few", "labels too small", "score too small"])
def test_an_answer_that_does_not_cover_the_image_is_an_engine_failure(
    bench: Callable[..., Bench], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench(retries=5, batch=2)
    good = b.runner.__call__

    def faulty(self: PixelRunner, images: Sequence[Any]) -> list[Prediction]:
        predictions = []
        for image, prediction in zip(images, good(images), strict=True):
            labels, score = prediction.labels, prediction.score
            if image[0, 0, 0] == 5:
                if fault == "too few":
                    continue
                labels = labels[:-1] if fault == "labels too small" else labels
                score = score[:, :-1] if fault == "score too small" else score
            predictions.append(Prediction(labels, score, "test"))
        return predictions

    monkeypatch.setattr(PixelRunner, "__call__", faulty)
    rounds = [[picture("front", 5, stamp), picture("left", 1, stamp)] for stamp in (1, 2)]
    assert b.run(*rounds) == {"answered": 2, timing.ENGINE_ERROR: 2}
    assert b.worker._thread.is_alive()
