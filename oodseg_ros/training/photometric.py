"""Changes of colours and sharpness of a crop; RGB uint8 in and out, seeded by the caller's generator."""

from __future__ import annotations

import cv2
import numpy as np

from ..outliers.style_alignment import color_jitter
from .data_recipe import AugmentSpec


def change_colors(rng: np.random.Generator, image: np.ndarray, augment: AugmentSpec) -> np.ndarray:
    """What `augment.color` says; the image itself is not changed."""
    if augment.color == "camera":
        return camera(rng, image)
    if augment.color == "shift":
        return shift(rng, image)
    if augment.color == "jitter" and rng.random() < augment.jitter_probability:
        return color_jitter(rng, image, *augment.jitter)
    return image


def camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What cameras do to a scene: gain, contrast, colour cast, saturation, fog, blur, noise, JPEG."""
    # Everything up to the fog is linear in (R, G, B, 1): composed as a 3x4 matrix and applied in one pass.
    linear, mean = np.hstack([np.eye(3), np.zeros((3, 1))]), np.array(cv2.mean(image)[:3])
    if rng.random() < 0.7:
        linear *= rng.uniform(0.6, 1.4)
        linear[:, 3] += rng.uniform(-25, 25)
    if rng.random() < 0.5:
        level = (linear[:, :3] @ mean + linear[:, 3]).mean()
        gain = rng.uniform(0.6, 1.4)
        linear *= gain
        linear[:, 3] += level * (1 - gain)
    if rng.random() < 0.4:
        linear *= rng.uniform(0.85, 1.15, 3)[:, None]
    if rng.random() < 0.5:
        keep = rng.uniform(0.3, 1.5)
        linear = (keep * np.eye(3) + (1 - keep) / 3) @ linear
    if rng.random() < 0.1:
        fog = rng.uniform(0.2, 0.6)
        linear *= 1 - fog
        linear[:, 3] += 200 * fog
    image = cv2.transform(image, linear)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = cv2.addWeighted(image, 1.0, noise, float(rng.uniform(2, 10)), 0.0, dtype=cv2.CV_8U)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def shift(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Strong changes, each with probability 0.5, as MultiShiftSeg uses for Mask2Former (arXiv 2411.03829)."""
    if rng.random() < 0.5:
        image = color_jitter(rng, image, 0.8, 0.8, 0.8, 0.2)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (9, 9), float(rng.uniform(0.1, 5.0)))
    if rng.random() < 0.5:
        factor = float(rng.uniform(0.0, 2.0))
        kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
        image = cv2.addWeighted(image, factor, cv2.filter2D(image, -1, kernel), 1 - factor, 0.0)
    if rng.random() < 0.5:
        image = _autocontrast(image)
    if rng.random() < 0.5:
        image = np.dstack([cv2.equalizeHist(np.ascontiguousarray(image[..., channel])) for channel in range(3)])
    return image


def _autocontrast(image: np.ndarray) -> np.ndarray:
    """Each channel stretched to 0..255."""
    low = image.reshape(-1, 3).min(axis=0).astype(float)
    high = image.reshape(-1, 3).max(axis=0).astype(float)
    gain = np.where(high > low, 255.0 / np.maximum(high - low, 1.0), 1.0)
    return cv2.transform(image, np.column_stack([np.diag(gain), np.where(high > low, -low * gain, 0.0)]))
