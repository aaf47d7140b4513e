"""The inference thread answers or accounts for every frame, whatever raises, and never waits for the compiler."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oodseg_ros.frame import AlertState
from oodseg_ros.pipeline import reasons
from oodseg_ros.pipeline.inference_thread import InferenceThread
from oodseg_ros.pipeline.pipeline import Pipeline
from oodseg_ros.pipeline.step import Arrival, Step
from test.pipeline.conftest import BAD, CALIBRATION, PixelRunner, picture, plain_settings, unreadable

CAMERAS = ("front", "left", "rear")


class Bench:
    """A thread with a recording consumer."""

    def __init__(self, warm: bool = True, priorities: dict[str, int] | None = None, **changes: Any) -> None:
        self.runner = PixelRunner([(8, 8, batch) for batch in (1, 2, 3)] if warm else [])
        self.settings = plain_settings(CAMERAS, **changes)
        self.pipeline = Pipeline(self.runner, CALIBRATION, lambda: self.settings)
        self.now_ns = 0
        self.steps: list[Step] = []
        self.fatal: list[Exception] = []
        self.fail: Callable[[Step], bool] = lambda step: False
        self.thread = InferenceThread(
            self.pipeline,
            self.runner,
            priorities or dict.fromkeys(CAMERAS, 0),
            lambda: self.now_ns,
            self.deliver,
            self.fatal.append,
        )

    def deliver(self, step: Step) -> None:
        if step.dropped is None and self.fail(step):
            raise ValueError("publishing failed")
        self.steps.append(step)

    def put(self, arrival: Arrival) -> None:
        if self.thread.receive(arrival.camera, arrival.stamp_ns):
            self.thread.put(arrival)

    def feed(self, *arrivals: Arrival) -> None:
        """Put, and wait until all is accounted for."""
        for arrival in arrivals:
            self.put(arrival)
        self.until(lambda: all(camera.counter.counts().waiting == 0 for camera in self.pipeline.cameras.values()))

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not done():
            assert time.monotonic() < end, self.steps
            time.sleep(0.002)

    def counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for camera in self.pipeline.cameras.values():
            counts = camera.counter.counts()
            total.update(counts.dropped)
            total["answered"] += counts.answered
        return +total


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(start: bool = True, **options: Any) -> Bench:
        benches.append(Bench(**options))
        if start:
            benches[-1].thread.start()
        return benches[-1]

    yield make
    for each in benches:
        each.runner.hold.set()
        assert each.thread.stop(60)


def test_each_camera_gets_its_own_answer(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.feed(*(picture(camera, 10 + value) for value, camera in enumerate(CAMERAS)))
    answers = {step.arrival.camera: int(step.judgement.prediction.score[0, 0]) for step in b.steps}
    assert answers == {"front": 10, "left": 11, "rear": 12}


def test_frames_that_wait_together_run_as_one_batch(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.feed(*(picture(camera, stamp=1) for camera in CAMERAS))
    entered, go = threading.Event(), threading.Event()

    def wait(step: Step) -> bool:
        entered.set()
        go.wait(60)
        return False

    b.fail = wait
    b.runner.batches.clear()
    b.put(picture("front", stamp=2))
    assert entered.wait(60)
    for camera in CAMERAS:
        b.put(picture(camera, stamp=3))
    go.set()
    b.until(lambda: b.counts()["answered"] == 7)
    assert b.runner.batches == [1, 3]


def test_a_batch_that_does_not_pay_is_not_waited_for(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.feed(*(picture(camera, stamp=1) for camera in CAMERAS))  # now their sizes are known
    b.runner.batches.clear()
    b.runner.pays = False
    b.feed(*(picture(camera, stamp=2) for camera in CAMERAS))
    assert b.runner.batches == [1, 1, 1]
    b.runner.pays = True
    assert b.pipeline.batch("front")[1] == 3


def test_whatever_raises_costs_its_own_frame_only(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.fail = lambda step: step.arrival.stamp_ns == 3
    b.feed(unreadable("front", 1))
    b.feed(picture("front", BAD, 2))
    b.feed(picture("front", 1, 3))
    b.feed(picture("front", 1, 4))
    assert b.counts() == {
        reasons.DECODE_FAILED: 1,
        reasons.ENGINE_ERROR: 1,
        reasons.INTERNAL_ERROR: 1,
        "answered": 1,
    }
    lost = next(step for step in b.steps if step.dropped == reasons.INTERNAL_ERROR)
    assert (lost.alert.state, str(lost.error)) == (AlertState.UNKNOWN, "publishing failed")
    assert not b.fatal


def test_a_consumer_that_always_raises_ends_nothing(bench: Callable[..., Bench]) -> None:
    b = bench()
    b.deliver = None  # type: ignore[assignment]
    b.thread._deliver = lambda step: 1 / 0
    b.feed(picture("front", 1, 1))
    b.feed(picture("front", 1, 2))
    assert b.counts() == {reasons.INTERNAL_ERROR: 2}
    assert b.pipeline.board.alerts(1)["front"].reason == reasons.INTERNAL_ERROR


def test_a_fault_of_the_pipeline_itself_costs_frames_and_not_the_thread(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench()
    monkeypatch.setattr(b.pipeline._network, "_chunks", lambda group, most: 1 / 0)
    b.feed(picture("front", 1, 1), picture("rear", 1, 1))
    monkeypatch.undo()
    b.feed(picture("front", 1, 2))
    assert b.counts() == {reasons.INTERNAL_ERROR: 2, "answered": 1}
    assert not b.fatal


def test_the_compiler_of_one_camera_makes_no_other_one_unknown(bench: Callable[..., Bench]) -> None:
    """Five sizes would have compiled for ever in the thread that answers; while one does, the others are answered."""
    b = bench()
    b.feed(picture("front", stamp=1), picture("left", stamp=1))
    b.runner.hold.clear()
    b.put(picture("rear", stamp=1, size=(16, 16)))
    b.until(lambda: b.pipeline.board.alerts(1)["rear"].reason == reasons.ENGINE_WARMING)
    for stamp in range(2, 12):
        b.put(picture("front", stamp=stamp))
        b.until(lambda stamp=stamp: b.pipeline.board.alerts(1)["front"].stamp_ns == stamp)
        states = b.pipeline.board.alerts(1)
        assert {name: alert.state.value for name, alert in states.items()} == {
            "front": "CLEAR",
            "left": "CLEAR",
            "rear": "UNKNOWN",
        }
    b.runner.hold.set()
    b.until(lambda: b.pipeline.board.alerts(1)["rear"].state is AlertState.CLEAR)
    assert b.counts() == {"answered": 13}


def test_a_size_that_no_engine_takes_costs_its_own_camera_only(bench: Callable[..., Bench]) -> None:
    b = bench(engine_retries=0)
    b.feed(picture("rear", size=(2, 8)))
    b.feed(picture("front"))
    assert b.counts() == {reasons.DECODE_FAILED: 1, "answered": 1}
    assert not b.fatal


def test_priority_has_its_effect_and_nobody_starves(bench: Callable[..., Bench]) -> None:
    """Each camera always has a new frame, and the engine takes one at a time."""
    b = bench(priorities={"front": 2, "left": 1, "rear": 0}, batch=1)
    stamps = iter(range(1, 10_000))

    def more(step: Step) -> bool:
        for camera in CAMERAS:
            b.put(picture(camera, stamp=next(stamps)))
        return False

    b.fail = more
    b.put(picture("front", stamp=next(stamps)))
    b.until(lambda: len(b.steps) >= 60)
    b.fail = lambda step: False
    served = Counter(step.arrival.camera for step in b.steps[:60])
    assert served["front"] > served["left"] > served["rear"] >= 60 // 10


def test_an_engine_that_fails_again_and_again_ends_the_thread(bench: Callable[..., Bench]) -> None:
    b = bench(engine_retries=2)
    b.runner.broken = True
    for stamp in (1, 2, 3):
        b.feed(picture("front", 1, stamp))
    b.until(lambda: bool(b.fatal))
    b.thread._thread.join(30)
    assert not b.thread._thread.is_alive()
    assert len(b.fatal) == 1
    b.put(picture("front", 1, 7))
    assert b.thread.stop(30)
    assert b.counts() == {reasons.ENGINE_ERROR: 3, reasons.INACTIVE: 1}


def test_stopping_accounts_for_what_waits(bench: Callable[..., Bench]) -> None:
    b = bench()
    entered, go = threading.Event(), threading.Event()

    def wait(step: Step) -> bool:
        entered.set()
        go.wait(60)
        return False

    b.fail = wait
    b.put(picture("front", stamp=1))
    assert entered.wait(60)
    assert b.thread.busy_for() > 0
    b.put(picture("front", stamp=2))
    b.put(picture("front", stamp=3))
    b.thread._stop.set()
    go.set()
    assert b.thread.stop(60)
    assert b.counts() == {"answered": 1, reasons.OVERWRITTEN: 1, reasons.INACTIVE: 1}
    assert b.thread.busy_for() == 0
    b.put(picture("front", stamp=4))
    assert b.counts()[reasons.INACTIVE] == 2


def test_stopping_does_not_lose_a_frame_that_waits_for_the_compiler(bench: Callable[..., Bench]) -> None:
    b = bench(warm=False)
    b.runner.hold.clear()
    b.put(picture("front", stamp=1))
    assert b.runner.compiling.wait(60)
    assert b.pipeline.board.alerts(1)["front"].reason == reasons.ENGINE_WARMING
    assert not b.thread.stop(0.1), "the compiler is still inside the engine"
    b.runner.hold.set()
    assert b.thread.stop(60)
    assert b.counts() == {reasons.INACTIVE: 1}
