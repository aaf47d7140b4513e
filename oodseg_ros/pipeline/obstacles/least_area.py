"""Least number of pixels of an obstacle, by its distance: what is far is small."""

from __future__ import annotations

import math

import numpy as np

from ...frame import GroundPosition

Table = tuple[tuple[float, float], ...]
"""(metres, pixels), metres rising; linear between, constant outside."""


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
