"""The parameters of the node, its cameras and the recorder as frozen values that the parts of the program read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError
from .judging import (
    CAMERA,
    InputGateSettings,
    ObstacleSettings,
    OutputGateSettings,
    Point,
    Size,
    Zone,
    Zones,
    check_fields,
    default,
    or_none,
)
from .schema import ZONES

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
T = TypeVar("T")


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

    height: float = default("mount.height", CAMERA)
    pitch: float = default("mount.pitch", CAMERA)
    yaw: float = default("mount.yaw", CAMERA)
    x: float = default("mount.x", CAMERA)
    y: float = default("mount.y", CAMERA)
    pitch_sigma: float = default("mount.pitch_sigma", CAMERA)

    def __post_init__(self) -> None:
        check_fields(self, "mount.", CAMERA)

    @property
    def given(self) -> bool:
        """Whether somebody has said where the camera sits: the defaults are nobody's camera."""
        return replace(self, pitch_sigma=0.0) != Mount(pitch_sigma=0.0)


@dataclass(frozen=True)
class CameraSettings:
    """The parameter block of one camera; the expected `size` is (width, height) in `input_gate`."""

    name: str = "camera"
    transport: str = default("transport", CAMERA)
    priority: int = default("priority", CAMERA)
    ego_mask: str = default("ego_mask", CAMERA)
    geometry: str = default("geometry", CAMERA)
    mount: Mount = Mount()
    input_gate: InputGateSettings = field(default_factory=InputGateSettings)
    rate: float = default("rate", CAMERA)
    rectification: str = default("rectification", CAMERA)

    def __post_init__(self) -> None:
        check_fields(self, "", CAMERA)


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


def _build(kind: type[T], values: Mapping[str, Any], prefix: str = "", **given: Any) -> T:
    """A dataclass from the parameters that are called like its fields; `given` holds those that are not."""
    names = [entry.name for entry in fields(kind) if entry.name not in given]  # type: ignore[arg-type]
    return kind(**given, **{name: or_none(values[prefix + name]) for name in names})


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
