"""Colors: drawing a pasted object towards the look of the scene, so that what is learned is not "pasted"; and color
jitter.

The published style alignment (doi 10.48550/arXiv.2308.09965) re-synthesises with a generator that may not be used here.
These are stand-ins with closed forms, and a plug for a model of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import cv2
import numpy as np

from ..errors import ConfigError
from .anomaly_mix import Align

Style = Callable[[np.random.Generator, np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]
"""(rng, object, solid, around, strength) → object.

object: RGB uint8 `[h, w, 3]`; solid: bool `[h, w]`, its pixels, at least one; around: RGB uint8 `[H, W, 3]`, where it
is pasted, not to be changed; strength: 0 = unchanged, 1 = aligned. The result is RGB uint8 `[h, w, 3]`; of it only the
solid pixels are used. An external model is a function of this signature.
"""

MAX_GAIN = 3.0
"""Contrast is raised at most so much: the noise of a flat object must not become its texture."""

POSITIVE = np.array([0, 128, 128], np.float32)
"""Added to Lab, it leaves no channel below zero."""


def reinhard(
    rng: np.random.Generator, rgb: np.ndarray, solid: np.ndarray, around: np.ndarray, strength: float
) -> np.ndarray:
    """Mean and standard deviation of each Lab channel become those of the surroundings (Reinhard et al. 2001)."""
    lab, goal = _lab(rgb), _lab(around).reshape(-1, 3)
    return _rgb(lab + strength * (_match(lab, solid, goal) - lab))


def fourier(
    rng: np.random.Generator,
    rgb: np.ndarray,
    solid: np.ndarray,
    around: np.ndarray,
    strength: float,
    beta: float = 0.05,
) -> np.ndarray:
    """Amplitudes of the lowest frequencies become those of the surroundings; phases stay (Yang & Soatto 2020, FDA).

    In Lab, not in RGB: small objects would get rainbows where the phases of the channels differ.

    Args:
        beta: half the side of the square of low frequencies, as a share of the smaller side of the object.
    """
    height, width = solid.shape
    # All channels above zero: then the mean is an amplitude, without a sign that would be a phase.
    x = _lab(rgb) + POSITIVE
    # Outside the object there is nothing whose amplitudes should count.
    x[~solid] = x[solid].mean(axis=0)
    goal = _lab(cv2.resize(around, (width, height), interpolation=cv2.INTER_AREA)) + POSITIVE
    spectrum, wanted = np.fft.fft2(x, axes=(0, 1)), np.fft.fft2(goal, axes=(0, 1))
    reach = int(beta * min(height, width))
    low = (np.abs(np.fft.fftfreq(height, 1 / height)) <= reach)[:, None] & (
        np.abs(np.fft.fftfreq(width, 1 / width)) <= reach
    )[None, :]
    amplitude = np.abs(spectrum)
    mixed = np.where(low[..., None], amplitude + strength * (np.abs(wanted) - amplitude), amplitude)
    out = np.fft.ifft2(mixed * np.exp(1j * np.angle(spectrum)), axes=(0, 1)).real
    return _rgb(out - POSITIVE)


def adain(
    rng: np.random.Generator,
    rgb: np.ndarray,
    solid: np.ndarray,
    around: np.ndarray,
    strength: float,
    bands: int = 3,
) -> np.ndarray:
    """Channel statistics of features become those of the surroundings (Huang & Belongie 2017), where the features are
    an invertible band-pass decomposition: so colours, sharpness and grain follow, each at its own scale.

    Args:
        bands: number of bands besides the blurred rest; 0 = statistics of the pixels alone.
    """
    everything = np.ones(around.shape[:2], bool)
    parts, goals = _bands(rgb, solid, bands), _bands(around, everything, bands)
    matched = sum(_match(part, solid, goal.reshape(-1, 3)) for part, goal in zip(parts, goals, strict=True))
    return _byte(rgb + strength * (matched - rgb))


STYLES: dict[str, Style] = {"reinhard": reinhard, "fourier": fourier, "adain": adain}


def build_align(style: str, strength: tuple[float, float] = (1.0, 1.0), function: str = "") -> Align | None:
    """What pasting functions take as `align`.

    Args:
        style: `none`, a key of `STYLES`, or `external`.
        strength: range that it is drawn from for each object.
        function: of `external`: `module:function`.

    Raises:
        ConfigError: no such style or function.
    """
    if style == "none":
        return None
    if style == "external":
        chosen = _external(function)
    elif style in STYLES:
        chosen = STYLES[style]
    else:
        raise ConfigError(f"no style alignment is called {style!r}; known: none, {', '.join(STYLES)}, external")

    return Aligner(chosen, strength, function or style)


@dataclass(frozen=True)
class Aligner:
    """A style with a range of strengths; a class and no closure, so that loader processes can be handed one."""

    style: Style
    strength: tuple[float, float]
    name: str

    def __call__(self, rng: np.random.Generator, rgb: np.ndarray, solid: np.ndarray, around: np.ndarray) -> np.ndarray:
        amount = float(rng.uniform(*self.strength))
        if amount == 0.0 or around.size == 0 or not solid.any():
            return rgb
        out = self.style(rng, rgb, solid, around, amount)
        if not isinstance(out, np.ndarray) or out.shape != rgb.shape or out.dtype != np.uint8:
            raise ConfigError(f"style function {self.name} must return RGB uint8 of shape {rgb.shape}")
        return out


def _external(function: str) -> Style:
    module, _, name = function.partition(":")
    if not module or not name:
        raise ConfigError(f"`style: external` needs `style_function: module:function`, got {function!r}")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"style function {function!r} cannot be imported: {error}") from error


def _match(x: np.ndarray, solid: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """`x` `[h, w, 3]` with mean and deviation over `solid` as those of `goal` `[n, 3]`."""
    own = x[solid]
    spread = own.std(axis=0)
    gain = np.minimum(goal.std(axis=0) / np.maximum(spread, 1e-6), MAX_GAIN)
    return (x - own.mean(axis=0)) * gain + goal.mean(axis=0)


def _bands(rgb: np.ndarray, solid: np.ndarray, bands: int) -> list[np.ndarray]:
    """Differences of ever stronger blurs, and the rest; they add up to `rgb`."""
    weight = solid.astype(np.float32)
    x = rgb.astype(np.float32)
    parts = []
    for level in range(bands):
        sigma = 2.0**level
        # Blurred over the object only, so that what surrounds it in its own picture has no part in it.
        total = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
        blurred = cv2.GaussianBlur(x * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-4)
        parts.append(x - blurred)
        x = blurred
    return [*parts, x]


def _lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)


def _rgb(lab: np.ndarray) -> np.ndarray:
    return _byte(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB) * 255.0)


def _byte(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def color_jitter(
    rng: np.random.Generator, image: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float
) -> np.ndarray:
    """ColorJitter with factors from 1 ± brightness, 1 ± contrast, 1 ± saturation; hue in turns, ± hue (0.5 = any).

    Args:
        image: RGB uint8 `[H, W, 3]`.

    Returns:
        RGB uint8 `[H, W, 3]`, new.
    """
    factors = [rng.uniform(max(0.0, 1 - amount), 1 + amount) for amount in (brightness, contrast, saturation)]
    turn = rng.uniform(-hue, hue)
    for step in rng.permutation(4):
        if step == 0:
            image = cv2.convertScaleAbs(image, alpha=factors[0])
        elif step == 1:
            mean = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
            image = cv2.addWeighted(image, factors[1], image, 0, mean * (1 - factors[1]))
        elif step == 2:
            gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            image = cv2.addWeighted(image, factors[2], gray, 1 - factors[2], 0)
        elif hue:
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
            table = np.roll(np.arange(256, dtype=np.uint8), -round(turn * 256))
            hsv[..., 0] = cv2.LUT(hsv[..., 0], table)
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    return image
