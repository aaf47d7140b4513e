"""Groups of pixels become objects by a bundle's rule: share, place, size and core."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.object_rule import Core, Objects, Smaller
from oodseg_ros.pipeline.obstacles.groups import find_groups, last_threshold
from oodseg_ros.pipeline.obstacles.objects import find_objects
from oodseg_ros.pipeline.obstacles.release import release_rule

ROAD, WALL = 3, 1
RULE = Objects(grow=1.0, seed=0.1, beside=5.0, ground=[ROAD])


def street(*boxes: tuple[int, int, int, int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Score with a value per box, and labels: a wall above row 30, road below."""
    score = np.zeros((60, 100), np.float32)
    for x0, y0, x1, y1, value in boxes:
        score[y0:y1, x0:x1] = np.maximum(score[y0:y1, x0:x1], value)
    labels = np.full(score.shape, WALL, np.uint8)
    labels[30:] = ROAD
    return score, labels


def places(score: np.ndarray, labels: np.ndarray, rule: Objects) -> set[tuple[int, float]]:
    return {(group.place, group.strength) for group in find_groups(score, labels, rule, 10)}


def test_a_seed_grows_to_all_that_hangs_together_with_it_and_pieces_become_one():
    # Two strong pieces that a weak part joins, and a weak group of its own.
    score, labels = street((10, 20, 40, 50, 2.0), (12, 22, 18, 30, 4.0), (30, 40, 38, 48, 4.0), (60, 40, 80, 50, 2.0))
    plain, _, mask = find_objects(score, labels, 3.0, None, 10, 10)
    assert [one.area for one in plain] == [64, 48]
    assert np.count_nonzero(mask) == 112
    (grown,), left, mask = find_objects(score, labels, 3.0, RULE, 10, 10)
    assert (grown.box, grown.area, left) == ((10, 20, 40, 50), 900, 0)
    np.testing.assert_array_equal(mask[20:50, 10:40], 255)
    assert np.count_nonzero(mask) == 900


def test_a_share_of_the_object_must_be_above_the_threshold():
    score, labels = street((10, 40, 30, 50, 2.0), (12, 45, 19, 47, 4.0))
    assert np.count_nonzero(score == 4) == 14  # of 200
    assert find_objects(score, labels, 3.0, RULE, 10, 10)[0] == ()
    score[47, 12:18] = 4.0
    assert len(find_objects(score, labels, 3.0, RULE, 10, 10)[0]) == 1


def test_what_does_not_stand_on_the_ground_needs_more():
    on_wall, on_road, to_the_edge = (5, 5, 25, 15, 4.0), (40, 20, 60, 45, 4.0), (70, 50, 90, 60, 4.0)
    score, labels = street(on_wall, on_road, to_the_edge)
    found, _, mask = find_objects(score, labels, 3.0, RULE, 10, 10)
    assert [one.box for one in found] == [on_road[:4], to_the_edge[:4]]
    assert not mask[:16, :26].any()
    assert len(find_objects(np.where(score > 3, 6, score).astype(np.float32), labels, 3.0, RULE, 10, 10)[0]) == 3
    anywhere = RULE.model_copy(update={"ground": []})
    assert len(find_objects(score, labels, 3.0, anywhere, 10, 10)[0]) == 3


def test_what_is_not_free_on_the_ground_needs_what_was_found_for_it():
    free, half_before_the_wall = (40, 45, 50, 55, 4.0), (10, 24, 30, 36, 4.0)
    score, labels = street(free, half_before_the_wall)
    rule = RULE.model_copy(update={"among": 4.5})
    assert [one.box for one in find_objects(score, labels, 3.0, rule, 10, 10)[0]] == [free[:4]]
    assert len(find_objects(score, labels, 3.0, RULE, 10, 10)[0]) == 2
    labels[42:58, 37:53] = WALL  # a crowd around it; the ground begins below its foot
    labels[55:] = ROAD
    assert find_objects(score, labels, 3.0, rule, 10, 10)[0] == ()
    assert places(score, labels, rule) == {(1, 4.0)}
    everything = np.full((20, 20), 4.0, np.float32)
    assert len(find_objects(everything, np.full((20, 20), ROAD, np.uint8), 3.0, rule, 10, 10)[0]) == 1


def test_the_class_of_the_own_vehicle_does_not_say_where_an_object_stands():
    # Its foot is hidden by the bonnet, of which the network makes some class; the score there is NaN.
    score, labels = street((40, 35, 60, 50, 4.0))
    labels[50:] = WALL
    rule = RULE.model_copy(update={"among": 5.0})
    assert find_objects(score, labels, 3.0, rule, 10, 10)[0] == ()
    assert places(score, labels, rule) == {(2, 4.0)}
    score[50:] = np.nan
    assert len(find_objects(score, labels, 3.0, rule, 10, 10)[0]) == 1
    assert places(score, labels, rule) == {(0, 4.0)}
    labels[30:50, 30:70] = WALL  # what is judged around it still counts
    assert find_objects(score, labels, 3.0, rule, 10, 10)[0] == ()


def test_a_threshold_of_the_users_own_moves_the_rule_along():
    score, labels = street((5, 5, 25, 15, 6.0), (40, 40, 60, 50, 0.8))
    assert [one.area for one in find_objects(score, labels, 0.5, RULE, 10, 10)[0]] == [200, 200]
    assert find_objects(score, labels, 7.0, RULE, 10, 10)[0] == ()


@pytest.mark.parametrize("objects", [None, Objects(grow=2.0, seed=0.02, beside=9.0, ground=[])])
def test_the_margin_is_by_how_much_the_threshold_could_rise(objects: Objects | None) -> None:
    rng = np.random.default_rng(3)
    score = np.zeros((60, 80), np.float32)
    score[10:30, 20:50] = rng.uniform(3.0, 12.0, (20, 30))
    labels, threshold, least = np.zeros(score.shape, np.uint8), 5.0 if objects else 2.5, 50
    (found,), _, _ = find_objects(score, labels, threshold, objects, least, 10)
    assert found.margin > 0
    for shift, count in ((-1e-3, 1), (1e-3, 0)):
        raised = threshold + found.margin + shift
        mask_area = find_objects(score, labels, raised, objects, least, 10)[0]
        assert len(mask_area) == count or objects is None
        if objects is None:
            assert (np.count_nonzero(score > raised) >= least) == bool(count)


CORED = RULE.model_copy(update={"core": Core(grow=2.5, free=4.0, among=5.0, beside=6.0)})


def test_a_strong_core_of_something_weak_is_an_object_by_itself() -> None:
    halo, core = (20, 35, 80, 58, 1.5), (40, 40, 60, 50, 4.5)
    score, labels = street(halo, core)
    assert find_objects(score, labels, 3.0, RULE.model_copy(update={"seed": 0.5}), 10, 10)[0] == ()
    rule = CORED.model_copy(update={"seed": 0.5})
    (found,), unlisted, mask = find_objects(score, labels, 3.0, rule, 10, 10)
    assert (found.box, found.area, unlisted) == (core[:4], 200, 0)
    assert found.margin == pytest.approx(0.5)
    assert np.array_equal(mask > 0, score > 2.5)
    assert find_objects(score, labels, 4.6, rule, 10, 10)[0] == ()  # it never needs less than the threshold in force
    score[score == 4.5] = 3.9
    assert find_objects(score, labels, 3.0, rule, 10, 10)[0] == ()


def test_a_core_inside_of_an_object_is_no_second_one() -> None:
    score, labels = street((38, 38, 62, 52, 3.5), (40, 40, 60, 50, 4.5))
    for rule in (RULE, CORED):
        found, _, mask = find_objects(score, labels, 3.0, rule.model_copy(update={"seed": 0.5}), 10, 10)
        assert [one.box for one in found] == [(38, 38, 62, 52)]
        assert np.count_nonzero(mask) == 24 * 14


def test_a_core_beside_the_ground_needs_what_was_found_for_it() -> None:
    score, labels = street((0, 0, 60, 20, 1.5), (5, 5, 25, 15, 5.5))
    rule = CORED.model_copy(update={"seed": 0.5})
    assert find_objects(score, labels, 3.0, rule, 10, 10)[0] == ()
    score[score == 5.5] = 6.5
    assert [one.box for one in find_objects(score, labels, 3.0, rule, 10, 10)[0]] == [(5, 5, 25, 15)]


def test_smaller_objects_need_less() -> None:
    large, small = (10, 40, 40, 55, 2.6), (60, 42, 68, 50, 2.6)
    score, labels = street(large, small)
    assert find_objects(score, labels, 3.0, RULE, 10, 10)[0] == ()
    rule = RULE.model_copy(update={"smaller": [Smaller(share=0.02, free=0.5, among=0.5, beside=0.5)]})
    (found,), _, mask = find_objects(score, labels, 3.0, rule, 10, 10)
    assert found.box == small[:4]
    assert found.margin == pytest.approx(0.1)
    assert np.count_nonzero(mask) == found.area
    # A threshold of the user's own moves what smaller ones need along.
    assert find_objects(score, labels, 3.2, rule, 10, 10)[0] == ()
    assert len(find_objects(score, labels, 2.5, rule, 10, 10)[0]) == 2
    # Never less than what hangs together needs anyway.
    rule = RULE.model_copy(update={"smaller": [Smaller(share=0.02, free=9.0, among=9.0, beside=9.0)]})
    score[score == np.float32(2.6)] = 1.2
    (found,) = find_objects(score, labels, 3.0, rule, 10, 10)[0]
    assert found.box == small[:4]
    # It needs `grow`, whatever the threshold is: by more than the margin this could rise.
    assert found.margin == pytest.approx(0.2)
    assert len(find_objects(score, labels, 10.0, rule, 10, 10)[0]) == 1
    assert find_objects(score, labels, 10.3, rule, 10, 10)[0] == ()


LESS = st.floats(0.0, 1.5)


@given(st.integers(0, 10**6), st.floats(1.0, 6.0), st.tuples(LESS, LESS, LESS), st.floats(0.001, 0.2), st.booleans())
def test_the_last_threshold_is_where_the_last_object_vanishes_by_the_whole_rule(seed, threshold, less, share, cores):
    rng = np.random.default_rng(seed)
    score = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 2) * 12).astype(np.float32)
    labels = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 4) > 0).astype(np.uint8) * ROAD
    smaller = [Smaller(share=share, **dict(zip(("free", "among", "beside"), less, strict=True)))]
    more = {"smaller": smaller, "seed": 0.3, "among": 2.5, "beside": 3.5, "core": CORED.core if cores else None}
    rule = RULE.model_copy(update=more)
    last = last_threshold(score, labels, rule, 15)
    if abs(last - threshold) > 1e-4:
        assert bool(find_objects(score, labels, threshold, rule, 15, 10)[0]) == (last > threshold)


@given(st.integers(0, 10**6), st.floats(1.0, 4.0), st.tuples(LESS, LESS, LESS), st.floats(0.001, 0.2))
def test_the_threshold_could_rise_by_the_margin_and_by_no_more_for_what_is_free(seed, threshold, less, share):
    rng = np.random.default_rng(seed)
    score = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 2) * 12).astype(np.float32)
    labels = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 4) > 0).astype(np.uint8) * ROAD
    smaller = [Smaller(share=share, **dict(zip(("free", "among", "beside"), less, strict=True)))]
    rule = CORED.model_copy(update={"smaller": smaller, "seed": 0.3, "among": 2.5, "beside": 3.5})
    free = {group.box for group in find_groups(score, labels, rule, 15) if group.place == 0}
    for one in find_objects(score, labels, threshold, rule, 15, 99)[0]:
        if one.margin > 2e-3:
            below = find_objects(score, labels, threshold + one.margin - 1e-3, rule, 15, 99)[0]
            assert one.box in [other.box for other in below]
        above = threshold + one.margin + 1e-3
        if one.box in free and not one.core and threshold - less[0] >= rule.grow:
            assert one.box not in [other.box for other in find_objects(score, labels, above, rule, 15, 99)[0]]


def test_a_smaller_object_never_needs_less_beside_the_ground_than_free_on_it() -> None:
    score, labels = street((5, 5, 15, 15, 5.2), (60, 40, 70, 50, 5.2))
    rule = RULE.model_copy(update={"smaller": [Smaller(share=0.1, free=0.5, among=0.5, beside=2.0)]})
    assert len(find_objects(score, labels, 5.0, rule, 10, 10)[0]) == 2
    assert find_objects(score, labels, 6.0, rule, 10, 10)[0] == ()
    assert last_threshold(score, labels, rule, 10) == pytest.approx(5.7)


def test_what_holds_an_alert_is_weaker_for_cores_and_smaller_ones_too() -> None:
    score, labels = street((20, 35, 80, 58, 1.5), (40, 40, 60, 50, 3.6))
    held = release_rule(CORED.model_copy(update={"seed": 0.5}), 3.0, 2.5)
    assert [one.box for one in find_objects(score, labels, 2.5, held, 10, 10)[0]] == [(40, 40, 60, 50)]
    assert find_objects(score, labels, 3.0, CORED.model_copy(update={"seed": 0.5}), 10, 10)[0] == ()
    score, labels = street((60, 42, 68, 50, 2.2))
    smaller = RULE.model_copy(update={"smaller": [Smaller(share=0.02, free=0.5, among=0.5, beside=0.5)]})
    assert find_objects(score, labels, 3.0, smaller, 10, 10)[0] == ()
    assert len(find_objects(score, labels, 2.5, release_rule(smaller, 3.0, 2.5), 10, 10)[0]) == 1


def test_a_core_is_held_below_the_score_that_it_grew_to() -> None:
    score, labels = street((20, 35, 80, 58, 1.1), (40, 40, 60, 50, 2.4))
    held = release_rule(CORED.model_copy(update={"seed": 0.5}), 3.0, 1.2)
    assert held is not None
    assert held.core is not None
    assert held.core.grow == held.core.free == pytest.approx(2.2)
    assert [one.box for one in find_objects(score, labels, 1.2, held, 10, 10)[0]] == [(40, 40, 60, 50)]


@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.tuples(LESS, LESS, LESS), st.floats(0.001, 0.2))
def test_what_raises_an_alert_holds_it_where_all_grow_as_before(seed, weaker, less, share):
    rng = np.random.default_rng(seed)
    score = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 2) * 12).astype(np.float32)
    labels = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 4) > 0).astype(np.uint8) * ROAD
    smaller = [Smaller(share=share, **dict(zip(("free", "among", "beside"), less, strict=True)))]
    rule = CORED.model_copy(update={"smaller": smaller, "seed": 0.5, "among": 3.5})
    mask = find_objects(score, labels, 3.0, rule, 15, 99)[2]
    held = find_objects(score, labels, 3.0 - weaker, release_rule(rule, 3.0, 3.0 - weaker), 15, 99)[2]
    assert not (mask & ~held).any()
