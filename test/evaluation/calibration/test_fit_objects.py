"""The thresholds of whole objects keep their bounds, on the frames they are chosen on and on new ones."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.evaluation.calibration.by_size import seeds_by_size
from oodseg_ros.evaluation.calibration.evidence import fit_evidence
from oodseg_ros.evaluation.calibration.fit_objects import ObjectThresholds, fit_objects
from oodseg_ros.evaluation.calibration.object_target import ObjectTarget
from oodseg_ros.evaluation.score_store import ScoreStore
from oodseg_ros.model_card import Calibration
from oodseg_ros.pipeline.obstacles.objects import find_objects

ROAD, WALL = 3, 1
BEFORE = Calibration(threshold=9.0, table=[(0.0, 0.0), (1.0, 1.0)], source="crops")


def frames(count: int, seed: int):
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        # Texture on the wall is the stronger one.
        score = cv2.GaussianBlur(rng.normal(size=(60, 80)).astype(np.float32), (0, 0), 2) * 6
        score[:30] += 1
        labels = np.full(score.shape, WALL, np.uint8)
        labels[30:] = ROAD
        yield score, labels


def fit(given: Iterable[tuple[np.ndarray, np.ndarray]], *more: Any, **options: Any) -> ObjectThresholds:
    """`fit_objects` on frames of one view each."""
    return fit_objects(([frame] for frame in given), *more, **options)


def shares(calibration: Calibration, given: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Of frames with a false object free on the ground, among other things on it, and beside it."""
    rule = calibration.objects
    limits = [calibration.threshold, rule.among, rule.beside]
    return np.mean([seeds_by_size(*frame, rule, 20)[0] > limits for frame in given], axis=0).tolist()


def test_bounds_hold_on_new_frames() -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.05, seed=0.3, min_area=20)
    made = fit(frames(300, 0), target, [ROAD], BEFORE, "noise")
    fitted = made.calibration
    rule = fitted.objects
    assert rule.grow < fitted.threshold < rule.among < rule.beside
    assert (rule.ground, rule.seed, rule.coherence, fitted.table) == ([ROAD], 0.3, 0.7, BEFORE.table)
    other = fit(frames(300, 0), replace(target, coherence=0.2), [ROAD], BEFORE, "noise").calibration
    assert other.objects == rule.model_copy(update={"coherence": 0.2})
    assert "300 frames" in fitted.source
    assert "crops" in fitted.source
    own = shares(fitted, frames(300, 0))
    assert made.false == pytest.approx(own)
    # As few as asked for, and hardly fewer: a threshold that finds nothing would keep every bound.
    assert all(0.05 < share <= 0.1 for share in own)
    assert max(shares(fitted, frames(300, 1))) < 0.16
    fewer = fit(frames(300, 0), replace(target, false_elsewhere=0.02), [ROAD], BEFORE, "noise").calibration
    assert fewer.threshold == fitted.threshold
    assert fewer.objects.among > rule.among
    assert "among other things on it in 2.00%" in fewer.source


def test_the_frames_that_decide_are_named_strongest_first() -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.05, seed=0.3, min_area=20)
    given = list(frames(60, 0))
    given[17][0][40:50, 30:45] += 40
    made = fit(given, target, [ROAD], BEFORE, "noise")
    assert made.strongest[0] == (17, 0)
    assert 12 <= len(made.strongest) <= 12 + 3


def test_a_second_calibration_says_only_what_holds_now() -> None:
    flat = [(np.zeros((8, 8), np.float32), np.full((8, 8), ROAD, np.uint8))] * 60
    target = ObjectTarget(false_frames=0.1)
    once = fit(flat, target, [ROAD], BEFORE, "first").calibration
    twice = fit(flat, target, [ROAD], once, "second").calibration
    assert twice.source == once.source.replace("first", "second")
    assert twice.source.endswith("Table and histogram: crops")


def test_too_few_frames_for_the_bound_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs at least 99 frames"):
        fit(frames(50, 0), ObjectTarget(false_frames=0.01), [ROAD], BEFORE, "noise")
    with pytest.raises(ConfigError, match="no frame"):
        fit([], ObjectTarget(), [ROAD], BEFORE, "nothing")
    unjudged = [(np.full((8, 8), np.nan, np.float32), np.full((8, 8), ROAD, np.uint8))] * 60
    with pytest.raises(ConfigError, match="no frame"):
        fit(unjudged, ObjectTarget(false_frames=0.1), [ROAD], BEFORE, "nothing")


def test_the_frame_that_decides_on_cores_is_named() -> None:
    given = list(frames(60, 0))
    given[23][0][:] = 0
    given[23][0][32:58, 10:70] = 2
    given[23][0][40:46, 30:40] = 30
    target = ObjectTarget(false_frames=0.1, grow_rate=0.1, seed=0.3, min_area=20)
    made = fit(given, target, [ROAD], BEFORE, "noise")
    assert made.calibration.objects.core.free == pytest.approx(30.001)
    assert (23, 0) in made.strongest[12:]
    assert (23, 0) not in fit(given, replace(target, core_rate=0), [ROAD], BEFORE, "noise").strongest


def test_an_infinite_core_is_refused_in_words() -> None:
    given = list(frames(60, 0))
    given[5][0][:] = 0
    given[5][0][32:50, 20:60] = 2
    given[5][0][36:42, 30:36] = np.inf
    target = ObjectTarget(false_frames=0.1, grow_rate=0.3, core_rate=0.05, min_area=20)
    with pytest.raises(ConfigError, match="infinite score"):
        fit(given, target, [ROAD], BEFORE, "noise")


def test_frames_without_any_group_leave_the_lowest_threshold() -> None:
    flat = [(np.zeros((20, 30), np.float32), np.full((20, 30), ROAD, np.uint8))] * 20
    fitted = fit(flat, ObjectTarget(false_frames=0.1), [ROAD], BEFORE, "flat").calibration
    assert fitted.objects.grow == 0
    assert fitted.threshold == fitted.objects.beside == pytest.approx(1e-3)


def test_frames_kept_apart_are_measured_and_choose_nothing() -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.05, seed=0.3, min_area=20)
    alone = fit(list(frames(300, 0))[::2], target, [ROAD], BEFORE, "noise")
    apart = fit(frames(300, 0), target, [ROAD], BEFORE, "noise", every=2)
    assert apart.calibration.objects == alone.calibration.objects
    assert apart.calibration.threshold == alone.calibration.threshold
    assert (apart.frames, apart.held_out[0], alone.held_out[0]) == (150, 150, 0)
    assert apart.held_out[1:] == pytest.approx(shares(apart.calibration, list(frames(300, 0))[1::2]))


def test_second_views_choose_nothing_and_are_told() -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.05, core_rate=0.01, seed=0.3, min_area=20)
    given = [*frames(100, 0)]
    once = fit(given, target, [ROAD], BEFORE, "noise")
    # Every fourth frame has something strong that only its second view shows.
    views = [[frame] for frame in given]
    for index in range(0, 100, 4):
        score = given[index][0].copy()
        score[40:50, 30:45] += 40
        views[index].append((score, given[index][1]))
    twice = fit_objects(views, target, [ROAD], BEFORE, "noise")
    assert twice.calibration.objects == once.calibration.objects
    assert twice.calibration.threshold == once.calibration.threshold
    assert (twice.frames, twice.false, twice.strongest) == (once.frames, once.false, once.strongest)
    assert "enlarged" not in once.calibration.source
    assert "100.00% of 25 frames have a false object" in twice.calibration.source
    # As many as the frames themselves where both views are the same.
    same = fit_objects([[frame, frame] for frame in given], target, [ROAD], BEFORE, "noise").calibration
    found = [bool(find_objects(*frame, same.threshold, same.objects, 20, 99)[0]) for frame in given]
    assert 0 < np.mean(found) < 1
    assert f"{np.mean(found):.2%} of 100 frames have a false object" in same.source
    kept = fit_objects(views, target, [ROAD], BEFORE, "noise", every=2)
    assert (kept.frames, kept.held_out[0]) == (50, 50)


def test_evidence_is_of_the_first_view(tmp_path: Path) -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.05, seed=0.3, min_area=20)
    store = with_squares(tmp_path, np.linspace(2.5, 9.0, 60).tolist())
    once = fit(frames(60, 0), target, [ROAD], BEFORE, "noise", pasted=store).calibration
    more = ([frame, (frame[0] + 1, frame[1])] for frame in frames(60, 0))
    twice = fit_objects(more, target, [ROAD], BEFORE, "noise", pasted=store).calibration
    assert twice.evidence == once.evidence


def with_squares(folder: Path, strengths: Iterable[float], side: int = 12) -> ScoreStore:
    """Noise with one square on the road in each frame."""
    store = ScoreStore(folder)
    for (score, labels), strength, index in zip(frames(10_000, 5), strengths, range(10_000), strict=False):
        truth = np.zeros(score.shape, np.uint8)
        truth[36 : 36 + side, 30 : 30 + side] = 1
        score[truth == 1] = strength
        store.put(f"{index:04d}", score, truth, labels=labels)
    return store


def test_evidence_tells_what_a_candidate_is_worth(tmp_path: Path) -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.05, seed=0.3, min_area=20)
    # A third is too weak to be any candidate, the others are from there on up.
    store = with_squares(tmp_path, [-3.0] * 40 + np.linspace(2.5, 9.0, 80).tolist())
    made = fit(frames(120, 0), target, [ROAD], BEFORE, "noise", pasted=store).calibration
    evidence, rule = made.evidence, made.objects
    assert evidence.strengths[0] == rule.grow
    assert 0.5 < sum(evidence.unknown) < 0.75
    steps = [evidence.hit(value) for value in evidence.strengths]
    assert steps == sorted(steps)
    assert steps[0] < 0 < 1 < steps[-1]
    assert evidence.hit(rule.grow - 1) == steps[0]
    assert evidence.hit(99.0) == steps[-1]
    assert np.log(0.25) < evidence.miss() < np.log(0.5)
    open_rule = rule.model_copy(update={"among": None, "beside": 1e9})
    counts = [len(find_objects(*frame, rule.grow, open_rule, 20, 99)[0]) for frame in frames(120, 0)]
    assert evidence.candidates == pytest.approx(np.mean(counts), abs=1e-3)
    assert "of 120 pasted objects" in evidence.source
    # Of an older rule nothing stays.
    assert fit(frames(120, 0), target, [ROAD], made, "noise").calibration.evidence is None


def test_evidence_needs_objects_that_could_be_found(tmp_path: Path) -> None:
    rule = fit(frames(60, 0), ObjectTarget(false_frames=0.1, min_area=20), [ROAD], BEFORE, "n").calibration.objects
    with pytest.raises(ConfigError, match="no pasted object has 20 pixels"):
        fit_evidence(frames(5, 0), with_squares(tmp_path, [9.0] * 5, side=3), rule, 20)
    # None is found, or there is no candidate at all: a table that hardly says anything, not a division by zero.
    none = fit_evidence(frames(5, 0), with_squares(tmp_path / "weak", [-9.0] * 5), rule, 20)
    assert none.hit(9.0) < 0.5
    flat = [(np.zeros((60, 80), np.float32), np.full((60, 80), ROAD, np.uint8))] * 5
    assert fit_evidence(flat, with_squares(tmp_path / "strong", [9.0] * 5), rule, 20).candidates == 0


def painted(count: int, pasted: bool = False):
    """A road with something large and flat that is strong, and something small that is weak: both are known.

    With `pasted`, score, labels and truth: instead of them unknowns of both sizes of the same strength.
    """
    for index in range(count):
        rng = np.random.default_rng([1, index])
        score, labels = np.zeros((60, 80), np.float32), np.full((60, 80), ROAD, np.uint8)
        truth = np.zeros(score.shape, np.uint8)
        for x, side, low in ((5, 24, 3.0), (50, 7, 1.5)):
            value = 4.2 if pasted else low + rng.random()
            score[20 : 20 + side, x : x + side], truth[20 : 20 + side, x : x + side] = value, 1
        yield (score, labels, truth) if pasted else (score, labels)


def test_pasted_unknowns_choose_limits_by_size_within_the_same_bounds(tmp_path: Path) -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.2, core_rate=0, sizes=(0.02,), min_area=20)
    store = ScoreStore(tmp_path)
    for index, (score, labels, truth) in enumerate(painted(100, pasted=True)):
        store.put(f"{index:06d}", score - np.float32(0.002 * index), truth, labels=labels)
    one = fit(painted(100), replace(target, sizes=()), [ROAD], BEFORE, "paint", pasted=store)
    several = fit(painted(100), target, [ROAD], BEFORE, "paint", pasted=store)
    rule, threshold = several.calibration.objects, several.calibration.threshold
    (smaller,) = rule.smaller
    assert smaller.share == 0.02
    assert threshold - smaller.free == pytest.approx(2.5, abs=0.1)
    assert one.calibration.objects.smaller == []
    assert several.false[0] <= 0.1
    found = [bool(find_objects(*frame, threshold, rule, 20, 9)[0]) for frame in painted(100)]
    assert np.mean(found) == pytest.approx(several.false[0])
    score, labels = np.zeros((60, 80), np.float32), np.full((60, 80), ROAD, np.uint8)
    score[20:27, 50:57] = 3.0
    assert len(find_objects(score, labels, threshold, rule, 20, 9)[0]) == 1
    assert find_objects(score, labels, one.calibration.threshold, one.calibration.objects, 20, 9)[0] == ()
    # Without pasted unknowns nothing could choose: one limit for all sizes.
    assert fit(painted(100), target, [ROAD], BEFORE, "paint").calibration.objects.smaller == []


def test_a_false_object_elsewhere_excuses_no_core() -> None:
    given = list(frames(60, 0))
    score = given[23][0]
    score[:] = 0
    score[32:58, 10:70], score[40:46, 30:40] = 2, 30
    score[4:14, 10:30] = 50  # beside the ground, stronger than all others there
    target = ObjectTarget(false_frames=0.1, grow_rate=0.1, seed=0.3, min_area=20)
    made = fit(given, target, [ROAD], BEFORE, "noise")
    assert made.calibration.objects.beside < 50
    assert made.calibration.objects.core.free == pytest.approx(30.001)
    allowed = fit(given, replace(target, core_rate=0), [ROAD], BEFORE, "noise").false
    assert made.false == allowed


def test_no_frame_that_chooses_has_a_false_object_by_a_core_alone() -> None:
    target = ObjectTarget(false_frames=0.1, grow_rate=0.2, core_rate=0.02, seed=0.5, min_area=10)
    made = fit(frames(200, 0), target, [ROAD], BEFORE, "noise")
    rule, threshold = made.calibration.objects, made.calibration.threshold
    assert rule.core is not None
    assert rule.grow < rule.core.grow < rule.core.free
    whole = rule.model_copy(update={"core": None})
    given = list(frames(200, 0))
    assert [len(find_objects(*frame, threshold, rule, 10, 99)[0]) for frame in given] != []
    clear = [frame for frame in given if not find_objects(*frame, threshold, whole, 10, 99)[0]]
    assert len(clear) > 100
    assert not any(find_objects(*frame, threshold, rule, 10, 99)[0] for frame in clear)
    assert "in none by a core alone" in made.calibration.source
    # A frame with a core of an unknown inside of something weak.
    score, labels = clear[0][0].copy(), clear[0][1]
    score[32:58, 10:70], score[38:48, 30:50] = rule.grow + 0.05, rule.core.among + 0.5
    assert find_objects(score, labels, threshold, whole, 10, 99)[0] == ()
    assert len(find_objects(score, labels, threshold, rule, 10, 99)[0]) == 1
    without = fit(frames(200, 0), replace(target, core_rate=0), [ROAD], BEFORE, "noise").calibration
    assert without.objects.core is None
    assert "by a core" not in without.source
