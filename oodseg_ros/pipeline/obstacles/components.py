"""Score → mask → connected groups of anomalous pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

STRENGTH_QUANTILE = 0.9
"""A component's score is this quantile of its pixels: its strong part decides, a single hot pixel does not."""

_SAMPLE = 16384
# One algorithm of OpenCV's, by name: its own choice is 2.5 times slower on masks like ours.
_ALGORITHM = cv2.CCL_GRANA
_BUSY = 4000


@dataclass(frozen=True)
class Component:
    """One 8-connected group of anomalous pixels.

    Attributes:
        box: (x0, y0, x1, y1), half open.
        area: number of its pixels.
        foot: (u, v) of the middle of its lowest row.
        strength: raw score, `STRENGTH_QUANTILE` of its pixels (of those in every n-th row where they are many).
        margin: raw score by which it is stronger than its size and place need. A threshold from `grow` on could rise
            by at least that before this would be no object any more: by exactly that for what is free on the ground,
            by more where what is needed does not rise along (among, beside, a core, a smaller one that needs `grow`).
        core: it is the strong part of something larger that is no object.
    """

    box: tuple[int, int, int, int]
    area: int
    foot: tuple[float, float]
    strength: float
    margin: float = math.nan
    core: bool = False


def anomaly_mask(score: np.ndarray, threshold: float) -> np.ndarray:
    """uint8 `[H, W]`: 255 where the float32 score is strictly above the threshold, else 0; NaN is never above."""
    mask = (score > np.float32(threshold)).view(np.uint8)
    return np.negative(mask, out=mask)  # 1 → 255, in place


def find_components(
    score: np.ndarray, mask: np.ndarray, min_area: int, max_count: int, threshold: float = 0.0
) -> tuple[tuple[Component, ...], int]:
    """Components of a mask, largest first (equal ones by row, then column).

    Args:
        score: float32 `[H, W]`.
        mask: uint8 `[H, W]`, 0 or 255, of the same size.
        min_area: least number of pixels.
        max_count: the largest ones are listed.
        threshold: raw score that made the mask, for `Component.margin`.

    Returns:
        The listed components, and the number of those that were large enough but not listed.
    """
    if not cv2.countNonZero(mask):  # the usual case on a road, and ten times cheaper than looking for contours
        return (), 0
    return largest_of(score, [(*group, threshold, min_area) for group in grouped(mask, min_area)], max_count)


# box, area, members: bool [h, w] of the box, or a pair (label image of the whole mask, label) to make it from.
RawGroup = tuple[tuple[int, int, int, int], int, "np.ndarray | tuple[np.ndarray, int]"]


def grouped(mask: np.ndarray, min_area: int) -> list[RawGroup]:
    """The 8-connected groups of a mask uint8 `[H, W]` (0 or 255) that have at least so many pixels."""
    return _by_labels(mask, min_area) if _is_busy(mask) else _by_contours(mask, min_area)


def largest_of(score: np.ndarray, groups: list[tuple[Any, ...]], max_count: int) -> tuple[tuple[Component, ...], int]:
    """Groups, each with the raw score that it needed, in how many of its pixels, and whether it is a core."""
    groups.sort(key=lambda group: (-group[1], group[0][1], group[0][0], group[0][3], group[0][2]))
    listed = tuple(_component(score, *group) for group in groups[:max_count])
    return listed, len(groups) - len(listed)


def strong_rank(count: int) -> int:
    """Place of `STRENGTH_QUANTILE` among so many rising scores, from 0 on."""
    return min(count - 1, int(count * STRENGTH_QUANTILE))


def members_of(box: tuple[int, int, int, int], members: np.ndarray | tuple[np.ndarray, int]) -> np.ndarray:
    """Box and members of a `RawGroup` → bool `[y1 - y0, x1 - x0]`, its pixels."""
    if isinstance(members, np.ndarray):
        return members
    x0, y0, x1, y1 = box
    labels, index = members
    return labels[y0:y1, x0:x1] == index


def _is_busy(mask: np.ndarray) -> bool:
    """Whether every fourth row has so many edges that following contours would cost more than labeling everything."""
    rows = mask[::4]
    return mask.shape[1] > 1 and cv2.countNonZero(cv2.absdiff(rows[:, 1:], rows[:, :-1])) > _BUSY


def _by_contours(mask: np.ndarray, min_area: int) -> list[RawGroup]:
    """Label only inside the boxes of outer contours: most of a road is clear, and one pass over 2 MP costs 5 ms."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [contours[index] for index in np.flatnonzero(hierarchy[0, :, 3] < 0)] if contours else []
    rects = [(cv2.boundingRect(contour), contour[0, 0]) for contour in outer]
    rects = [(rect, point) for rect, point in rects if rect[2] * rect[3] >= min_area]
    if sum(rect[2] * rect[3] for rect, _ in rects) > mask.size:
        return _by_labels(mask, min_area)
    groups: list[RawGroup] = []
    for (x, y, width, height), point in rects:
        _, labels = cv2.connectedComponentsWithAlgorithm(mask[y : y + height, x : x + width], 8, cv2.CV_32S, _ALGORITHM)
        members = labels == labels[point[1] - y, point[0] - x]
        area = int(np.count_nonzero(members))
        if area >= min_area:
            groups.append(((x, y, x + width, y + height), area, members))
    return groups


def _by_labels(mask: np.ndarray, min_area: int) -> list[RawGroup]:
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, _ALGORITHM)
    groups: list[RawGroup] = []
    for index in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= min_area) + 1:
        x, y, width, height, area = stats[index].tolist()
        groups.append(((x, y, x + width, y + height), area, (labels, int(index))))
    return groups


def _component(
    score: np.ndarray,
    box: tuple[int, int, int, int],
    area: int,
    members: np.ndarray | tuple[np.ndarray, int],
    wanted: float,
    needed: int,
    core: bool = False,
) -> Component:
    x0, y0, x1, y1 = box
    members = members_of(box, members)
    foot = (x0 + float(np.flatnonzero(members[-1]).mean()), float(y1 - 1))
    rows = slice(None, None, max(1, area // _SAMPLE))
    values = score[y0:y1, x0:x1][rows][members[rows]]
    rank = strong_rank(len(values))
    last = max(0, len(values) - max(1, round(needed * len(values) / area)))
    ranked = np.partition(values, (rank, last))
    return Component(box, area, foot, float(ranked[rank]), float(ranked[last]) - wanted, core)
