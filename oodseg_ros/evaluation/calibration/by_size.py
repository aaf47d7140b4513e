"""What objects of each size need: false ones, paint, kerbs and reflections, are strong where they are large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...object_rule import Objects
from ...pipeline.obstacles.groups import find_groups
from ..metrics.components import DETECTED, connected
from ..score_store import ScoreStore

FEW = 20
"""In so many frames at least a size must be seen, to have a limit of its own."""


def seeds_by_size(
    score: np.ndarray, labels: np.ndarray, rule: Objects, min_area: int, shares: Sequence[float] = ()
) -> np.ndarray:
    """Strength of the strongest group that is free on the ground, among other things on it, and beside it: float64
    `[1 + len(shares), 3]`, the largest size first, -inf for none.

    Without `shares` these are the thresholds at and above which `find_objects` finds nothing at each place, by a rule
    without `core` and `smaller`.

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

    It begins where no frame has any, and gives way where a false frame buys most. A larger object never needs less than
    a smaller one, and no fewer unknowns are found than with one limit for all.

    Args:
        seeds: float `[n, c]`, strength of the strongest object of each size in a frame, largest size first, -inf for
            none.
        pasted: strengths of the pasted unknowns of each size.
        allowed: number of frames.
        least: no limit is below this.

    Returns:
        Float64 `[c]`, falling; what is strictly above it counts.
    """
    seeds = np.asarray(seeds, np.float64)
    steps = [np.unique(np.maximum(column, least))[::-1] for column in seeds.T]
    seen = np.isfinite(seeds).sum(axis=0) >= FEW

    def limits(at: Sequence[int]) -> np.ndarray:
        found = np.array([step[index] for step, index in zip(steps, at, strict=True)])
        for size in range(1, len(found)):
            found[size] = found[size] if seen[size] else max(found[size], found[size - 1])
        return np.maximum.accumulate(found[::-1])[::-1]

    def gain_and_cost(at: Sequence[int]) -> tuple[int, int]:
        found = limits(at)
        gain = sum(int((strengths > limit).sum()) for strengths, limit in zip(pasted, found, strict=True))
        return gain, int((seeds > found).any(axis=1).sum())

    def lowered(at: Sequence[int], size: int, limit: float) -> list[int]:
        """This size and all smaller ones to at most this limit, each to what was seen of it."""
        return [
            index if other < size else max(index, min(int((step > limit).sum()), len(step) - 1))
            for other, (index, step) in enumerate(zip(at, steps, strict=True))
        ]

    def descended(at: list[int]) -> list[int]:
        while True:
            before, false = gain_and_cost(at)
            best, bought = None, 0.0
            for size, step in enumerate(steps):
                for limit in step[at[size] + 1 :]:
                    further = lowered(at, size, limit)
                    gain, cost = gain_and_cost(further)
                    if cost > allowed:
                        break
                    if (gain - before) / max(1, cost - false) > bought:
                        best, bought = further, (gain - before) / max(1, cost - false)
            if best is None:
                return at
            at = best

    start = [0] * len(steps)
    ends = [descended(start)]
    # Step by step may end worse than one limit for all: so also on from there.
    one = lowered(start, 0, np.sort(seeds.max(axis=1))[::-1][min(allowed, len(seeds) - 1)])
    if gain_and_cost(one)[1] <= allowed:
        ends.append(descended(one))
    return limits(max(ends, key=lambda at: gain_and_cost(at)[0]))


def _size(area: int, pixels: int, shares: Sequence[float]) -> int:
    return sum(area < share * pixels for share in shares)
