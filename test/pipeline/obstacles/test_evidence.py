"""Evidence over several frames: by hand, by chance, and in the camera's pipeline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from oodseg_ros.frame import AlertState, Frame, Prediction
from oodseg_ros.model_card import Calibration
from oodseg_ros.object_rule import Core, Evidence, Objects
from oodseg_ros.parameters.judging import IGNORE, REPORT, ObstacleSettings, Zones
from oodseg_ros.pipeline.alert import AlertMachine
from oodseg_ros.pipeline.camera import CameraPipeline
from oodseg_ros.pipeline.obstacles.evidence import APART_S, FORGET_S, MAX_CANDIDATES, Evidences

TABLE = Evidence(strengths=[1.0, 2.0, 3.0], unknown=[0.2, 0.2, 0.3], normal=[0.9, 0.09, 0.01], candidates=2.0)
BOX = (40, 40, 60, 60)
STEP = round(APART_S * 1e9)


def at(stamp_ns: int, speed: float = 5.0) -> tuple[int, int, int, int]:
    """A box of 20 pixels that moves by a quarter of its size in a step."""
    shift = round(speed * stamp_ns / STEP)
    return BOX[0] + shift, BOX[1], BOX[2] + shift, BOX[3]


def feed(
    test: Evidences, strengths: list[float | None], step: int = STEP, start: int = 0, speed: float = 5.0
) -> list[bool]:
    found = []
    for index, strength in enumerate(strengths):
        now = start + index * step
        boxes, values = ([], []) if strength is None else ([at(now, speed)], [strength])
        found.append(any(test.update(now, boxes, values, 2.0)))
    return found


def test_what_stays_is_decided_when_its_evidence_reaches_the_bound():
    bound = math.log(2.0 / 1e-3)
    frames = math.ceil(bound / math.log(0.2 / 0.09))
    assert feed(Evidences(TABLE, 1e-3), [2.5] * (frames + 2)) == [False] * (frames - 1) + [True] * 3
    # A strength that normal candidates have more often never adds up.
    assert not any(feed(Evidences(TABLE, 1e-3), [1.5] * 200))
    strong = math.ceil(bound / math.log(0.3 / 0.01))
    assert feed(Evidences(TABLE, 1e-3), [9.0] * strong)[-1]


def test_a_miss_costs_and_a_lost_track_begins_anew():
    frames = math.ceil(math.log(2.0 / 1e-3) / math.log(0.2 / 0.09))
    kept = feed(Evidences(TABLE, 1e-3), [2.5] * 5 + [None] + [2.5] * frames)
    lost = feed(Evidences(TABLE, 1e-3), [2.5] * 5 + [None] * 8 + [2.5] * frames)
    assert frames < kept.index(True) + 1 < 6 + frames
    assert lost.index(True) == 5 + 8 + frames - 1


def test_decided_until_it_is_back_at_nothing_or_lost():
    test = Evidences(TABLE, 1e-3)
    assert feed(test, [9.0] * 4)[-1]
    # Weak for a while: still the same object, until as much speaks against it as spoke for it.
    weak = feed(test, [1.5] * 12, start=4 * STEP)
    against = math.ceil(test.bound / -math.log(0.2 / 0.9))
    assert weak.index(False) == against - 1
    assert not any(weak[against - 1 :])


def test_time_counts_and_not_the_number_of_frames():
    slow = feed(Evidences(TABLE, 1e-3), [2.5] * 60, speed=4.0).index(True) * STEP
    fast = feed(Evidences(TABLE, 1e-3), [2.5] * 60, STEP // 4, speed=4.0).index(True) * (STEP // 4)
    assert abs(fast - slow) <= STEP
    # Two pictures of one moment are one.
    assert not any(feed(Evidences(TABLE, 1e-3), [9.0] * 100, 0))


def test_a_standing_vehicle_sees_nothing_new_however_long_it_stands():
    """Paint on the road before a red light: strong in every frame, and always the same picture."""
    assert not any(feed(Evidences(TABLE, 1e-3), [9.0] * 300, speed=0.0))
    # Larger or smaller is another view, too.
    test = Evidences(TABLE, 1e-3)
    grown = [any(test.update(i * STEP, [(40, 40, 60 + 6 * i, 60 + 6 * i)], [9.0], 2.0)) for i in range(6)]
    assert grown[-1]
    # What speaks against it counts, however it stands.
    test = Evidences(TABLE, 1e-3)
    assert feed(test, [9.0] * 4)[-1]
    assert not feed(test, [1.2] * 20, start=3 * STEP, speed=0.0)[-1]


def test_nothing_from_before_a_gap_counts():
    test = Evidences(TABLE, 1e-3)
    assert feed(test, [9.0] * 4)[-1]
    later = round(4 * STEP + (FORGET_S + 0.2) * 1e9)
    assert not any(test.update(later, [at(4 * STEP)], [9.0], 2.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 1.0))
def test_false_alerts_by_chance_keep_to_what_is_wanted(seed, presence):
    """A normal candidate in any share of the frames, of strengths as in the table."""
    rng, wanted, frames = np.random.default_rng(seed), 0.01, 400
    table = TABLE.model_copy(update={"candidates": 1.0})
    test, onsets, before = Evidences(table, wanted), 0, False
    for index in range(frames):
        there = rng.random() < presence
        strength = [float(rng.choice(table.strengths, p=np.array(table.normal) / sum(table.normal)))] * there
        now = any(test.update(index * STEP, [at(index * STEP)] * there, strength, 2.0))
        onsets, before = onsets + (now and not before), now
    # 4 expected at most; 15 or more have a probability below 1e-5 then.
    assert onsets < 15


@given(
    st.lists(st.tuples(st.integers(0, 3 * STEP), st.lists(st.floats(-1e6, 1e6), max_size=4)), min_size=1, max_size=40)
)
def test_any_frames_leave_every_test_between_nothing_and_the_bound(frames):
    test, now = Evidences(TABLE, 1e-5), 0
    for step, strengths in frames:
        now += step
        boxes = [(30 * index, 10, 30 * index + 20, 30) for index in range(len(strengths))]
        assert len(test.update(now, boxes, strengths, 2.0)) == len(strengths)
        assert all(0.0 <= one.value <= test.bound for one in test._tests.values())


EVENTS = st.lists(st.sampled_from(["present", "weak", "evident", "both", "clear", "fault"]), max_size=60)


@given(EVENTS, st.integers(1, 4), st.integers(0, 3), st.integers(1, 5))
def test_never_later_and_never_clear_earlier_than_by_hits(events, hits, more, release):
    chosen = ObstacleSettings(trigger_hits=hits, trigger_window=hits + more, release_frames=release)
    alone, joined = AlertMachine(chosen), AlertMachine(chosen)
    since = None  # judged frames without anything since the last evidence
    for event in events:
        if event == "fault":
            assert alone.unknown("fault") == joined.unknown("fault") == (AlertState.UNKNOWN, "fault")
            since = None if since is None else 0
            continue
        present, evident = event in ("present", "both"), event in ("evident", "both")
        # What is weak is only looked for during an alert.
        weak = event == "weak"
        first, _ = alone.judged(present, weak)
        second, reason = joined.judged(present, weak, evident)
        if first is AlertState.OBSTACLE:
            assert second is AlertState.OBSTACLE
        since = 0 if evident else None if since is None else 0 if present or weak else since + 1
        if since is not None and since < release:
            assert second is AlertState.OBSTACLE
            assert reason in ("obstacle", "holding", "releasing")
        elif since is not None:
            since = None
            assert second is first


H, W = 120, 200
RULE = Objects(grow=1.0, seed=0.5, beside=4.0, ground=[3])
CALIBRATION = Calibration(threshold=3.5, objects=RULE, evidence=TABLE, table=[(0.0, 0.0), (4.0, 1.0)], source="by hand")


def frame(stamp: float) -> Frame:
    return Frame(np.zeros((H, W, 3), np.uint8), round(stamp * 1e9), "front")


def prediction(value: float, box: tuple[int, int, int, int] = BOX, labels: int = 3) -> Prediction:
    score = np.zeros((H, W), np.float32)
    score[box[1] : box[3], box[0] : box[2]] = value
    return Prediction(np.full((H, W), labels, np.uint8), score, "test@0")


def moving(stamp: float) -> tuple[int, int, int, int]:
    """20 pixels, a quarter of that per 0.1 s, and back again: the picture has an edge."""
    shift = round(abs((stamp * 50 + 80) % 160 - 80))
    return 40 + shift, 40, 60 + shift, 60


def camera(calibration: Calibration = CALIBRATION, rule: str = "evidence", **more) -> CameraPipeline:
    return CameraPipeline(calibration, ObstacleSettings(alert_rule=rule, false_alerts=1e-3, **more))


def states(pipe: CameraPipeline, values: list[float], start: float = 0.0, step: float = 0.1) -> str:
    letters = {AlertState.CLEAR: "C", AlertState.OBSTACLE: "O", AlertState.UNKNOWN: "U"}
    times = [start + i * step for i in range(len(values))]
    judged = [pipe.judge(frame(t), prediction(value, moving(t)), 0) for t, value in zip(times, values, strict=True)]
    return "".join(letters[one.alert.state] for one in judged)


def test_what_is_weak_and_stays_is_an_alert_with_all_its_details():
    weak = [2.5] * 15
    assert states(camera(rule="hits"), weak) == "UU" + "C" * 13
    pipe = camera()
    assert states(pipe, weak) == "UU" + "C" * 7 + "O" * 6
    judged = pipe.judge(frame(1.5), prediction(2.5, moving(1.5)), round(1.6e9))
    (obstacle,) = judged.obstacles
    assert (obstacle.box, obstacle.counts, obstacle.age) == (moving(1.5), True, 7)
    assert obstacle.margin == pytest.approx(2.5 - 3.5)
    assert np.count_nonzero(judged.mask) == 400
    assert (judged.alert.stamp_ns, judged.alert.evidence_age_s) == (round(1.5e9), pytest.approx(0.1))
    # Gone: three clear frames end it, and each CLEAR rests on its own frame.
    assert states(pipe, [0.0] * 5, 1.6) == "OOCCC"


def test_a_strong_object_is_listed_once_and_alerts_by_hits_as_ever():
    pipe, alone = camera(), camera(rule="hits")
    for index in range(6):
        first, second = (each.judge(frame(index / 10), prediction(5.0), 0) for each in (pipe, alone))
        assert first.obstacles == second.obstacles
        assert np.array_equal(first.mask, second.mask)
    assert first.alert == second.alert


@pytest.mark.parametrize("interruption", ["fault", "change", "back", "gap"])
def test_interruptions(interruption):
    pipe = camera()
    assert states(pipe, [2.5] * 7) == "UUCCCCC"
    start = 0.7
    if interruption == "fault":
        assert pipe.unknown("no_image", 0).state is AlertState.UNKNOWN
    elif interruption == "change":
        pipe.change(ObstacleSettings(alert_rule="evidence", false_alerts=1e-3, max_obstacles=40))
    elif interruption == "back":
        start = -5.0
    else:
        start = 10.0
    after = states(pipe, [2.5] * 12, start)
    # Evidence of danger outlasts a fault; nothing else is carried over.
    assert after == (
        "UUO" + "O" * 9 if interruption == "fault" else ("C" if interruption == "gap" else "U") * 2 + "C" * 7 + "OOO"
    )


def test_a_fault_during_an_alert_does_not_end_it():
    pipe = camera()
    assert states(pipe, [2.5] * 12)[-1] == "O"
    pipe.unknown("no_image", 0)
    assert states(pipe, [0.0] * 5, 1.3) == "OOCCC"


def test_what_was_evident_and_is_weaker_holds_the_alert_and_nothing_else_that_weak_does():
    letters = states(camera(release_threshold=1.2), [2.5] * 15 + [1.6] * 60)
    assert letters == "UU" + "C" * 7 + "O" * 66
    pipe = camera(release_threshold=1.2)
    assert states(pipe, [2.5] * 15)[-1] == "O"
    other = prediction(1.6, (100, 80, 140, 110))
    judged = [pipe.judge(frame(1.5 + i / 10), other, 0) for i in range(6)]
    assert [one.alert.reason for one in judged] == ["releasing"] * 2 + ["ok"] * 4
    assert not any(one.obstacles for one in judged)


def test_what_is_evident_is_not_listed_again_as_what_is_weaker():
    pipe = camera(release_threshold=1.2)
    for index in range(10):
        x = 40 + 5 * index
        both = prediction(5.0, (x, 40, x + 20, 60))
        both.score[40:60, x + 24 : x + 44] = 5.0
        assert len(pipe.judge(frame(index / 10), both, 0).obstacles) == 2
    left = pipe.judge(frame(1.0), prediction(2.5, (90, 40, 110, 60)), 0)
    assert left.alert.reason == "obstacle"
    assert len(left.obstacles) == 1


def test_what_is_evident_and_has_a_core_is_listed_once():
    cored = RULE.model_copy(update={"core": Core(grow=3.0, free=3.5, among=3.5, beside=4.0)})
    pipe = camera(CALIBRATION.model_copy(update={"objects": cored}))
    for index in range(20):
        left, top, right, bottom = moving(index / 10)
        there = prediction(2.5, (left, top, right, bottom))
        there.score[top : bottom - 10, left : right - 8] = 5.0 if index > 14 else 2.5
        judged = pipe.judge(frame(index / 10), there, 0)
        assert len(judged.obstacles) == (0 if index < 9 else 1)
    (obstacle,) = judged.obstacles
    assert obstacle.area == 120
    assert obstacle.margin == pytest.approx(1.5)
    assert np.count_nonzero(judged.mask) == 400


def test_nan_and_a_refused_frame_do_not_count():
    pipe = camera()
    states(pipe, [2.5] * 8)
    bad = prediction(2.5, moving(0.8))
    bad.score[0, 0] = np.nan
    assert pipe.judge(frame(0.8), bad, 0).alert.state is AlertState.UNKNOWN
    assert states(pipe, [2.5], 0.9) == "U"  # recovering
    assert states(pipe, [2.5], 1.0) == "O"


@pytest.mark.parametrize("outside", [REPORT, IGNORE])
def test_zones_decide_what_counts(outside):
    assert states(camera(zones=Zones((), outside, outside)), [2.5] * 30)[-1] == "C"


def test_beside_the_ground_weak_things_are_no_candidates():
    pipe = camera()
    judged = [pipe.judge(frame(i / 10), prediction(2.5, moving(i / 10), labels=1), 0) for i in range(30)]
    assert judged[-1].alert.state is AlertState.CLEAR


@pytest.mark.parametrize("missing", ["evidence", "objects"])
def test_a_bundle_without_a_table_keeps_to_hits_and_says_so(missing):
    bare = CALIBRATION.model_copy(update={missing: None})
    pipe = camera(bare)
    assert pipe.lacks_evidence
    assert states(pipe, [2.5] * 30) == states(camera(bare, rule="hits"), [2.5] * 30)
    assert not camera().lacks_evidence
    assert not camera(bare, rule="hits").lacks_evidence


def test_noise_of_ever_so_many_candidates_is_cut_to_the_strongest():
    rng = np.random.default_rng(0)
    score = np.zeros((400, 600), np.float32)
    for y in range(2, 396, 8):
        score[y : y + 4, 2:596] = np.repeat(rng.uniform(1.1, 2.9, 99), 6)[None] * (np.arange(594) % 6 < 4)
    made = Prediction(np.full(score.shape, 3, np.uint8), score, "test@0")
    pipe = camera(min_area=4)
    judged = pipe.judge(Frame(np.zeros((400, 600, 3), np.uint8), 1, "front"), made, 0)
    assert len(pipe._evidences._tests) == MAX_CANDIDATES
    assert judged.obstacles == ()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"strengths": [1.0, 1.0, 3.0]}, "rise"),
        ({"unknown": [0.5, 0.3, 0.3]}, "less than 1"),
        ({"normal": [0.9, 0.2, 0.1]}, "normal to 1"),
        ({"unknown": [0.6, 0.03, 0.001]}, "stronger"),
        ({"unknown": [0.5]}, "equal length"),
        ({"unknown": [0.5, 0.0, 0.1]}, "above 0"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(changes, text):
    with pytest.raises(ValidationError, match=text):
        Evidence(**{**TABLE.model_dump(), **changes})
