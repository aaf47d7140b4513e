"""Checked parameter values as one frozen value that the parts of the node read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from ...pipeline.input_gate.settings import InputGateSettings
from ...pipeline.obstacles.settings import ObstacleSettings
from ...pipeline.obstacles.zones import Zone, Zones, to_polygon
from ...pipeline.output_gate.settings import OutputGateSettings
from ...recorder.settings import RecordSettings
from .schema import ZONES

OUTPUTS = ("semantic", "score", "mask", "overlay", "obstacles")
_AS_THEY_ARE = (
    "bundle",
    "public_key",
    "device",
    "precision",
    "threads",
    "hint",
    "score_type",
    "allow_fallback",
    "build_only",
    "engine_retries",
    "max_age",
    "image_timeout",
    "alert_rate",
    "diagnostics_rate",
    "overlay_rate",
    "overlay_alpha",
    "base_frame",
    "deadline",
    "odometry",
    "lock_careful",
)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True)
class Mount:
    """Static pose of a camera on the vehicle; metres and radians, pitch > 0 looks down."""

    height: float
    pitch: float
    yaw: float
    x: float
    y: float
    pitch_sigma: float


@dataclass(frozen=True)
class CameraSettings:
    """The parameter block of one camera; see config/parameters.yaml."""

    name: str
    transport: str
    priority: int
    ego_mask: str
    geometry: str
    mount: Mount
    input_gate: InputGateSettings = field(default_factory=InputGateSettings)
    rate: float = 0.0


@dataclass(frozen=True)
class Settings:
    """All parameters of the node, see config/parameters.yaml; `warm_size` is (height, width), `engine` None = auto."""

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
    warm_size: tuple[int, int] | None
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
    base_frame: str
    snapshot_dir: Path
    record: RecordSettings

    @property
    def names(self) -> tuple[str, ...]:
        """Camera names, as configured."""
        return tuple(camera.name for camera in self.cameras)

    @property
    def by_priority(self) -> tuple[str, ...]:
        """Camera names, highest priority first, then as configured."""
        return tuple(camera.name for camera in sorted(self.cameras, key=lambda camera: -camera.priority))


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Full parameter name → value (each already checked against its spec) to settings.

    Raises:
        ConfigError: values that are fine alone but not together.
    """
    return Settings(
        cameras=tuple(_camera(name, values) for name in values["cameras"]),
        engine=None if values["engine"] == "auto" else values["engine"],
        batch=values["batch"] or len(values["cameras"]),
        warm_size=_size(values["warm_size"], "warm_size"),
        publish=frozenset(name for name in OUTPUTS if values[f"publish.{name}"]),
        obstacles=_obstacles(values),
        output_gate=OutputGateSettings(
            checks=tuple(values["health.output"]),
            **{name: values[f"health.{name}"] for name in ("one_class", "saturated", "drift_limit", "drift_window")},
        ),
        stall_after=values["health.stall_after"],
        stall_exit=values["health.stall_exit"],
        speed=_or_none(values["speed"]),
        snapshot_dir=Path(values["snapshot_dir"]).expanduser(),
        record=_record(values),
        **{name: values[name] for name in _AS_THEY_ARE},
    )


def _obstacles(values: Mapping[str, Any]) -> ObstacleSettings:
    plain = ("min_area", "trigger_hits", "trigger_window", "release_frames", "max_obstacles")
    numbers = values["obstacles.min_area_by_distance"]
    if len(numbers) % 2:
        raise ConfigError(f"parameter obstacles.min_area_by_distance must be pairs of metres and pixels, got {numbers}")
    zones = []
    for name in values["zones"]:
        polygon = to_polygon(name, values[f"{ZONES}{name}.polygon"])
        zones.append(Zone(name, polygon, values[f"{ZONES}{name}.action"]))
    return ObstacleSettings(
        threshold=_or_none(values["obstacles.threshold"]),
        release_threshold=_or_none(values["obstacles.release_threshold"]),
        min_area_by_distance=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        zones=Zones(tuple(zones), values["zone_outside"], values["zone_unplaced"]),
        **{name: values[f"obstacles.{name}"] for name in plain},
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _record(values: Mapping[str, Any]) -> RecordSettings:
    given = {entry.name: values[f"record.{entry.name}"] for entry in fields(RecordSettings)}
    record = RecordSettings(**{**given, "folder": Path(given["folder"]).expanduser()})
    if record.enabled and record.max_bag_mb > record.max_total_mb:
        raise ConfigError(
            f"parameter record.max_total_mb = {record.max_total_mb} holds not even one bag of record.max_bag_mb = "
            f"{record.max_bag_mb}"
        )
    return record


def _camera(name: str, values: Mapping[str, Any]) -> CameraSettings:
    mount = Mount(**{key: values[f"{name}.mount.{key}"] for key in ("height", "pitch", "yaw", "x", "y", "pitch_sigma")})
    plain = {key: values[f"{name}.{key}"] for key in ("transport", "priority", "ego_mask", "geometry")}
    size = _size(values[f"{name}.size"], f"{name}.size")
    gate = InputGateSettings(
        checks=tuple(values["health.input"]),
        frozen_after=values["health.frozen_after"],
        covered_after=values["health.covered_after"],
        future=values["health.future"],
        size=None if size is None else size[::-1],
    )
    return CameraSettings(name=name, mount=mount, input_gate=gate, rate=values[f"{name}.rate"], **plain)


def _size(text: str, parameter: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = _SIZE.fullmatch(text)
    if not match:
        raise ConfigError(f"parameter {parameter} must be <width>x<height> such as 1920x1080, or empty; got {text!r}")
    return int(match[2]), int(match[1])
