"""Which frames a report shows, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

TRUTH, FOUND, OBJECT = (60, 255, 120), (0, 230, 255), (255, 70, 200)
"""RGB of the outlines of true and of predicted anomalies, and of the objects that a vehicle gets."""


def choose(rows: Sequence[dict[str, Any]], key: str, best: int, worst: int) -> tuple[list[int], list[int]]:
    """Indices of the frames with the highest and the lowest `key`; frames without one left out, none in both."""
    ranked = [i for i, row in enumerate(rows) if not math.isnan(row.get(key, math.nan))]
    ranked.sort(key=lambda i: (rows[i][key], i))
    low = ranked[: min(worst, math.ceil(len(ranked) / 2))]
    high = [i for i in ranked[::-1] if i not in low][:best]
    return high, low


def draw_frame(
    image: np.ndarray,
    score: np.ndarray,
    label: np.ndarray,
    threshold: float,
    limits: tuple[float, float],
    objects: np.ndarray | None = None,
) -> np.ndarray:
    """Image with outlines of truth and prediction, and beside it the score as heat.

    Args:
        image: RGB uint8 `[H, W, 3]`.
        score: float32 `[H, W]`; NaN is drawn gray.
        label: uint8 `[H, W]`, 0, 1, 255; void is darkened.
        threshold: on the raw score; not drawn if nan.
        limits: raw scores of the coldest and the hottest color, equal for all frames of a report.
        objects: uint8 `[H, W]`, 255 = objects at the bundle's own threshold; None = not drawn.

    Returns:
        RGB uint8 `[H, 2 W, 3]`, or `[2 H, W, 3]` for images wider than 3:2.
    """
    left = image.copy()
    left[label == 255] = left[label == 255] // 3
    width = max(1, image.shape[0] // 300)
    if not math.isnan(threshold):
        _outline(left, score > threshold, FOUND, width)
    _outline(left, label == 1, TRUTH, width)
    if objects is not None:
        _outline(left, objects > 0, OBJECT, width)
    low, high = limits
    scaled = np.clip((score - low) / max(high - low, 1e-12), 0, 1)
    heat = cv2.applyColorMap((np.nan_to_num(scaled) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    heat = cv2.cvtColor(heat, cv2.COLOR_BGR2RGB)
    heat[np.isnan(score)] = 128
    _outline(heat, label == 1, TRUTH, width)
    return np.concatenate([left, heat], axis=0 if image.shape[1] > 1.5 * image.shape[0] else 1)


def draw_classes(image: np.ndarray, labels: np.ndarray, truth: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Predicted classes over the image, and beside it where they are wrong (red) or right (dimmed); void is black."""
    left = cv2.addWeighted(palette[labels], 0.5, image, 0.5, 0)
    right = image // 3
    right[(labels != truth) & (truth != 255)] = (230, 40, 40)
    right[truth == 255] = 0
    return np.concatenate([left, right], axis=0 if image.shape[1] > 1.5 * image.shape[0] else 1)


def _outline(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], width: int) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, contours, -1, color, width)
