"""The vehicle's speed from an odometry topic."""

from __future__ import annotations

import math
import time
from typing import Any

from rclpy.node import Node

from ...errors import ConfigError
from . import qos, topics

STALE = 1.0
"""Seconds after which a speed is no longer known."""


class Odometry:
    """Subscribes on construction.

    Raises:
        ConfigError: nav_msgs is not installed.
    """

    def __init__(self, node: Node, topic: str) -> None:
        try:
            from nav_msgs.msg import Odometry as Message
        except ImportError as error:
            raise ConfigError(f"parameter odometry = {topic!r} needs nav_msgs; install it or leave it empty") from error
        self._node = node
        self._speed, self._at = math.nan, -math.inf
        self._subscription = node.create_subscription(
            Message,
            topic,
            self._on_message,
            qos.profile(topics.CAMERA_INFO_IN),
            qos_overriding_options=qos.overridable(),
        )

    def speed(self) -> float | None:
        """Metres per second forward, or None where none came lately."""
        return self._speed if time.monotonic() - self._at <= STALE and math.isfinite(self._speed) else None

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def _on_message(self, message: Any) -> None:
        self._speed, self._at = message.twist.twist.linear.x, time.monotonic()
