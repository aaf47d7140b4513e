"""Light and weather: sun, sky, haze, and what the lens and sensor do to the finished picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Haze
from .textures import noise


@dataclass(frozen=True)
class Weather:
    """Light of one scene.

    Attributes:
        name: noon, low sun, overcast, fog, rain or dusk.
        sun: ground displacement (x, y) of the shadow of a point one metre high; None without direct sun.
        shade: share of light that a shadow takes, 0..1.
        gain: RGB factors of the light.
        zenith, rim: sky colors above and at the horizon.
        clouds: 0..1.
        haze: aerial perspective.
        rain: number of streaks, 0 = dry.
        gamma, noise, blur, vignette: exponent; noise (gray levels); blur (pixels); darkening of corners 0..1.
        jpeg: quality, 0 = not compressed.
    """

    name: str
    sun: tuple[float, float] | None
    shade: float
    gain: tuple[float, float, float]
    zenith: tuple[float, float, float]
    rim: tuple[float, float, float]
    clouds: float
    haze: Haze
    rain: int
    gamma: float
    noise: float
    blur: float
    vignette: float
    jpeg: int


# name: share, gain, warmth, zenith, rim, clouds, visibility m, sunny
_KINDS = {
    "noon": (0.32, (0.95, 1.25), 0.02, (70, 125, 205), (190, 215, 240), 0.5, 4000, True),
    "low sun": (0.14, (0.75, 1.05), 0.16, (95, 135, 195), (250, 225, 190), 0.4, 2500, True),
    "overcast": (0.28, (0.75, 1.05), -0.02, (170, 178, 188), (225, 228, 232), 0.9, 1500, False),
    "fog": (0.08, (0.75, 0.95), -0.01, (195, 198, 202), (205, 207, 210), 0.2, 180, False),
    "rain": (0.08, (0.55, 0.8), -0.05, (130, 138, 148), (180, 186, 194), 0.9, 500, False),
    "dusk": (0.1, (0.3, 0.55), -0.08, (75, 90, 135), (215, 170, 160), 0.6, 1500, False),
}


def weather(rng: np.random.Generator, name: str | None = None) -> Weather:
    """Random light and camera quality."""
    name = name or str(rng.choice(list(_KINDS), p=[row[0] for row in _KINDS.values()]))
    _, gains, warmth, zenith, rim, clouds, visibility, sunny = _KINDS[name]
    gain = rng.uniform(*gains)
    warm = warmth + rng.normal(0, 0.03)
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(1.2, 3.0) if name == "low sun" else rng.uniform(0.3, 1.4)
    boost = 1.0 / max(gain, 0.4) * rng.uniform(0.85, 1.05)  # the sky is not lit by what it lights
    sky = [tuple(np.clip(np.array(c) * boost * rng.normal(1, 0.03, 3), 20, 255)) for c in (zenith, rim)]
    return Weather(
        name=name,
        sun=(float(reach * np.cos(angle)), float(reach * np.sin(angle))) if sunny else None,
        shade=float(rng.uniform(0.3, 0.6)) if sunny else 0.0,
        gain=(gain * (1 + warm), gain, gain * (1 - warm)),
        zenith=sky[0],
        rim=sky[1],
        clouds=float(np.clip(clouds * rng.uniform(0.2, 1.6), 0, 1)),
        haze=Haze(tuple(float(c) for c in sky[1]), 3.0 / (visibility * rng.uniform(0.6, 1.6))),
        rain=int(rng.uniform(150, 700)) if name == "rain" else 0,
        gamma=float(rng.uniform(0.8, 1.2)),
        noise=float(rng.uniform(1, 5) + (4 if name == "dusk" else 0)),
        blur=float(rng.choice([0.0, 0.5, 0.8, 1.3], p=[0.3, 0.35, 0.25, 0.1])),
        vignette=float(rng.uniform(0, 0.35)),
        jpeg=int(rng.uniform(45, 97)) if rng.random() < 0.7 else 0,
    )


def sky(rng: np.random.Generator, light: Weather, size: tuple[int, int], horizon: float) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`: gradient and clouds that flatten towards the horizon."""
    # Clouds are soft: half the resolution is enough.
    rows, columns = (size[0] + 1) // 2, (size[1] + 1) // 2
    horizon = horizon / 2
    height = np.clip((horizon - np.arange(rows)) / max(rows * 0.7, 1), 0, 1).astype(np.float32) ** 0.6
    gradient = (
        np.asarray(light.rim, np.float32) * (1 - height[:, None])
        + np.asarray(light.zenith, np.float32) * height[:, None]
    )
    picture = np.repeat(gradient[:, None], columns, 1)
    top = int(np.clip(horizon - 2, 0, rows))
    if light.clouds > 0.05 and top > 4:
        field = noise(rng, 512, 5, 5)
        v = 90.0 / (np.arange(top, 0, -1, dtype=np.float32) / rows + 0.06)
        u = (np.arange(columns, dtype=np.float32) - columns / 2) / columns
        map_x = v[:, None] * u[None] * 1.2 + 256
        map_y = np.repeat(v[:, None], columns, 1)
        cover = cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        share = np.clip((cover + 2.2 * light.clouds - 1.1) * 0.7, 0, 1)[..., None] * 0.85
        fair = np.array(light.rim, np.float32) * (1.06 + 0.12 * cover[..., None])
        picture[:top] = picture[:top] * (1 - share) + np.clip(fair, 0, 255) * share
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Sensor:
    """What turns the painted picture into a camera image; everything costly is prepared once."""

    light: Weather
    curve: np.ndarray
    vignette: np.ndarray
    grain: np.ndarray

    def develop(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Exposure, blur, rain, corners, noise and compression; RGB uint8 in and out."""
        image = cv2.LUT(image, self.curve)
        if self.light.rain:
            image = _rain(image, rng, self.light.rain)
        if self.light.blur:
            image = cv2.GaussianBlur(image, (0, 0), self.light.blur)
        image = cv2.multiply(image, self.vignette, scale=1 / 255)
        rows, columns = image.shape[:2]
        y, x = (int(rng.integers(0, a - b + 1)) for a, b in zip(self.grain.shape[:2], image.shape[:2], strict=True))
        image = cv2.add(image, self.grain[y : y + rows, x : x + columns], dtype=cv2.CV_8U)
        if self.light.jpeg:
            coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.light.jpeg])[1]
            image = np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1])
        return image


def sensor(rng: np.random.Generator, light: Weather, size: tuple[int, int]) -> Sensor:
    """The camera that looks at this light, for images of `size` (H, W)."""
    rows, columns = size
    level = np.arange(256, dtype=np.float32)[:, None] * np.asarray(light.gain, np.float32) / 255
    shoulder = np.where(
        level > 0.8, 0.8 + 0.2 * np.tanh((level - 0.8) / 0.2), level
    )  # highlights roll off, as in a camera
    curve = np.clip(255 * shoulder**light.gamma, 0, 255).astype(np.uint8).reshape(256, 1, 3)
    y, x = (np.linspace(-1, 1, count, dtype=np.float32) ** 2 for count in size)
    corners = np.clip(255 * (1 - light.vignette / 2 * (y[:, None] + x[None])), 0, 255).astype(np.uint8)
    # One field, shifted, serves all channels: drawing normal numbers is what costs here.
    field = np.round(rng.standard_normal((rows + 64, columns + 64), np.float32) * light.noise * 0.7).astype(np.int16)
    grain = np.dstack([np.roll(field, shift, (0, 1)) for shift in ((17, 31), (41, 7), (5, 59))]) + field[..., None]
    return Sensor(light, curve, cv2.merge([corners] * 3), grain)


def _rain(image: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    rows, columns = image.shape[:2]
    layer = np.zeros((rows, columns), np.uint8)
    start = rng.uniform([-20, -40], [columns, rows], (count, 2))
    length = rng.uniform(0.01, 0.06, count) * rows
    slant = rng.normal(0.12, 0.03, count)
    for (x, y), size, tilt in zip(start, length, slant, strict=True):
        cv2.line(
            layer, (int(x), int(y)), (int(x + tilt * size), int(y + size)), int(rng.uniform(30, 110)), 1, cv2.LINE_AA
        )
    layer = cv2.GaussianBlur(layer, (3, 3), 0)
    return cv2.add(image, cv2.merge([layer] * 3))
