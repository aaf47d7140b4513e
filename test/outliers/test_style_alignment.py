"""Style alignment: strength 0 changes nothing, strength 1 reaches the statistics it names.

Colour jitter: each amount changes what its name says.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.outliers.style_alignment import STYLES, adain, build_align, color_jitter, fourier, reinhard

RNG = np.random.default_rng(0)


def smooth(seed: int, mean: float, spread: float, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (*size, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(mean + spread * noise / noise.std(), 0, 255).astype(np.uint8)


def disk(size: tuple[int, int] = (48, 64)) -> np.ndarray:
    yy, xx = np.mgrid[: size[0], : size[1]]
    return (yy - 24) ** 2 + (xx - 32) ** 2 < 400


@pytest.mark.parametrize("style", STYLES)
def test_strength_zero_changes_nothing(style: str) -> None:
    rgb = smooth(1, 90, 20)
    out = STYLES[style](RNG, rgb, disk(), smooth(2, 160, 12), 0.0)
    assert np.abs(out[disk()].astype(int) - rgb[disk()]).max() <= 1


@pytest.mark.parametrize("style", STYLES)
def test_a_plain_object_takes_the_plain_colour_of_the_scene(style: str) -> None:
    rgb, around = np.full((20, 30, 3), (200, 60, 40), np.uint8), np.full((40, 50, 3), (30, 90, 140), np.uint8)
    solid = disk()[10:30, 20:50]
    full = STYLES[style](RNG, rgb, solid, around, 1.0)
    np.testing.assert_allclose(full[solid], np.broadcast_to((30, 90, 140), full[solid].shape), atol=1)
    if style == "adain":  # the others mix in Lab
        half = STYLES[style](RNG, rgb, solid, around, 0.5)
        np.testing.assert_allclose(half[solid], np.broadcast_to((115, 75, 90), half[solid].shape), atol=1)


def test_reinhard_reaches_mean_and_deviation_in_lab() -> None:
    rgb, around, solid = smooth(1, 90, 25), smooth(2, 150, 14), disk()
    out = reinhard(RNG, rgb, solid, around, 1.0)
    lab, goal = (cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for x in (out, around))
    np.testing.assert_allclose(lab[solid].mean(0), goal.reshape(-1, 3).mean(0), atol=0.3)
    np.testing.assert_allclose(lab[solid].std(0), goal.reshape(-1, 3).std(0), rtol=0.03)


def test_fourier_exchanges_low_amplitudes_and_keeps_high_ones() -> None:
    rgb, around = smooth(1, 120, 15), smooth(2, 130, 15)
    solid = np.ones((48, 64), bool)
    out = fourier(RNG, rgb, solid, around, 1.0, beta=0.05)  # frequencies up to 2 of 48 rows
    lab = [cv2.cvtColor(x.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for x in (out, rgb, around)]
    spectra = [np.abs(np.fft.fft2(x.astype(float), axes=(0, 1))) for x in lab]
    low = np.s_[:3, :3]
    np.testing.assert_allclose(spectra[0][low], spectra[2][low], atol=48 * 64 * 0.1)
    high = np.s_[5:20, 5:20]
    np.testing.assert_allclose(spectra[0][high], spectra[1][high], atol=48 * 64 * 0.1)
    assert np.abs(spectra[1][low] - spectra[2][low]).max() > 48 * 64 * 0.5


def test_adain_reaches_the_statistics_of_the_pixels_and_of_every_band() -> None:
    rgb, around, solid = smooth(1, 90, 25), smooth(2, 150, 14), disk()
    plain = adain(RNG, rgb, solid, around, 1.0, bands=0)
    np.testing.assert_allclose(plain[solid].mean(0), around.reshape(-1, 3).mean(0), atol=0.6)
    np.testing.assert_allclose(plain[solid].std(0), around.reshape(-1, 3).std(0), rtol=0.03)
    grainy = np.clip(around + np.random.default_rng(3).normal(0, 12, around.shape), 0, 255).astype(np.uint8)
    fine = [x - cv2.GaussianBlur(x.astype(np.float32), (0, 0), 1) for x in (rgb, adain(RNG, rgb, solid, grainy, 1.0))]
    wanted = (grainy - cv2.GaussianBlur(grainy.astype(np.float32), (0, 0), 1)).std()
    inner = cv2.erode(solid.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    before, after = (x[inner].std() for x in fine)
    assert before < after
    assert after <= wanted * 1.1


def test_noise_of_a_flat_object_is_not_blown_up() -> None:
    rgb = np.full((48, 64, 3), 100, np.uint8)
    rgb[::2, ::2] = 101
    out = reinhard(RNG, rgb, disk(), smooth(2, 120, 40), 1.0)
    assert out[disk()].std(0).max() < 4


def invert(rng, rgb, solid, around, strength):
    return (255 - rgb).astype(np.uint8)


def broken(rng, rgb, solid, around, strength):
    return rgb.astype(np.float32)


def test_an_external_function_is_plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "my_style", sys.modules[__name__])
    rgb = smooth(1, 90, 20)
    align = build_align("external", (0.5, 0.5), "my_style:invert")
    np.testing.assert_array_equal(align(RNG, rgb, disk(), rgb), 255 - rgb)
    with pytest.raises(ConfigError, match="must return RGB uint8"):
        build_align("external", (1, 1), "my_style:broken")(RNG, rgb, disk(), rgb)


@pytest.mark.parametrize("function", ["", "nothing", "no_such_module_here:f", "math:no_such"])
def test_wrong_functions_are_refused(function: str) -> None:
    with pytest.raises(ConfigError, match="style"):
        build_align("external", (1, 1), function)


def test_unknown_styles_are_refused_and_none_is_none() -> None:
    assert build_align("none") is None
    with pytest.raises(ConfigError, match="known: none, reinhard"):
        build_align("baroque")


def test_strength_is_drawn_from_its_range() -> None:
    rgb, around = np.full((9, 9, 3), 100, np.uint8), np.full((9, 9, 3), 200, np.uint8)
    align, solid = build_align("adain", (0.2, 0.8)), np.ones((9, 9), bool)
    values = [int(align(np.random.default_rng(seed), rgb, solid, around)[0, 0, 0]) for seed in range(40)]
    assert 119 <= min(values) < 140 < 160 < max(values) <= 181


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
