"""What the harness's cameras see: a road that moves, and what can go wrong with it before it becomes a message."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

SIZES = {"front": (240, 320), "side": (192, 256)}
"""Camera → (H, W); different, so that a mode of the test engine can be meant for one of them."""


@lru_cache(maxsize=8)
def _road(height: int, width: int) -> np.ndarray:
    from ....scenes import scene

    return cv2.cvtColor(scene(3, (height, width)).image, cv2.COLOR_RGB2BGR)


def good(index: int, size: tuple[int, int]) -> np.ndarray:
    """BGR uint8 `[H, W, 3]`: frame `index` of a drive; every frame differs from the one before, as a sensor's does."""
    road = np.roll(_road(*size), 2 * index, axis=1)
    noise = np.random.default_rng(index).integers(-4, 5, road.shape, dtype=np.int16)
    return (road + noise).clip(0, 255).astype(np.uint8)


def _black(index: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 3, (*size, 3), dtype=np.uint8)


def _over_exposed(index: int, size: tuple[int, int]) -> np.ndarray:
    return cv2.convertScaleAbs(good(index, size), alpha=1.0, beta=250)


def _fog(index: int, size: tuple[int, int]) -> np.ndarray:
    """A tenth of the contrast, and the sensor's noise whole."""
    noise = np.random.default_rng(index).integers(-2, 3, (*size, 3), dtype=np.int16)
    return (0.1 * good(index, size) + 0.9 * 200 + noise).clip(0, 255).astype(np.uint8)


def _blurred(index: int, size: tuple[int, int]) -> np.ndarray:
    road = np.roll(_road(*size), 2 * index, axis=1)
    soft = cv2.GaussianBlur(road, (0, 0), 9.0)
    # A sensor's noise survives a lens out of focus.
    noise = np.random.default_rng(index).integers(-1, 2, road.shape, dtype=np.int16)
    return (soft + noise).clip(0, 255).astype(np.uint8)


def _blocked(index: int, size: tuple[int, int]) -> np.ndarray:
    picture = good(index, size)
    noise = np.random.default_rng(index).integers(0, 2, (*size, 3), dtype=np.uint8)
    covered = slice(size[0] // 4, None)
    picture[covered] = 90 + noise[covered]
    return picture


def _frozen(index: int, size: tuple[int, int]) -> np.ndarray:
    return good(0, size)


def _small(index: int, size: tuple[int, int]) -> np.ndarray:
    return good(index, (size[0] // 2, size[1] // 2))


def _changing(index: int, size: tuple[int, int]) -> np.ndarray:
    return good(index, (size[0] - 16 * (index % 4), size[1]))


PICTURES: dict[str, Callable[[int, tuple[int, int]], np.ndarray]] = {
    "good": good,
    "black": _black,
    "over_exposed": _over_exposed,
    "fog": _fog,
    "blurred": _blurred,
    "blocked": _blocked,
    "frozen": _frozen,
    "small": _small,
    "changing": _changing,
}
