"""One entry: a frame and the time in, what is known out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.frame import AlertState, Frame
from oodseg_ros.object_rule import Evidence, Objects
from oodseg_ros.parameters.params_file import settings_for
from oodseg_ros.pipeline import reasons
from oodseg_ros.pipeline.geometry.ground import pinhole
from oodseg_ros.pipeline.network import EngineGivenUp
from oodseg_ros.pipeline.pipeline import Pipeline
from oodseg_ros.pipeline.step import Arrival, Surroundings
from test.pipeline.conftest import BAD, CALIBRATION, SECOND, PixelRunner, picture, plain_settings, unreadable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def pipeline(runner: PixelRunner, cameras: tuple[str, ...] = ("front",), **changes: Any) -> Pipeline:
    clock = changes.pop("clock", Clock())
    around = changes.pop("surroundings", None)
    settings = plain_settings(cameras, **changes)
    made = Pipeline(runner, CALIBRATION, lambda: settings, around, clock=clock)
    made.start()
    return made


def test_a_frame_goes_all_the_way(runner: PixelRunner) -> None:
    made = pipeline(runner)
    step = made.frame(picture("front", 200, stamp=SECOND), SECOND + 70_000_000)
    assert (step.alert.state, step.alert.reason, step.dropped) == (AlertState.OBSTACLE, reasons.OBSTACLE, None)
    assert step.alert.evidence_age_s == pytest.approx(0.07)
    assert step.judgement is not None
    assert step.frame is not None
    assert step.news
    counts = made.cameras["front"].counter.counts()
    assert (counts.received, counts.answered, counts.waiting) == (1, 1, 0)
    assert made.frame(picture("front", 1, stamp=2 * SECOND), 2 * SECOND).alert.state is AlertState.CLEAR


@pytest.mark.parametrize(
    ("arrival", "reason"),
    [
        (unreadable("front"), reasons.DECODE_FAILED),
        (picture("front", BAD), reasons.ENGINE_ERROR),
        (picture("front", size=(2, 8)), reasons.DECODE_FAILED),
        (picture("front", stamp=0), reasons.NO_STAMP),
        (Arrival("front", 1, lambda: 1 / 0), reasons.DECODE_FAILED),
    ],
)
def test_what_cannot_be_judged_is_unknown_with_a_reason_that_everybody_knows(
    runner: PixelRunner, arrival: Arrival, reason: str
) -> None:
    made = pipeline(runner)
    step = made.frame(arrival, SECOND)
    assert (step.alert.state, step.dropped) == (AlertState.UNKNOWN, reason)
    assert step.alert.reason in reasons.SENTENCES
    assert made.cameras["front"].counter.counts().dropped == {reason: 1}
    assert made.frame(picture("front", stamp=SECOND), SECOND).dropped is None, "the next frame lives"


def test_gates_refuse_before_and_behind_the_network(runner: PixelRunner) -> None:
    made = pipeline(runner, health__input=["black"])
    step = made.frame(picture("front", 0, stamp=SECOND, size=(64, 64)), SECOND)
    assert (step.dropped, step.judgement, runner.batches) == (reasons.BLACK, None, [])
    assert step.alert.detail
    made = pipeline(runner, health__output=["saturated"])
    step = made.frame(picture("front", 200, stamp=SECOND), SECOND)
    assert (step.dropped, step.alert.state) == (reasons.SCORE_SATURATED, AlertState.UNKNOWN)
    assert step.judgement is not None
    assert made.cameras["front"].counter.counts().waiting == 0


def test_too_old_and_repeated_frames_leave_what_is_known_as_it_is(runner: PixelRunner) -> None:
    made = pipeline(runner, max_age=1.0)
    known = made.frame(picture("front", stamp=SECOND), SECOND)
    assert known.alert.state is AlertState.CLEAR
    late = made.frame(picture("front", 200, stamp=SECOND + 1), 2 * SECOND + 2)
    assert (late.dropped, late.alert.state) == (reasons.TOO_OLD, AlertState.CLEAR)
    assert late.alert.evidence_age_s == pytest.approx(1.0)
    again = made.frame(picture("front", 200, stamp=SECOND + 1), 2 * SECOND)
    assert (again.dropped, again.alert.state) == (reasons.REPEATED_STAMP, AlertState.CLEAR)


def test_silence_is_unknown_and_evidence_from_before_does_not_count_after_it(runner: PixelRunner) -> None:
    clock = Clock()
    made = pipeline(runner, clock=clock, obstacles__trigger_window=3, image_timeout=1.0)
    for stamp in (1, 2, 3):
        last = made.frame(picture("front", stamp=stamp * SECOND // 10), stamp * SECOND // 10)
    assert last.alert.state is AlertState.CLEAR
    clock.now = 5.0
    assert made.board.alerts(5 * SECOND)["front"].reason == reasons.NO_IMAGE
    made.board.received("front")
    step = made.frame(picture("front", stamp=5 * SECOND), 5 * SECOND)
    assert (step.alert.state, step.alert.reason) == (AlertState.UNKNOWN, reasons.RECOVERING)


def test_the_same_silence_without_a_heartbeat_in_between_is_told_the_same(runner: PixelRunner) -> None:
    """A replay has no heartbeat; what a consumer would have heard follows from the clock alone."""
    clock = Clock()
    made = pipeline(runner, clock=clock, obstacles__trigger_window=3, image_timeout=1.0)
    for stamp in (1, 2, 3):
        made.frame(picture("front", stamp=stamp * SECOND // 10), stamp * SECOND // 10)
    clock.now = 5.0
    step = made.frame(picture("front", stamp=5 * SECOND), 5 * SECOND)
    assert (step.alert.state, step.alert.reason) == (AlertState.UNKNOWN, reasons.RECOVERING)


def test_track_ids_go_on_after_a_change_of_parameters(runner: PixelRunner) -> None:
    settings = [plain_settings(("front",))]
    made = Pipeline(runner, CALIBRATION, lambda: settings[0])
    made.start()

    def ids(stamp: int) -> list[int]:
        return [one.track_id for one in made.frame(picture("front", 200, stamp=stamp), stamp).alert.obstacles]

    assert ids(SECOND) == ids(SECOND + 100) == [1]
    obstacles = replace(settings[0].obstacles, threshold=90.0)
    settings[0] = replace(settings[0], obstacles=obstacles)
    assert ids(SECOND + 200) == [2], "1 is taken for ever"


def test_the_engine_is_given_up_after_failures_in_a_row_and_a_success_resets_them(runner: PixelRunner) -> None:
    made = pipeline(runner, engine_retries=2)
    for stamp in range(1, 10):
        made.frame(picture("front", BAD if stamp % 3 else 1, stamp=stamp), stamp)
    runner.broken = True
    for stamp in (10, 11):
        made.frame(picture("front", stamp=stamp), stamp)
    with pytest.raises(EngineGivenUp, match=r"3 frames in a row.*device error"):
        made.frame(picture("front", stamp=12), 12)
    assert made.cameras["front"].counter.counts().waiting == 0


def test_one_bad_frame_does_not_take_the_batch_with_it(runner: PixelRunner) -> None:
    made = pipeline(runner, ("front", "left", "rear"))
    arrivals = [picture("front"), picture("left", BAD), picture("rear")]
    for arrival in arrivals:
        assert made.receive(arrival.camera, arrival.stamp_ns) is None
    steps = {step.arrival.camera: step.dropped for step in made.step(arrivals, lambda: SECOND)}
    assert steps == {"front": None, "left": reasons.ENGINE_ERROR, "rear": None}
    assert runner.batches == [3, 1, 1, 1]


def test_cameras_of_one_size_run_together_and_of_others_apart(runner: PixelRunner) -> None:
    made = pipeline(runner, ("front", "left", "rear"))
    arrivals = [picture("front"), picture("left", size=(16, 8)), picture("rear")]
    for _ in range(2):
        list(made.step(arrivals, lambda: SECOND))
    assert sorted(runner.batches) == [1, 1, 2, 2]
    assert sorted(runner.warmed) == [(8, 8, 1), (8, 8, 2), (16, 8, 1)], "no batch that no camera can fill"


def test_a_batch_that_the_engine_refuses_runs_one_by_one_and_is_asked_for_once(runner: PixelRunner) -> None:
    """As of engines that were built for one image."""
    settings, told, asked = plain_settings(("front", "rear")), [], []
    made = Pipeline(runner, CALIBRATION, lambda: settings, report=lambda camera, kind, text: told.append((kind, text)))
    made.start()

    def ready(height: int, width: int, batch: int) -> bool:
        if batch > 1:
            asked.append(batch)
            raise RuntimeError("no engine was accepted for batch 2")
        runner.warm(height, width, batch)
        return True

    made.ready = ready
    for stamp in range(1, 6):
        steps = list(made.step([picture("front", stamp=stamp), picture("rear", stamp=stamp)], lambda: SECOND))
        assert [step.dropped for step in steps] == [None, None]
    assert asked == [2]
    assert [kind for kind, _ in told if kind != "debug" and not kind.startswith("geometry")] == ["batch"]


@pytest.mark.parametrize("fault", ["too few", "labels too small", "score too small"])
def test_an_answer_that_does_not_cover_the_image_is_an_engine_failure(
    fault: str, monkeypatch: pytest.MonkeyPatch, runner: PixelRunner
) -> None:
    good = PixelRunner.__call__

    def faulty(self: PixelRunner, images: Any) -> Any:
        (prediction,) = good(self, images)
        if fault == "too few":
            return []
        if fault == "labels too small":
            return [replace(prediction, labels=prediction.labels[:-1])]
        return [replace(prediction, score=prediction.score[:, :-1])]

    monkeypatch.setattr(PixelRunner, "__call__", faulty)
    assert pipeline(runner).frame(picture("front"), SECOND).dropped == reasons.ENGINE_ERROR


def test_positions_come_from_the_surroundings_and_their_absence_is_told(runner: PixelRunner) -> None:
    made = pipeline(runner)
    assert made.unplaced["front"] == "no image has been judged yet"
    made.frame(picture("front", 200), SECOND)
    assert "no camera_info" in made.unplaced["front"]
    view = Surroundings(geometry=lambda frame: pinhole(64, 64, 1.0, 1.5, 0.3))
    made = pipeline(runner, surroundings={"front": view})
    step = made.frame(picture("front", 200, size=(64, 64)), SECOND)
    assert made.unplaced["front"] == ""
    assert step.alert.obstacles[0].ground is not None


def test_large_blobs_in_an_ignored_zone_do_not_hide_a_small_one_on_the_lane(runner: PixelRunner) -> None:
    """max_obstacles is 2, three blobs beside the lane are larger than the one on it: that one counts first."""
    image = np.zeros((64, 128, 3), np.uint8)
    for left in (2, 18, 34):
        image[40:60, left : left + 12, 0] = 200
    image[52:58, 62:66, 0] = 200
    view = Surroundings(geometry=lambda frame: pinhole(128, 64, 1.0, 1.5, 0.3))
    for action in ("ignore", "report"):
        zone = {"zones": ["yard"], "zone__yard__polygon": [0.0, 0.6, 0.0, 50.0, 90.0, 50.0, 90.0, 0.6]}
        zone |= {"zone__yard__action": action, "obstacles__max_obstacles": 2}
        made = pipeline(runner, surroundings={"front": view}, **zone)
        step = made.frame(Arrival("front", 1, lambda: Frame(image, 1, "front")), SECOND)
        assert step.alert.state is AlertState.OBSTACLE, action
        assert step.alert.obstacles[0].counts
        assert step.alert.obstacles[0].box == (62, 52, 66, 58)
        assert len(step.alert.obstacles) == (1 if action == "ignore" else 2)
        assert step.judgement.unlisted == (0 if action == "ignore" else 2)


def test_frames_of_a_size_that_is_being_compiled_wait_and_the_others_do_not(runner: PixelRunner) -> None:
    made = pipeline(runner, ("front", "rear"))
    ready = {(8, 8, 1)}
    made.ready = lambda height, width, batch: (height, width, batch) in ready
    clear = list(made.step([picture("front", stamp=1)], lambda: SECOND))
    assert [step.alert.state for step in clear] == [AlertState.CLEAR]
    assert list(made.step([picture("rear", stamp=1, size=(16, 16))], lambda: SECOND)) == []
    states = made.board.alerts(SECOND)
    assert (states["rear"].reason, states["front"].state) == (reasons.ENGINE_WARMING, AlertState.CLEAR)
    (step,) = made.step([picture("front", stamp=2)], lambda: SECOND)
    assert step.arrival.camera == "front"
    ready.add((16, 16, 1))
    (step,) = made.step([], lambda: SECOND)
    assert (step.arrival.camera, step.dropped) == ("rear", None)
    assert made.board.alerts(SECOND)["rear"].state is AlertState.CLEAR


def test_a_newer_frame_takes_the_place_of_the_one_that_waits_for_the_compiler(runner: PixelRunner) -> None:
    made = pipeline(runner)
    made.ready = lambda height, width, batch: False
    for stamp in (1, 2, 3):
        arrival = picture("front", stamp=stamp)
        made.receive(arrival.camera, arrival.stamp_ns)
        assert list(made.step([arrival], lambda: SECOND)) == []
    assert made.cameras["front"].counter.counts().dropped == {reasons.OVERWRITTEN: 2}
    made.stop()
    assert made.cameras["front"].counter.counts().dropped == {reasons.OVERWRITTEN: 2, reasons.INACTIVE: 1}


@given(
    st.lists(
        st.tuples(st.integers(-1, 2**62), st.integers(0, 2**62), st.sampled_from([0, 1, BAD, 200, 255]), st.booleans()),
        max_size=12,
    )
)
def test_any_frames_at_any_times_are_all_accounted_for(frames: list[tuple[int, int, int, bool]]) -> None:
    made = Pipeline(PixelRunner(), CALIBRATION, lambda: settings_for({"engine_retries": 100}, ["front"])[0])
    made.start()
    for stamp, now, value, readable in frames:
        arrival = picture("front", value, stamp, (32, 32)) if readable else unreadable("front", stamp)
        step = made.frame(arrival, now)
        assert step.alert.reason in reasons.SENTENCES
        assert step.alert.evidence_age_s >= 0
        assert not (step.dropped in (reasons.DECODE_FAILED, reasons.ENGINE_ERROR) and step.alert.state.value == "CLEAR")
    counts = made.cameras["front"].counter.counts()
    assert counts.received == len(frames)
    assert counts.waiting == 0


def test_what_arrives_by_several_publishers_is_not_looked_at(runner: PixelRunner) -> None:
    made = pipeline(runner)
    assert made.receive("front", 1, reasons.SEVERAL_PUBLISHERS) == reasons.SEVERAL_PUBLISHERS
    assert made.cameras["front"].counter.counts().dropped == {reasons.SEVERAL_PUBLISHERS: 1}


def test_nothing_of_a_frame_is_seen_before_the_recorder_has_it(runner: PixelRunner) -> None:
    seen: list[str] = []
    settings = plain_settings(("front",))
    made = Pipeline(
        runner,
        CALIBRATION,
        lambda: settings,
        before_alert=lambda step: seen.append(made.board.alerts(SECOND)["front"].state.value),
    )
    made.start()
    assert made.frame(picture("front", 200, stamp=SECOND), SECOND).alert.state is AlertState.OBSTACLE
    assert seen == ["UNKNOWN"]


def test_evidence_without_a_table_is_said_and_hits_decide(runner: PixelRunner) -> None:
    told: list[tuple[str, str]] = []
    settings = plain_settings(("front",), obstacles__alert_rule="evidence")
    made = Pipeline(runner, CALIBRATION, lambda: settings, report=lambda camera, kind, text: told.append((kind, text)))
    made.start()
    assert made.frame(picture("front", 200, stamp=SECOND), SECOND).alert.state is AlertState.OBSTACLE
    (text,) = [text for kind, text in told if kind == "evidence"]
    assert "calibrate-objects --objects" in text


def test_evidence_gathers_through_the_pipeline_and_follows_the_parameters(runner: PixelRunner) -> None:
    rule = Objects(grow=10.0, seed=0.5, beside=200.0)
    table = Evidence(strengths=[10.0, 40.0], unknown=[0.3, 0.5], normal=[0.95, 0.05], candidates=1.0)
    calibration = CALIBRATION.model_copy(update={"objects": rule, "evidence": table})
    current = [plain_settings(("front",), obstacles__alert_rule="evidence", obstacles__false_alerts=0.01)]
    made = Pipeline(runner, calibration, lambda: current[0])
    made.start()

    def shown(index: int) -> Arrival:
        image = np.zeros((40, 120, 3), np.uint8)
        image[10:30, 3 * index : 3 * index + 12] = 60  # of a threshold of 100
        return Arrival("front", (index + 1) * SECOND // 10, lambda: Frame(image, (index + 1) * SECOND // 10, "front"))

    states = [made.frame(shown(i), (i + 1) * SECOND // 10).alert.state for i in range(12)]
    assert AlertState.OBSTACLE in states
    first = states.index(AlertState.OBSTACLE)
    assert first >= 1  # log(1 / 0.01) is two views of log(0.5 / 0.05)
    assert set(states[first:]) == {AlertState.OBSTACLE}
    current[0] = plain_settings(("front",), obstacles__alert_rule="hits")
    assert made.frame(shown(12), 13 * SECOND // 10).alert.state is not AlertState.OBSTACLE
