"""What objects of each size need: false ones, paint, kerbs and reflections, are strong where they are large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model_card import Objects
from ...pipeline.obstacles.components import find_groups
from ..metrics.components import DETECTED, connected
from ..score_store import ScoreStore

FEW = 20
"""In so many frames at least a size must be seen, to have a limit of its own."""
AHEAD = 3
"""So many steps down at once are tried: behind one false object that costs a frame may be much to find."""


def seeds_by_size(
    score: np.ndarray, labels: np.ndarray, rule: Objects, min_area: int, shares: Sequence[float]
) -> np.ndarray:
    """Strength of the strongest group that is free on the ground, among other things on it, and beside it: float64
    `[1 + len(shares), 3]`, the largest size first, -inf for none.

    Args:
        score, labels, rule, min_area: as in `find_groups`.
        shares: falling; a group of less than such a share of the picture's pixels is of the next size.
    """
    strongest = np.full((1 + len(shares), 3), -np.inf)
    for group in find_groups(score, labels, rule, min_area):
        at = _size(group.area, score.size, shares), group.place
        strongest[at] = max(strongest[at], group.strength)
    return strongest


def pasted_by_size(pasted: ScoreStore, rule: Objects, min_area: int, shares: Sequence[float]) -> list[list[np.ndarray]]:
    """Strengths of the groups that are pasted unknowns (sIoU of at least 0.25), by size and place: `[size][place]`.

    Args:
        pasted: score, truth (1 = pasted) and predicted `labels`.
    """
    found: list[list[list[float]]] = [[[], [], []] for _ in range(1 + len(shares))]
    for name in pasted.names():
        score, truth, extra = pasted.get(name)
        ids, _ = connected(truth == 1)
        areas = np.bincount(ids.ravel())
        best: dict[int, tuple[float, int, int]] = {}
        for group in find_groups(score, extra["labels"], rule, min_area):
            x0, y0, x1, y1 = group.box
            inside = np.bincount(ids[y0:y1, x0:x1][group.members], minlength=len(areas))
            for number in np.flatnonzero(inside[1:]) + 1:
                # What lies on other objects does not count against it.
                union = areas[number] + group.area - inside[1:].sum()
                if inside[number] >= DETECTED * union:
                    at = group.strength, _size(group.area, score.size, shares), group.place
                    best[int(number)] = max(best.get(int(number), at), at)
        for strength, size, place in best.values():
            found[size][place].append(strength)
    return [[np.array(values) for values in row] for row in found]


def limits_by_size(seeds: np.ndarray, pasted: Sequence[np.ndarray], allowed: int, least: float) -> np.ndarray:
    """Limits that find most of the pasted unknowns and leave at most `allowed` of the frames with something above the
    limit of its size.

    It begins where no frame has any, and gives way step by step where a false frame buys most. A larger object never
    needs less than a smaller one.

    Args:
        seeds: float `[n, c]`, strength of the strongest object of each size in a frame, largest size first, -inf for
            none.
        pasted: strengths of the pasted unknowns of each size.
        allowed: number of frames.
        least: no limit is below this.

    Returns:
        Float64 `[c]`, falling; what is strictly above it counts.
    """
    steps = [np.unique(np.maximum(column, least))[::-1] for column in np.asarray(seeds, np.float64).T]
    seen = np.isfinite(seeds).sum(axis=0) >= FEW

    def limits(at: Sequence[int]) -> np.ndarray:
        found = np.array([step[index] for step, index in zip(steps, at, strict=True)])
        for size in range(1, len(found)):
            found[size] = found[size] if seen[size] else found[size - 1]
        return np.maximum.accumulate(found[::-1])[::-1]

    def gain_and_cost(at: Sequence[int]) -> tuple[int, int]:
        found = limits(at)
        gain = sum(int((strengths > limit).sum()) for strengths, limit in zip(pasted, found, strict=True))
        return gain, int((seeds > found).any(axis=1).sum())

    place = [0] * len(steps)
    while True:
        before, false = gain_and_cost(place)
        best, bought = None, 0.0
        for size, step in enumerate(steps):
            for more in range(1, min(AHEAD, len(step) - 1 - place[size]) + 1):
                at = [index + more * (other == size) for other, index in enumerate(place)]
                gain, cost = gain_and_cost(at)
                if cost <= allowed and (gain - before) / max(1, cost - false) > bought:
                    best, bought = at, (gain - before) / max(1, cost - false)
        if best is None:
            return limits(place)
        place = best


def _size(area: int, pixels: int, shares: Sequence[float]) -> int:
    return sum(area < share * pixels for share in shares)
