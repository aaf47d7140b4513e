"""The alert's conditions: sequences by hand, and rules that hold for every sequence; hysteresis, least areas by
distance, times to reach, and the sentence about the worst case.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oodseg_ros.errors import ConfigError
from oodseg_ros.frame import AlertState, Frame, GroundPosition, Prediction
from oodseg_ros.model_card import Calibration, Histogram
from oodseg_ros.object_rule import Objects
from oodseg_ros.parameters.judging import IGNORE, REPORT, ObstacleSettings, OutputGateSettings, Zone, Zones
from oodseg_ros.pipeline.alert import AlertMachine, reaction_sentence, worst_case_reaction, worst_case_release
from oodseg_ros.pipeline.camera import CameraPipeline
from oodseg_ros.pipeline.geometry.ground import ground_area, ground_position, pinhole
from oodseg_ros.pipeline.obstacles.release import least_area, release_threshold
from oodseg_ros.pipeline.obstacles.tracks import MAX_GAP, Closing, time_to_reach

CLEAR, OBSTACLE, UNKNOWN = AlertState.CLEAR, AlertState.OBSTACLE, AlertState.UNKNOWN


def play(machine: AlertMachine, frames: str) -> list[tuple[AlertState, str]]:
    """`x` = a frame with an obstacle, `.` = a clear one, `?` = one that cannot be judged."""
    return [machine.unknown("fault") if frame == "?" else machine.judged(frame == "x") for frame in frames]


def states(frames: str, **settings) -> str:
    letters = {CLEAR: "C", OBSTACLE: "O", UNKNOWN: "U"}
    return "".join(letters[state] for state, _ in play(AlertMachine(ObstacleSettings(**settings)), frames))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ("...", "UUC"),
        ("xx", "UO"),
        ("x.x", "UUO"),
        ("x..", "UUC"),
        ("...x..x..", "UUCCCCCCC"),  # one hit in three never triggers
        ("...xx", "UUCCO"),
        ("...x.x", "UUCCCO"),
        ("xx...", "UOOOC"),
        ("xx..x...", "UOOOOOOC"),  # a hit starts the release anew
        ("xx...x", "UOOOCC"),  # spent hits do not count again
        ("...?...", "UUCUUUC"),
        ("xx?.", "UOUO"),  # a fault does not end an alert
        ("xx..?.", "UOOOUO"),
        ("xx..?...", "UOOOUOOC"),
        ("...x?x", "UUCCUO"),  # hits before a fault still count
        ("?????", "UUUUU"),
    ],
)
def test_sequences_of_the_default_settings(frames, expected):
    assert states(frames) == expected


def test_one_of_one_answers_every_frame_by_itself():
    assert states(".x.xx?.x", trigger_hits=1, trigger_window=1, release_frames=1) == "COCOOUCO"


def test_release_shorter_than_the_window_does_not_flicker():
    assert states("xx..x", trigger_hits=2, trigger_window=5, release_frames=2) == "UOOCC"


def test_reasons_tell_the_way():
    machine = AlertMachine(ObstacleSettings())
    reasons = [reason for _, reason in play(machine, "...x.xx...?.")]
    assert reasons == [
        *("starting", "starting", "ok", "confirming", "ok", "obstacle", "obstacle"),
        *("releasing", "releasing", "ok", "fault", "recovering"),
    ]


def test_reset_is_a_new_start():
    machine = AlertMachine(ObstacleSettings())
    play(machine, "xx")
    machine.reset()
    assert play(machine, ".x.") == [(UNKNOWN, "starting"), (UNKNOWN, "starting"), (CLEAR, "ok")]


frames = st.text("x.?", max_size=60)
windows = st.integers(1, 6).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m), st.integers(1, 6)))


@given(frames, windows)
def test_rules_of_every_sequence(sequence, window):
    hits, size, release = window
    settings = ObstacleSettings(trigger_hits=hits, trigger_window=size, release_frames=release)
    answers = play(AlertMachine(settings), sequence)
    previous = UNKNOWN
    alarmed = False
    for index, (frame, (state, _)) in enumerate(zip(sequence, answers, strict=True)):
        judged = [f for f in sequence[: index + 1] if f != "?"]
        if frame == "?":
            assert state is UNKNOWN
        if state is OBSTACLE and previous is CLEAR:
            assert frame == "x"
            assert judged[-size:].count("x") >= hits
        if state is CLEAR and alarmed:
            # No way from an alert to CLEAR without enough clear frames in a row, fault or not.
            assert sequence[: index + 1].endswith("." * release)
        alarmed = state is OBSTACLE or (alarmed and state is not CLEAR)
        previous = state


@given(st.text("x.", max_size=40), windows, st.text("x.", min_size=1, max_size=6))
def test_reaction_is_never_later_than_the_worst_case(before, window, found):
    """Whatever came before, M frames of which N find the object end in OBSTACLE."""
    hits, size, release = window
    found = (found * size)[:size]
    settings = ObstacleSettings(trigger_hits=hits, trigger_window=size, release_frames=release)
    answers = play(AlertMachine(settings), before + found)[len(before) :]
    if found.count("x") >= hits:
        assert OBSTACLE in [state for state, _ in answers]


def test_worst_cases_in_seconds():
    settings = ObstacleSettings(trigger_hits=2, trigger_window=3, release_frames=5)
    assert worst_case_reaction(settings, 0.1, 0.08) == pytest.approx(0.38)
    assert worst_case_release(settings, 0.1, 0.08) == pytest.approx(0.58)


HISTOGRAM = Histogram(low=-10.0, high=10.0, counts=[1000] * 90 + [10] * 5 + [5] * 5)
CALIBRATION = Calibration(threshold=9.0, table=[(0.0, 0.0), (10.0, 1.0)], inlier_histogram=HISTOGRAM, source="a test")
SIZE = (120, 160)
SECOND = 1_000_000_000


def test_the_release_threshold_lets_twice_as_many_inliers_pass() -> None:
    # Above 9 lie 25 of the counts; above 8 lie 25 + 5 * 10 / 2 ...
    released = release_threshold(CALIBRATION, 9.0)
    edges = np.linspace(-10, 10, 101)
    above = np.append(np.cumsum(HISTOGRAM.counts[::-1])[::-1], 0)
    assert np.interp(released, edges, above) == pytest.approx(2 * np.interp(9.0, edges, above))
    assert released < 9.0
    assert release_threshold(CALIBRATION, 9.0, 8.0) == 8.0
    assert release_threshold(CALIBRATION, 9.0, 12.0) == 9.0, "a release above the trigger would flicker"
    assert release_threshold(CALIBRATION, 50.0) == 50.0
    assert release_threshold(CALIBRATION.model_copy(update={"inlier_histogram": None}), 9.0) == 9.0


def ground(near: float, far: float) -> GroundPosition:
    return GroundPosition(((near + min(far, 100.0)) / 2, 0.0, 0.0), near, far)


def test_the_least_area_falls_with_distance() -> None:
    table = ((5.0, 400.0), (25.0, 80.0), (60.0, 20.0))
    assert least_area(table, 100, None) == 100
    assert least_area((), 100, ground(5, 6)) == 100
    assert least_area(table, 100, ground(1, 2)) == 400
    assert least_area(table, 100, ground(14, 15)) == pytest.approx(240)
    assert least_area(table, 100, ground(10, math.inf)) == 20, "careful: it may be far away"
    assert ObstacleSettings(min_area=50, min_area_by_distance=table).smallest_area == 20
    with pytest.raises(ConfigError, match="must rise"):
        ObstacleSettings(min_area_by_distance=((5.0, 10.0), (4.0, 10.0)))
    with pytest.raises(ConfigError, match="min_area_by_distance"):
        ObstacleSettings(min_area_by_distance=((5.0, math.nan),))


def test_time_to_reach() -> None:
    assert time_to_reach(20.0, 10.0) == 2.0
    assert time_to_reach(20.0, None) is None
    assert time_to_reach(20.0, 0.0) is None
    assert time_to_reach(20.0, -3.0) is None
    assert time_to_reach(20.0, math.nan) is None


def test_the_closing_speed_of_a_track_from_its_distances() -> None:
    closing, rng = Closing(), np.random.default_rng(0)
    speeds = [closing.update(1, i * SECOND // 10, 40 - 0.8 * i + rng.normal(0, 0.1)) for i in range(20)]
    assert speeds[:4] == [None] * 4
    assert speeds[-1] == pytest.approx(8.0, abs=1.0)
    assert closing.update(2, 2 * SECOND, 10.0) is None
    assert closing.update(0, 2 * SECOND, 10.0) is None
    closing.reset()
    assert closing.update(1, 2 * SECOND, 24.0) is None


GEOMETRY = pinhole(SIZE[1], SIZE[0], 1.2, 1.5, 0.1)


def prediction(box: tuple[int, int, int, int] | None, value: float = 20.0) -> Prediction:
    score = np.full(SIZE, -5.0, np.float32)
    if box is not None:
        score[box[1] : box[3], box[0] : box[2]] = value
    return Prediction(np.arange(SIZE[0] * SIZE[1], dtype=np.int64).reshape(SIZE).astype(np.uint8) % 9, score, "a@1")


def states_of(pipeline: CameraPipeline, *predictions: Prediction, speed: float | None = None) -> list:
    image = np.zeros((*SIZE, 3), np.uint8)
    return [
        pipeline.judge(Frame(image, (i + 1) * SECOND // 10), each, (i + 1) * SECOND // 10, GEOMETRY, speed)
        for i, each in enumerate(predictions)
    ]


BOX = (70, 80, 90, 95)


def test_a_weaker_obstacle_holds_the_alert_but_does_not_raise_it() -> None:
    weak = prediction(BOX, (release_threshold(CALIBRATION, 9.0) + 9.0) / 2)
    pipeline = CameraPipeline(CALIBRATION, ObstacleSettings(release_frames=2))
    judged = states_of(pipeline, *[weak] * 3, *[prediction(BOX)] * 2, *[weak] * 4, *[prediction(None)] * 2)
    assert [one.alert.reason for one in judged] == [
        *("starting", "starting", "ok", "confirming", "obstacle"),
        *["holding"] * 4,
        *("releasing", "ok"),
    ]
    assert len(judged[6].obstacles) == 1
    assert judged[6].obstacles[0].track_id == judged[4].obstacles[0].track_id
    assert not judged[6].mask.any(), "the mask shows what is above the threshold, always"


WEAK = (release_threshold(CALIBRATION, 9.0) + 9.0) / 2
PAINT = (20, 80, 50, 100)
"""Far from BOX, and larger."""


def told(
    steps: list[dict[tuple[int, int, int, int], float] | None], rate: float = 10.0, **settings
) -> tuple[list[str], list[list[tuple[int, int, int, int]]]]:
    """Reasons, and the boxes listed, of frames that hold boxes of these scores; None = a frame that is refused."""
    pipeline = CameraPipeline(CALIBRATION, ObstacleSettings(**{"release_frames": 2, **settings}))
    reasons, listed = [], []
    for index, boxes in enumerate(steps, 1):
        seen = prediction(None)
        for (x0, y0, x1, y1), value in (boxes or {}).items():
            seen.score[y0:y1, x0:x1] = value
        if boxes is None:
            seen.score[0, 0] = np.nan
        frame = Frame(np.zeros((*SIZE, 3), np.uint8), round(index * SECOND / rate))
        judged = pipeline.judge(frame, seen, frame.stamp_ns, GEOMETRY)
        reasons.append(judged.alert.reason)
        listed.append([one.box for one in judged.obstacles])
    return reasons, listed


RAISED = [{}, {}, {BOX: 20.0}, {BOX: 20.0}]
"""Frames after which there is an alert."""


def test_what_is_weak_and_did_not_raise_the_alert_does_not_hold_it() -> None:
    reasons, listed = told([*RAISED, {BOX: WEAK, PAINT: WEAK}, {PAINT: WEAK}, {PAINT: WEAK}])
    assert reasons[3:] == ["obstacle", "holding", "releasing", "ok"]
    assert listed[4:] == [[BOX], [], []], "listed is what the alert rests on"
    # Nor does what is, or was strong, only where it is reported.
    sky, ground = (110, 30, 130, 48), (110, 34, 130, 54)
    zones = Zones((), unplaced=REPORT)
    reasons, listed = told([*RAISED, {BOX: 20.0, sky: 20.0}, {ground: WEAK}, {ground: WEAK}], zones=zones)
    assert reasons[4:] == ["obstacle", "releasing", "ok"]
    assert listed[4:] == [[BOX, sky], [], []]
    assert told([{ground: 20.0}] * 3 + [{sky: WEAK}] * 2, zones=zones)[0][2:] == ["obstacle", "releasing", "ok"]


@pytest.mark.parametrize(
    "between",
    [
        [{}],
        [None, None],
        [{PAINT: WEAK}],
        [{BOX: WEAK}, {BOX: 20.0}, {BOX: WEAK}],
        [{PAINT: 20.0}] * 3,  # then it is gone, or as weak
        [{PAINT: 20.0, BOX: WEAK}] * 9,
    ],
    ids=["missed", "refused", "other", "strong again", "missed beside another", "weak beside another"],
)
def test_what_raised_the_alert_and_is_weaker_holds_it(between) -> None:
    reasons, listed = told([*RAISED, *between, *[{BOX: WEAK, PAINT: -5.0}] * 6])
    assert reasons[-6:] == ["holding"] * 6
    assert listed[-6:] == [[BOX]] * 6


def test_what_gets_weaker_and_melts_into_what_is_around_it_or_breaks_up_holds_the_alert() -> None:
    small, around, corner = (60, 60, 70, 70), (20, 30, 110, 100), (60, 60, 120, 120)
    for change in ([{around: WEAK}] * 4, [{corner: WEAK}] * 4):
        assert told([*[{small: 20.0}] * 3, *change])[0][3:] == ["holding"] * 4
    pieces = {(x, 40, x + 10, 50): WEAK for x in (12, 60, 100)}
    assert told([*[{(10, 30, 120, 100): 20.0}] * 3, *[pieces] * 4])[0][3:] == ["holding"] * 4


@given(st.text("xw.?", max_size=30))
def test_one_object_holds_its_alert_whatever_comes_between(sequence: str) -> None:
    """As by the alert's conditions alone; `w` = it is weak."""
    assume("." * (MAX_GAP + 1) not in sequence.replace("?", ""))
    machine, expected = AlertMachine(ObstacleSettings()), []
    for frame in sequence:
        answer = machine.unknown("score_not_finite") if frame == "?" else None
        expected.append((answer or machine.judged(frame == "x", frame == "w" and machine.alarmed))[1])
    steps = {"x": {BOX: 20.0}, "w": {BOX: WEAK}, ".": {}, "?": None}
    assert told([steps[frame] for frame in sequence], release_frames=3)[0] == expected


def test_what_gets_strong_during_an_alert_holds_it_from_then_on() -> None:
    reasons, listed = told([*RAISED, {BOX: WEAK, PAINT: WEAK}, {PAINT: 20.0}, *[{PAINT: WEAK}] * 6])
    assert reasons[-7:] == ["obstacle", *["holding"] * 6]
    assert listed[-1] == [PAINT]
    # Nor does it matter which of the two hits was whose.
    assert told([{}, {}, {PAINT: 20.0}, {BOX: 20.0}, *[{PAINT: WEAK}] * 3])[0][4:] == ["holding"] * 3


def test_what_raised_an_earlier_alert_does_not_hold_the_next() -> None:
    quick = {"trigger_hits": 1, "trigger_window": 1, "release_frames": 1}
    reasons, _ = told([{BOX: 20.0}, {}, {PAINT: 20.0}, {BOX: WEAK}], **quick)
    assert reasons == ["obstacle", "ok", "obstacle", "ok"]


def test_however_much_else_is_weak_what_raised_the_alert_is_found() -> None:
    reasons, listed = told([*RAISED, *[{BOX: WEAK, PAINT: WEAK}] * 4], max_obstacles=1)
    assert reasons[4:] == ["holding"] * 4
    assert listed[4:] == [[BOX]] * 4
    _, listed = told([*RAISED, {PAINT: 20.0}, {BOX: WEAK, PAINT: WEAK}], max_obstacles=1)
    assert listed[-1] == [PAINT], "both hold, one may be listed"


def test_a_time_that_was_not_seen_does_not_shorten_the_way_to_clear() -> None:
    """What is weak after seconds without a frame may be what raised the alert: nothing tells."""
    moved = (20, 80, 40, 95)
    for rate, held in ((10.0, False), (1.0, True)):
        reasons, _ = told([*RAISED, None, None, *[{moved: WEAK}] * 3], rate)
        assert (reasons[-1] == "holding") is held


@pytest.mark.parametrize("place", ["among", "beside"])
def test_an_object_that_is_not_free_holds_its_alert_too(place: str) -> None:
    ground, wall, limit = 3, 1, 15.0
    labels = np.full(SIZE, wall, np.uint8)
    if place == "among":
        labels[BOX[3] :] = ground
    rule = Objects(grow=5.0, seed=0.5, among=limit, beside=limit, ground=[ground])
    calibration = CALIBRATION.model_copy(update={"objects": rule})
    weaker = (9.0 - release_threshold(calibration, 9.0)) / 2
    assert weaker > 0

    def seen(value: float) -> Prediction:
        return replace(prediction(BOX, value), labels=labels)

    pipeline = CameraPipeline(calibration, ObstacleSettings(release_frames=2))
    weak, gone = seen(limit - weaker), seen(limit - 3 * weaker)
    judged = states_of(pipeline, *[weak] * 3, *[seen(limit + 1)] * 2, *[weak] * 3, *[gone] * 2)
    assert [one.alert.reason for one in judged] == [
        *("starting", "starting", "ok", "confirming", "obstacle"),
        *["holding"] * 3,
        *("releasing", "ok"),
    ]


def test_zones_decide_what_counts() -> None:
    where = ground_position(GEOMETRY, (79.5, 94.0))
    x = where.position[0]
    yard = Zone("yard", ((x - 2, -2.0), (x + 2, -2.0), (x + 2, 2.0), (x - 2, 2.0)), IGNORE)
    ignored = states_of(CameraPipeline(CALIBRATION, ObstacleSettings(zones=Zones((yard,)))), *[prediction(BOX)] * 3)
    assert ignored[-1].alert.state is AlertState.CLEAR
    assert ignored[-1].obstacles == ()
    only = Zones((Zone("yard", yard.polygon, REPORT),))
    reported = states_of(CameraPipeline(CALIBRATION, ObstacleSettings(zones=only)), *[prediction(BOX)] * 3)
    assert reported[-1].alert.state is AlertState.CLEAR
    assert [(one.zone, one.counts) for one in reported[-1].obstacles] == [("yard", False)]
    above = (70, 10, 90, 25)  # above the horizon: no position, so it counts unless told otherwise
    for unplaced, state in (("alert", AlertState.OBSTACLE), ("ignore", AlertState.CLEAR)):
        zones = Zones((yard,), unplaced=unplaced)
        judged = states_of(CameraPipeline(CALIBRATION, ObstacleSettings(zones=zones)), *[prediction(above)] * 3)
        assert judged[-1].alert.state is state


def test_the_area_on_the_ground_covers_the_interval_and_the_width() -> None:
    where = ground_position(GEOMETRY, (79.5, 94.0))
    area = ground_area(GEOMETRY, BOX, (79.5, 94.0))
    assert area[:, 0].min() == pytest.approx(where.range_min, rel=0.02)
    assert area[:, 0].max() == pytest.approx(where.range_max, rel=0.02)
    assert area[:, 1].min() < -0.3 < 0.3 < area[:, 1].max()
    assert ground_area(GEOMETRY, BOX, (79.5, 94.0), hidden=True)[:, 0].min() == pytest.approx(0, abs=1e-6)
    assert ground_area(GEOMETRY, BOX, (79.5, 10.0)) is None


def test_a_known_speed_gives_the_time_to_reach() -> None:
    judged = states_of(CameraPipeline(CALIBRATION, ObstacleSettings()), prediction(BOX), speed=10.0)
    obstacle = judged[0].obstacles[0]
    assert obstacle.reach_s == pytest.approx(obstacle.ground.range_min / 10)
    assert states_of(CameraPipeline(CALIBRATION, ObstacleSettings()), prediction(BOX))[0].obstacles[0].reach_s is None


def test_what_the_output_gate_refuses_is_unknown_without_obstacles() -> None:
    pipeline = CameraPipeline(CALIBRATION, ObstacleSettings(), gate=OutputGateSettings())
    everywhere = Prediction(prediction(None).labels, np.full(SIZE, 9.5, np.float32), "a@1")
    refused = states_of(pipeline, everywhere)[0]
    assert (refused.alert.state, refused.alert.reason) == (AlertState.UNKNOWN, "score_saturated")
    assert refused.refused.reason == "score_saturated"
    assert refused.obstacles == ()
    assert refused.alert.drift > 0.5
    assert "100%" in refused.alert.detail


def test_the_worst_case_at_the_rates_of_the_cameras() -> None:
    text = reaction_sentence(ObstacleSettings(), 1.0, 1.0, 0.1, {"front": 20.0, "rear": 0.0})
    assert "2 hits in 3 images" in text
    assert "1.15 s at 20 Hz (front), release 1.15 s" in text
    assert "1.30 s at 10 Hz" in text
    assert "UNKNOWN after 1.10 s" in text
    only = reaction_sentence(ObstacleSettings(), 1.0, 1.0, 0.1, {"front": 20.0})
    assert "at 10 Hz" not in only


def test_without_a_limit_of_age_there_is_no_bound() -> None:
    assert "not bounded" in reaction_sentence(ObstacleSettings(), 0.0, 1.0, 0.1, {"front": 20.0})
