"""Sends every message back. Arguments: types such as `sensor_msgs.Image`; topics `<package>_<type>_there`, `…_back`."""

from __future__ import annotations

import importlib
import sys

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile


def main() -> None:
    """Echo until terminated."""
    rclpy.init()
    node = rclpy.create_node("echo")
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for name in sys.argv[1:]:
        package, _, kind = name.partition(".")
        message = getattr(importlib.import_module(f"{package}.msg"), kind)
        topic = name.replace(".", "_")
        publisher = node.create_publisher(message, f"{topic}_back", qos)
        node.create_subscription(message, f"{topic}_there", publisher.publish, qos)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


main()
