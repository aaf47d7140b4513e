"""The vehicle's speed over DDS."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy")
from oodseg_ros.ros.node import vehicle

nav = pytest.importorskip("nav_msgs.msg")


def test_the_newest_speed_is_known_until_it_is_stale(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = vehicle.Odometry(peer.node, "odom")
    assert source.speed() is None
    publisher = peer.node.create_publisher(nav.Odometry, "odom", 1)
    message = nav.Odometry()
    message.twist.twist.linear.x = 7.5

    def heard() -> bool:
        publisher.publish(message)
        return source.speed() == 7.5

    peer.until(heard, "the speed")
    message.twist.twist.linear.x = float("nan")

    def unknown() -> bool:
        publisher.publish(message)
        return source.speed() is None

    peer.until(unknown, "a speed that is no number is not known")
    message.twist.twist.linear.x = 3.0

    def again() -> bool:
        publisher.publish(message)
        return source.speed() == 3.0

    peer.until(again, "the speed again")
    later = vehicle.time.monotonic() + vehicle.STALE + 0.1
    monkeypatch.setattr(vehicle.time, "monotonic", lambda: later)
    assert source.speed() is None
    monkeypatch.undo()
    source.destroy()
