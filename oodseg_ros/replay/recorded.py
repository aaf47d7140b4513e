"""Bags and other sources as arrivals on their own clock, and all of them through the pipeline: what `replay` and `run`
share. The clock is the log time of a bag's messages, else the frames' own stamps: the same in every run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import BagError, ConfigError, EngineError, UserError
from ..frame import Frame
from ..inference.runner import Runner
from ..parameters.params_file import settings_for
from ..parameters.settings import Settings
from ..pipeline.geometry.ground import CameraGeometry
from ..pipeline.geometry.source import StaticTransforms
from ..pipeline.obstacles.zones import load_ego_mask
from ..pipeline.pipeline import Pipeline
from ..pipeline.step import Arrival, Step, Surroundings
from ..sources.bag_messages import RawMessage, ReplayBag, is_bag
from ..sources.bags import IMAGE_TYPES, TRANSPORTS, FrameReader, camera_names, choose_topics, passed_over
from ..sources.open_source import is_scenes, open_source
from ..sources.source import Source
from ..sources.video_packets import stamp_of

ODOMETRY = "nav_msgs/msg/Odometry"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORMS = ("tf2_msgs/msg/TFMessage", "tf/msg/tfMessage")
STATIC = "/tf_static"
STALE_NS = 1_000_000_000
"""After so long without odometry the speed is no longer known, as on the node."""


class Recorded(Protocol):
    """Frames with the time at which they came.

    Attributes:
        count: frames, None where it is not known before reading.
        surroundings: by camera.
        sequential: consecutive frames of a camera belong together.
        notes: what a person should know of the source.
        skipped: what could not be read, counted by reason.
        metres: way driven so far, nan where the source does not tell.
    """

    name: str
    cameras: Sequence[str]
    count: int | None
    surroundings: Mapping[str, Surroundings]
    sequential: bool
    notes: list[str]
    skipped: Counter[str]
    metres: float

    @property
    def damage(self) -> str | None:
        """What of the source could not be read, None = nothing; final after `arrivals`."""

    @property
    def missing(self) -> int:
        """Frames that the source promises and that did not come; final after `arrivals`."""

    def arrivals(self) -> Iterator[tuple[Arrival, int]]:
        """Every frame, with the clock's nanoseconds."""

    def speed(self) -> float | None:
        """Of the vehicle at the present frame, m/s; None = not known."""


@dataclass(frozen=True)
class Judged:
    """A step, its number in the source, when its frame came, and why its obstacles have no position (if so)."""

    number: int
    step: Step
    now_ns: int
    unplaced: str

    @property
    def trouble(self) -> str | None:
        """Why it was not answered, in a line; None = it was."""
        if self.step.dropped is None:
            return None
        error = f" ({self.step.error})" if self.step.error is not None else ""
        return f"{self.step.arrival.camera}: {self.step.dropped}{error}"


def settings_of(
    given: Mapping[str, Any], cameras: Sequence[str], ego_mask: Path | None = None
) -> tuple[Settings, list[str]]:
    """Settings for the cameras of a source out of the parameters that were given, and notes about what does not fit.

    Args:
        given: full parameter name → value; without `cameras` in it all cameras of the source are meant.
        cameras: of the source; its only camera takes the block of the parameters' only one, whatever their names.
        ego_mask: of all cameras, before those of the parameters.

    Raises:
        ConfigError: a parameter is wrong or unknown, or no camera of the parameters is in the source.
    """
    settings, idle = settings_for(given, cameras)
    if ego_mask is not None:
        load_ego_mask(ego_mask)  # now, before anything of an earlier run is replaced
        masked = tuple(replace(camera, ego_mask=str(ego_mask)) for camera in settings.cameras)
        settings = replace(settings, cameras=masked)
    notes = [f"parameters of cameras that are not in `cameras` are not used: {', '.join(idle)}"] if idle else []
    if len(cameras) == len(settings.cameras) == 1:
        return replace(settings, cameras=(replace(settings.cameras[0], name=cameras[0]),)), notes
    present = tuple(camera for camera in settings.cameras if camera.name in cameras)
    if not present:
        raise ConfigError(f"cameras {', '.join(settings.names)} are not in the source; it has {', '.join(cameras)}")
    absent = [name for name in settings.names if name not in cameras]
    unwanted = [name for name in cameras if name not in settings.names]
    notes += [f"camera {name} of the parameters is not in the source" for name in absent]
    notes += [f"camera {name} of the source is not judged: it is not in `cameras`" for name in unwanted]
    return replace(settings, cameras=present), notes


def judge(
    runner: Runner, recorded: Recorded, settings: Settings, limit: int | None = None, together: bool = True
) -> Iterator[Judged]:
    """Every frame through the pipeline.

    Args:
        settings: of the cameras that are to be judged; frames of others are left out.
        together: frames of a camera follow each other; False = each is judged as if it were its camera's first.

    Raises:
        EngineError: the engine cannot run on pictures of the first one's size.
        EngineGivenUp: it failed again and again.
    """
    clock = [0]
    said: set[tuple[str, str]] = set()

    def report(camera: str, kind: str, text: str) -> None:
        # Why frames are refused differs in its numbers from frame to frame: the first time tells.
        known = text in recorded.notes if kind.startswith("geometry/") else (camera, kind) in said
        if kind != "debug" and not known and len(recorded.notes) < 100:
            said.add((camera, kind))
            recorded.notes.append(text)

    pipeline: Pipeline | None = None
    number = 0
    for arrival, now_ns in recorded.arrivals():
        if arrival.camera not in settings.names:
            continue
        if limit is not None and number >= limit:
            return
        clock[0] = now_ns
        if pipeline is None:
            _prepare(runner, arrival)
            calibration = runner.bundle.card.calibration
            around, speed = recorded.surroundings, recorded.speed
            pipeline = Pipeline(
                runner, calibration, lambda: settings, around, speed, clock=lambda: clock[0] * 1e-9, report=report
            )
            pipeline.start()
        elif not together:
            pipeline.reset(arrival.camera)
        step = pipeline.frame(arrival, now_ns)
        yield Judged(number, step, now_ns, pipeline.unplaced[arrival.camera])
        number += 1


def _prepare(runner: Runner, arrival: Arrival) -> None:
    """Compile for the first picture: an engine that was built for another size says so before anything is judged.

    Raises:
        EngineError: it cannot run on pictures of this size.
    """
    try:
        height, width = arrival.decode().image.shape[:2]
        runner.warm(height, width)
    except EngineError:
        raise
    except Exception:  # adversarial messages raise anything; the pipeline counts it as this frame's
        return


def open_recorded(
    path: str | Path,
    topics: list[str] | None,
    given: Mapping[str, Any],
    geometry: Callable[[Frame], CameraGeometry | None] | None = None,
) -> Recorded:
    """A bag, or whatever else `open_source` reads.

    Args:
        topics, given, geometry: as of `RecordedBag`.

    Raises:
        UserError: it cannot be read, or topics are asked of something that is no bag.
    """
    if not is_scenes(path) and is_bag(Path(path)):
        return RecordedBag(ReplayBag(Path(path)), topics, given, geometry)
    return RecordedSource(open_source(path, topics), geometry)


class RecordedSource:
    """Images, a video or procedural scenes; their clock is that of their stamps.

    Args:
        geometry: of all its cameras; None = they have none.
    """

    metres = math.nan

    def __init__(self, source: Source, geometry: Callable[[Frame], CameraGeometry | None] | None = None) -> None:
        self._source = source
        self.name, self.cameras, self.count = source.name, source.cameras, source.count
        self.sequential, self.skipped = source.sequential, source.skipped
        self.surroundings = {name: Surroundings(geometry=geometry) for name in source.cameras} if geometry else {}
        self.notes: list[str] = []

    @property
    def damage(self) -> str | None:
        return self._source.damage

    @property
    def missing(self) -> int:
        return self._source.missing

    def speed(self) -> float | None:
        return None

    def arrivals(self) -> Iterator[tuple[Arrival, int]]:
        for frame in self._source:
            # 0 would mean that it has no stamp.
            stamped = frame if frame.stamp_ns else replace(frame, stamp_ns=1)
            yield Arrival(frame.camera, stamped.stamp_ns, lambda stamped=stamped: stamped), stamped.stamp_ns


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
