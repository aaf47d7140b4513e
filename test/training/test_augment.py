"""Geometric augmentation: shapes, labels that stay with their pixels, determinism.

Changes of colours: shape, determinism, what each kind does.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.training.augment import camera, change_colors, draw_geometry, shift, whole
from oodseg_ros.training.data_recipe import AugmentSpec


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(20, 200), st.integers(20, 200), st.sampled_from(["camera", "shift"]))
def test_labels_stay_with_their_pixels(seed: int, height: int, width: int, color: str) -> None:
    label = np.zeros((height, width), np.uint8)
    label[:, width // 2 :] = 1
    image = np.where(label[..., None] == 1, 200, 20).astype(np.uint8).repeat(3, axis=2)
    rng = np.random.default_rng(seed)
    geometry = draw_geometry(rng, label.shape, (64, 96), AugmentSpec(color=color), (40, 300))
    out, target = geometry(image, label)
    assert out.shape == (64, 96, 3)
    assert target.shape == (64, 96)
    bright = out[..., 0] > 110
    counted = target != 255
    assert (bright == (target == 1))[counted].mean() > 0.9
    if not geometry.angle:
        assert not out[~counted].any()


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    yy, xx = np.mgrid[:height, :width]
    return np.dstack([yy, xx, yy ^ xx]).astype(np.uint8), ((yy * 7 + xx * 3) % 19).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_native_scale_copies_pixels(seed: int) -> None:
    image, label = coded(90, 120)
    spec = AugmentSpec(scale=(1.0, 1.0), mirror=0.5, color="none")
    geometry = draw_geometry(np.random.default_rng(seed), label.shape, (40, 50), spec, (0, 0))
    row, column, height, width = geometry.window
    assert (height, width) == (40, 50)
    step = -1 if geometry.mirror else 1
    out, target = geometry(image, label)
    np.testing.assert_array_equal(out, image[row : row + 40, column : column + 50][:, ::step])
    np.testing.assert_array_equal(target, label[row : row + 40, column : column + 50][:, ::step])
    out[:] = 0  # what comes out is drawn into; the frame stays
    assert image.any()


def test_small_frames_are_padded_below_and_at_the_right() -> None:
    spec = AugmentSpec(scale=(1.0, 1.0), mirror=0.0)
    out, target = draw_geometry(np.random.default_rng(0), (30, 40), (50, 60), spec, (0, 0))(*coded(30, 40))
    np.testing.assert_array_equal(out[:30, :40], coded(30, 40)[0])
    assert not out[30:].any()
    assert (target[30:] == 255).all()
    assert (target[:, 40:] == 255).all()


def test_the_published_padding_is_centred() -> None:
    """UEM: a crop of 512x1024 in 518x1036."""
    spec = AugmentSpec(scale=(0.5, 2.0), pad=(518, 1036))
    geometry = draw_geometry(np.random.default_rng(0), (1024, 2048), (512, 1024), spec, (0, 0))
    out, target = geometry(np.full((1024, 2048, 3), 9, np.uint8), np.zeros((1024, 2048), np.uint8))
    assert out.shape == (518, 1036, 3)
    assert (out[3:-3, 6:-6] == 9).all()
    assert not out[:3].any()
    assert (target[:, :6] == 255).all()
    assert (target[3:-3, 6:-6] == 0).all()


@pytest.mark.parametrize(("mirror", "low", "high"), [(0.0, 0, 0), (0.5, 0.42, 0.58), (0.8, 0.74, 0.86)])
def test_share_of_mirrored_crops(mirror: float, low: float, high: float) -> None:
    spec = AugmentSpec(mirror=mirror)
    flips = [draw_geometry(np.random.default_rng(s), (50, 60), (9, 9), spec, (60, 60)).mirror for s in range(400)]
    assert low <= np.mean(flips) <= high


def test_scales_cover_their_range() -> None:
    """A factor of 2 sees half as many pixels of the frame."""
    spec = AugmentSpec(scale=(0.5, 2.0))
    sizes = [
        draw_geometry(np.random.default_rng(s), (400, 400), (100, 100), spec, (0, 0)).window[2] for s in range(300)
    ]
    assert 50 <= min(sizes) < 53
    assert 185 < max(sizes) <= 200


def test_whole_frames_are_only_scaled() -> None:
    out, target = whole((40, 60), 0.5)(*coded(40, 60))
    assert out.shape == (20, 30, 3)
    assert target.shape == (20, 30)
    same = whole((40, 60), 1.0)(*coded(40, 60))[0]
    np.testing.assert_array_equal(same, coded(40, 60)[0])


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
