"""Patches of other frames: where they come from, what they look like, where they land."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.outliers.patch_paste import PatchRules, cut_patch, paste_patches, patch_shape

OUTLIER = 254
PLAIN = PatchRules(jitter=(0, 0, 0, 0), sides=(16, 40), opacity=(1.0, 1.0))


def frame(height: int = 90, width: int = 140) -> tuple[np.ndarray, np.ndarray]:
    """A colour per position; classes in vertical stripes of 10 pixels."""
    yy, xx = np.mgrid[:height, :width]
    image = np.dstack([yy, xx, np.full_like(xx, 200)]).astype(np.uint8)
    return image, (xx // 10 % 5).astype(np.uint8)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_a_patch_is_a_piece_of_the_scaled_turned_frame(seed: int) -> None:
    image, label = frame()
    patch = cut_patch(np.random.default_rng(seed), image, label, PLAIN)
    side = patch.image.shape[0]
    assert 16 <= side <= 40
    inside = patch.image[..., 2] > 199
    if inside.sum() > 100:
        # Rows and columns are coded in the colours: one pixel to the right moves 1/scale in the source.
        red, green = patch.image[..., 0].astype(float), patch.image[..., 1].astype(float)
        both = inside[:, 1:] & inside[:, :-1]
        step = np.hypot(np.diff(red, axis=1)[both].mean(), np.diff(green, axis=1)[both].mean())
        assert 1 / 1.9 < step < 1 / 1.4  # the patch is 8-bit, so its slope is known roughly


def test_no_class_makes_up_more_than_half_where_that_is_possible() -> None:
    image, label = frame()
    rules = replace(PLAIN, sides=(30, 40), rotate=0.0)
    for seed in range(30):
        patch = cut_patch(np.random.default_rng(seed), image, label, rules)
        # 30 source pixels cover three stripes, none of them more than half.
        assert patch.main_class < 5
    uniform = np.full_like(label, 3)
    assert cut_patch(np.random.default_rng(0), image, uniform, replace(rules, tries=3)).main_class == 3


@given(st.integers(0, 2**32 - 1), st.integers(16, 256))
def test_shapes_fit_their_square(seed: int, side: int) -> None:
    mask = patch_shape(np.random.default_rng(seed), side, PatchRules())
    assert mask.shape == (side, side)
    assert 0 < mask.sum() <= side * side


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 10))
def test_only_labelled_pixels_change(seed: int, patches: int) -> None:
    image, label = np.full((120, 200, 3), 7, np.uint8), np.ones((120, 200), np.uint8)
    paste_patches(np.random.default_rng(seed), image, label, lambda rng: frame(), patches=patches, rules=PLAIN)
    assert (image[label != OUTLIER] == 7).all()
    assert (label == OUTLIER).any() == (patches > 0)


def test_opacity_blends_with_what_is_below() -> None:
    image, label = np.full((120, 200, 3), 100, np.uint8), np.ones((120, 200), np.uint8)
    half = replace(PLAIN, opacity=(0.5, 0.5))
    white = np.full((90, 140, 3), 200, np.uint8), frame()[1]
    paste_patches(np.random.default_rng(1), image, label, lambda rng: white, patches=1, rules=replace(half, rotate=0.0))
    assert set(np.unique(image[label == OUTLIER])) <= {149, 150, 151}


def test_seventy_percent_start_on_the_road() -> None:
    """The road is a tenth of the image, so few of the others start there."""
    started = seen = 0
    rules = replace(PLAIN, hull=0.0, ellipse=0.0, circle=0.0, sides=(8, 8))
    for seed in range(200):
        image, label = np.zeros((100, 100, 3), np.uint8), np.ones((100, 100), np.uint8)
        label[45:55] = 0
        paste_patches(np.random.default_rng(seed), image, label, lambda rng: frame(), patches=1, rules=rules)
        rows = np.flatnonzero((label == OUTLIER).any(axis=1))
        if rows.size:  # at the border a shape may lie outside
            seen += 1
            started += 45 <= rows[0] < 59
    assert seen > 180
    assert 0.65 < started / seen < 0.9


def test_the_same_seed_pastes_the_same() -> None:
    out = []
    for _ in range(2):
        image, label = np.full((120, 200, 3), 7, np.uint8), np.ones((120, 200), np.uint8)
        paste_patches(np.random.default_rng(4), image, label, lambda rng: frame(), rules=replace(PLAIN, mirror=0.5))
        out.append((image, label))
    np.testing.assert_array_equal(out[0][0], out[1][0])
    np.testing.assert_array_equal(out[0][1], out[1][1])
