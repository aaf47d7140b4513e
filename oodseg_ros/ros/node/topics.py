"""Every topic of the node `perception`: name, type, QoS, meaning. The one declaration of each.

Publishers, subscriptions, the security policy, the tables in README and docs and the viewers' configurations are made
from it. Needs no rclpy, so that launch files and tools can read it. Run as a module it prints the table for the docs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

CAMERA = "{camera}"
"""Stands for a camera's name in the name of a topic."""


class Quality(NamedTuple):
    """QoS: the newest `depth` messages are kept; `latched` = the last ones also reach who comes later."""

    depth: int
    reliable: bool = True
    latched: bool = False

    def __str__(self) -> str:
        words = (
            "reliable" if self.reliable else "best effort",
            "latched" if self.latched else "",
            f"depth {self.depth}",
        )
        return ", ".join(word for word in words if word)


IMAGE_IN = Quality(1, reliable=False)
"""Matches every camera driver. Depth 1: a queue in front of a slow consumer is nothing but delay."""

PACKETS_IN = Quality(60, reliable=False)
"""Every packet counts: after a lost one nothing is known until the next key frame."""

CAMERA_INFO_IN = Quality(1, reliable=False)

IMAGE_OUT = Quality(1)
"""Reliable, so that subscribers of both kinds match (RViz asks for reliable)."""

OBSTACLES_OUT = Quality(5)
ALERT_OUT = DIAGNOSTICS_OUT = Quality(10)
LATCHED_OUT = Quality(1, latched=True)
"""For what is said once, and must reach those who come later."""


@dataclass(frozen=True)
class Topic:
    """One topic.

    Attributes:
        name: relative to the node's namespace or absolute; `{camera}` stands for each camera's name.
        kind: message type, `package/Name`.
        about: what it holds, for the docs.
        group: of an output the parameter `publish.<group>` that offers it, empty = always; of an input the camera's
            `transport` that needs it, empty = all.
        title: its name in viewers; empty = they do not show it.
        shown: viewers show it from the start.
        subscribed: the node listens to it; else the node publishes it.
    """

    name: str
    kind: str
    quality: Quality
    about: str
    group: str = ""
    title: str = ""
    shown: bool = False
    subscribed: bool = False

    @property
    def tail(self) -> str:
        """The name without the camera's."""
        return self.name.removeprefix(CAMERA + "/")

    @property
    def of_camera(self) -> bool:
        """One for every camera."""
        return self.name.startswith(CAMERA)

    def named(self, camera: str) -> str:
        """The name for one camera, still relative."""
        return self.name.replace(CAMERA, camera)


def _in(tail: str, kind: str, quality: Quality, about: str, transport: str = "") -> Topic:
    return Topic(f"{CAMERA}/{tail}", kind, quality, about, transport, subscribed=True)


def _out(tail: str, kind: str, quality: Quality, about: str, group: str, title: str = "", shown: bool = False) -> Topic:
    return Topic(f"{CAMERA}/{tail}", kind, quality, about, group, title, shown)


_IMAGE, _COMPRESSED, _INFO = "sensor_msgs/Image", "sensor_msgs/CompressedImage", "sensor_msgs/CameraInfo"
_CLOUD, _STATUS = "sensor_msgs/PointCloud2", "diagnostic_msgs/DiagnosticArray"

TOPICS = (
    _in("image_raw", _IMAGE, IMAGE_IN, "the camera's pictures", "raw"),
    _in("image_raw/compressed", _COMPRESSED, IMAGE_IN, "the same, as JPEG or PNG", "compressed"),
    _in("image_raw/ffmpeg", "ffmpeg_image_transport_msgs/FFMPEGPacket", PACKETS_IN,
        "the same, as H.264/H.265", "ffmpeg"),
    _in("image_raw/foxglove", "foxglove_msgs/CompressedVideo", PACKETS_IN, "the same, as H.264/H.265", "foxglove"),
    _in("camera_info", _INFO, CAMERA_INFO_IN, "its calibration; without it obstacles have no position"),
    Topic("alert", _STATUS, ALERT_OUT, "heartbeat: one status per camera"),
    _out("obstacles", "vision_msgs/Detection2DArray", OBSTACLES_OUT,
         "boxes in pixels; where the position is known, `results.pose` in the frame of the camera", "obstacles"),
    _out("obstacles/detections_3d", "vision_msgs/Detection3DArray", OBSTACLES_OUT,
         "obstacles of known position: boxes on the ground in `base_frame`", "obstacles"),
    _out("obstacles/markers", "visualization_msgs/MarkerArray", OBSTACLES_OUT,
         "the same for people, in `base_frame`", "obstacles", "obstacles", True),
    _out("obstacles/points", _CLOUD, OBSTACLES_OUT,
         "the front of every obstacle of known position, in `base_frame`: marks a costmap",
         "obstacles", "obstacle points", True),
    _out("obstacles/free_ground", _CLOUD, OBSTACLES_OUT,
         "how far the ground is seen free of obstacles, in `base_frame`: clears a costmap",
         "obstacles", "free ground"),
    _out("anomaly/mask", _IMAGE, IMAGE_OUT, "mono8, 255 = anomalous", "mask", "anomaly mask"),
    _out("semantic/image", _IMAGE, IMAGE_OUT, "mono8 class ids, 255 = no class", "semantic"),
    _out("semantic/open_set", _IMAGE, IMAGE_OUT, "the same with 254 = unknown where the mask is set", "semantic"),
    _out("semantic/confidence", _IMAGE, IMAGE_OUT,
         "mono8, 255 x (1 - calibrated score): how sure the class is; 0 = not judged", "semantic"),
    _out("anomaly/score", _IMAGE, IMAGE_OUT,
         "32FC1, raw, higher = less known, the greater of both looks, coherent where pixels hang together; "
         "NaN = not judged",
         "score"),
    _out("anomaly/score_color", _IMAGE, IMAGE_OUT,
         "bgr8 for people: gray by the calibrated score, orange = anomalous, blue = not judged",
         "score", "anomaly score", True),
    _out("semantic/color", _IMAGE, IMAGE_OUT, "bgr8 for people: the classes in their colors", "semantic", "classes"),
    _out("overlay", _IMAGE, IMAGE_OUT,
         "bgr8 for people: picture, classes, heat, obstacles, state", "overlay", "overlay", True),
    _out("overlay/compressed", _COMPRESSED, IMAGE_OUT, "the same as JPEG, for slow links", "overlay"),
    _out("anomaly/camera_info", _INFO, IMAGE_OUT,
         "the camera's calibration under the stamps of the answers", "score"),
    _out("semantic/camera_info", _INFO, IMAGE_OUT, "the same beside the classes", "semantic"),
    _out("semantic/label_info", "vision_msgs/LabelInfo", LATCHED_OUT,
         "names of the class ids, with 254 = `unknown` and 255 = `unlabeled`", "semantic"),
    Topic("/diagnostics", _STATUS, DIAGNOSTICS_OUT,
          "engine, cameras, alerts, recorder: states, rates, ages, drops"),
)  # fmt: skip
"""In the order in which one answer is published: what matters most goes first."""


def outputs() -> tuple[Topic, ...]:
    """What is published for each camera."""
    return tuple(topic for topic in TOPICS if topic.of_camera and not topic.subscribed)


def inputs(transport: str) -> tuple[Topic, ...]:
    """What is subscribed for a camera of that transport: the picture's topic first, then camera_info."""
    return tuple(topic for topic in TOPICS if topic.subscribed and topic.group in ("", transport))


def names(cameras: Mapping[str, str], odometry: str = "") -> dict[str, list[str]]:
    """`publish` and `subscribe` → names of all topics of a node, relative or absolute.

    Args:
        cameras: name → transport.
        odometry: the node's parameter of this name.
    """
    publish = [topic.name for topic in TOPICS if not topic.of_camera]
    publish += [topic.named(camera) for camera in cameras for topic in outputs()]
    subscribe = [topic.named(camera) for camera, transport in cameras.items() for topic in inputs(transport)]
    return {"publish": publish, "subscribe": subscribe + [odometry] * bool(odometry)}


def message_type(topic: Topic) -> type | None:
    """Class of its messages, or None where the package is not installed or lacks it."""
    package, _, name = topic.kind.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def qualified(name: str, namespace: str) -> str:
    """Fully qualified name of a relative or absolute topic; the namespace may be written with or without slashes."""
    return name if name.startswith("/") else "/" + "/".join([*filter(None, namespace.split("/")), name])


def table(quality: bool = True) -> str:
    """Markdown table of all topics; `quality` = with QoS."""
    rows = [_row(topic, quality) for topic in TOPICS]
    head = ["| | topic | type | " + ("QoS | " if quality else "") + "holds |", "|---|---|---|---|" + "---|" * quality]
    return "\n".join([*head, *rows]) + "\n"


def _row(topic: Topic, quality: bool) -> str:
    name = topic.name.replace(CAMERA, "<camera>")
    cells = ["in" if topic.subscribed else "out", f"`{name}`", topic.kind.partition("/")[2]]
    cells += [str(topic.quality)] if quality else []
    return f"| {' | '.join([*cells, topic.about])} |"


if __name__ == "__main__":
    print(table(), end="")
