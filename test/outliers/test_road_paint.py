"""Paint lies on the ground, in it and nowhere else."""

import numpy as np
import pytest

from oodseg_ros.outliers.road_paint import _SHAPES, SIDE, paint_ground


@pytest.mark.parametrize("seed", range(12))
def test_only_the_ground_changes_and_more_where_the_paint_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (120, 200, 3), dtype=np.uint8)
    ground = np.zeros(image.shape[:2], bool)
    ground[60:] = True
    before = image.copy()
    opacity = paint_ground(rng, image, ground)
    assert opacity.dtype == np.float32
    assert not opacity[~ground].any()
    assert 0 <= opacity.min() <= opacity.max() <= 1
    changed = (image != before).any(axis=2)
    assert not changed[opacity == 0].any()
    assert opacity.max() < 0.2 or changed[opacity > 0.2].mean() > 0.5


def painted(ground: np.ndarray) -> np.ndarray:
    """Lowest row, width and height in pixels of what was painted, `[n, 3]`."""
    found = []
    for seed in range(200):
        opacity = paint_ground(np.random.default_rng(seed), np.full((*ground.shape, 3), 100, np.uint8), ground)
        rows, columns = np.nonzero(opacity > 0.1)
        if rows.size:
            found.append((rows.max(), np.ptp(columns) + 1, np.ptp(rows) + 1))
    assert len(found) > 150
    return np.array(found, float)


def test_what_is_nearer_is_larger_and_seen_less_flat() -> None:
    ground = np.zeros((200, 400), bool)
    ground[80:] = True
    row, wide, high = painted(ground).T
    assert np.corrcoef(row, wide)[0, 1] > 0.4
    inside = wide > 8
    assert np.corrcoef(row[inside], (high / wide)[inside])[0, 1] > 0.15
    below = row - 80 + 0.03 * 200
    assert (wide <= 2 * below + 8).all()
    assert (high <= below).all(), "what lies on the ground does not reach above the horizon"


def test_a_speck_of_ground_in_a_label_does_not_move_the_horizon() -> None:
    ground = np.zeros((200, 400), bool)
    ground[80:] = True
    _, wide, high = painted(ground).mean(axis=0)
    ground[5:8, 20:30] = True
    _, speck_wide, speck_high = painted(ground).mean(axis=0)
    assert speck_wide == pytest.approx(wide, rel=0.15)
    assert speck_high == pytest.approx(high, rel=0.15)


def test_without_ground_nothing_is_painted() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    assert not paint_ground(np.random.default_rng(0), image, np.zeros((40, 60), bool)).any()
    assert (image == 100).all()


@pytest.mark.parametrize("shape", [shape for shape, _ in _SHAPES])
def test_every_shape_fills_some_of_its_square(shape) -> None:
    for seed in range(20):
        drawn = shape(np.random.default_rng(seed))
        assert drawn.shape == (SIDE, SIDE)
        assert drawn.dtype == np.uint8
        assert np.count_nonzero(drawn) > 100
