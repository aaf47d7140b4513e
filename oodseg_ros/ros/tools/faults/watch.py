"""What a consumer of the alert topic sees, with the times at which it sees it."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from ...node import qos
from ...node.diagnostics import CAMERA
from ..listener import read_alert


@dataclass(frozen=True)
class Seen:
    """One camera's alert: arrival in monotonic seconds, state, reason, stamp of the judged frame."""

    at: float
    state: str
    reason: str
    stamp_ns: int


class Watch:
    """Subscriptions to `alert` and `/diagnostics`; filled by the executor's thread, read by the harness's."""

    def __init__(self, node: Node) -> None:
        self._prefix = f"{node.get_namespace().rstrip('/')}/perception: "
        self._lock = threading.Lock()
        self._seen: dict[str, list[Seen]] = {}
        self._heartbeats: list[float] = []
        self._accounts: dict[str, dict[str, str]] = {}
        node.create_subscription(DiagnosticArray, "alert", self._on_alert, qos.deep(100))
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.deep(20))

    def clear(self) -> None:
        """Forget what was seen, but for the newest of each camera."""
        with self._lock:
            self._seen = {camera: seen[-1:] for camera, seen in self._seen.items()}
            self._heartbeats = self._heartbeats[-1:]

    def seen(self, camera: str, since: float = 0.0) -> list[Seen]:
        with self._lock:
            return [seen for seen in self._seen.get(camera, ()) if seen.at >= since]

    def now(self, camera: str) -> Seen | None:
        with self._lock:
            return (self._seen.get(camera) or [None])[-1]

    def silence(self) -> float:
        """Seconds since the last alert message."""
        with self._lock:
            return time.monotonic() - self._heartbeats[-1] if self._heartbeats else float("inf")

    def heartbeat_gap(self, since: float) -> float:
        """Longest time between two alert messages since then, the one that lasts now included."""
        with self._lock:
            times = [at for at in self._heartbeats if at >= since]
        return longest_gap([since, *times, time.monotonic()])

    def account(self, name: str) -> dict[str, str]:
        """Newest diagnostics of a camera, `engine` or `recorder`, key → value; empty before the first."""
        with self._lock:
            return self._accounts.get(name, {})

    def _on_alert(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        with self._lock:
            self._heartbeats.append(now)
            for status in message.status:
                alert = read_alert(status, 0)
                seen = Seen(now, alert.state.value, alert.reason, alert.stamp_ns)
                self._seen.setdefault(alert.camera, []).append(seen)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._lock:
            for status in message.status:
                if status.name.startswith(self._prefix):
                    values = {pair.key: pair.value for pair in status.values}
                    self._accounts[status.name.removeprefix(self._prefix).removeprefix(CAMERA)] = values


def longest_gap(times: list[float]) -> float:
    """Of times in order."""
    return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
