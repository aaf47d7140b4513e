"""Where on the road an object is put, and how large."""

from __future__ import annotations

import cv2
import numpy as np


def place_on_road(
    rng: np.random.Generator,
    road: np.ndarray,
    mask: np.ndarray,
    *,
    sides: tuple[int, int] = (200, 500),
    margin: int = 150,
    least_margin: int = 10,
    step: int = 10,
) -> np.ndarray | None:
    """The object's outline in the scene, bool `[H, W]`; None where there is no road.

    Args:
        road: bool `[H, W]`.
        mask: bool `[h, w]`, cropped to the object.
        sides: the larger side of the object is brought into this range (pixels), its shape kept.
        margin: its centre is a road pixel at least so far from the border; if there is none, `step` less, and so on
            down to `least_margin`.
    """
    height, width = road.shape
    while True:
        inner = road[margin : height - margin, margin : width - margin]
        rows, columns = np.nonzero(inner)
        if rows.size or margin <= least_margin:
            break
        margin = max(least_margin, margin - step)
    if not rows.size:
        return None
    pick = int(rng.integers(rows.size))
    y, x = int(rows[pick]) + margin, int(columns[pick]) + margin
    largest = max(mask.shape)
    scale = min(max(largest, sides[0]), sides[1]) / largest
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    scaled = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    top, left = y - size[1] // 2, x - size[0] // 2
    outline = np.zeros_like(road)
    ys, xs = slice(max(0, top), min(height, top + size[1])), slice(max(0, left), min(width, left + size[0]))
    outline[ys, xs] = scaled[ys.start - top : ys.stop - top, xs.start - left : xs.stop - left]
    return outline if outline.any() else None
