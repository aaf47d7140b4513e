"""Pasting unknowns: what is labelled is what was changed, and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.outliers.objects import random_shape, random_texture
from oodseg_ros.outliers.road_paste import paste


def disk(side: int = 60) -> np.ndarray:
    yy, xx = np.mgrid[:side, :side] - side / 2
    rgba = np.full((side, side, 4), (250, 20, 20, 0), np.uint8)
    rgba[..., 3] = np.where(yy**2 + xx**2 < (side / 2) ** 2, 255, 0)
    return rgba


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_only_the_object_is_labelled(seed: int, grounded: bool) -> None:
    rng = np.random.default_rng(seed)
    image = np.full((96, 160, 3), 90, np.uint8)
    label = np.zeros((96, 160), np.uint8)
    ground = np.zeros((96, 160), bool)
    ground[60:] = True
    done = paste(rng, image, label, disk(), 254, ground if grounded else None)
    assert set(np.unique(label)) <= {0, 254}
    assert done == (label == 254).any()
    if grounded and done:
        # The object stands on the ground: its lowest row is not above the highest ground row.
        assert np.nonzero(label == 254)[0].max() >= 59
    if done and (label == 254).sum() > 30:
        changed = np.abs(image.astype(int) - 90).max(axis=2) > 3
        assert changed[label == 254].mean() > 0.5


def test_the_same_seed_pastes_the_same() -> None:
    results = []
    for _ in range(2):
        image, label = np.full((96, 160, 3), 90, np.uint8), np.zeros((96, 160), np.uint8)
        paste(np.random.default_rng(5), image, label, disk(), 254, None)
        results.append((image, label))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_shapes_are_tight_and_never_empty(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (80, 90, 3), dtype=np.uint8)
    rgba = random_shape(rng, random_texture(rng, image))
    solid = rgba[..., 3] > 127
    assert rgba.dtype == np.uint8
    assert solid.sum() >= 100
    for edge in (solid[0], solid[-1], solid[:, 0], solid[:, -1]):
        assert edge.any()
