"""Which zone an obstacle is in: named polygons in `base_link`, each with what to do about obstacles in it.

An obstacle covers the ground where it may stand, from the near to the far end of its range interval and as wide as it
is seen. It belongs to the most careful zone that this area touches.
"""

from __future__ import annotations

import numpy as np

from ...parameters.settings import ACTIONS, Zones


def place(zones: Zones, area: np.ndarray | None) -> tuple[str, str]:
    """Name of the zone ("" = in none) and the action for an obstacle that covers `area`.

    Args:
        zones: all of them.
        area: corners `[N, 2]` in metres; None = its position is not known.
    """
    if area is None:
        return "", zones.unplaced
    touched = [zone for zone in zones.zones if touch(np.asarray(zone.polygon), area)]
    if not touched:
        return "", zones.outside
    best = min(touched, key=lambda zone: ACTIONS.index(zone.action))
    return best.name, best.action


def touch(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two polygons `[N, 2]` and `[M, 2]` share a point; the second may be flat, a line or a single point."""
    if _inside(first, second[0]) or _inside(second, first[0]):
        return True
    a, b = first, np.roll(first, -1, 0)
    for c, d in zip(second, np.roll(second, -1, 0), strict=True):
        # Edges cross where the ends of each lie on different sides of the other.
        apart = (_side(a, b, c) * _side(a, b, d) > 0) | (_side(c, d, a) * _side(c, d, b) > 0)
        low, high = np.minimum(c, d), np.maximum(c, d)
        apart |= ((np.maximum(a, b) < low) | (np.minimum(a, b) > high)).any(1)
        if not apart.all():
            return True
    return False


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    along, to = b - a, point - a
    return along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]


def _inside(polygon: np.ndarray, point: np.ndarray) -> bool:
    (x, y), (x0, y0) = point, polygon.T
    x1, y1 = np.roll(polygon, -1, 0).T
    crosses = (y0 > y) != (y1 > y)
    rise = np.where(crosses, y1 - y0, 1.0)
    return bool(np.count_nonzero(crosses & (x < x0 + (y - y0) * (x1 - x0) / rise)) % 2)
