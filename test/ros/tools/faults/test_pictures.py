from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.ros.tools.faults.pictures import PICTURES, SIZES

SIZE = SIZES["front"]


@pytest.mark.parametrize("kind", PICTURES)
def test_every_picture_is_one_and_only_a_frozen_one_repeats(kind: str) -> None:
    first, second = (PICTURES[kind](index, SIZE) for index in (1, 2))
    assert first.dtype == np.uint8
    assert first.ndim == 3
    if kind == "changing":
        assert first.shape != second.shape
    else:
        assert np.array_equal(first, second) == (kind == "frozen")
    np.testing.assert_array_equal(first, PICTURES[kind](1, SIZE))


def test_the_faults_are_what_they_are_called() -> None:
    good = PICTURES["good"](0, SIZE)
    assert good.shape == (*SIZE, 3)
    assert 20 < good.mean() < 235
    assert PICTURES["black"](0, SIZE).max() <= 2
    assert np.median(PICTURES["over_exposed"](0, SIZE)) == 255
    assert PICTURES["blocked"](0, SIZE)[SIZE[0] // 2 :].std() < 1
    edges = [np.abs(np.diff(PICTURES[kind](0, SIZE).astype(int), axis=1)).mean() for kind in ("good", "blurred")]
    assert edges[1] < 0.4 * edges[0]
