"""Paste objects where and as large as a driver would meet them, and hide the seam.

Extends AnomalyMix (hard paste of one object at a uniform place): several objects, most of them standing on the ground
with a size that follows the distance to the horizon, colours drawn towards the surroundings, soft edges,
contact shadow.
"""

from __future__ import annotations

import cv2
import numpy as np

from .anomaly_mix import Align, surroundings
from .objects import shift_color


def paste(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    rgba: np.ndarray,
    target: int,
    ground: np.ndarray | None,
    sizes: tuple[float, float] = (0.02, 0.45),
    align: Align | None = None,
) -> bool:
    """Paste one object into `image` RGB uint8 `[H, W, 3]`, write `target` into `label` uint8 `[H, W]`; both in place.

    Args:
        rgba: the object, uint8 `[h, w, 4]`.
        ground: boolean `[H, W]` of ground pixels, or None to paste anywhere.
        sizes: smallest and largest larger side of the object as a fraction of H.
        align: draws the object's colours towards the scene; None = mean and spread of Lab by a random amount.

    Returns:
        Whether anything was pasted (the object may come out too small to mean anything).
    """
    height, width = label.shape
    side = np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1]))) * height
    foot = None
    if ground is not None:
        rows, columns = np.nonzero(ground)
        if len(rows):
            pick = rng.integers(len(rows))
            foot = int(rows[pick]), int(columns[pick])
            top = rows.min()
            # On a ground plane apparent size grows linearly from the horizon down.
            side = min(side, (0.15 + 1.3 * (foot[0] - top) / max(1, height - top)) * sizes[1] * height)
    rgba = _transform(rng, rgba, max(6.0, side), upright=foot is not None)
    h, w = rgba.shape[:2]
    if foot is None:
        y0, x0 = int(rng.integers(-h // 4, height - h // 2)), int(rng.integers(-w // 4, width - w // 2))
    else:
        y0, x0 = foot[0] - h + 1, foot[1] - w // 2
    ys, xs = slice(max(0, y0), min(height, y0 + h)), slice(max(0, x0), min(width, x0 + w))
    if ys.stop - ys.start < 3 or xs.stop - xs.start < 3:
        return False
    rgba = rgba[ys.start - y0 : ys.stop - y0, xs.start - x0 : xs.stop - x0]
    solid = rgba[..., 3] > 127
    if np.count_nonzero(solid) < 12:
        return False
    if foot is not None and rng.random() < 0.6:
        _shadow(rng, image, y0 + h, x0, w)
    rgb = np.ascontiguousarray(rgba[..., :3])
    if align is None:
        color = _harmonize(rng, rgb, solid, image[ys, xs])
    else:
        around = surroundings(image, ys.start, xs.start, *solid.shape)
        color = align(rng, rgb, solid, around).astype(np.float32)
    alpha = rgba[..., 3].astype(np.float32) / 255.0
    if rng.random() < 0.8:
        alpha = cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.4, 1.2)))
    alpha = alpha[..., None]
    image[ys, xs] = (color * alpha + image[ys, xs] * (1 - alpha)).astype(np.uint8)
    label[ys, xs][solid] = target
    return True


def _transform(rng: np.random.Generator, rgba: np.ndarray, side: float, upright: bool) -> np.ndarray:
    if rng.random() < 0.5:
        rgba = rgba[:, ::-1]
    angle = rng.uniform(-12, 12) if upright else rng.uniform(-180, 180)
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    scale = side / max(rgba.shape[:2])
    h, w = rgba.shape[0] * scale / stretch, rgba.shape[1] * scale * stretch
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    rgba = cv2.resize(np.ascontiguousarray(rgba), (max(3, round(w)), max(3, round(h))), interpolation=interpolation)
    if rng.random() < 0.5:
        h, w = rgba.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), angle, 1.0)
        cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
        new_w, new_h = int(h * sin + w * cos) + 1, int(h * cos + w * sin) + 1
        matrix[:, 2] += (new_w - w) / 2, (new_h - h) / 2
        rgba = cv2.warpAffine(rgba, matrix, (new_w, new_h), flags=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        rgba = np.dstack([shift_color(rng, np.ascontiguousarray(rgba[..., :3]), rng.uniform(0, 0.7)), rgba[..., 3]])
    return rgba


def _harmonize(rng: np.random.Generator, color: np.ndarray, solid: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Pull mean and spread of the object's Lab colours towards its surroundings, by a random amount (Reinhard 2001)."""
    amount = rng.uniform(0, 0.7) if rng.random() < 0.6 else 0.0
    if amount == 0.0:
        return color.astype(np.float32)
    lab = cv2.cvtColor(np.ascontiguousarray(color), cv2.COLOR_RGB2LAB).astype(np.float32)
    around = cv2.cvtColor(np.ascontiguousarray(background), cv2.COLOR_RGB2LAB).astype(np.float32).reshape(-1, 3)
    mean, std = lab[solid].mean(axis=0), lab[solid].std(axis=0) + 1.0
    goal_mean = (1 - amount) * mean + amount * around.mean(axis=0)
    goal_std = std ** (1 - 0.5 * amount) * (around.std(axis=0) + 4.0) ** (0.5 * amount)
    lab = (lab - mean) / std * goal_std + goal_mean
    return cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB).astype(np.float32)


def _shadow(rng: np.random.Generator, image: np.ndarray, y: int, x: int, width: int) -> None:
    """Darken an ellipse under the object, in place."""
    height = max(2, int(width * rng.uniform(0.08, 0.25)))
    mask = np.zeros(image.shape[:2], np.uint8)
    center = (int(x + width / 2 + rng.uniform(-0.2, 0.2) * width), int(y - height / 3))
    cv2.ellipse(mask, center, (max(2, int(width * 0.55)), height), 0, 0, 360, 255, -1)
    ys = slice(max(0, center[1] - 2 * height), max(0, center[1] + 2 * height))
    xs = slice(max(0, center[0] - width), max(0, center[0] + width))
    if mask[ys, xs].size == 0:
        return
    soft = cv2.GaussianBlur(mask[ys, xs], (0, 0), max(1.0, height / 3)).astype(np.float32)[..., None] / 255.0
    image[ys, xs] = (image[ys, xs] * (1 - rng.uniform(0.2, 0.6) * soft)).astype(np.uint8)
