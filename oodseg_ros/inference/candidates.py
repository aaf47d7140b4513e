"""What could be an object on the ground, after the first look: a coarse and quick form of what the pipeline finds."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..model_card import InputSpec
from .sizes import network_size

CELL = 4
"""Network pixels a side of what is looked at to find candidates."""
LEAST, MOST = 2, 64
"""Cells of a candidate at least, and candidates looked at, the largest: clutter has thousands."""

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1), half open."""
Candidate = tuple[float, Box]
"""Its strength, a raw score, and where it is, in cells."""


def cell_size(height: int, width: int, spec: InputSpec) -> int:
    """Pixels a side of a cell, for an image of this size: no more than it has, also where `spec.resize` squeezes it."""
    return max(1, min(height, width, round(CELL * width / network_size(height, width, spec)[1])))


def split(found: list[Candidate], most: float) -> tuple[list[Candidate], list[Candidate]]:
    """Candidates that are larger, and those that are small: at most so many cells high, and twice that wide."""
    larger: list[Candidate] = []
    small: list[Candidate] = []
    for strength, (x0, y0, x1, y1) in found:
        is_small = y1 - y0 <= most and x1 - x0 <= 2 * most
        (small if is_small else larger).append((strength, (x0, y0, x1, y1)))
    return larger, small


def in_cells(score: np.ndarray, labels: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps `[H, W]` as cells of `step` pixels a side, each what its middle pixel is."""
    middle = slice(step // 2, None, step)
    return score[middle, middle], labels[middle, middle]


def candidates(score: np.ndarray, labels: np.ndarray, grow: float, seed: float, ground: np.ndarray) -> list[Candidate]:
    """What could be an object on the ground, strongest first: the score that the share `seed` of its cells exceeds, and
    its box. A coarse form of what `pipeline.obstacles.components` finds.

    Args:
        score: float32 `[h, w]`, of the cells.
        labels: uint8 `[h, w]`.
        grow: raw score above which cells hang together.
        seed: share in (0, 1].
        ground: bool `[256]`, by class id; none = everything stands.
    """
    # Not `components`' own functions: they look three pixels below a foot, which in cells is another place. In four
    # of eight frames of Lost&Found they found other candidates, for which no card was made; and no time is saved.
    mask = (score > np.float32(grow)).view(np.uint8)
    _, ids, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    found = []
    for index in np.argsort(-areas, kind="stable")[:MOST]:
        if areas[index] < LEAST:
            break
        x, y, width, height = stats[index, :4].tolist()
        members = ids[y : y + height, x : x + width] == index
        below = labels[y + height : y + height + max(1, height // 10)]
        if below.size and ground.any():
            feet = x + np.flatnonzero(members[-max(1, height // 5) :].any(axis=0))
            if ground[below[:, feet[0] : feet[-1] + 1]].mean() < 0.5:
                continue
        values = score[y : y + height, x : x + width][members]
        rank = values.size - math.ceil(seed * values.size)
        found.append((float(np.partition(values, rank)[rank]), (x, y, x + width, y + height)))
    return sorted(found, reverse=True)
