"""What turns a score into obstacles and an alert, as one checked value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from ...errors import ConfigError
from .zones import EVERYWHERE, Zones

MAX_WINDOW = 100
"""Longest trigger window and release, in frames: at 5 Hz twenty seconds, beyond which an alert helps nobody."""


@dataclass(frozen=True)
class ObstacleSettings:
    """Thresholds of the way from score to alert.

    Attributes:
        threshold: raw score above which (strictly) a pixel is anomalous; None = the bundle's own.
        release_threshold: raw score above which pixels hold an alert that there is; None = from the bundle
            (`hysteresis`).
        min_area: least number of pixels of an obstacle, at image size.
        min_area_by_distance: (metres, pixels), metres rising, for obstacles of known position; empty = `min_area`.
        trigger_hits, trigger_window: OBSTACLE once `trigger_hits` of the last `trigger_window` frames had an obstacle.
        release_frames: CLEAR after this many frames in a row without an obstacle.
        max_obstacles: the largest ones are listed, the rest is counted.
        zones: where obstacles count.

    Raises:
        ConfigError: a value has another type or lies outside its range.
    """

    threshold: float | None = None
    min_area: int = 100
    trigger_hits: int = 2
    trigger_window: int = 3
    release_frames: int = 3
    max_obstacles: int = 50
    release_threshold: float | None = None
    min_area_by_distance: tuple[tuple[float, float], ...] = ()
    zones: Zones = EVERYWHERE

    def __post_init__(self) -> None:
        for name in ("threshold", "release_threshold"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and math.isfinite(value)):
                raise ConfigError(f"{name} must be a finite number or unset (the bundle's own), got {value!r}")
        self._check_areas()
        _check_integer("min_area", self.min_area, 1, 1 << 26)
        _check_integer("trigger_window", self.trigger_window, 1, MAX_WINDOW)
        _check_integer("trigger_hits", self.trigger_hits, 1, MAX_WINDOW)
        _check_integer("release_frames", self.release_frames, 1, MAX_WINDOW)
        _check_integer("max_obstacles", self.max_obstacles, 1, 200)
        if self.trigger_hits > self.trigger_window:
            raise ConfigError(
                f"trigger_hits ({self.trigger_hits}) must not exceed trigger_window ({self.trigger_window}): "
                "no obstacle would ever raise the alert"
            )

    @property
    def smallest_area(self) -> int:
        """Pixels that no obstacle is below, at any distance."""
        return int(min([self.min_area, *(math.floor(pixels) for _, pixels in self.min_area_by_distance)]))

    def _check_areas(self) -> None:
        table = self.min_area_by_distance
        numbers = [value for pair in table for value in pair]
        fine = all(_is_number(value) and math.isfinite(value) and value >= 0 for value in numbers)
        if not fine or any(pixels < 1 for _, pixels in table):
            raise ConfigError(f"min_area_by_distance must be pairs of metres and pixels (1 or more), got {numbers}")
        if any(later[0] <= earlier[0] for earlier, later in pairwise(table)):
            raise ConfigError(f"min_area_by_distance: the distances must rise, got {[metres for metres, _ in table]}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
