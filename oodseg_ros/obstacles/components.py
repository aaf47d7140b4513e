"""Score → mask → connected groups of anomalous pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

STRENGTH_PERCENTILE = 90
"""A component's score is this percentile of its pixels: its strong part decides, a single hot pixel does not."""

_SAMPLE = 16384


@dataclass(frozen=True)
class Component:
    """One 8-connected group of anomalous pixels.

    Attributes:
        box: (x0, y0, x1, y1), half open.
        area: number of its pixels.
        foot: (u, v) of the middle of its lowest row.
        strength: raw score, 90th percentile of its pixels.
    """

    box: tuple[int, int, int, int]
    area: int
    foot: tuple[float, float]
    strength: float


def anomaly_mask(score: np.ndarray, threshold: float) -> np.ndarray:
    """uint8 `[H, W]`: 255 where the float32 score is strictly above the threshold, else 0; NaN is never above."""
    return cv2.compare(score, float(threshold), cv2.CMP_GT)


def find_components(
    score: np.ndarray, mask: np.ndarray, min_area: int, max_count: int
) -> tuple[tuple[Component, ...], int]:
    """The `max_count` largest components of at least `min_area` pixels, largest first, and the number of further ones."""
    count, ids, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    areas = stats[1:, cv2.CC_STAT_AREA]
    wanted = np.flatnonzero(areas >= min_area)
    wanted = wanted[np.argsort(-areas[wanted], kind="stable")]
    listed = tuple(_component(score, ids, stats[index + 1], index + 1) for index in wanted[:max_count])
    return listed, len(wanted) - len(listed)


def _component(score: np.ndarray, ids: np.ndarray, stats: np.ndarray, index: int) -> Component:
    x0, y0, width, height, area = (int(value) for value in stats)
    region = (slice(y0, y0 + height), slice(x0, x0 + width))
    values = score[region][ids[region] == index]
    values = values[:: max(1, len(values) // _SAMPLE)]
    lowest = np.flatnonzero(ids[y0 + height - 1, x0 : x0 + width] == index)
    foot = (x0 + float(lowest.mean()), float(y0 + height - 1))
    rank = min(len(values) - 1, len(values) * STRENGTH_PERCENTILE // 100)
    strength = float(np.partition(values, rank)[rank])
    return Component((x0, y0, x0 + width, y0 + height), area, foot, strength)
