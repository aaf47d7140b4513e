"""Changes of colours: shape, determinism, what each kind does."""

from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.training.data_recipe import AugmentSpec
from oodseg_ros.training.photometric import camera, change_colors, shift


@pytest.mark.parametrize("change", [camera, shift])
def test_shape_is_kept_and_changes_are_seeded(change) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    before, different = image.copy(), 0
    for seed in range(30):
        one, two = (change(np.random.default_rng(seed), image) for _ in range(2))
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(image, before)
        different += not np.array_equal(one, image)
    assert different > 24


def test_camera_varies_brightness_colour_and_noise() -> None:
    image = np.full((40, 60, 3), (120, 100, 80), np.uint8)
    out = [camera(np.random.default_rng(seed), image).astype(float) for seed in range(200)]
    levels, noise = [x.mean() for x in out], [x.std(axis=(0, 1)).max() for x in out]
    cast = [x[..., 0].mean() - x[..., 2].mean() for x in out]
    assert min(levels) < 60
    assert max(levels) > 140
    assert min(cast) < 20 < 55 < max(cast)
    assert 0.2 < np.mean(np.array(noise) > 1.5) < 0.4


def test_jitter_and_none_do_what_they_say() -> None:
    image = np.full((8, 8, 3), (120, 100, 80), np.uint8)
    none = AugmentSpec(color="none")
    assert change_colors(np.random.default_rng(0), image, none) is image
    spec = AugmentSpec(color="jitter", jitter=(0.5, 0, 0, 0), jitter_probability=0.5)
    changed = [not np.array_equal(change_colors(np.random.default_rng(s), image, spec), image) for s in range(200)]
    assert 0.4 < np.mean(changed) < 0.6
