"""Play a whole bag to a running `perception`: begins when the node listens, ends when it has answered.

    python -m oodseg_ros.ros.play_bag BAG [--player rosbag2] [--rate 2] [--loop] [--start-offset 5] [--start-paused]

Only what the node subscribes to is played: a bag of the node's own recorder also holds its old answers. Without
`--node` the bag's camera topics (or `--topics`) are played as soon as somebody listens to them. The package's own
player has the services `/bag_player/pause` and `/bag_player/resume` (std_srvs/Trigger); rosbag2 has its own.

Exit status: 0 played and answered, or ended by Ctrl-C; 1 not, and a sentence says why.
"""

from __future__ import annotations

from ..process import quiet_interrupt

if __name__ == "__main__":
    quiet_interrupt()  # before the imports, which take seconds

import argparse
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from ..errors import BagError, ConfigError, UserError
from ..sources.bag_messages import ReplayBag
from .bag_player import CAMERA_TYPES, playable
from .node import launching, qos
from .players import ASK_AGAIN, OwnPlayer, Player, Rosbag2Player
from .tools.listener import NodeAccount

IMAGE_TYPES = CAMERA_TYPES[:2]
GRAPH_LIMIT = 30.0
"""Seconds for discovery; 0.2 to 2.4 on a free machine."""
SETTLE_LIMIT = 60.0
"""Seconds for the last answers and two reports of the node."""


class Stopped(Exception):
    """The user ended it."""


class Conductor:
    """Waits, plays, waits; spins the node meanwhile.

    Args:
        stop: set by the user's signal.
    """

    def __init__(self, node: Node, options: argparse.Namespace, stop: threading.Event) -> None:
        self._node, self._options, self._stop = node, options, stop
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._account: NodeAccount | None = None
        self._stamp = 0

    def run(self) -> None:
        """Wait for the node, play the bag, wait for the last answer.

        Raises:
            UserError: it was not played, or no frame was answered.
            Stopped: the user ended it.
        """
        bag = ReplayBag(self._options.bag)
        if self._options.node:
            self._wait_active()
            topics, images = self._choose(bag)
            for service in self._options.wait_for:
                self._wait_ready(service)
        else:
            topics = self._options.topics or [topic for topic, kind in bag.topics.items() if kind in CAMERA_TYPES]
            images = [topic for topic in topics if bag.topics.get(topic) in IMAGE_TYPES] or topics
        player = self._player(topics, images)
        try:
            self._until(player.heard, GRAPH_LIMIT if self._options.node else None, "the node's subscriptions")
            if self._options.node:
                self._wait_clock()
            if not self._options.start_paused:
                player.resume()
            self._until(player.ended)
            damage, is_sound = player.damage()
            if damage:
                self._node.get_logger().warning(f"bag {self._options.bag}: {damage}")
            if self._account is not None:
                self._settle(self._account, player.played(), is_sound)
            if not is_sound:
                raise BagError(f"bag {self._options.bag} is damaged; only what is sound in it was played: {damage}")
        finally:
            player.stop()

    def _player(self, topics: list[str], images: list[str]) -> Player:
        if self._options.player == "rosbag2":
            return Rosbag2Player(self._node, self._options, topics, images)
        return OwnPlayer(self._node, self._options, topics, images)

    def _wait_active(self) -> None:
        """Until the node is active. The state is asked for: `transition_event` can pass before it is heard."""
        name, log = self._options.node, self._node.get_logger()
        self._account = NodeAccount(self._node, name)
        namespace = name.rpartition("/")[0]
        self._node.create_subscription(DiagnosticArray, f"{namespace}/alert", self._on_alert, qos.ALERT_OUT)
        client = self._node.create_client(GetState, f"{name}/get_state")
        told = time.monotonic()
        while True:
            state = self._ask(client, GetState.Request())
            label = state.current_state.label if state is not None else ""
            if label == "active":
                return
            if label and self._options.autostart and label not in ("configuring", "activating"):
                # It starts by itself before it answers anything: what it is now it stays.
                raise ConfigError(f"{name} did not start and is {label}; its log says why")
            if time.monotonic() - told > 10.0:
                told = time.monotonic()
                log.info(f"waiting for {name} to be active; it {f'is {label}' if label else 'does not answer yet'}")
            self._spin(0.2)

    def _choose(self, bag: ReplayBag) -> tuple[list[str], list[str]]:
        """Topics to play, and those of them that are images."""
        namespace, _, base = self._options.node.rpartition("/")
        found: dict[str, list[str]] = {}

        def images() -> bool:
            try:
                found.update(self._node.get_subscriber_names_and_types_by_node(base, namespace or "/"))
            except Exception:  # rclpy's NodeNameNonExistentError lies elsewhere in each release
                return False
            return any(set(kinds) & set(IMAGE_TYPES) for kinds in found.values())

        self._until(images, GRAPH_LIMIT, f"{self._options.node} subscribes to images")
        # Cameras subscribe one after the other.
        self._spin(0.5)
        images()
        wanted = {topic for topic, kinds in found.items() if set(kinds) & set(IMAGE_TYPES)}
        topics = playable(bag.topics, [*found, *self._options.topics])
        played = [topic for topic in sorted(wanted) if bag.topics.get(topic) in found[topic]]
        has = ", ".join(f"{topic} ({kind})" for topic, kind in bag.topics.items() if kind in IMAGE_TYPES) or "none"
        if not played:
            raise BagError(
                f"{self._options.node} listens to {', '.join(sorted(wanted))}, and bag {bag.path} has no such images; "
                f"its images: {has}. Name them with image_topic:="
            )
        for topic in sorted(wanted - set(played)):
            self._node.get_logger().warning(f"the bag has no {topic} for {self._options.node}; its images: {has}")
        missing = [topic for topic in self._options.topics if topic not in bag.topics]
        if missing:
            raise BagError(f"bag {bag.path} has no topic {', '.join(missing)}")
        self._node.get_logger().info(f"playing {', '.join(sorted(topics))}")
        return sorted(topics), played

    def _wait_ready(self, service: str) -> None:
        client = self._node.create_client(Trigger, service)
        while True:
            answer = self._ask(client, Trigger.Request())
            if answer is not None and answer.success:
                return
            self._spin(0.2)

    def _wait_clock(self) -> None:
        """Until the node takes its time from this player: then each has found the other."""
        namespace, _, base = self._options.node.rpartition("/")
        subscribed = dict(self._node.get_subscriber_names_and_types_by_node(base, namespace or "/"))
        if "/clock" not in subscribed:
            # Nothing tells whether the node has found the player, so that it gets the time to.
            self._spin(3.0)
            return
        self._stamp = 0
        try:
            self._until(lambda: self._stamp > 0, GRAPH_LIMIT, "")
        except UserError:
            self._node.get_logger().warning(f"{self._options.node} does not tell the time of /clock; playing anyway")
        self._spin(0.5)

    def _settle(self, account: NodeAccount, played: int | None, is_sound: bool) -> None:
        received = account.received
        try:
            self._until(lambda: account.settled(received), SETTLE_LIMIT, "the last answers")
        finally:
            frames = account.frames()
            for camera, counts in frames.items():
                what = ", ".join(f"{n} {key.removeprefix('frames_').replace('_', ' ')}" for key, n in counts.items())
                self._node.get_logger().info(f"{camera}: {what}")
        received = sum(counts["frames_received"] for counts in frames.values())
        if played is not None:
            why = "lost on the way, where the node did not take them in time" if is_sound else "not played, or lost"
            lost = f"; {played - received} {why}"
            self._node.get_logger().info(f"{played} images played, {received} received{lost * (played > received)}")
        if not sum(counts["frames_answered"] for counts in frames.values()):
            raise UserError("the bag was played and no frame of it was answered; see the counts above")

    def _ask(self, client: Any, request: Any) -> Any:
        """Answer of a service, None where there is none for `ASK_AGAIN` seconds."""
        end = time.monotonic() + ASK_AGAIN
        while not client.service_is_ready():
            self._spin(0.1)
            if time.monotonic() > end:
                return None
        future = client.call_async(request)
        while not future.done() and time.monotonic() < end:
            self._spin(0.05)
        if not future.done():
            client.remove_pending_request(future)
            return None
        return future.result()

    def _until(self, condition: Callable[[], bool], limit: float | None = None, what: str = "") -> None:
        end = None if limit is None else time.monotonic() + limit
        while not condition():
            if end is not None and time.monotonic() > end:
                raise UserError(f"not within {limit:g} s: {what}")
            self._spin(0.05)

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            if self._stop.is_set() or not rclpy.ok():
                raise Stopped
            self._executor.spin_once(timeout_sec=max(0.0, min(0.1, end - time.monotonic())))
            if time.monotonic() >= end:
                return

    def _on_alert(self, message: DiagnosticArray) -> None:
        self._stamp = message.header.stamp.sec


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--player", choices=launching.PLAYERS, default="oodseg", help="default: the package's own")
    parser.add_argument("--rate", type=float, default=1.0, help="1 = as recorded")
    parser.add_argument("--start-offset", type=float, default=0.0, help="seconds of the bag to leave out")
    parser.add_argument("--start-paused", action="store_true", help="hold at the first message until `resume`")
    parser.add_argument("--loop", action="store_true", help="again and again until Ctrl-C; time jumps back each time")
    parser.add_argument("--topics", nargs="*", default=[], help="topics beside those that the node subscribes to")
    parser.add_argument("--node", default="", help="full name of the node to play to; default: whoever listens")
    parser.add_argument("--no-autostart", dest="autostart", action="store_false", help="others activate it")
    parser.add_argument("--wait-for", nargs="*", default=[], help="Trigger services that must say yes before")
    options = parser.parse_args(arguments)
    if not options.rate > 0 or options.start_offset < 0:
        parser.error("--rate must be above 0, --start-offset not below")
    return options


@contextmanager
def _ros(name: str) -> Iterator[tuple[Node, threading.Event]]:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only a note: under launch Ctrl-C arrives twice, and the player must be ended in any case.
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name)
    try:
        yield node, stop
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status that the module describes."""
    options = parse(arguments)
    with _ros("bag_player") as (node, stop):
        try:
            if options.player == "rosbag2" and shutil.which("ros2") is None:
                raise ConfigError("player rosbag2: there is no `ros2` on the PATH; use player oodseg")
            Conductor(node, options, stop).run()
        except UserError as error:
            node.get_logger().error(str(error))
            return 1
        except Stopped:
            node.get_logger().info("ended before the bag did")
    return 0


if __name__ == "__main__":
    sys.exit(main())
