"""Frame accounts add up, gaps are losses, and pauses are not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oodseg_ros.pipeline.account import AgeWindow, FrameCounter
from oodseg_ros.pipeline.reasons import NO_STAMP, REPEATED_STAMP, TOO_OLD

MS = 1_000_000


def received(stamps_ms: list[float]) -> FrameCounter:
    counter = FrameCounter()
    for stamp in stamps_ms:
        counter.receive(int(stamp * MS))
    return counter


def test_percentiles_of_the_last_ages_only() -> None:
    window = AgeWindow(100)
    for age in np.arange(1000):
        window.add(float(age))
    summary = window.summary()
    assert (summary.count, summary.max) == (100, 999.0)
    assert summary.p50 == pytest.approx(949.5)
    assert summary.p50 < summary.p95 < summary.p99 < summary.max


def test_an_empty_window_has_no_ages() -> None:
    summary = AgeWindow().summary()
    assert summary.count == 0
    assert math.isnan(summary.p50)
    assert math.isnan(summary.max)


def test_every_frame_is_answered_dropped_or_waiting() -> None:
    counter = received(list(range(100, 1100, 100)))
    for _ in range(4):
        counter.answer()
    for _ in range(3):
        counter.drop(TOO_OLD)
    counts = counter.counts()
    assert counts.received == 10
    assert counts.answered + sum(counts.dropped.values()) + counts.waiting == 10
    assert counts.waiting == 3


def test_a_repeated_and_a_missing_stamp_are_dropped_at_once() -> None:
    counter = FrameCounter()
    assert counter.receive(5 * MS) is None
    assert counter.receive(5 * MS) == REPEATED_STAMP
    assert counter.receive(0) == NO_STAMP
    assert counter.counts().dropped == {REPEATED_STAMP: 1, NO_STAMP: 1}
    assert counter.counts().waiting == 1


def test_gaps_in_a_jittering_stream_are_losses() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(1, 301) * 33.3 + rng.uniform(-8, 8, 300)
    kept = np.delete(times, [50, 51, 52, 120, 200, 201])
    assert received(list(kept)).counts().lost == 6
    assert received(list(times)).counts().lost == 0
    assert received(list(times)).period_s() == pytest.approx(0.0333, rel=0.05)


@pytest.mark.parametrize("jump_ms", [-50_000, 30_000])
def test_time_going_back_and_a_paused_camera_are_no_losses(jump_ms: float) -> None:
    first = [100_000 + 100 * i for i in range(20)]
    second = [first[-1] + jump_ms + 100 * i for i in range(20)]
    assert received(first + second).counts().lost == 0


def test_a_new_rate_is_not_taken_for_losses_forever() -> None:
    fast = [1000 + 33 * i for i in range(40)]
    slow = [fast[-1] + 100 * (i + 1) for i in range(100)]
    lost = received(fast + slow).counts().lost
    # While the median still knows the old rate, two frames per step seem lost; afterwards none.
    assert 0 < lost <= 2 * 20
    assert received(fast + slow[:40]).counts().lost == lost


def test_deadline_misses_are_counted_beyond_the_window() -> None:
    window = AgeWindow(2)
    for age in (0.1, 0.6, 0.7, 0.2, 0.3):
        window.add(age, 0.5)
    assert window.missed == 2
    window.add(9.0)
    assert window.missed == 2, "without a deadline nothing is missed"


def test_expected_are_the_received_and_the_lost() -> None:
    counts = received([100 * i for i in range(1, 21) if i not in (9, 10)]).counts()
    assert (counts.received, counts.lost, counts.expected) == (18, 2, 20)
