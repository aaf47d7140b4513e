"""Augmentation: shapes, labels that stay with their pixels, determinism."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.training.augment import photometric, scale_crop_flip


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(20, 200), st.integers(20, 200))
def test_labels_stay_with_their_pixels(seed: int, height: int, width: int) -> None:
    label = np.zeros((height, width), np.uint8)
    label[:, width // 2 :] = 1
    image = np.where(label[..., None] == 1, 200, 20).astype(np.uint8).repeat(3, axis=2)
    out, target = scale_crop_flip(np.random.default_rng(seed), image, label, (64, 96), (40, 300))
    assert out.shape == (64, 96, 3)
    assert target.shape == (64, 96)
    bright = out[..., 0] > 110
    counted = target != 255
    assert (bright == (target == 1))[counted].mean() > 0.9
    assert not out[~counted].any()


def test_photometric_keeps_shape_and_is_seeded() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for seed in range(20):
        one, two = (photometric(np.random.default_rng(seed), image) for _ in range(2))
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)
