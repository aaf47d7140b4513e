"""The coherent score: what a person or another node sees of a score, one object as one."""

from __future__ import annotations

import math

import numpy as np

from ...object_rule import Objects
from .components import anomaly_mask, grouped, members_of, strong_rank


def coherent_score(score: np.ndarray, objects: Objects | None, min_area: int) -> np.ndarray:
    """The score with the weak pixels of every group above `objects.grow` nearer to its strong ones.

    A group is what hangs together above `objects.grow`, whether it becomes an object or not. Of its pixels each score s
    below the group's strength p (`STRENGTH_QUANTILE` of its pixels) becomes s + c (s - grow) / (p - grow) (p - s), with
    c = `objects.coherence`: the middle comes nearer to the strong part, the halo at the edge hardly. So no score falls,
    and groups, the order inside of each and their strength stay. What is an object is decided on the score itself,
    which the bundle's thresholds are of.

    Args:
        score: float32 `[H, W]`, NaN = not judged; not changed.
        objects: the bundle's rule; None = the score as it is.
        min_area: least number of pixels of a group.

    Returns:
        float32 `[H, W]`, equal to the bit outside of groups; `score` itself where nothing changes.
    """
    if objects is None or not objects.coherence:
        return score
    share, grow, result = objects.coherence, float(np.float32(objects.grow)), score
    for (x0, y0, x1, y1), area, given in grouped(anomaly_mask(score, objects.grow), min_area):
        if result is score:
            result = score.copy()
        members, part = members_of((x0, y0, x1, y1), given), result[y0:y1, x0:x1]
        values, rank = part[members], strong_rank(area)
        strength = float(np.partition(values, rank)[rank])
        if math.isinf(strength):
            continue  # nothing is near to it
        # In float64 rounding keeps the order.
        weak = np.minimum(values.astype(np.float64), strength)
        nearer = weak + share * (weak - grow) / (strength - grow) * (strength - weak)
        part[members] = np.maximum(values, np.minimum(nearer, strength).astype(np.float32))
    return result
