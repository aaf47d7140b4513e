from __future__ import annotations

import time

import numpy as np
import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.ros.tools.faults.node import MODES, THRESHOLD, FaultEngine

FRONT, SIDE = np.zeros((240, 320, 3), np.uint8), np.zeros((192, 256, 3), np.uint8)


@pytest.fixture
def engine() -> FaultEngine:
    return FaultEngine(seconds=0.0)


def test_a_good_answer_is_a_plain_road(engine: FaultEngine) -> None:
    (front, side) = engine([FRONT, SIDE])
    assert front.labels.shape == front.score.shape == (240, 320)
    assert side.score.shape == (192, 256)
    assert front.score.max() < THRESHOLD
    assert len(np.unique(front.labels)) >= 3
    histogram = engine.bundle.card.calibration.inlier_histogram
    assert sum(histogram.counts) == front.score.size


def test_a_mode_is_for_one_size_and_a_number_of_frames(engine: FaultEngine) -> None:
    engine.command(["nan", "2", "240x320"])
    for expected in (True, True, False):
        front, side = engine([FRONT, SIDE])
        assert bool(np.isnan(front.score).any()) is expected
        assert not np.isnan(side.score).any()


def test_a_mode_lasts_until_it_is_told_otherwise(engine: FaultEngine) -> None:
    engine.command(["shift:50"])
    assert all((engine([FRONT])[0].score > THRESHOLD).all() for _ in range(5))
    engine.command(["good"])
    assert engine([FRONT])[0].score.max() < THRESHOLD


@pytest.mark.parametrize("mode", MODES)
def test_no_mode_spoils_the_next_good_answer(engine: FaultEngine, mode: str) -> None:
    before = engine([FRONT])[0]
    engine.command([{"shift": "shift:1", "hang": "hang:0.01"}.get(mode, mode), "1"])
    try:
        engine([FRONT])
    except RuntimeError:
        assert mode in ("raise", "memory")
    after = engine([FRONT])[0]
    np.testing.assert_array_equal(before.score, after.score)
    np.testing.assert_array_equal(before.labels, after.labels)


def test_it_takes_its_time() -> None:
    start = time.monotonic()
    FaultEngine(0.02)([FRONT, FRONT])
    assert time.monotonic() - start >= 0.04


def test_an_unknown_mode_is_refused(engine: FaultEngine) -> None:
    with pytest.raises(ConfigError, match="unknown mode 'explode'"):
        engine.command(["explode"])
