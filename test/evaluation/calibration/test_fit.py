"""First calibration: the threshold keeps its promise, the table is monotone and means what it says."""

from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.evaluation.calibration.fit import fit_calibration


def frames(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(count):
        target = np.zeros((50, 60), np.uint8)
        target[20:30, 20:40] = 254
        target[:5] = 255
        score = rng.normal(0, 1, target.shape) + 4 * (target == 254) + 100 * (target == 255)
        pairs.append((score.astype(np.float32), target))
    return pairs


def test_threshold_and_table() -> None:
    pairs = frames(10)
    calibration = fit_calibration(lambda image: image, pairs, 0.01, "a test")
    inlier = np.concatenate([score[target == 0] for score, target in pairs])
    assert (inlier > calibration.threshold).mean() == pytest.approx(0.01, abs=0.002)
    low, middle, high = calibration.calibrate(np.array([-1.0, 2.0, 5.0]))
    assert low < 0.1
    assert 0.3 < middle < 0.7
    assert high > 0.9
    assert sum(calibration.inlier_histogram.counts) == inlier.size


def test_a_set_without_unknowns_still_gives_a_threshold() -> None:
    pairs = [(score, np.where(target == 254, 255, target)) for score, target in frames(3)]
    calibration = fit_calibration(lambda image: image, pairs, 0.05, "a test")
    assert calibration.threshold == pytest.approx(1.645, abs=0.1)
