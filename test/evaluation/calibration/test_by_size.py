"""Limits by size find more of what is pasted than one limit, and leave no more frames with a false object."""

from pathlib import Path

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.evaluation.calibration.by_size import FEW, limits_by_size, pasted_by_size, seeds_by_size
from oodseg_ros.evaluation.score_store import ScoreStore
from oodseg_ros.object_rule import Objects
from oodseg_ros.pipeline.obstacles.objects import find_objects

ROAD = 3
RULE = Objects(grow=1.0, seed=0.5, beside=9.0, ground=[ROAD])


def street(*things: tuple[int, int, int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Squares (x, y, side, score) on a road of 100x100 pixels."""
    score = np.zeros((100, 100), np.float32)
    for x, y, side, value in things:
        score[y : y + side, x : x + side] = value
    return score, np.full(score.shape, ROAD, np.uint8)


def test_the_strongest_of_each_size() -> None:
    score, labels = street((5, 5, 30, 3.0), (60, 5, 8, 2.0), (60, 40, 8, 1.5), (5, 60, 4, 5.0))
    seeds = seeds_by_size(score, labels, RULE, 10, (0.05, 0.002))
    assert seeds[:, 0].tolist() == [3.0, 2.0, 5.0]
    assert np.isneginf(seeds[:, 1:]).all()


@given(st.integers(0, 10**6), st.floats(1.0, 3.0), st.floats(0.01, 1.0))
def test_seeds_are_where_the_last_objects_vanish(seed: int, threshold: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    score = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 2) * 12).astype(np.float32)
    labels = (cv2.GaussianBlur(rng.normal(size=(40, 60)), (0, 0), 4) > 0).astype(np.uint8) * ROAD
    never = {"seed": share, "among": 1e30, "beside": 1e30}
    seeds = seeds_by_size(score, labels, RULE.model_copy(update=never), 15)[0]
    for more, standing in (({}, seeds[:1]), ({"among": threshold}, seeds[:2]), ({"beside": threshold}, seeds[::2])):
        rule = RULE.model_copy(update=never | more)
        found = find_objects(score, labels, threshold, rule, 15, 10)[0]
        assert bool(found) == (max(standing) > np.float32(threshold))


def test_pasted_unknowns_by_size_and_place(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path)
    score, labels = street((5, 5, 30, 3.0), (60, 5, 8, 2.0))
    truth = np.zeros(score.shape, np.uint8)
    truth[5:35, 5:35] = 1  # found
    truth[80:95, 80:95] = 1  # not seen at all
    truth[5:9, 60:63] = 1  # less than a quarter of what is seen there
    store.put("one", score, truth, labels=labels)
    found = pasted_by_size(store, RULE, 10, (0.05,))
    assert [[values.tolist() for values in row] for row in found] == [[[3.0], [], []], [[], [], []]]


def test_small_ones_need_less_where_false_ones_are_large() -> None:
    rng = np.random.default_rng(0)
    seeds = np.stack([rng.normal(5, 1, 200), rng.normal(2, 0.5, 200)], axis=1)
    pasted = [rng.normal(6, 1, 100), rng.normal(4, 1, 100)]
    limits = limits_by_size(seeds, pasted, 2, 0.0)
    one = np.sort(seeds.max(axis=1))[::-1][2]
    assert (seeds > limits).any(axis=1).sum() <= 2
    assert limits[1] < one - 2
    assert sum((values > limit).sum() for values, limit in zip(pasted, limits, strict=True)) > sum(
        (values > one).sum() for values in pasted
    )
    assert (seeds > limits_by_size(seeds, pasted, 0, 0.0)).sum() == 0


def test_a_size_that_was_hardly_seen_needs_what_the_next_larger_one_needs() -> None:
    seeds = np.full((200, 2), -np.inf)
    seeds[:, 0] = np.linspace(1, 5, 200)
    seeds[: FEW - 1, 1] = 0.5
    pasted = [np.full(10, 9.0), np.full(10, 0.7)]
    assert limits_by_size(seeds, pasted, 0, 0.0).tolist() == [5.0, 5.0]
    seeds[:FEW, 1] = 0.5
    assert limits_by_size(seeds, pasted, 0, 0.0).tolist() == [5.0, 0.5]


def test_false_objects_stronger_than_all_that_was_pasted_do_not_end_the_search() -> None:
    seeds = np.linspace(1, 3, 200)[:, None].repeat(2, axis=1)
    seeds[:5, 0] = seeds[:5, 1] = [20, 19, 18, 17, 16]
    assert limits_by_size(seeds, [np.linspace(4, 6, 50), np.zeros(0)], 5, 0.0).tolist() == [3.0, 3.0]


def test_the_bound_holds_where_a_size_that_was_hardly_seen_is_the_strongest() -> None:
    seeds = np.full((200, 2), -np.inf)
    seeds[:, 0] = np.linspace(1, 5, 200)
    seeds[: FEW - 1, 1] = 9.0
    assert limits_by_size(seeds, [np.full(10, 7.0), np.full(10, 7.0)], 0, 0.0).tolist() == [9.0, 9.0]


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(0, 8), st.floats(0.1, 0.95))
def test_bounds_and_order_hold_for_anything(seed: int, sizes: int, allowed: int, without: float) -> None:
    rng = np.random.default_rng(seed)
    seeds = rng.normal(size=(60, sizes)).round(int(rng.integers(0, 4)))
    seeds[rng.random(seeds.shape) < without] = -np.inf
    pasted = [rng.normal(size=int(rng.integers(0, 20))) for _ in range(sizes)]
    limits = limits_by_size(seeds, pasted, allowed, -1.0)
    assert (np.diff(limits) <= 0).all()
    assert limits.min() >= -1.0
    assert (seeds > limits).any(axis=1).sum() <= allowed
    one = max(-1.0, np.sort(seeds.max(axis=1))[::-1][allowed])
    if (np.isfinite(seeds).sum(axis=0) >= FEW).all():
        found = sum((values > limit).sum() for values, limit in zip(pasted, limits, strict=True))
        assert found >= sum((values > one).sum() for values in pasted)


def test_without_anything_there_is_only_the_least(tmp_path: Path) -> None:
    nothing = np.full((30, 2), -np.inf)
    assert limits_by_size(nothing, [np.zeros(0)] * 2, 3, 1.5).tolist() == [1.5, 1.5]
    found = pasted_by_size(ScoreStore(tmp_path), RULE, 10, (0.1,))
    assert [[values.size for values in row] for row in found] == [[0, 0, 0]] * 2
