"""The harness's camera drivers and its clock: whatever a driver may do wrong is an attribute of it."""

from __future__ import annotations

import threading
import time
from functools import lru_cache

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ...messages.alert import to_stamp
from ...node import qos
from . import messages
from .messages import PICTURES, SIZES

RATE = 10.0
"""Frames per second of each camera."""
_LOOP = 64
"""Pictures repeat after this many frames; making each anew would cost more than the node under test."""
_SECOND = 10**9


class DriverClock:
    """Wall time, or a simulation time that is published on /clock and can jump and stop.

    The cameras' own time (`now_ns`) follows jumps but never stops: what stops is /clock.
    """

    def __init__(self, node: Node, simulated: bool) -> None:
        self._publisher = node.create_publisher(Clock, "/clock", qos.ALERT_OUT) if simulated else None
        self._node = node
        self._shift = 1_700_000_000 * _SECOND - time.monotonic_ns() if simulated else None
        self._frozen: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        if simulated:
            self._thread.start()

    def now_ns(self) -> int:
        return time.time_ns() if self._shift is None else time.monotonic_ns() + self._shift

    def jump(self, seconds: float) -> None:
        self._shift += int(seconds * _SECOND)

    def run(self, running: bool) -> None:
        self._frozen = None if running else self.now_ns()

    def close(self) -> None:
        self._stop.set()
        if self._publisher is not None:
            self._thread.join()
            self._node.destroy_publisher(self._publisher)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            now = self.now_ns() if self._frozen is None else self._frozen
            self._publisher.publish(Clock(clock=to_stamp(now)))


class CameraDriver:
    """Publishes images and camera_info from a thread of its own.

    Attributes (set from outside at any time):
        picture, message, stamp, info: names of what is wrong, see `behave`.
        rate: frames per second.
    """

    def __init__(self, node: Node, name: str, compressed: bool, clock: DriverClock) -> None:
        self._node, self._name, self._compressed, self._clock = node, name, compressed, clock
        self.rate, self.sent, self._index, self._last = RATE, 0, 0, 0
        self._lock = threading.Lock()
        self._publishers: tuple[Publisher, Publisher] | None = None
        self._stop = threading.Event()
        self.behave()
        self.returns()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def behave(
        self, picture: str = "good", message: str = "", stamp: str = "", info: str = "", silent: bool = False
    ) -> None:
        """Change what the driver does; without arguments it does well again.

        Args:
            picture: one of `pictures.PICTURES`.
            message: one of `messages.CHANGES`, or empty.
            stamp: future, past, repeat, back, swap, zero, or empty.
            info: see `messages.camera_info`.
        """
        with self._lock:
            self.picture, self.message, self.stamp, self.info, self.silent = picture, message, stamp, info, silent
            self._last = self._clock.now_ns()

    def dies(self) -> None:
        with self._lock:
            publishers, self._publishers = self._publishers, None
        for publisher in publishers or ():
            self._node.destroy_publisher(publisher)

    def returns(self) -> None:
        kind, topic = (CompressedImage, "image_raw/compressed") if self._compressed else (Image, "image_raw")
        publishers = (
            self._node.create_publisher(kind, f"{self._name}/{topic}", qos.IMAGE_OUT),
            self._node.create_publisher(CameraInfo, f"{self._name}/camera_info", qos.IMAGE_OUT),
        )
        with self._lock:
            self._publishers = publishers

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.dies()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1.0 / self.rate, time.monotonic() - 1.0 / self.rate)
            with self._lock:
                if self._publishers is not None and not self.silent:
                    self._send(*self._publishers)

    def _send(self, images: Publisher, infos: Publisher) -> None:
        self._index += 1
        size = SIZES[self._name]
        stamp = to_stamp(self._stamp_ns())
        make = messages.compressed if self._compressed else messages.image
        message = make(_picture(self.picture, self._index % _LOOP, size), stamp)
        if self.message:
            messages.CHANGES[self.message](message, self._index)
        infos.publish(messages.camera_info(size, stamp, self.info))
        images.publish(message)
        self.sent += 1

    def _stamp_ns(self) -> int:
        now = self._clock.now_ns()
        if self.stamp == "back":
            self._last -= _SECOND // 20
            return self._last
        shifts = {"future": 5.0, "past": -5.0, "swap": -0.15 * (self._index % 2)}
        if self.stamp in shifts:
            return now + int(shifts[self.stamp] * _SECOND)
        return {"repeat": self._last, "zero": 0}.get(self.stamp, now)


@lru_cache(maxsize=6 * _LOOP)
def _picture(kind: str, index: int, size: tuple[int, int]) -> np.ndarray:
    return PICTURES[kind](index, size)
