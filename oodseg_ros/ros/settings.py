"""Checked parameter values as one frozen value that the parts of the node read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..obstacles.settings import ObstacleSettings
from ..recorder.settings import RecordSettings

OUTPUTS = ("semantic", "score", "mask", "overlay", "obstacles")
_AS_THEY_ARE = (
    "bundle",
    "public_key",
    "device",
    "precision",
    "threads",
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
    threshold = values["obstacles.threshold"]
    obstacles = ObstacleSettings(
        threshold=None if math.isnan(threshold) else threshold,
        **{
            name: values[f"obstacles.{name}"]
            for name in ("min_area", "trigger_hits", "trigger_window", "release_frames", "max_obstacles")
        },
    )
    return Settings(
        cameras=tuple(_camera(name, values) for name in values["cameras"]),
        engine=None if values["engine"] == "auto" else values["engine"],
        batch=values["batch"] or len(values["cameras"]),
        warm_size=_size(values["warm_size"]),
        publish=frozenset(name for name in OUTPUTS if values[f"publish.{name}"]),
        obstacles=obstacles,
        snapshot_dir=Path(values["snapshot_dir"]).expanduser(),
        record=_record(values),
        **{name: values[name] for name in _AS_THEY_ARE},
    )


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
    return CameraSettings(name=name, mount=mount, **plain)


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = _SIZE.fullmatch(text)
    if not match:
        raise ConfigError(f"parameter warm_size must be <width>x<height> such as 1920x1080, or empty; got {text!r}")
    return int(match[2]), int(match[1])
