"""Brightness, contrast, saturation and hue in random order, as every published recipe uses it."""

from __future__ import annotations

import cv2
import numpy as np


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
