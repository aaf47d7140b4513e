"""What holds an alert, weaker than what raises it, and the least size by distance."""

from __future__ import annotations

import math

import numpy as np

from ...frame import GroundPosition
from ...model_card import Calibration
from ...object_rule import Objects

FACTOR = 2.0
"""Twice as many inlier pixels as are above the trigger threshold may be above the release threshold."""

Table = tuple[tuple[float, float], ...]
"""(metres, pixels), metres rising; linear between, constant outside."""


def release_threshold(calibration: Calibration, threshold: float, given: float | None = None) -> float:
    """Raw score, at most `threshold`, that holds an alert: what raised it may get weaker before it is gone.

    Args:
        calibration: its inlier histogram tells how many inlier pixels are above a score; without one, or where none is
            above the threshold, there is no second threshold.
        threshold: the one that triggers.
        given: the parameter; None = as above. Above `threshold` it has no meaning and `threshold` is taken.
    """
    if given is not None:
        return min(given, threshold)
    histogram = calibration.inlier_histogram
    if histogram is None:
        return threshold
    edges = np.linspace(histogram.low, histogram.high, len(histogram.counts) + 1)
    above = np.concatenate([np.cumsum(histogram.counts[::-1])[::-1], [0]]).astype(float)
    tail = float(np.interp(threshold, edges, above))
    if tail <= 0:
        return threshold
    # `above` falls from left to right; np.interp needs it to rise.
    return min(threshold, float(np.interp(FACTOR * tail, above[::-1], edges[::-1])))


def release_rule(objects: Objects | None, threshold: float, release: float) -> Objects | None:
    """The rule that holds an alert, for `find_objects` at the threshold `release`: what raised it needed more among
    other things, beside the ground and as a core, and gets weaker by as much as one that is free before it is gone.

    What a core grows to falls only where a limit would be below it. Then a core is larger, and the share `seed` of one
    that is as strong as before may be missed: but that one raises the alert still, and needs nothing to hold it. Of
    those that got weaker, more would be lost without.
    """
    if objects is None:
        return None
    weaker = threshold - release
    among, beside = max(threshold, objects.limit_among(threshold)), max(threshold, objects.beside)
    core = objects.core
    if core is not None:
        limits = {name: max(threshold, getattr(core, name)) - weaker for name in ("free", "among", "beside")}
        core = core.model_copy(update=limits | {"grow": min(core.grow, *limits.values())})
    return objects.model_copy(update={"among": among - weaker, "beside": beside - weaker, "core": core})


def least_area(table: Table, otherwise: int, ground: GroundPosition | None) -> float:
    """Pixels that an obstacle needs: the least that the table asks anywhere in its range interval.

    Args:
        table: empty = `otherwise` everywhere.
        otherwise: where the position is not known.
        ground: position of the obstacle.
    """
    if not table or ground is None:
        return float(otherwise)
    metres, pixels = np.asarray(table).T
    far = ground.range_max if math.isfinite(ground.range_max) else float(metres[-1])
    inside = metres[(metres > ground.range_min) & (metres < far)]
    return float(np.interp([ground.range_min, far, *inside], metres, pixels).min())
