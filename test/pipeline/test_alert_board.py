"""The heartbeat never repeats old evidence as if it were new."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.frame import Alert, AlertState, Obstacle
from oodseg_ros.pipeline.alert_board import AlertBoard
from oodseg_ros.pipeline.reasons import DISABLED, ENGINE_WARMING, INACTIVE, LATE, NO_IMAGE, STARTING

CLEAR = Alert(AlertState.CLEAR, "ok", stamp_ns=10_000_000_000)
NOW = 10_200_000_000


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> AlertBoard:
    board = AlertBoard(["front", "rear"], lambda: 1.0, clock)
    board.set_mode(None)
    return board


def test_before_activation_every_camera_is_inactive(clock: Clock) -> None:
    alerts = AlertBoard(["front", "rear"], lambda: 1.0, clock).alerts(NOW)
    assert list(alerts) == ["front", "rear"]
    assert {(alert.state, alert.reason) for alert in alerts.values()} == {(AlertState.UNKNOWN, INACTIVE)}


def test_starting_then_no_image(board: AlertBoard, clock: Clock) -> None:
    assert board.alerts(NOW)["front"] == Alert(AlertState.UNKNOWN, STARTING, 0, math.inf)
    clock.now += 1.1
    assert board.alerts(NOW)["front"].reason == NO_IMAGE


def test_an_answer_is_told_with_its_age_until_it_times_out(board: AlertBoard, clock: Clock) -> None:
    board.received("front")
    assert board.post("front", CLEAR)
    alert = board.alerts(NOW)["front"]
    assert (alert.state, alert.stamp_ns) == (AlertState.CLEAR, CLEAR.stamp_ns)
    assert alert.evidence_age_s == pytest.approx(0.2)
    clock.now += 1.1
    alert = board.alerts(NOW + 1_100_000_000)["front"]
    assert (alert.state, alert.reason) == (AlertState.UNKNOWN, NO_IMAGE)
    assert alert.stamp_ns == CLEAR.stamp_ns
    assert alert.evidence_age_s == pytest.approx(1.3)
    assert board.interruption("front") == NO_IMAGE
    assert board.alerts(NOW)["rear"].reason == NO_IMAGE


def test_images_without_answers_are_told_apart_from_no_images(board: AlertBoard, clock: Clock) -> None:
    clock.now += 1.1
    board.received("front")
    assert board.alerts(NOW)["front"].reason == LATE
    board.failed("front", "too_old")
    assert board.alerts(NOW)["front"].reason == "too_old"


def test_a_new_answer_ends_the_interruption(board: AlertBoard, clock: Clock) -> None:
    board.post("front", CLEAR)
    clock.now += 2
    board.alerts(NOW)
    assert board.interruption("front")
    assert board.post("front", CLEAR), "consumers heard UNKNOWN meanwhile, so CLEAR is news"
    assert board.interruption("front") is None
    assert board.alerts(NOW)["front"].state is AlertState.CLEAR


def test_only_news_are_told_at_once(board: AlertBoard) -> None:
    assert board.post("front", CLEAR)
    assert not board.post("front", replace(CLEAR, stamp_ns=CLEAR.stamp_ns + 1))
    assert board.post("front", replace(CLEAR, reason="confirming"))
    obstacle = Alert(AlertState.OBSTACLE, "obstacle", 1, 0.0, (Obstacle((0, 0, 9, 9), 81, 1.0, (4.0, 9.0)),))
    assert board.post("front", obstacle)
    assert board.post("front", obstacle), "an obstacle moves: every frame of it is news"


def test_modes_hide_the_evidence_and_forget_it(board: AlertBoard) -> None:
    board.post("front", CLEAR)
    board.set_mode(DISABLED)
    assert board.alerts(NOW)["front"].reason == DISABLED
    board.set_mode(None)
    assert board.alerts(NOW)["front"].reason == STARTING


def test_a_compiler_makes_no_evidence_younger(board: AlertBoard, clock: Clock) -> None:
    """CLEAR, then a minute of compiling: after it the old answer is a minute old, and never CLEAR again."""
    board.post("front", CLEAR)
    board.set_warming("front", True)
    clock.now += 60
    board.received("front")
    assert board.alerts(NOW)["front"].reason == ENGINE_WARMING
    board.set_warming("front", False)
    alert = board.alerts(NOW + 60_000_000_000)["front"]
    assert (alert.state, alert.reason) == (AlertState.UNKNOWN, LATE)
    assert alert.evidence_age_s > 60
    assert board.interruption("front") == LATE


def test_the_compiler_of_one_camera_is_nothing_to_another_one(board: AlertBoard, clock: Clock) -> None:
    board.post("front", CLEAR)
    board.set_warming("rear", True)
    assert board.alerts(NOW)["front"].state is AlertState.CLEAR
    clock.now += 1.1
    board.set_warming("rear", False)
    assert board.alerts(NOW)["front"].reason == NO_IMAGE


@given(
    st.lists(
        st.sampled_from(["warm", "warmed", "received", "failed", "blocked", "moves", "explain", "tick", "alerts"]),
        max_size=20,
    )
)
def test_no_event_makes_evidence_younger_than_it_is(events: list[str]) -> None:
    """Whatever happens but an answer: an answer that is older than the time-out is never told as if it were known."""
    clock = Clock()
    board = AlertBoard(["front", "rear"], lambda: 1.0, clock)
    board.set_mode(None)
    board.post("front", CLEAR)
    posted = clock.now
    acts = {
        "warm": lambda: (board.set_warming("front", True), board.set_warming("rear", True)),
        "warmed": lambda: (board.set_warming("front", False), board.set_warming("rear", False)),
        "received": lambda: (board.received("front"), board.received("rear")),
        "failed": lambda: board.failed("front", LATE),
        "blocked": lambda: board.set_blocked(True),
        "moves": lambda: board.set_blocked(False),
        "explain": lambda: board.explain("front", "nobody publishes"),
        "tick": lambda: setattr(clock, "now", clock.now + 0.4),
        "alerts": lambda: board.alerts(NOW),
    }
    for event in events:
        acts[event]()
        alert = board.alerts(NOW + round((clock.now - posted) * 1e9))["front"]
        assert alert.evidence_age_s >= clock.now - posted
        assert alert.state is AlertState.UNKNOWN or clock.now - posted <= 1.0


def test_an_answer_on_its_way_when_time_fell_back_is_no_evidence(board: AlertBoard) -> None:
    board.alerts(NOW)
    begin = NOW - 5_000_000_000
    board.alerts(begin)
    board.post("front", CLEAR)  # judged before the bag started over
    alert = board.alerts(begin)["front"]
    assert (alert.state, alert.reason, alert.evidence_age_s) == (AlertState.UNKNOWN, STARTING, math.inf)
    assert board.interruption("front") == STARTING
    board.post("front", replace(CLEAR, stamp_ns=begin))
    assert board.alerts(begin + 100_000_000)["front"].evidence_age_s == pytest.approx(0.1)


def test_a_clock_that_falls_back_leaves_no_evidence_and_no_negative_age(board: AlertBoard, clock: Clock) -> None:
    """A bag that starts over: until its first frame is answered nothing is known of the new time."""
    board.post("front", CLEAR)
    assert board.alerts(NOW)["front"].state is AlertState.CLEAR
    back = NOW - 5_000_000_000
    assert board.alerts(back)["front"] == Alert(AlertState.UNKNOWN, STARTING, 0, math.inf)
    board.post("front", replace(CLEAR, stamp_ns=back + 100_000_000))
    # A camera whose clock is a little ahead of ours, or a clock that is set back a little.
    for ahead in (0, 40_000_000):
        alert = board.alerts(back - ahead)["front"]
        assert (alert.state, alert.evidence_age_s) == (AlertState.CLEAR, 0.0)


def test_why_no_image_can_arrive_is_the_detail_of_no_image_and_of_nothing_else(board: AlertBoard, clock: Clock) -> None:
    board.explain("front", "nobody publishes /front/image_raw")
    assert board.alerts(NOW)["front"].detail == ""
    clock.now += 1.1
    assert board.alerts(NOW)["front"].detail == "nobody publishes /front/image_raw"
    assert board.alerts(NOW)["rear"].detail == ""
    board.received("front")
    assert (board.alerts(NOW)["front"].reason, board.alerts(NOW)["front"].detail) == (LATE, "")
