"""What the demo plays: a procedural drive with its ground truth, or any source; published as camera messages, as fast
as it was recorded.
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ....errors import ConfigError
from ....frame import Frame
from ....scenes import Scene, drive
from ....sources.open_source import is_scenes, open_source, scenes_seed
from ....sources.source import Source
from ...messages.alert import to_stamp
from ...messages.images import to_image
from ...node import qos

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

    Raises:
        UserError: the input is missing, damaged or empty.
    """
    if path is None or is_scenes(path):
        return _scenes(scenes_seed(path or "", SCENE_SEED), limit or SCENE_FRAMES)
    source = open_source(path)
    count = source.count if limit is None or source.count is None else min(limit, source.count)
    frames = _told(source)
    try:
        first = next(frames)
    except StopIteration:
        raise ConfigError(f"{path} holds no frame that can be read") from None
    everything = itertools.islice(itertools.chain([first], frames), limit)
    return DemoInput(source.name, source.kind, source.cameras, count, _size(first.image), everything)


def _told(source: Source) -> Iterator[Frame]:
    """Its frames; what was lost of it is logged as a warning."""
    try:
        yield from source
    finally:
        if troubles := source.troubles():
            logging.getLogger(__name__).warning("%s: %s", source.name, troubles)


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


MAX_PAUSE = 1.0
"""Seconds; a longer gap between the stamps of two frames (a cut in the recording) is played as this."""


def camera_names(names: Sequence[str]) -> dict[str, str]:
    """Names as a source gives them → different names that can be parts of topics: `Left 1.mp4` → `left_1_mp4`."""
    taken: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "camera"
        plain = plain[:60] if plain[0].isalpha() else f"camera_{plain}"[:60]
        while plain in taken.values():
            plain = f"{plain[:57]}_{len(taken)}"
        taken[name] = plain
    return taken


class Player:
    """Publishers `<camera>/image_raw` and `<camera>/camera_info`, relative to the node's namespace.

    Args:
        cameras: names as the frames carry them; `topics` says what each is called in topics.
    """

    def __init__(self, node: Node, cameras: Sequence[str]) -> None:
        self.topics = camera_names(cameras)
        self._clock = node.get_clock()
        self._images = {
            name: node.create_publisher(Image, f"{topic}/image_raw", qos.IMAGE_IN)
            for name, topic in self.topics.items()
        }
        self._infos = {
            name: node.create_publisher(CameraInfo, f"{topic}/camera_info", qos.CAMERA_INFO_IN)
            for name, topic in self.topics.items()
        }
        self._messages: dict[str, Image] = {}

    def listeners(self) -> int:
        """Cameras whose images somebody subscribes to."""
        return sum(publisher.get_subscription_count() > 0 for publisher in self._images.values())

    def send(self, frame: Frame, info: CameraInfo | None = None) -> int:
        """Publish one frame, stamped now so that its age means something; returns the stamp in nanoseconds.

        `info` goes out before the image, with the image's header.
        """
        stamp = self._clock.now().nanoseconds
        header = Header(stamp=to_stamp(stamp), frame_id=frame.frame_id or f"{self.topics[frame.camera]}_optical")
        if info is not None:
            info.header = header
            self._infos[frame.camera].publish(info)
        message = self._messages[frame.camera] = to_image(frame.image, header, "rgb8", self._messages.get(frame.camera))
        self._images[frame.camera].publish(message)
        return stamp

    def play(
        self,
        frames: Iterable[Frame],
        sent: Callable[[Frame, int], None],
        stop: threading.Event,
        infos: Callable[[Frame], CameraInfo | None] = lambda frame: None,
    ) -> None:
        """Send frames at the intervals of their own stamps until they end or `stop` is set.

        Args:
            sent: called after each frame with the stamp under which it went out.
            infos: the camera's info for a frame, None where its geometry is unknown.
        """
        before, due = None, time.monotonic()
        for frame in frames:
            if before is not None:
                due += min(max(frame.stamp_ns - before, 0) * 1e-9, MAX_PAUSE)
            before = frame.stamp_ns
            # A source that cannot keep up shifts the rest of the play instead of sending a burst.
            due = max(due, time.monotonic() - 0.2)
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            sent(frame, self.send(frame, infos(frame)))


def read_ahead(frames: Iterable[Frame], limit: int, stop: threading.Event) -> Iterator[Frame]:
    """The same frames, read by a thread that is up to `limit` frames ahead; what the source raises is raised here."""
    queue: Queue[Frame | Exception | None] = Queue(limit)

    def read() -> None:
        end: Exception | None = None
        try:
            for frame in frames:
                if stop.is_set():
                    break
                queue.put(frame)
        except Exception as error:
            end = error
        queue.put(end)

    threading.Thread(target=read, name="reader", daemon=True).start()

    def drain() -> Iterator[Frame]:
        while isinstance(item := queue.get(), Frame):
            yield item
        if item is not None:
            raise item

    return drain()
