"""Where an object stands, by the classes around it: free on the ground, among other things, or beside it."""

from __future__ import annotations

import math

import cv2
import numpy as np

AROUND = 0.3
"""How far an object's surroundings reach, in square roots of its area."""
FREE = 0.7
"""Share of them that is ground, from which on an object is free on it."""


def place_of(
    score: np.ndarray, labels: np.ndarray, ground: np.ndarray, box: tuple[int, int, int, int], members: np.ndarray
) -> int:
    """0: free on the ground, 1: on it, among other things, 2: beside it. Arguments as in `stands`."""
    if not stands(score, labels, ground, box, members):
        return 2
    if not ground.any():
        return 0
    x0, y0, x1, y1 = box
    margin = max(3, round(AROUND * math.sqrt(np.count_nonzero(members))))
    rows, columns = slice(max(0, y0 - margin), y1 + margin), slice(max(0, x0 - margin), x1 + margin)
    own = np.zeros(labels[rows, columns].shape, np.uint8)
    own[y0 - rows.start :, x0 - columns.start :][: y1 - y0, : x1 - x0] = members
    around = cv2.dilate(own, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)) > own
    around &= ~np.isnan(score[rows, columns])
    share = ground[labels[rows, columns][around]]
    return 0 if np.count_nonzero(share) >= FREE * share.size else 1


def stands(
    score: np.ndarray, labels: np.ndarray, ground: np.ndarray, box: tuple[int, int, int, int], members: np.ndarray
) -> bool:
    """Whether the pixels below an object's foot are ground; true where the image ends there, or what is judged of it.

    Args:
        score: float32 `[H, W]`; where it is NaN (the own vehicle) the class says nothing about the object.
        labels: uint8 `[H, W]`, predicted class ids.
        ground: bool `[256]`, by class id; all false = everything stands.
        box: (x0, y0, x1, y1) of the object, half open.
        members: bool `[y1 - y0, x1 - x0]`, its pixels.
    """
    x0, _, _, y1 = box
    height = len(members)
    below = labels[y1 : y1 + max(3, height // 10)]
    if not below.size or not ground.any():
        return True
    columns = np.flatnonzero(members[-max(3, height // 5) :].any(axis=0))
    foot = slice(x0 + columns[0], x0 + columns[-1] + 1)
    below = below[:, foot][~np.isnan(score[y1 : y1 + len(below), foot])]
    return not below.size or bool(ground[below].mean() >= 0.5)
