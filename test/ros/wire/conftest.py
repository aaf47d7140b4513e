"""A second process that sends every message back, so that conversions are tested over real DDS."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
LIMIT = 30.0
"""Seconds for the other process to start, be discovered and answer; typical is 1."""


@pytest.fixture(scope="session")
def echo() -> Iterator[Callable[[Any], Any]]:
    """`echo(message)`: send it over DDS to another process and return what comes back from there."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import DurabilityPolicy, QoSProfile

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("asker", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    # Kept for late joiners on both ways: nobody has to wait for discovery first.
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    names = [
        "sensor_msgs.Image",
        "sensor_msgs.CompressedImage",
        "vision_msgs.Detection2DArray",
        "vision_msgs.Detection3DArray",
        "vision_msgs.LabelInfo",
    ]
    kinds = {name: kind for name in names if (kind := _message(name)) is not None}
    received: dict[type, list[Any]] = {kind: [] for kind in kinds.values()}
    publishers = {}
    for name, kind in kinds.items():
        topic = name.replace(".", "_")
        publishers[kind] = node.create_publisher(kind, f"{topic}_there", qos)
        node.create_subscription(kind, f"{topic}_back", received[kind].append, qos)
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("echo_process.py")), *kinds])

    def echo(message: Any) -> Any:
        answers = received[type(message)]
        answers.clear()
        publishers[type(message)].publish(message)
        end = time.monotonic() + LIMIT
        while not answers:
            assert process.poll() is None, "the echoing process ended"
            assert time.monotonic() < end, f"no answer within {LIMIT:g} s"
            executor.spin_once(timeout_sec=0.1)
        return answers[-1]

    yield echo
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def _message(name: str) -> type | None:
    package, _, kind = name.partition(".")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except ImportError:
        return None
