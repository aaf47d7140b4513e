"""A bag as arrivals, on the log time of its messages, with what it knows beside its pictures: calibrations, static
transforms, speed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import BagError, ConfigError, UserError
from ..frame import Frame
from ..pipeline.geometry.ground import CameraGeometry
from ..pipeline.geometry.source import StaticTransforms
from ..pipeline.step import Arrival, Surroundings
from ..sources.bag_messages import RawMessage, ReplayBag
from ..sources.bags import IMAGE_TYPES, TRANSPORTS, FrameReader, camera_names, choose_topics, passed_over
from ..sources.video_packets import stamp_of

ODOMETRY = "nav_msgs/msg/Odometry"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")
STATIC = "/tf_static"
STALE_NS = 1_000_000_000
"""After so long without odometry the speed is no longer known, as on the node."""


class RecordedBag:
    """A bag's cameras with their calibrations, its static transforms, speed and way driven.

    Static transforms hold for the whole bag, and so does a camera's first calibration until it has another one.

    Args:
        asked: image topics; None = those of the parameters' cameras, else one per camera.
        given: parameters; `cameras`, their `transport`, `odometry` and `base_frame` say what is read.
        geometry: of the cameras, in place of the bag's calibrations and transforms; None = those.

    Attributes:
        skipped: messages beside the images that could not be read, counted by reason.

    Raises:
        BagError: the bag has no such topic, or no camera.
    """

    count, sequential = None, True

    def __init__(
        self,
        bag: ReplayBag,
        asked: list[str] | None,
        given: Mapping[str, Any],
        geometry: Callable[[Frame], CameraGeometry | None] | None = None,
    ) -> None:
        self.bag, self.name = bag, bag.path.name
        self.metres = math.nan
        self.skipped: Counter[str] = Counter()
        self._topics = _topics(bag, asked, given)
        self.cameras = tuple(self._topics.values())
        more = "" if asked or "cameras" in given else passed_over(bag, self._topics)
        self.notes = [more] if more else []
        self._infos: dict[str, Any] = {}
        self._reader = FrameReader(bag)
        self._info_topics = {
            topic: camera
            for image, camera in self._topics.items()
            if bag.topics.get(topic := _info_topic(image)) == CAMERA_INFO
        }
        self._transforms = StaticTransforms(str(given.get("base_frame", "base_link")))
        self._odometry = _odometry(bag, str(given.get("odometry", "")))
        self._speed, self._at, self._now = math.nan, -STALE_NS, 0
        self._last: tuple[float, float] | None = None
        self._speaks = bool(given.get("odometry"))
        self.surroundings = {
            camera: Surroundings(
                *(lambda camera=camera: self._infos.get(camera), lambda: self._transforms, geometry, topic)
            )
            for topic, camera in self._topics.items()
        }

    def first(self) -> Frame | None:
        return None

    @property
    def damage(self) -> str | None:
        return self.bag.damage

    @property
    def missing(self) -> int:
        return self.bag.missing({*self._topics})

    def arrivals(self) -> Iterator[tuple[Arrival, int]]:
        self._reader = FrameReader(self.bag)
        self._read_ahead()
        came, decoded, reason = 0, False, ""
        for raw in self.bag.messages(
            {*self._topics, *self._info_topics, *([self._odometry] if self._odometry else [])}
        ):
            self._now = raw.log_ns
            if raw.topic in self._topics:
                arrival = self._arrival(raw)
                came += 1
                if not decoded:
                    try:
                        arrival.decode()
                        decoded = True
                    except UserError as error:
                        reason = reason or str(error)
                yield arrival, raw.log_ns
            elif raw.topic == self._odometry:
                self._drive(raw)
            else:
                self._learn(raw)
        if not decoded:
            told = f"not one of {came} frames can be decoded ({reason})" if came else "there is not one message"
            troubles = f"; {self.bag.damage}" if self.bag.damage else ""
            raise BagError(f"bag {self.bag.path}, {', '.join(self._topics)}: {told}{troubles}")

    def _read_ahead(self) -> None:
        """What holds from the start, wherever in the bag it was logged."""
        static = {STATIC} if self.bag.topics.get(STATIC) in TRANSFORMS else set()
        wanted = {*self._info_topics, *static}
        for raw in self.bag.messages(wanted) if wanted else ():
            if raw.topic in static:
                try:
                    self._transforms.add(self.bag.parse(raw))
                except (BagError, ConfigError) as error:
                    self.skipped[str(error)] += 1
            elif self._info_topics[raw.topic] not in self._infos:
                self._learn(raw)

    def _learn(self, raw: RawMessage) -> None:
        try:
            self._infos[self._info_topics[raw.topic]] = self.bag.parse(raw)
        except BagError as error:
            self.skipped[str(error)] += 1

    def _arrival(self, raw: RawMessage) -> Arrival:
        camera, stamp, encoding = self._topics[raw.topic], raw.log_ns, ""
        try:
            message = self._reader.message(raw)
            stamp, frame_id = stamp_of(message)
            encoding = getattr(message, "encoding", "") or getattr(message, "format", "")
            # Now, whatever becomes of the frame: packets of a video must be decoded all, and in order.
            frame = Frame(self._reader.picture(raw, message), stamp, camera, frame_id, self.bag.path.name)
        except UserError as error:
            return Arrival(camera, stamp, lambda error=error: _raise(error), encoding, raw)
        return Arrival(camera, stamp, lambda: frame, encoding, raw)

    def _drive(self, raw: RawMessage) -> None:
        try:
            message = self.bag.parse(raw)
            position, speed = message.pose.pose.position, message.twist.twist.linear.x
        except (BagError, AttributeError) as error:
            self.skipped[f"odometry: {error}"] += 1
            return
        self._speed, self._at = speed, raw.log_ns
        here = (position.x, position.y)
        if not all(map(math.isfinite, here)):
            return
        self.metres = (0.0 if math.isnan(self.metres) else self.metres) + (
            math.dist(here, self._last) if self._last else 0.0
        )
        self._last = here

    def speed(self) -> float | None:
        known = self._speaks and self._now - self._at <= STALE_NS and math.isfinite(self._speed)
        return self._speed if known else None


def _raise(error: Exception) -> Frame:
    raise error


def _topics(bag: ReplayBag, asked: list[str] | None, given: Mapping[str, Any]) -> dict[str, str]:
    """Image topic → camera."""
    cameras = given.get("cameras")
    if asked or not isinstance(cameras, (list, tuple)):
        return camera_names(choose_topics(bag.topics, asked, str(bag.path), bag.empty))
    usual = camera_names(choose_topics(bag.topics, None, str(bag.path), bag.empty))
    found: dict[str, str] = {}
    for camera in cameras:
        transport = given.get(f"{camera}.transport", "raw")
        tail = f"/{transport}" if transport in TRANSPORTS[1:] else ""
        ending = f"/{camera}/image_raw{tail}"
        fitting = [topic for topic, kind in bag.topics.items() if kind in IMAGE_TYPES and f"/{topic}".endswith(ending)]
        named = [topic for topic, name in usual.items() if name == camera]
        found |= dict.fromkeys(fitting if len(fitting) == 1 else named, camera)
    return found or usual


def _info_topic(image: str) -> str:
    base, _, last = image.rpartition("/")
    return (base if last in TRANSPORTS[1:] else image).rpartition("/")[0] + "/camera_info"


def _odometry(bag: ReplayBag, wanted: str) -> str | None:
    """The topic of the parameters, else any: then for the way driven only."""
    topics = sorted(topic for topic, kind in bag.topics.items() if kind == ODOMETRY)
    if wanted:
        return next((topic for topic in topics if topic.lstrip("/") == wanted.lstrip("/")), None)
    return next(iter(topics), None)
