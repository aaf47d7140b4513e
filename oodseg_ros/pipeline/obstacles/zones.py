"""Where on the ground an obstacle matters: named polygons in `base_link`, each with what to do about obstacles in it.

An obstacle covers the ground where it may stand, from the near to the far end of its range interval and as wide as it
is seen. It belongs to the most careful zone that this area touches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ...errors import ConfigError

ALERT, REPORT, IGNORE = "alert", "report", "ignore"
ACTIONS = (ALERT, REPORT, IGNORE)
"""The most careful first. alert: it counts. report: it is listed, but does not count. ignore: it is not listed."""

MAX_POINTS = 64

Point = tuple[float, float]


@dataclass(frozen=True)
class Zone:
    """A polygon (x forward, y left, metres), closed by itself, either way round, convex or not.

    Raises:
        ConfigError: fewer than three points, a number that is not finite, no area, or no such action.
    """

    name: str
    polygon: tuple[Point, ...]
    action: str = ALERT

    def __post_init__(self) -> None:
        where = f"zone {self.name}"
        if self.action not in ACTIONS:
            raise ConfigError(f"{where}: the action must be one of {', '.join(ACTIONS)}, got {self.action!r}")
        if not 3 <= len(self.polygon) <= MAX_POINTS:
            raise ConfigError(f"{where}: a polygon has 3 to {MAX_POINTS} points, got {len(self.polygon)}")
        if not all(math.isfinite(value) and abs(value) <= 1e4 for point in self.polygon for value in point):
            raise ConfigError(f"{where}: the polygon must consist of finite numbers of metres")
        x, y = np.asarray(self.polygon).T
        if abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) < 1e-6:
            raise ConfigError(f"{where}: the polygon has no area; give its corners in order")


@dataclass(frozen=True)
class Zones:
    """All zones, and what to do about obstacles in none of them, or without a known position.

    Raises:
        ConfigError: two zones of one name, or no such action.
    """

    zones: tuple[Zone, ...] = field(default=())
    outside: str = ALERT
    unplaced: str = ALERT

    def __post_init__(self) -> None:
        names = [zone.name for zone in self.zones]
        if len(set(names)) != len(names):
            raise ConfigError(f"two zones have the same name: {', '.join(names)}")
        for action in (self.outside, self.unplaced):
            if action not in ACTIONS:
                raise ConfigError(f"the action must be one of {', '.join(ACTIONS)}, got {action!r}")

    def place(self, area: np.ndarray | None) -> tuple[str, str]:
        """Name of the zone ("" = in none) and the action for an obstacle that covers `area`.

        Args:
            area: corners `[N, 2]` in metres; None = its position is not known.
        """
        if area is None:
            return "", self.unplaced
        touched = [zone for zone in self.zones if touch(np.asarray(zone.polygon), area)]
        if not touched:
            return "", self.outside
        best = min(touched, key=lambda zone: ACTIONS.index(zone.action))
        return best.name, best.action


EVERYWHERE = Zones()
"""No zones: every obstacle counts."""


def to_polygon(name: str, numbers: list[float]) -> tuple[Point, ...]:
    """`[x0, y0, x1, y1, …]` as points.

    Raises:
        ConfigError: an odd number of values.
    """
    if len(numbers) % 2:
        raise ConfigError(f"zone {name}: the polygon is a list x0, y0, x1, y1, …; got {len(numbers)} numbers")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


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
