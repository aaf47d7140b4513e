"""What objects of each size need: false ones that are large are stronger than those that are small."""

from __future__ import annotations

import numpy as np

FEW = 20
"""In so many frames at least a size must be seen, to have a limit of its own."""


def limits_by_size(seeds: np.ndarray, allowed: int, least: float) -> np.ndarray:
    """Lowest limits that leave at most `allowed` of the frames with something above the limit of its size.

    It begins where no frame has any, and gives way where the strongest false object stands out most from the next:
    so much is gained there for one frame. A larger object never needs less than a smaller one.

    Args:
        seeds: float `[n, c]`, strength of the strongest object of each size in a frame, largest size first, -inf for
            none.
        allowed: number of frames.
        least: no limit is below this.

    Returns:
        Float64 `[c]`, falling; what is strictly above it counts.
    """
    seeds = np.asarray(seeds, np.float64)
    steps = [np.unique(np.maximum(column, least))[::-1] for column in seeds.T]
    seen = np.isfinite(seeds).sum(axis=0) >= FEW
    place = np.zeros(len(steps), int)

    def limits(at: np.ndarray) -> np.ndarray:
        found = np.array([step[index] for step, index in zip(steps, at, strict=True)])
        for size in range(1, len(found)):
            if not seen[size]:
                found[size] = found[size - 1]
        return np.maximum.accumulate(found[::-1])[::-1]

    while True:
        best, gained = -1, 0.0
        for size, step in enumerate(steps):
            if place[size] + 1 == len(step):
                continue
            after = place.copy()
            after[size] += 1
            gain = float((limits(place) - limits(after)).max())
            if gain > gained and (seeds > limits(after)).any(axis=1).sum() <= allowed:
                best, gained = size, gain
        if best < 0:
            return limits(place)
        place[best] += 1
