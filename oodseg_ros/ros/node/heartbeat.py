"""The alert topic: what the board says, at a fixed rate, when something changed, and when nothing else moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from ...frame import Alert
from ...parameters.settings import Settings
from ...pipeline.alert_board import AlertBoard
from ...pipeline.watchdog import Watchdog, Watched
from ..messages.alert import to_alert
from . import qos, topics

MAX_TOLD = 20
"""Kinds of failures of the watchdog that are logged."""


class Heartbeat:
    """Publisher of `alert` and the watchdog that goes on where the executor stands still. Thread-safe.

    Args:
        bundle: identity that goes into every alert.
        sent: called with the alerts of every heartbeat.
        busy_for: seconds that the inference thread has been at one step.
        give_up: called once when it has stood still for `stall_exit` seconds.
        unplaced: camera → why its obstacles have no position; read each time.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], Settings],
        board: AlertBoard,
        bundle: str,
        sent: Callable[[Mapping[str, Alert]], None],
        busy_for: Callable[[], float],
        give_up: Callable[[], None],
        unplaced: Mapping[str, str],
    ) -> None:
        self._node = node
        self._board = board
        self._bundle = bundle
        self._sent = sent
        self._give_up_node = give_up
        self._unplaced = unplaced
        self._lock = threading.Lock()
        self._sequence = 0
        self._told: set[str] = set()
        self._at = time.monotonic()
        self._publisher = node.create_publisher(
            DiagnosticArray, "alert", qos.profile(topics.ALERT_OUT), **qos.options(listen_to_events=True)
        )
        period = 1.0 / settings().alert_rate
        watched = Watched(
            busy_for=busy_for,
            silent_for=lambda: time.monotonic() - self._at,
            blocked=self._blocked,
            beat=self._beat,
            give_up=self._give_up,
            failed=self._watchdog_failed,
        )
        # Later than the heartbeat's own timer ever is, so that the two do not take turns.
        self._watchdog = Watchdog(
            watched,
            lambda: settings().stall_after,
            lambda: settings().stall_exit,
            silence=max(2 * period, 0.2),
            period=min(0.1, period),
        )
        self._watchdog.start()

    def publish(self, wait: float = -1.0) -> None:
        """The board as it is now.

        Args:
            wait: most seconds for another thread that is publishing; negative = without end.
        """
        if not self._lock.acquire(timeout=wait):
            return
        try:
            now = self._node.get_clock().now()
            alerts = self._board.alerts(now.nanoseconds)
            self._sent(alerts)
            name = self._node.get_fully_qualified_name()
            message = to_alert(alerts, now.to_msg(), self._sequence, self._bundle, name, self._unplaced)
            self._publisher.publish(message)
            self._sequence += 1
            self._at = time.monotonic()
        finally:
            self._lock.release()

    @property
    def sequence(self) -> int:
        return self._sequence

    def destroy(self) -> None:
        self._watchdog.stop()
        self._node.destroy_publisher(self._publisher)

    def _beat(self) -> None:
        # After SIGINT the context is gone before the node is.
        if self._node.context.ok():
            self.publish(wait=0.1)

    def _blocked(self, blocked: bool, seconds: float) -> None:
        self._board.set_blocked(blocked)
        if blocked:
            self._node.get_logger().error(f"the inference thread has stood still for {seconds:.1f} s")
        else:
            self._node.get_logger().warning("the inference thread moves again")
        self._beat()

    def _watchdog_failed(self, error: Exception) -> None:
        # Ten times a second it would fill the disk; said once for each kind, and the heartbeat goes on.
        kind = f"{type(error).__name__}: {error}"[:200]
        if kind not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(kind)
            self._node.get_logger().error(f"the watchdog could not finish a look ({kind}); it goes on (said once)")

    def _give_up(self, seconds: float) -> None:
        self._node.get_logger().fatal(
            f"the inference thread has stood still for {seconds:.1f} s (health.stall_exit): the process ends"
        )
        self._give_up_node()
