"""What goes into the pipeline (`Arrival`), what it keeps of each camera (`Camera`), and what comes out (`Step`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..frame import Alert, Frame
from ..parameters.settings import CameraSettings
from .account import AgeWindow, FrameCounter
from .camera import CameraPipeline, Judgement
from .geometry.camera_info import CameraInfo
from .geometry.ground import CameraGeometry
from .geometry.source import PoseSource
from .input_gate.gate import InputGate


@dataclass(frozen=True)
class Arrival:
    """A frame that nobody has looked at yet.

    Attributes:
        stamp_ns: header stamp; 0 = it has none.
        decode: gives the frame; raises ImageError (or anything) for what holds no picture.
        encoding: as the message states it; any constant where there is no message.
        source: what it was made of, for whoever gets the step.
    """

    camera: str
    stamp_ns: int
    decode: Callable[[], Frame]
    encoding: str = ""
    source: Any = None

    def is_older(self, limit: float, now_ns: int) -> bool:
        """Whether it was taken more than `limit` seconds before `now_ns`; never where the limit is 0."""
        return limit > 0 and now_ns - self.stamp_ns > limit * 1e9


@dataclass(frozen=True)
class Step:
    """What is known after one frame.

    Attributes:
        arrival: the frame as it came.
        alert: its camera's, now.
        dropped: the reason under which it is counted; None = it was answered.
        frame: the picture, where there is one.
        judgement: where the network answered; of a refused answer nothing may be acted upon.
        geometry: where the obstacles' positions come from.
        news: a consumer should hear of it at once: another state or reason, or obstacles.
        network_s, judging_s: seconds that the network and everything after it took.
    """

    arrival: Arrival
    alert: Alert
    dropped: str | None = None
    frame: Frame | None = None
    judgement: Judgement | None = None
    geometry: CameraGeometry | None = None
    error: Exception | None = None
    news: bool = False
    network_s: float = 0.0
    judging_s: float = 0.0


@dataclass(frozen=True)
class Surroundings:
    """What is known of a camera beside its pictures; all are asked for every frame.

    Attributes:
        info: newest calibration (sensor_msgs/CameraInfo), or None.
        poses: tells where frames sit on the vehicle; None = nothing does.
        geometry: takes the place of both where they are known otherwise.
        topic: of the pictures; its name may say that they are rectified.
    """

    info: Callable[[], CameraInfo | None] = lambda: None
    poses: Callable[[], PoseSource | None] = lambda: None
    geometry: Callable[[Frame], CameraGeometry | None] | None = None
    topic: str = ""


@dataclass
class Camera:
    """State of one camera.

    Attributes:
        counter, ages: its account; ages are stamp → delivered, seconds.
        placing: what is amiss with their positions, in a sentence; empty = nothing.
        shape: (height, width) of its last image.
        rectified: its pictures follow P of camera_info.
    """

    settings: CameraSettings
    judge: CameraPipeline
    gate: InputGate | None
    contradiction: Callable[[Frame], str]
    locate: Callable[[Frame], CameraGeometry | None]
    counter: FrameCounter = field(default_factory=FrameCounter)
    ages: AgeWindow = field(default_factory=AgeWindow)
    placing: str = ""
    shape: tuple[int, int] | None = None
    rectified: bool = False
