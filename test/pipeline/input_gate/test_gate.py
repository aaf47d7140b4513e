"""The input gate on a small drive of its own: nothing is refused until a fault is put in, and it recovers by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.judging import InputGateSettings
from oodseg_ros.parameters.schema import load_schema
from oodseg_ros.pipeline import reasons
from oodseg_ros.pipeline.input_gate.gate import CHECKS, InputGate
from oodseg_ros.pipeline.input_gate.picture import ImageStatistics, measure

HEIGHT, WIDTH = 180, 320
START = 10**18
PERIOD = 100_000_000


def picture(number: int, rng: np.random.Generator) -> np.ndarray:
    """Blocks of all sizes that drift to the left, a bright upper third, sensor noise."""
    base = np.random.default_rng(5)
    canvas = np.full((HEIGHT, 2 * WIDTH, 3), 90, np.uint8)
    canvas[: HEIGHT // 3] = 200
    for _ in range(400):
        x, y = int(base.integers(0, 2 * WIDTH)), int(base.integers(HEIGHT // 4, HEIGHT))
        w, h = (int(side) for side in base.integers(3, 40, 2))
        cv2.rectangle(canvas, (x, y), (x + w, y + h), [int(v) for v in base.integers(20, 235, 3)], -1)
    return noisy(np.ascontiguousarray(canvas[:, 3 * number % WIDTH :][:, :WIDTH]), rng)


def noisy(image: np.ndarray, rng: np.random.Generator, sigma: float = 1.0) -> np.ndarray:
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def covered(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = image.astype(np.float64)
    image[int(0.45 * HEIGHT) :] = 40
    return noisy(image, rng)


FAULTS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    reasons.BLACK: lambda image, rng: noisy(np.zeros(image.shape), rng, 2.0),
    reasons.OVER_EXPOSED: lambda image, rng: np.clip(image.astype(int) * 3 + 180, 0, 255).astype(np.uint8),
    reasons.LOW_CONTRAST: lambda image, rng: noisy(0.1 * image + 0.9 * 200, rng, 4.0),
    reasons.BLURRED: lambda image, rng: noisy(cv2.GaussianBlur(image, (0, 0), 4), rng),
    reasons.BLOCKED: covered,
    reasons.WRONG_SIZE: lambda image, rng: image[:, : WIDTH // 2],
}
AT_ONCE = {reasons.BLACK, reasons.OVER_EXPOSED, reasons.LOW_CONTRAST, reasons.WRONG_SIZE}


def drive(gate: InputGate, count: int, first: int, change: Callable = lambda image, rng: image) -> list[str | None]:
    rng = np.random.default_rng(first)
    answers = []
    for number in range(first, first + count):
        fault = gate.check(
            measure(np.ascontiguousarray(change(picture(number, rng), rng)), "bgr8", START + number * PERIOD)
        )
        answers.append(fault.reason if fault else None)
    return answers


@pytest.mark.parametrize("reason", FAULTS)
def test_a_fault_is_named_within_its_time_and_gone_with_its_cause(reason: str) -> None:
    gate = InputGate()
    assert set(drive(gate, 20, 0)) == {None}
    answers = drive(gate, 15, 20, FAULTS[reason])
    late = 0 if reason in AT_ONCE else 10
    assert answers == [None] * late + [reason] * (15 - late)
    assert set(drive(gate, 20, 35)) == {None}


@pytest.mark.parametrize("reason", [reasons.BLURRED, reasons.BLOCKED])
def test_what_lasts_is_not_taken_for_usual(reason: str) -> None:
    gate = InputGate()
    drive(gate, 20, 0)
    assert set(drive(gate, 200, 20, FAULTS[reason])[10:]) == {reason}


@pytest.mark.parametrize("reason", [reasons.BLURRED, reasons.BLOCKED])
def test_a_camera_that_starts_covered_is_found_without_a_usual_level(reason: str) -> None:
    def all_lower(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return covered(image, rng) if reason == reasons.BLOCKED else cv2.GaussianBlur(image, (0, 0), 8)

    assert drive(InputGate(), 15, 0, all_lower)[-1] == reason


def test_light_fog_and_dusk_are_no_fault() -> None:
    gate = InputGate()
    drive(gate, 20, 0)
    fog = drive(gate, 20, 20, lambda image, rng: noisy(0.25 * image + 0.75 * 220, rng, 0.5))
    dusk = drive(gate, 20, 40, lambda image, rng: noisy((image / 255.0) ** 1.5 * 90, rng))
    assert set(fog + dusk) == {None}


def test_a_frozen_picture_under_new_stamps() -> None:
    gate = InputGate(InputGateSettings(frozen_after=0.5))
    image = picture(0, np.random.default_rng(0))
    answers = [gate.check(measure(image, "bgr8", START + number * PERIOD)) for number in range(10)]
    assert [bool(fault) for fault in answers] == [False] * 5 + [True] * 5
    assert answers[-1].reason == reasons.FROZEN
    assert "10 images" in answers[-1].detail
    image = image.copy()
    image[:: HEIGHT // 9, :: WIDTH // 9] ^= 1
    assert gate.check(measure(image, "bgr8", START + 10 * PERIOD)) is None


def test_another_encoding_is_a_fault_until_it_is_the_usual_one() -> None:
    gate = InputGate()
    drive(gate, 5, 0)
    rng = np.random.default_rng(0)
    answers = []
    for number in range(5, 65):
        fault = gate.check(measure(picture(number, rng), "mono8", START + number * PERIOD))
        answers.append(fault.reason if fault else None)
    assert answers == [reasons.ENCODING_CHANGED] * 50 + [None] * 10


def test_a_size_that_is_a_parameter_is_never_given_up() -> None:
    gate = InputGate(InputGateSettings(size=(640, 480)))
    assert set(drive(gate, 70, 0)) == {reasons.WRONG_SIZE}


def statistics(stamp_ns: int, now_ns: int = 0, calibration: str = "") -> ImageStatistics:
    plain = measure(picture(0, np.random.default_rng(stamp_ns % 1000)))
    return replace(plain, stamp_ns=stamp_ns, now_ns=now_ns, calibration=calibration)


def test_stamps_ahead_of_the_clock_and_stamps_that_go_back() -> None:
    gate = InputGate(InputGateSettings(checks=("stamps",)))
    assert gate.check(statistics(START, START)) is None
    assert gate.check(statistics(START + PERIOD, START)) is None, (
        "clocks of two machines never agree to the millisecond"
    )
    assert gate.check(statistics(START + 10 * PERIOD, START)).reason == reasons.STAMP_IN_FUTURE
    assert gate.check(statistics(START + 10 * PERIOD, 0)) is None, "simulation time has not begun"
    assert gate.check(statistics(START + 9 * PERIOD)).reason == reasons.STAMP_WENT_BACK
    assert gate.check(statistics(START + 11 * PERIOD)) is None


def test_time_itself_going_back_is_a_new_beginning() -> None:
    gate = InputGate()
    drive(gate, 20, 100)
    assert drive(gate, 1, 0) == [None]
    short = InputGate()
    assert drive(short, 5, 10) == [None] * 5
    # A bag shorter than a second that loops: the third frame in a row cannot be a straggler.
    assert drive(short, 3, 8) == [reasons.STAMP_WENT_BACK] * 2 + [None]


def test_a_contradicting_camera_info_is_told_in_its_words() -> None:
    fault = InputGate().check(statistics(START, calibration="K is zero"))
    assert (fault.reason, fault.detail) == (reasons.CAMERA_INFO, "K is zero")
    assert "K is zero" in fault.text


def test_only_the_wanted_checks_run() -> None:
    gate = InputGate(InputGateSettings(checks=("blurred",)))
    assert set(drive(gate, 15, 0, FAULTS[reasons.BLACK])) <= {None, reasons.BLURRED}
    with pytest.raises(ConfigError, match=r"health\.input must hold some of .*, got 'smell'"):
        InputGateSettings(checks=("smell",))
    with pytest.raises(ConfigError, match=r"health\.frozen_after must be a number"):
        InputGateSettings(frozen_after=float("nan"))


def test_every_name_is_a_check() -> None:
    assert tuple(CHECKS) == load_schema().node["health.input"].choices


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 90), st.just(3))),
    st.lists(st.tuples(st.integers(-(2**33), 2**62), st.integers(0, 2**62)), min_size=1, max_size=6),
)
def test_any_picture_and_any_stamps_give_an_answer(image: np.ndarray, times: list[tuple[int, int]]) -> None:
    gate = InputGate()
    for stamp, now in times:
        fault = gate.check(measure(image, "bgr8", stamp, now))
        assert fault is None or fault.reason in reasons.SENTENCES
