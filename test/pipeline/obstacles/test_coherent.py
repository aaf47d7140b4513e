"""The coherent score against scipy.ndimage's groups, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from oodseg_ros.object_rule import Objects
from oodseg_ros.pipeline.obstacles import components
from oodseg_ros.pipeline.obstacles.coherent import coherent_score
from oodseg_ros.pipeline.obstacles.components import strong_rank

GROW = 0.5
shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
few = st.sampled_from([-1.0, 0.0, 0.5, 0.6, 1.0, 3.0, 1e30, np.inf, -np.inf, np.nan])
scores = hnp.arrays(np.float32, shapes, elements=st.floats(-10, 10, width=32) | few)
shares = st.floats(0.01, 0.99)


def rule(coherence: float, grow: float = GROW) -> Objects:
    return Objects(grow=grow, seed=0.5, beside=9.0, coherence=coherence)


def groups(score: np.ndarray, min_area: int) -> list[np.ndarray]:
    """Members of each large group, bool `[H, W]`."""
    ids, count = ndimage.label(score > np.float32(GROW), np.ones((3, 3)))
    found = [ids == index for index in range(1, count + 1)]
    return [members for members in found if members.sum() >= min_area]


@given(scores, shares, st.integers(1, 9), st.booleans())
def test_weak_pixels_of_a_group_come_nearer_to_its_strength_and_all_else_stays(
    score: np.ndarray, share: float, min_area: int, busy: bool
) -> None:
    before, limit = score.copy(), components._BUSY
    components._BUSY = -1 if busy else 10**9
    try:
        found = coherent_score(score, rule(share), min_area)
    finally:
        components._BUSY = limit
    np.testing.assert_array_equal(score, before)
    assert found.dtype == np.float32
    outside = np.ones(score.shape, bool)
    for members in groups(score, min_area):
        outside &= ~members
        own, made = score[members], found[members]
        rank = strong_rank(own.size)
        strength = np.sort(own)[rank]
        assert np.sort(made)[rank] == strength
        assert not np.isnan(made).any()
        assert (made >= own).all()
        ordered = made[np.argsort(own, kind="stable")]
        assert (ordered[1:] >= ordered[:-1]).all()
        assert (made[own >= strength] == own[own >= strength]).all()
        if np.isfinite(strength):
            weak = np.minimum(own.astype(np.float64), strength)
            wanted = weak + share * (weak - GROW) * (strength - weak) / (float(strength) - GROW)
            np.testing.assert_allclose(made, np.maximum(own, wanted), rtol=1e-5, atol=1e-6)
    assert found[outside].tobytes() == score[outside].tobytes()
    np.testing.assert_array_equal(found > np.float32(GROW), score > np.float32(GROW))


@given(scores)
def test_without_a_rule_a_share_or_a_group_it_is_the_score_itself(score: np.ndarray) -> None:
    assert coherent_score(score, None, 1) is score
    assert coherent_score(score, rule(0.0), 1) is score
    assert coherent_score(score, rule(0.5, grow=2e30), score.size + 1) is score


def test_small_groups_stay_and_the_strength_is_that_of_all_pixels_of_large_ones() -> None:
    score = np.zeros((200, 300), np.float32)
    score[10:15, 10:15] = 1.0
    score[10, 10] = 3.0
    # More pixels than an obstacle's strength is sampled from.
    score[20:190, 20:280] = np.random.default_rng(0).uniform(1, 2, (170, 260))
    found = coherent_score(score, rule(0.5), 26)
    np.testing.assert_array_equal(found[:20], score[:20])
    own = np.sort(score[20:190, 20:280].ravel())
    strength = own[int(0.9 * own.size)]
    assert found.min() == 0
    weakest = own[0] + 0.5 * (own[0] - GROW) / (strength - GROW) * (strength - own[0])
    assert found[20:190, 20:280].min() == pytest.approx(weakest)
