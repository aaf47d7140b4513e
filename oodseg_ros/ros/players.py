"""What can play a bag: the package's own player, and `ros2 bag play`. Both hold at the first message until `resume`."""

from __future__ import annotations

import argparse
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

from rclpy.node import Node
from std_srvs.srv import Trigger

from ..errors import BagError, ConfigError
from ..sources.bag_messages import ReplayBag
from .bag_player import BagPlayer
from .node import launching

ASK_AGAIN = 2.0
"""Seconds after which a question is put again: one to a process that was respawned, or has not found us, is lost."""


class Player(Protocol):
    """A player of a bag. It holds at the first message until `resume`."""

    def heard(self) -> bool:
        """Whether the subscribers of all images are known."""

    def resume(self) -> None:
        """Play on from where it holds."""

    def ended(self) -> bool:
        """Whether all was played; raises UserError if it failed."""

    def played(self) -> int | None:
        """Images that were sent, or would have been of a bag without damage; None = nobody knows."""

    def damage(self) -> tuple[str | None, bool]:
        """What is wrong with the bag, None = nothing, and whether all of it could be played; final at the end."""

    def stop(self) -> None:
        """End it now."""


class OwnPlayer:
    """The package's own player in a thread; see `BagPlayer`."""

    def __init__(self, node: Node, options: argparse.Namespace, topics: list[str], images: list[str]) -> None:
        self._node, self._options, self._images = node, options, images
        self._player = BagPlayer(
            node,
            options.bag,
            {topic: topic for topic in topics},
            options.rate,
            options.start_offset,
            options.loop,
            paused=True,
        )
        for topic, reason in self._player.left_out.items():
            node.get_logger().warning(f"{topic} is not played: {reason}")
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="play", daemon=True)
        for name, act in (("pause", self._player.pause), ("resume", self._player.resume)):
            node.create_service(Trigger, f"~/{name}", lambda _, response, act=act: _done(act, response))
        self._thread.start()

    def heard(self) -> bool:
        return self._player.listeners(self._images) >= (len(self._images) if self._options.node else 1)

    def resume(self) -> None:
        self._player.resume()

    def ended(self) -> bool:
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def played(self) -> int | None:
        return sum(self._player.sent[topic] for topic in self._images)

    def damage(self) -> tuple[str | None, bool]:
        return self._player.damage, self._player.is_sound

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def _play(self) -> None:
        try:
            self._player.play(self._stop)
        except Exception as error:
            self._error = error


class Rosbag2Player:
    """`ros2 bag play` in a process of its own."""

    NODE = "rosbag2_player"

    def __init__(self, node: Node, options: argparse.Namespace, topics: list[str], images: list[str]) -> None:
        try:
            from rosbag2_interfaces.srv import Resume
        except ImportError as error:
            raise ConfigError(
                "player rosbag2: rosbag2_interfaces is not installed (ros-<distro>-ros2bag); use player oodseg"
            ) from error
        self._node, self._options, self._images = node, options, images
        self._request = Resume.Request
        self._answer: Any = None
        self._asked = 0.0
        self._resume = node.create_client(Resume, f"/{self.NODE}/resume")
        command = launching.rosbag2_command(options.bag, topics, options.rate, options.loop, options.start_offset)
        node.get_logger().info(" ".join(map(str, command)))
        # A session of its own: Ctrl-C comes from here, once.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def heard(self) -> bool:
        self.ended()
        return self._resume.service_is_ready() and all(
            any(p.node_name == self.NODE for p in self._node.get_publishers_info_by_topic(topic))
            for topic in self._images
        )

    def resume(self) -> None:
        self._answer, self._asked = self._resume.call_async(self._request()), time.monotonic()

    def ended(self) -> bool:
        # A request to a player that has not found us yet is lost without a word, and it would wait for ever.
        if self._answer is not None and not self._answer.done() and time.monotonic() - self._asked > ASK_AGAIN:
            self._resume.remove_pending_request(self._answer)
            self.resume()
        code = self._process.poll()
        if code:
            raise BagError(f"`ros2 bag play` ended with status {code}; its output says why")
        return code == 0

    def played(self) -> int | None:
        if self._options.loop:
            return None
        return self._read[0]

    def damage(self) -> tuple[str | None, bool]:
        # `ros2 bag play` ends with 0 where it stopped at damage, and says nothing.
        return (None, True) if self._options.loop else self._read[1:]

    @cached_property
    def _read(self) -> tuple[int, str | None, bool]:
        """Images of the bag after the offset, and its damage."""
        bag = ReplayBag(self._options.bag)
        begin, offset, count = None, round(self._options.start_offset * 1e9), 0
        for message in bag.messages():
            begin = message.log_ns if begin is None else begin
            count += message.topic in self._images and message.log_ns - begin >= offset
        return count, bag.damage, bag.is_sound

    def stop(self) -> None:
        for number, patience in ((signal.SIGINT, 3.0), (signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0)):
            if self._process.poll() is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue


def _done(act: Callable[[], None], response: Trigger.Response) -> Trigger.Response:
    act()
    response.success = True
    return response
