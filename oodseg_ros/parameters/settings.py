"""The parameters as frozen values that the parts of the program read.

Names, defaults and ranges are those of config/parameters.yaml: a field takes its default from there, and every value,
from whom it may come, is checked against it. Here stands only what a schema cannot say: what must hold together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import ConfigError
from .schema import ZONES, Schema, check, load_schema

ALERT, REPORT, IGNORE = "alert", "report", "ignore"
ACTIONS = (ALERT, REPORT, IGNORE)
"""The most careful first. alert: it counts. report: it is listed, but does not count. ignore: it is not listed."""
MAX_POINTS = 64
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_NODE, _CAMERA = "node", "camera"
Size = tuple[int, int]
Point = tuple[float, float]
T = TypeVar("T")


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


@cache
def _schema() -> Schema:
    return load_schema()


def default(name: str, part: str = _NODE) -> Any:
    """Default of a parameter, as a dataclass holds it: NaN (= not set) is None, a list is a tuple."""
    value = getattr(_schema(), part)[name].default
    return tuple(value) if isinstance(value, list) else _or_none(value)


def check_fields(settings: Any, prefix: str, part: str = _NODE, **names: str) -> None:
    """Check every field that is a parameter.

    Args:
        settings: a dataclass; None stands for NaN.
        prefix: of its parameters, with the dot.
        part: of the schema.
        names: field → parameter, where they are called otherwise; "" = not to be checked here.

    Raises:
        ConfigError: with the parameter's full name.
    """
    specs = getattr(_schema(), part)
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
    max_obstacles: int = default("obstacles.max_obstacles")
    release_threshold: float | None = default("obstacles.release_threshold")
    min_area_by_distance: tuple[tuple[float, float], ...] = default("obstacles.min_area_by_distance")
    zones: Zones = EVERYWHERE

    def __post_init__(self) -> None:
        check_fields(self, "obstacles.", min_area_by_distance="", zones="")
        table = self.min_area_by_distance
        numbers = [value for pair in table for value in pair]
        check(_schema().node["obstacles.min_area_by_distance"], "obstacles.min_area_by_distance", numbers)
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


@dataclass(frozen=True)
class RecordSettings:
    """The parameters `record.*`.

    Raises:
        ConfigError: a value is out of its range, or the total holds not even one bag.
    """

    enabled: bool = default("record.enabled")
    folder: Path = Path(default("record.folder"))
    on_obstacle: bool = default("record.on_obstacle")
    on_unknown: bool = default("record.on_unknown")
    before: float = default("record.before")
    after: float = default("record.after")
    rate: float = default("record.rate")
    memory_mb: int = default("record.memory_mb")
    max_bag_mb: int = default("record.max_bag_mb")
    max_per_hour: int = default("record.max_per_hour")
    max_total_mb: int = default("record.max_total_mb")
    min_free_mb: int = default("record.min_free_mb")
    delete_oldest: bool = default("record.delete_oldest")

    def __post_init__(self) -> None:
        check_fields(self, "record.")
        object.__setattr__(self, "folder", self.folder.expanduser())
        if self.enabled and self.max_bag_mb > self.max_total_mb:
            raise ConfigError(
                f"parameter record.max_total_mb = {self.max_total_mb} holds not even one bag of record.max_bag_mb = "
                f"{self.max_bag_mb}"
            )


@dataclass(frozen=True)
class Mount:
    """Static pose of a camera on the vehicle: metres and radians, pitch > 0 looks down."""

    height: float = default("mount.height", _CAMERA)
    pitch: float = default("mount.pitch", _CAMERA)
    yaw: float = default("mount.yaw", _CAMERA)
    x: float = default("mount.x", _CAMERA)
    y: float = default("mount.y", _CAMERA)
    pitch_sigma: float = default("mount.pitch_sigma", _CAMERA)

    def __post_init__(self) -> None:
        check_fields(self, "mount.", _CAMERA)

    @property
    def given(self) -> bool:
        """Whether somebody has said where the camera sits: the defaults are nobody's camera."""
        return replace(self, pitch_sigma=0.0) != Mount(pitch_sigma=0.0)


@dataclass(frozen=True)
class CameraSettings:
    """The parameter block of one camera; the expected `size` is (width, height) in `input_gate`."""

    name: str = "camera"
    transport: str = default("transport", _CAMERA)
    priority: int = default("priority", _CAMERA)
    ego_mask: str = default("ego_mask", _CAMERA)
    geometry: str = default("geometry", _CAMERA)
    mount: Mount = Mount()
    input_gate: InputGateSettings = InputGateSettings()
    rate: float = default("rate", _CAMERA)
    rectification: str = default("rectification", _CAMERA)

    def __post_init__(self) -> None:
        check_fields(self, "", _CAMERA)


@dataclass(frozen=True)
class Settings:
    """All parameters; `engine` None = auto, `warm_size` holds (width, height), `speed` None = not set."""

    cameras: tuple[CameraSettings, ...]
    bundle: str
    public_key: str
    engine: str | None
    device: str
    precision: str
    threads: int
    hint: str
    score_type: str
    allow_fallback: bool
    batch: int
    measure_batch: bool
    warm_size: tuple[Size, ...]
    build_only: bool
    engine_retries: int
    max_age: float
    image_timeout: float
    alert_rate: float
    diagnostics_rate: float
    overlay_rate: float
    overlay_alpha: float
    publish: frozenset[str]
    obstacles: ObstacleSettings
    output_gate: OutputGateSettings
    stall_after: float
    stall_exit: float
    deadline: float
    speed: float | None
    odometry: str
    lock_careful: bool
    ground_classes: tuple[str, ...]
    base_frame: str
    snapshot_dir: Path
    record: RecordSettings

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names, as configured."""
        return tuple(camera.name for camera in self.cameras)

    def camera(self, name: str) -> CameraSettings:
        """The block of one camera.

        Raises:
            KeyError: there is none.
        """
        return {camera.name: camera for camera in self.cameras}[name]

    @property
    def warm_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(height, width, batch) to compile before the first image: each size alone, and for as many cameras as may
        send it. A camera without a `size` may send any of `warm_size`.
        """
        stated = [camera.input_gate.size for camera in self.cameras]
        sizes = dict.fromkeys((*self.warm_size, *(size for size in stated if size is not None)))
        shapes: dict[tuple[int, int, int], None] = {}
        for size in sizes:
            may = sum(one == size or (one is None and size in self.warm_size) for one in stated)
            shapes |= dict.fromkeys((size[1], size[0], batch) for batch in sorted({1, max(1, min(self.batch, may))}))
        return tuple(shapes)


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Full parameter name → value (each already checked against its spec) to settings.

    Raises:
        ConfigError: values that are fine alone but not together.
    """
    return _build(
        Settings,
        values,
        cameras=tuple(_camera(name, values) for name in values["cameras"]),
        engine=None if values["engine"] == "auto" else values["engine"],
        batch=values["batch"] or len(values["cameras"]),
        measure_batch=values["batch"] == 0,
        warm_size=tuple(_size(text, "warm_size") for text in values["warm_size"].replace(",", " ").split()),
        publish=frozenset(
            name.removeprefix("publish.") for name, value in values.items() if value and name.startswith("publish.")
        ),
        obstacles=_obstacles(values),
        output_gate=_build(OutputGateSettings, values, "health.", checks=tuple(values["health.output"])),
        stall_after=values["health.stall_after"],
        stall_exit=values["health.stall_exit"],
        ground_classes=tuple(values["ground_classes"]),
        snapshot_dir=Path(values["snapshot_dir"]).expanduser(),
        record=_build(RecordSettings, values, "record.", folder=Path(values["record.folder"])),
    )


def default_settings(cameras: Iterable[str], **changes: Any) -> Settings:
    """Settings of these cameras with every other parameter at its default.

    Args:
        cameras: names; file names are fine.
        changes: full parameter names → values, `__` for the dot.

    Raises:
        ConfigError: see `make_settings`.
    """
    names = list(cameras)
    given = {name.replace("__", "."): value for name, value in changes.items()}
    specs = _schema().specs(names, given.get("zones", ()))
    values = {name: check(specs[name], name, value) for name, value in given.items()}
    return make_settings({name: spec.default for name, spec in specs.items()} | {"cameras": names} | values)


def _build(kind: type[T], values: Mapping[str, Any], prefix: str = "", **given: Any) -> T:
    """A dataclass from the parameters that are called like its fields; `given` holds those that are not."""
    names = [entry.name for entry in fields(kind) if entry.name not in given]  # type: ignore[arg-type]
    return kind(**given, **{name: _or_none(values[prefix + name]) for name in names})


def _obstacles(values: Mapping[str, Any]) -> ObstacleSettings:
    numbers = values["obstacles.min_area_by_distance"]
    if len(numbers) % 2:
        raise ConfigError(f"parameter obstacles.min_area_by_distance must be pairs of metres and pixels, got {numbers}")
    zones = [
        Zone(name, to_polygon(name, values[f"{ZONES}{name}.polygon"]), values[f"{ZONES}{name}.action"])
        for name in values["zones"]
    ]
    return _build(
        ObstacleSettings,
        values,
        "obstacles.",
        min_area_by_distance=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        zones=Zones(tuple(zones), values["zone_outside"], values["zone_unplaced"]),
    )


def to_polygon(name: str, numbers: list[float]) -> tuple[Point, ...]:
    """`[x0, y0, x1, y1, …]` as points.

    Raises:
        ConfigError: an odd number of values.
    """
    if len(numbers) % 2:
        raise ConfigError(f"zone {name}: the polygon is a list x0, y0, x1, y1, …; got {len(numbers)} numbers")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _camera(name: str, values: Mapping[str, Any]) -> CameraSettings:
    size = values[f"{name}.size"]
    gate = _build(
        InputGateSettings,
        values,
        "health.",
        checks=tuple(values["health.input"]),
        size=_size(size, f"{name}.size") if size else None,
    )
    mount = _build(Mount, values, f"{name}.mount.")
    return _build(CameraSettings, values, f"{name}.", name=name, mount=mount, input_gate=gate)


def _size(text: str, parameter: str) -> Size:
    match = _SIZE.fullmatch(text)
    if not match or not int(match[1]) or not int(match[2]):
        raise ConfigError(f"parameter {parameter} must be <width>x<height> such as 1920x1080, or empty; got {text!r}")
    return int(match[1]), int(match[2])
