"""Unknown objects without a photograph: random shapes filled with foreign texture.

The texture comes from another frame's patch (as in DRL, doi 10.1109/TCSVT.2025.3597071), from a cut-out, or from noise;
the shape is a convex hull of random points, an ellipse, a rotated rectangle or a star-shaped blob.
"""

from __future__ import annotations

import cv2
import numpy as np

from .objects import tight

SIDE = 128


def random_shape(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """RGBA uint8 `[h, w, 4]`, at most 128 pixels a side, filled with `texture` (RGB uint8, any size, resized)."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        points = rng.integers(4, SIDE - 4, (10, 2)).astype(np.int32)
        cv2.fillConvexPoly(alpha, cv2.convexHull(points), 255)
    elif kind == 1:
        axes = tuple(int(v) for v in rng.integers(SIDE // 6, SIDE // 2 - 2, 2))
        cv2.ellipse(alpha, (SIDE // 2, SIDE // 2), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    elif kind == 2:
        size = tuple(float(v) for v in rng.uniform(SIDE / 5, SIDE / 1.5, 2))
        box = cv2.boxPoints(((SIDE / 2, SIDE / 2), size, float(rng.uniform(-25, 25))))
        cv2.fillConvexPoly(alpha, box.astype(np.int32), 255)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 14))
        radii = rng.uniform(0.35, 1.0, 14) * (SIDE / 2 - 2)
        points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1) + SIDE / 2
        cv2.fillPoly(alpha, [points.astype(np.int32)], 255)
        alpha = np.where(cv2.GaussianBlur(alpha, (0, 0), 3) > 127, 255, 0).astype(np.uint8)
    if np.count_nonzero(alpha) < 400:
        cv2.circle(alpha, (SIDE // 2, SIDE // 2), SIDE // 4, 255, -1)
    return tight(np.dstack([cv2.resize(texture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), alpha]))


def random_texture(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """RGB uint8 texture: a patch of `image` with shifted colours, noise between two colours, or a plain colour."""
    kind = rng.random()
    if kind < 0.5:
        side = int(rng.integers(32, max(33, min(256, *image.shape[:2]))))
        y, x = rng.integers(image.shape[0] - side + 1), rng.integers(image.shape[1] - side + 1)
        patch = image[y : y + side, x : x + side]
        return shift_color(rng, patch, 0.5) if rng.random() < 0.7 else patch
    first, second = rng.integers(0, 256, (2, 3))
    if kind < 0.8:
        cells = int(rng.integers(2, 24))
        noise = cv2.resize(rng.random((cells, cells), dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        weight = np.clip(noise, 0, 1)[..., None]
        return (first * weight + second * (1 - weight)).astype(np.uint8)
    shade = np.linspace(rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0), SIDE)[:, None, None]
    return np.broadcast_to(first * shade, (SIDE, SIDE, 3)).astype(np.uint8)


def shift_color(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Random hue, saturation and brightness change; strength 1 = any hue, RGB uint8 in and out."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-90, 90) * strength) % 180
    hsv[..., 1:] *= rng.uniform(1 - 0.6 * strength, 1 + 0.6 * strength, 2)
    return cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
