"""Components against scipy.ndimage as an independent reference, on both ways through the code."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from oodseg_ros.pipeline.obstacles import components
from oodseg_ros.pipeline.obstacles.components import STRENGTH_QUANTILE, anomaly_mask, find_components


def reference(score: np.ndarray, mask: np.ndarray, min_area: int) -> list[tuple]:
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    found = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        members = labels == index
        if members.sum() >= min_area:
            box = (columns.start, rows.start, columns.stop, rows.stop)
            foot = (float(np.flatnonzero(members[rows.stop - 1]).mean()), rows.stop - 1.0)
            values = np.sort(score[members])
            strength = values[min(len(values) - 1, int(len(values) * STRENGTH_QUANTILE))]
            found.append((box, int(members.sum()), foot, float(strength)))
    return found


def as_tuples(found) -> list[tuple]:
    return [(c.box, c.area, c.foot, c.strength) for c in found]


masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@given(masks, st.integers(1, 12), st.booleans(), st.integers(0, 99))
def test_same_components_as_scipy(bits, min_area, busy, seed):
    score = np.random.default_rng(seed).normal(size=bits.shape).astype(np.float32)
    mask = bits.astype(np.uint8) * 255
    limit, components._BUSY = components._BUSY, -1 if busy else 10**9
    try:
        found, rest = find_components(score, mask, min_area, 1000)
    finally:
        components._BUSY = limit
    assert rest == 0
    expected = sorted(reference(score, mask, min_area))
    for (box, area, foot, strength), (*exact, wanted_foot, wanted_strength) in zip(
        sorted(as_tuples(found)), expected, strict=True
    ):
        assert [box, area] == exact
        assert foot == pytest.approx(wanted_foot)
        assert strength == wanted_strength
    assert [c.area for c in found] == sorted((c.area for c in found), reverse=True)


def test_both_ways_agree_on_a_large_mask(monkeypatch):
    rng = np.random.default_rng(4)
    score = cv2.GaussianBlur(rng.normal(size=(270, 480)).astype(np.float32), (0, 0), 2)
    mask = anomaly_mask(score, 0.02)
    ways = []
    for limit in (-1, 10**9):
        monkeypatch.setattr(components, "_BUSY", limit)
        ways.append(find_components(score, mask, 20, 30))
    assert ways[0] == ways[1]
    assert len(ways[0][0]) == 30
    assert ways[0][1] == len(reference(score, mask, 20)) - 30


def test_component_in_the_hole_of_another_is_its_own():
    mask = np.zeros((40, 40), np.uint8)
    mask[2:38, 2:38] = 255
    mask[8:32, 8:32] = 0
    mask[15:20, 15:22] = 255
    found, _ = find_components(mask.astype(np.float32), mask, 10, 10)
    assert [(c.box, c.area) for c in found] == [((2, 2, 38, 38), 36 * 36 - 24 * 24), ((15, 15, 22, 20), 35)]


def test_diagonal_neighbors_belong_together():
    mask = np.eye(12, dtype=np.uint8) * 255
    found, _ = find_components(mask.astype(np.float32), mask, 12, 10)
    assert [(c.box, c.area, c.foot) for c in found] == [((0, 0, 12, 12), 12, (11.0, 11.0))]


def test_largest_are_listed_and_the_rest_counted():
    mask = np.zeros((20, 100), np.uint8)
    for index in range(10):
        mask[0 : index + 3, index * 10 : index * 10 + 5] = 255
    found, rest = find_components(mask.astype(np.float32), mask, 20, 3)
    assert [c.area for c in found] == [60, 55, 50]
    assert rest == 6  # of the other seven one has only 15 pixels


def test_mask_is_strict_and_never_true_for_nan():
    score = np.array([[0.5, np.nextafter(np.float32(0.5), np.float32(1)), np.nan, np.inf, -np.inf]], np.float32)
    assert anomaly_mask(score, 0.5).tolist() == [[0, 255, 0, 255, 0]]


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 70)), elements=st.floats(width=32)),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
def test_mask_equals_numpy_for_any_float(score, threshold):
    with np.errstate(invalid="ignore"):
        expected = score > np.float32(threshold)
    np.testing.assert_array_equal(anomaly_mask(score, threshold) == 255, expected)


def test_one_hot_pixel_does_not_decide_the_strength():
    score = np.full((20, 20), 1.0, np.float32)
    score[3, 3] = 1000.0
    found, _ = find_components(score, anomaly_mask(score, 0.0), 1, 1)
    assert found[0].strength == 1.0


def test_empty_mask_has_no_components():
    assert find_components(np.zeros((8, 8), np.float32), np.zeros((8, 8), np.uint8), 1, 10) == ((), 0)
