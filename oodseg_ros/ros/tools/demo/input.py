"""What the demo plays: a procedural drive with its ground truth, or any source."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo

from ....errors import ConfigError
from ....frame import Frame
from ....scenes import Scene, drive
from ....sources.open_source import open_source

SCENE_FRAMES = 120
"""Twelve seconds: a free road, a group of unknown objects comes near and is passed, the road is free again."""
SCENE_SEED = 3
MIN_AREA = 100
"""Pixels; the node's default `obstacles.min_area`, below which it is not asked to find anything."""


@dataclass(frozen=True)
class Truth:
    """What is really there: number of unknown objects large enough to be found, distance of the nearest in metres."""

    count: int
    nearest_m: float | None


@dataclass
class DemoInput:
    """Frames and what is known about them.

    Attributes:
        name, kind, cameras: as of a `Source`.
        count: number of frames, None = unknown before the end.
        size: (width, height) of the first frame in pixels.
        frames: to be iterated once.
        info: camera info for a frame, None where the geometry is unknown.
        parameters: for the node, per camera parameter, e.g. `mount.height`.
        truth: original stamp → truth, filled while frames are read; empty where nothing is known.
    """

    name: str
    kind: str
    cameras: tuple[str, ...]
    count: int | None
    size: tuple[int, int]
    frames: Iterator[Frame]
    info: Callable[[Frame], CameraInfo | None] = lambda frame: None
    parameters: dict[str, Any] = field(default_factory=dict)
    truth: dict[int, Truth] = field(default_factory=dict)


def open_input(path: str | None, limit: int | None) -> DemoInput:
    """Open the demo's input.

    Args:
        path: None or `scenes[:SEED]` = a procedural drive; else anything that `open_source` opens.
        limit: play at most this many frames.

    Raises:
        UserError: the input is missing, damaged or empty.
    """
    if path is None or path.partition(":")[0] == "scenes":
        seed = (path or "").partition(":")[2] or str(SCENE_SEED)
        if not seed.isdecimal() or len(seed) > 9:
            raise ConfigError(f"{path}: the seed must be a whole number, as in scenes:7")
        return _scenes(int(seed), limit or SCENE_FRAMES)
    source = open_source(path)
    count = source.count if limit is None or source.count is None else min(limit, source.count)
    frames = iter(source)
    try:
        first = next(frames)
    except StopIteration:
        raise ConfigError(f"{path} holds no frame that can be read") from None
    everything = itertools.islice(itertools.chain([first], frames), limit)
    return DemoInput(source.name, source.kind, source.cameras, count, _size(first.image), everything)


def _scenes(seed: int, count: int) -> DemoInput:
    scenes = drive(seed, count)
    first = next(scenes)
    name = "front"
    demo = DemoInput(
        f"procedural drive {seed}",
        "scenes",
        (name,),
        count,
        _size(first.image),
        iter(()),
        lambda frame: _camera_info(first),
        {"geometry": "mount", "mount.height": first.mount_height, "mount.pitch": first.mount_pitch},
    )
    demo.frames = _frames(itertools.chain([first], scenes), name, demo.truth)
    return demo


def _frames(scenes: Iterator[Scene], camera: str, truth: dict[int, Truth]) -> Iterator[Frame]:
    for scene in scenes:
        large = [obstacle.distance_m for obstacle in scene.obstacles if obstacle.area >= MIN_AREA]
        truth[scene.stamp_ns] = Truth(len(large), min(large, default=None))
        yield Frame(scene.image, scene.stamp_ns, camera)


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _camera_info(scene: Scene) -> CameraInfo:
    height, width = scene.image.shape[:2]
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [float(value) for value in scene.matrix.ravel()]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [float(value) for row in scene.matrix for value in (*row, 0.0)]
    return info
