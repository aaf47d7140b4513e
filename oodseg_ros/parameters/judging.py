"""The settings by which frames are judged: gates, obstacles, zones; and what holds any settings against the schema.

Names, defaults and ranges are those of config/parameters.yaml: a field takes its default from there, and every value,
from whom it may come, is checked against it. Here stands only what a schema cannot say: what must hold together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ConfigError
from .schema import Schema, check, load_schema

ALERT, REPORT, IGNORE = "alert", "report", "ignore"
ACTIONS = (ALERT, REPORT, IGNORE)
"""The most careful first. alert: it counts. report: it is listed, but does not count. ignore: it is not listed."""
MAX_POINTS = 64
NODE, CAMERA = "node", "camera"
"""Parts of the schema: the node's own parameters, and those of one camera."""
Size = tuple[int, int]
Point = tuple[float, float]


def or_none(value: Any) -> Any:
    """NaN, which stands for "not set" in the schema, as None."""
    return None if isinstance(value, float) and math.isnan(value) else value


@cache
def shipped_schema() -> Schema:
    """The schema of config/parameters.yaml, read once."""
    return load_schema()


def default(name: str, part: str = NODE) -> Any:
    """Default of a parameter, as a dataclass holds it: NaN (= not set) is None, a list is a tuple."""
    value = getattr(shipped_schema(), part)[name].default
    return tuple(value) if isinstance(value, list) else or_none(value)


def check_fields(settings: Any, prefix: str, part: str = NODE, **names: str) -> None:
    """Check every field that is a parameter.

    Args:
        settings: a dataclass; None stands for NaN.
        prefix: of its parameters, with the dot.
        part: of the schema.
        names: field → parameter, where they are called otherwise; "" = not to be checked here.

    Raises:
        ConfigError: with the parameter's full name.
    """
    specs = getattr(shipped_schema(), part)
    for entry in fields(settings):
        name = names.get(entry.name, prefix + entry.name)
        if name in specs:
            value = getattr(settings, entry.name)
            if isinstance(value, float) and math.isnan(value):
                raise ConfigError(f"parameter {name} must be a number, or None where it is not set; got nan")
            value = math.nan if value is None else str(value) if isinstance(value, Path) else value
            check(specs[name], name, value)


@dataclass(frozen=True)
class InputGateSettings:
    """Which checks of images run, and their times in seconds of header stamps: the parameters `health.*`.

    Attributes:
        checks: the parameter `health.input`.
        size: expected (width, height); None = that of the first image.

    Raises:
        ConfigError: no such check, or a time out of its range.
    """

    checks: tuple[str, ...] = default("health.input")
    frozen_after: float = default("health.frozen_after")
    covered_after: float = default("health.covered_after")
    future: float = default("health.future")
    size: Size | None = None

    def __post_init__(self) -> None:
        check_fields(self, "health.", checks="health.input", size="")


@dataclass(frozen=True)
class OutputGateSettings:
    """Which checks of answers run, and their limits: the parameters `health.*`, `checks` is `health.output`.

    Raises:
        ConfigError: no such check, or a limit out of its range.
    """

    checks: tuple[str, ...] = default("health.output")
    one_class: float = default("health.one_class")
    saturated: float = default("health.saturated")
    drift_limit: float = default("health.drift_limit")
    drift_window: int = default("health.drift_window")

    def __post_init__(self) -> None:
        check_fields(self, "health.", checks="health.output")


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
    outside: str = default("zone_outside")
    unplaced: str = default("zone_unplaced")

    def __post_init__(self) -> None:
        names = [zone.name for zone in self.zones]
        if len(set(names)) != len(names):
            raise ConfigError(f"two zones have the same name: {', '.join(names)}")
        check_fields(self, "zone_", zones="")


EVIDENCE = "evidence"
"""The alert rule by which weak candidates that stay raise the alert, too."""
EVERYWHERE = Zones()
"""No zones: every obstacle counts."""


@dataclass(frozen=True)
class ObstacleSettings:
    """The parameters `obstacles.*`, and the zones.

    Attributes:
        threshold, release_threshold: raw scores; None = the bundle's own.
        min_area_by_distance: (metres, pixels), metres rising, for obstacles of known position; empty = `min_area`.
        zones: where obstacles count.

    Raises:
        ConfigError: a value has another type or lies outside its range, or they contradict each other.
    """

    threshold: float | None = default("obstacles.threshold")
    min_area: int = default("obstacles.min_area")
    trigger_hits: int = default("obstacles.trigger_hits")
    trigger_window: int = default("obstacles.trigger_window")
    release_frames: int = default("obstacles.release_frames")
    alert_rule: str = default("obstacles.alert_rule")
    false_alerts: float = default("obstacles.false_alerts")
    max_obstacles: int = default("obstacles.max_obstacles")
    release_threshold: float | None = default("obstacles.release_threshold")
    min_area_by_distance: tuple[tuple[float, float], ...] = default("obstacles.min_area_by_distance")
    zones: Zones = EVERYWHERE

    def __post_init__(self) -> None:
        check_fields(self, "obstacles.", min_area_by_distance="", zones="")
        table = self.min_area_by_distance
        numbers = [value for pair in table for value in pair]
        check(shipped_schema().node["obstacles.min_area_by_distance"], "obstacles.min_area_by_distance", numbers)
        if not all(metres >= 0 and pixels >= 1 for metres, pixels in table):
            raise ConfigError(f"min_area_by_distance must be pairs of metres and pixels (1 or more), got {numbers}")
        if any(later[0] <= earlier[0] for earlier, later in pairwise(table)):
            raise ConfigError(f"min_area_by_distance: the distances must rise, got {[metres for metres, _ in table]}")
        if self.trigger_hits > self.trigger_window:
            raise ConfigError(
                f"trigger_hits ({self.trigger_hits}) must not exceed trigger_window ({self.trigger_window}): "
                "no obstacle would ever raise the alert"
            )

    @property
    def smallest_area(self) -> int:
        """Pixels that no obstacle is below, at any distance."""
        return int(min([self.min_area, *(math.floor(pixels) for _, pixels in self.min_area_by_distance)]))
