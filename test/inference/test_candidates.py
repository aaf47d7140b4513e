"""What could be an object, in cells of the first look."""

from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.inference.candidates import LEAST, MOST, candidates, split

ROAD, WALL = 3, 1
GROUND = np.zeros(256, bool)
GROUND[ROAD] = True


def test_what_hangs_together_in_clutter_is_bounded() -> None:
    score = np.zeros((128, 256), np.float32)
    score[::2, ::2] = score[::2, 1::4] = 5.0
    assert len(candidates(score, np.full(score.shape, ROAD, np.uint8), 1.0, 0.5, np.ones(256, bool))) <= MOST


@pytest.mark.parametrize(("below", "found"), [(ROAD, True), (WALL, False)])
def test_only_what_stands_on_the_ground_is_one(below: int, found: bool) -> None:
    score, labels = np.zeros((64, 128), np.float32), np.full((64, 128), WALL, np.uint8)
    score[20:30, 40:60] = np.repeat(np.arange(2, 12, dtype=np.float32), 20).reshape(10, 20)
    score[50, 100 : 100 + LEAST - 1] = 9  # too small
    labels[30:] = below
    assert candidates(score, labels, 1.0, 0.5, GROUND) == ([(7.0, (40, 20, 60, 30))] if found else [])
    # Without classes of the ground, everything stands.
    assert candidates(score, labels, 1.0, 0.5, np.zeros(256, bool)) == [(7.0, (40, 20, 60, 30))]


def test_small_ones_are_at_most_so_high_and_twice_as_wide() -> None:
    found = [(3.0, (0, 0, 8, 4)), (2.0, (0, 0, 9, 4)), (1.0, (0, 0, 2, 5))]
    assert split(found, 4) == (found[1:], found[:1])
    assert split(found, 0) == (found, [])
