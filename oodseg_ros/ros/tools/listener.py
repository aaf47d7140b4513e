"""What a consumer of the node sees: alerts, how late answers arrive, overlays, and the node's own account."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import Image

from ...frame import AlertState
from ...sources.message_images import message_to_rgb
from ..messages.alert import to_ns
from ..node import qos
from ..node.diagnostics import CAMERA

_RANGE = re.compile(r"range=(\S+?)\.\.(\S+)")
_INTERVAL = tuple[float, float]


@dataclass(frozen=True)
class AlertSeen:
    """One camera's alert as it arrived.

    Attributes:
        received_ns: when it arrived, by this node's clock.
        camera, state, reason: as in `frame.Alert`.
        stamp_ns: of the judged frame; 0 = none.
        age_s: age of the evidence on sending; infinity = none.
        nearest: range interval of the nearest obstacle in metres, or None.
        score: highest calibrated score of an obstacle, or NaN.
    """

    received_ns: int
    camera: str
    state: AlertState
    reason: str
    stamp_ns: int
    age_s: float
    count: int
    nearest: _INTERVAL | None
    score: float


def read_alert(status: DiagnosticStatus, received_ns: int) -> AlertSeen:
    """The alert in one status of the topic `alert` (see `ros.messages.alert`)."""
    values = {pair.key: pair.value for pair in status.values}
    seconds, _, nanoseconds = values["stamp"].partition(".")
    obstacles = [text for key, text in values.items() if re.fullmatch(r"obstacle_\d+", key)]
    ranges = [(float(found[1]), float(found[2])) for text in obstacles if (found := _RANGE.search(text))]
    scores = [float(found[1]) for text in obstacles if (found := re.search(r"score=(\S+)", text))]
    return AlertSeen(
        received_ns=received_ns,
        camera=status.hardware_id,
        state=AlertState(values["state"]),
        reason=values["reason"],
        stamp_ns=int(seconds) * 1_000_000_000 + int(nanoseconds),
        age_s=float(values["evidence_age_s"]),
        count=int(values["obstacle_count"]),
        nearest=min(ranges, default=None),
        score=max(scores, default=math.nan),
    )


@dataclass
class CameraSeen:
    """What came from one camera.

    Attributes:
        alerts: those that say something new: another state, reason or judged frame.
        latency_s: stamp of the image → arrival of its anomaly mask here, seconds, by stamp.
        account: the node's last diagnostics on it, key → value.
    """

    alerts: list[AlertSeen] = field(default_factory=list)
    latency_s: dict[int, float] = field(default_factory=dict)
    account: Mapping[str, str] = field(default_factory=dict)


class NodeAccount:
    """What a node `perception` says about itself on /diagnostics. Subscribes on construction.

    Attributes:
        engine: the last status of the node itself, key → value.
        cameras: camera → key → value of its last status.
        received: how often they came.

    Args:
        name: full name of the node that is listened to, e.g. `/car/perception`.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.engine: Mapping[str, str] = {}
        self.cameras: dict[str, Mapping[str, str]] = {}
        self.received = 0
        self._prefix = f"{name}: "
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS_OUT)

    def settled(self, before: int) -> bool:
        """Whether two more reports came than `before`, and they say that no frame waits for its answer."""
        waiting = any(camera.get("frames_waiting", "0") != "0" for camera in self.cameras.values())
        return self.received >= before + 2 and not waiting

    def frames(self) -> dict[str, dict[str, int]]:
        """Camera → count of frames by what became of them, those that are not zero."""
        counted = {
            camera: {
                key: int(value)
                for key, value in values.items()
                if (key.startswith("frames_") or key.startswith("dropped_")) and value.isdecimal()
            }
            for camera, values in self.cameras.items()
        }
        kept = ("frames_received", "frames_answered")
        return {c: {k: n for k, n in counts.items() if n or k in kept} for c, counts in counted.items()}

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if not status.name.startswith(self._prefix):
                continue
            name = status.name.removeprefix(self._prefix)
            values = {pair.key: pair.value for pair in status.values}
            if name == "engine":
                self.engine = values
                self.received += 1
            elif name.startswith(CAMERA):
                self.cameras[name.removeprefix(CAMERA)] = values


class Listener:
    """Subscribes on construction; its callbacks run in the executor that spins the node.

    Args:
        cameras: names in topics.
        changed: called with an alert whose state or reason differs from the one before.
        overlay: called with camera, stamp in nanoseconds and RGB picture.

    Attributes:
        cameras: name → what was seen.
        account: what the node says about itself.
    """

    def __init__(
        self,
        node: Node,
        cameras: list[str],
        changed: Callable[[AlertSeen], None],
        overlay: Callable[[str, int, np.ndarray], None],
    ) -> None:
        self.cameras = {camera: CameraSeen() for camera in cameras}
        self.account = NodeAccount(node, f"{node.get_namespace().rstrip('/')}/perception")
        self._clock = node.get_clock()
        self._changed, self._overlay = changed, overlay
        node.create_subscription(DiagnosticArray, "alert", self._on_alert, qos.ALERT_OUT)
        for camera in cameras:
            node.create_subscription(
                Image, f"{camera}/anomaly/mask", lambda m, c=camera: self._on_mask(c, m), qos.IMAGE_OUT
            )
            node.create_subscription(
                Image, f"{camera}/overlay", lambda m, c=camera: self._on_overlay(c, m), qos.IMAGE_OUT
            )

    def _on_alert(self, message: DiagnosticArray) -> None:
        now = self._clock.now().nanoseconds
        for status in message.status:
            if status.hardware_id not in self.cameras:
                continue
            alert = read_alert(status, now)
            alerts = self.cameras[alert.camera].alerts
            last = alerts[-1] if alerts else None
            other = last is None or (last.state, last.reason) != (alert.state, alert.reason)
            if other or last.stamp_ns != alert.stamp_ns:
                alerts.append(alert)
            if other:
                self._changed(alert)

    def _on_mask(self, camera: str, message: Image) -> None:
        stamp = to_ns(message.header.stamp)
        self.cameras[camera].latency_s[stamp] = (self._clock.now().nanoseconds - stamp) * 1e-9

    def _on_overlay(self, camera: str, message: Image) -> None:
        self._overlay(camera, to_ns(message.header.stamp), message_to_rgb(message))
