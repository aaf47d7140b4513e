"""What could be an object, and the thresholds at which it would be one: for calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...object_rule import Objects
from .components import anomaly_mask, grouped, members_of
from .standing import place_of


class Group(NamedTuple):
    """Pixels above `grow` that hang together.

    Attributes:
        box: (x0, y0, x1, y1), half open.
        members: bool `[y1 - y0, x1 - x0]`, its pixels.
        area: number of them.
        place: 0 = free on the ground, 1 = on it, among other things, 2 = beside it.
        strength: raw score that the share `seed` of them has at least.
    """

    box: tuple[int, int, int, int]
    members: np.ndarray
    area: int
    place: int
    strength: float


def find_groups(score: np.ndarray, labels: np.ndarray, objects: Objects, min_area: int) -> Iterator[Group]:
    """What could be an object at some threshold from `grow` on. Arguments as in `find_objects`; of the rule `grow`,
    `seed` and `ground` count.
    """
    ground = np.zeros(256, bool)
    ground[objects.ground] = True
    for box, area, given in grouped(anomaly_mask(score, objects.grow), min_area):
        members = members_of(box, given)
        values = score[box[1] : box[3], box[0] : box[2]][members]
        rank = values.size - math.ceil(objects.seed * values.size)
        strength = float(np.partition(values, rank)[rank])
        yield Group(box, members, area, place_of(score, labels, ground, box, members), strength)


def last_threshold(score: np.ndarray, labels: np.ndarray, objects: Objects, min_area: int) -> float:
    """The threshold at and above which `find_objects` finds nothing at all in a frame, by the whole rule; -inf where it
    finds nothing at any from `grow` on. Arguments as there.
    """
    last = -math.inf
    needed = (-math.inf, objects.limit_among(-math.inf), objects.beside)
    for group in find_groups(score, labels, objects, min_area):
        smaller = [one for one in objects.smaller if group.area < one.share * score.size][-1:]
        free, less = next(((one.free, (one.free, one.among, one.beside)[group.place]) for one in smaller), (0.0, 0.0))
        if group.strength + less > needed[group.place]:
            last = max(last, group.strength + min(free, less))
    if (core := objects.core) is not None:
        for group in find_groups(score, labels, objects.model_copy(update={"grow": core.grow}), min_area):
            if group.strength > (core.free, core.among, core.beside)[group.place]:
                last = max(last, group.strength)
    return last
