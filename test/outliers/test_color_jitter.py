"""Colour jitter: each amount changes what its name says."""

from __future__ import annotations

import colorsys

import numpy as np

from oodseg_ros.outliers.color_jitter import color_jitter


def gradient() -> np.ndarray:
    yy, xx = np.mgrid[:32, :48]
    return np.dstack([40 + 3 * yy, 60 + 2 * xx, np.full_like(xx, 90)]).astype(np.uint8)


def test_no_amount_changes_nothing() -> None:
    np.testing.assert_array_equal(color_jitter(np.random.default_rng(0), gradient(), 0, 0, 0, 0), gradient())


def test_brightness_is_one_factor() -> None:
    image = gradient()
    factors = []
    for seed in range(40):
        out = color_jitter(np.random.default_rng(seed), image, 0.3, 0, 0, 0).astype(float)
        ratio = np.median(out / image)
        np.testing.assert_allclose(out, np.clip(image * ratio, 0, 255), atol=1.6)
        factors.append(ratio)
    assert 0.68 <= min(factors) < 0.8 < 1.2 < max(factors) <= 1.32


def test_contrast_keeps_the_mean_of_gray_and_saturation_keeps_gray() -> None:
    image = gradient()
    weights = np.array([0.299, 0.587, 0.114])
    for seed in range(10):
        contrast = color_jitter(np.random.default_rng(seed), image, 0, 0.4, 0, 0)
        assert abs((contrast @ weights).mean() - (image @ weights).mean()) < 1.5
        saturation = color_jitter(np.random.default_rng(seed), image, 0, 0, 0.4, 0)
        np.testing.assert_allclose(saturation @ weights, image @ weights, atol=2.5)


def test_hue_turns_colours_and_keeps_their_value() -> None:
    image = np.full((4, 4, 3), (200, 40, 40), np.uint8)
    hues = []
    for seed in range(60):
        red, green, blue = color_jitter(np.random.default_rng(seed), image, 0, 0, 0, 0.5)[0, 0] / 255
        hue, _, value = colorsys.rgb_to_hsv(red, green, blue)
        assert abs(value - 200 / 255) < 0.02
        hues.append(hue)
    assert np.ptp(hues) > 0.8
