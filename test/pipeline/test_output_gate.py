"""The output gate against a calibration with a known inlier distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oodseg_ros.errors import ConfigError
from oodseg_ros.model_card import Calibration, Histogram
from oodseg_ros.parameters.judging import OutputGateSettings
from oodseg_ros.parameters.schema import load_schema
from oodseg_ros.pipeline import reasons
from oodseg_ros.pipeline.output_gate import CHECKS, OutputGate, jensen_shannon, read

SIZE = (96, 160)
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, SIZE, dtype=np.uint8)


def normal(mean: float = -5.0, spread: float = 2.0) -> np.ndarray:
    return RNG.normal(mean, spread, SIZE).astype(np.float32)


COUNTS, _ = np.histogram(np.random.default_rng(1).normal(-5, 2, 500_000), bins=64, range=(-15, 10))
CALIBRATION = Calibration(
    threshold=1.0,
    table=[(-15.0, 0.0), (10.0, 1.0)],
    inlier_histogram=Histogram(low=-15, high=10, counts=COUNTS.tolist()),
    source="a test",
)


def reason(gate: OutputGate, score: np.ndarray, labels: np.ndarray = LABELS, finite: bool = True) -> str | None:
    fault = gate.check(read(score, labels, finite))
    return fault.reason if fault else None


def test_answers_as_in_calibration_pass_and_their_drift_is_near_zero() -> None:
    gate = OutputGate(CALIBRATION)
    assert {reason(gate, normal()) for _ in range(30)} == {None}
    assert gate.drift < 0.01


def test_each_fault_at_once_and_the_next_good_answer_passes() -> None:
    gate = OutputGate(CALIBRATION)
    for _ in range(20):
        reason(gate, normal())
    assert reason(gate, normal(), finite=False) == reasons.SCORE_NOT_FINITE
    assert reason(gate, normal(), np.full(SIZE, 3, np.uint8)) == reasons.ONE_CLASS
    assert reason(gate, normal(3.0)) == reasons.SCORE_SATURATED
    assert reason(gate, normal()) is None


def test_one_class_and_saturation_have_limits() -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[:, :8] = 1
    assert reason(OutputGate(CALIBRATION), normal(), labels) is None
    assert reason(OutputGate(CALIBRATION, OutputGateSettings(one_class=0.9)), normal(), labels) == reasons.ONE_CLASS
    score = normal()
    score[: SIZE[0] // 3] = 5.0
    assert reason(OutputGate(CALIBRATION), score) is None, "a large obstacle is no saturation"
    assert reason(OutputGate(CALIBRATION, OutputGateSettings(saturated=0.3)), score) == reasons.SCORE_SATURATED


def test_another_world_is_drift_and_coming_back_ends_it() -> None:
    settings = OutputGateSettings(drift_window=10)
    gate = OutputGate(CALIBRATION, settings)
    for _ in range(10):
        assert reason(gate, normal()) is None
    drifting = [reason(gate, normal(-1.0, 1.0)) for _ in range(12)]
    assert drifting[0] is None
    assert drifting[-1] == reasons.SCORE_DRIFT
    assert gate.drift > settings.drift_limit
    back = [reason(gate, normal()) for _ in range(12)]
    assert back[-1] is None
    assert gate.drift < 0.1


def test_drift_of_a_single_frame_is_no_fault() -> None:
    gate = OutputGate(CALIBRATION)
    assert [reason(gate, normal(-10.0, 0.5)) for _ in range(6)] == [None] * 4 + [reasons.SCORE_DRIFT] * 2
    gate.reset()
    assert math.isnan(gate.drift)


def test_without_a_histogram_nothing_is_measured() -> None:
    gate = OutputGate(CALIBRATION.model_copy(update={"inlier_histogram": None}))
    assert {reason(gate, normal(-12.0, 0.1)) for _ in range(10)} == {None}
    assert math.isnan(gate.drift)


def test_masked_pixels_do_not_count() -> None:
    score = normal()
    score[: SIZE[0] // 2] = np.nan
    labels = LABELS.copy()
    labels[: SIZE[0] // 2] = 0
    gate = OutputGate(CALIBRATION)
    assert reason(gate, score, labels) is None
    assert gate.drift < 0.1
    assert reason(gate, np.full(SIZE, np.nan, np.float32)) is None, "all masked: nothing to say"


def test_what_is_switched_off_is_off_but_never_nan() -> None:
    gate = OutputGate(CALIBRATION, OutputGateSettings(checks=()))
    assert reason(gate, normal(5.0), np.zeros(SIZE, np.uint8)) is None
    assert reason(gate, normal(), finite=False) == reasons.SCORE_NOT_FINITE
    with pytest.raises(ConfigError, match=r"health\.output must hold some of .*, got 'taste'"):
        OutputGateSettings(checks=("taste",))
    with pytest.raises(ConfigError, match="drift_limit"):
        OutputGateSettings(drift_limit=0.0)
    assert tuple(CHECKS) == load_schema().node["health.output"].choices


floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=floats),
    st.booleans(),
)
def test_any_answer_gets_a_verdict(score: np.ndarray, finite: bool) -> None:
    gate = OutputGate(CALIBRATION)
    for _ in range(6):
        fault = gate.check(read(score, np.zeros(score.shape, np.uint8), finite))
        assert fault is None or fault.reason in reasons.SENTENCES
    assert math.isnan(gate.drift) or 0 <= gate.drift <= 1


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=20))
def test_divergence_is_symmetric_and_bounded(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T + np.array([[1], [1]])
    assert jensen_shannon(a, b) == pytest.approx(jensen_shannon(b, a))
    assert 0 <= jensen_shannon(a, b) <= 1
    assert jensen_shannon(a, a) == pytest.approx(0, abs=1e-12)
