"""The package's own bag player: the recorded bytes as they are, at the recorded intervals, with /clock.

Nothing is decoded or restamped, so the node sees what it would see from `ros2 bag play --clock`.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from ..errors import BagError
from ..sources.bag_messages import RawMessage, ReplayBag
from .messages.alert import to_stamp
from .node import qos

CAMERA_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo")
CLOCK_PERIOD = 0.02
"""Seconds between /clock messages: ages of sim-time nodes are known to this."""
LEAD = 1.0
"""Seconds of /clock before the first message and after the last one: a subscriber needs the time before it can tell an
age, and may have been found by us before it has found us."""
_TF_STATIC = "/tf_static"
_DEPTH = 100


class BagPlayer:
    """Publishers for topics of a ROS 2 bag, and /clock.

    Attributes:
        sent: messages sent so far, by topic of the bag.
        left_out: topics that were asked for and cannot be played, and why.

    Args:
        bag: rosbag2 folder or file; a damaged one is played up to the damage.
        topics: topic in the bag → topic to publish; None = all images and camera infos under their own names.
        rate: 1 = as recorded.
        offset: seconds of the bag to leave out; what is latched is sent all the same.
        loop: begin again at the end; time jumps back then.
        paused: hold at the first message, with a standing /clock, until `resume`.

    Raises:
        BagError: the bag cannot be read or holds none of the topics.
    """

    def __init__(
        self,
        node: Node,
        bag: Path,
        topics: Mapping[str, str] | None = None,
        rate: float = 1.0,
        offset: float = 0.0,
        loop: bool = False,
        paused: bool = False,
    ) -> None:
        self._bag = ReplayBag(bag)
        cameras = {topic: topic for topic, kind in self._bag.topics.items() if kind in CAMERA_TYPES}
        chosen = cameras if topics is None else dict(topics)
        missing = [topic for topic in chosen if topic not in self._bag.topics]
        if missing or not chosen:
            raise BagError(
                f"bag {bag} has no {', '.join(missing) or 'camera topic at all'}; "
                f"its camera topics: {', '.join(cameras) or 'none'}"
            )
        self.sent: Counter[str] = Counter()
        self._unsent: Counter[str] = Counter()
        self.left_out: dict[str, str] = {}
        self._publishers: dict[str, Publisher] = {}
        for topic, name in chosen.items():
            try:
                kind = _message_class(self._bag.topics[topic])
            except (ImportError, AttributeError) as error:
                self.left_out[topic] = f"{self._bag.topics[topic]} is not installed here ({error})"
                continue
            profile = qos.deep(_DEPTH, latched=topic == _TF_STATIC)
            is_image = self._bag.topics[topic] in CAMERA_TYPES
            self._publishers[topic] = node.create_publisher(kind, name, qos.IMAGE_OUT if is_image else profile)
        self._clock = node.create_publisher(Clock, "/clock", qos.ALERT_OUT)
        self._rate, self._offset, self._loop = rate, round(offset * 1e9), loop
        self._lock = threading.Lock()
        self._paused = paused
        self._bag_ns, self._since = 0, time.monotonic()

    @property
    def damage(self) -> str | None:
        """What of the bag could not be read; final when `play` has returned."""
        unsent = [
            f"{topic}: {count} messages are damaged or of another type and were not sent"
            for topic, count in self._unsent.items()
        ]
        return "; ".join([*([self._bag.damage] if self._bag.damage else []), *unsent]) or None

    @property
    def is_sound(self) -> bool:
        """Whether `damage` holds notes only; final when `play` has returned."""
        return self._bag.is_sound and not self._unsent

    def listeners(self, topics: Iterable[str] | None = None) -> int:
        """How many of the topics (None = all) somebody subscribes to."""
        chosen = self._publishers if topics is None else topics
        return sum(self._publishers[topic].get_subscription_count() > 0 for topic in chosen)

    def pause(self) -> None:
        """Hold; /clock stands still."""
        with self._lock:
            self._bag_ns, self._since = self._now(), time.monotonic()
            self._paused = True

    def resume(self) -> None:
        """Go on from where `pause` held."""
        with self._lock:
            self._since = self._since if not self._paused else time.monotonic()
            self._paused = False

    def play(self, stop: threading.Event) -> Counter[str]:
        """Publish until the bag ends or `stop` is set; returns `sent`.

        Raises:
            BagError: nothing of the topics lies after the offset.
        """
        while self._once(stop) and self._loop and not stop.is_set():
            pass
        return self.sent

    def _once(self, stop: threading.Event) -> bool:
        begin = first = None
        for message in self._bag.messages(set(self._publishers)):
            begin = message.log_ns if begin is None else begin
            if message.log_ns - begin < self._offset:
                if message.topic == _TF_STATIC:
                    self._send(message)
                continue
            if first is None:
                first = message.log_ns
                self._begin(begin + self._offset)
            if not self._wait_until(message.log_ns, stop):
                return False
            self._send(message)
        if first is None:
            raise BagError(f"bag {self._bag.path} holds no message of {', '.join(self._publishers)} after the offset")
        end = self._now_locked() + round(LEAD * self._rate * 1e9)
        return self._wait_until(end, stop)

    def _begin(self, bag_ns: int) -> None:
        with self._lock:
            self._bag_ns, self._since = bag_ns - round(LEAD * self._rate * 1e9), time.monotonic()

    def _wait_until(self, bag_ns: int, stop: threading.Event) -> bool:
        while True:
            now = self._now_locked()
            self._clock.publish(Clock(clock=to_stamp(max(0, now))))
            rest = (bag_ns - now) * 1e-9 / self._rate
            if rest <= 0:
                return True
            if stop.wait(min(rest, CLOCK_PERIOD)):
                return False

    def _send(self, message: RawMessage) -> None:
        # Such bytes would be taken for a message of the topic's type; nobody who listens could tell why nothing comes.
        if message.ros1 or not message.data or message.kind != self._bag.topics[message.topic]:
            self._unsent[message.topic] += 1
            return
        self._publishers[message.topic].publish(message.data)
        self.sent[message.topic] += 1

    def _now_locked(self) -> int:
        with self._lock:
            return self._now()

    def _now(self) -> int:
        gone = 0.0 if self._paused else time.monotonic() - self._since
        return self._bag_ns + round(gone * self._rate * 1e9)


def playable(topics: Mapping[str, str], subscribed: Iterable[str]) -> dict[str, str]:
    """Topics of a bag that somebody subscribes to, without /clock, which the player makes itself."""
    wanted = set(subscribed) - {"/clock"}
    return {topic: kind for topic, kind in topics.items() if topic in wanted}


def _message_class(kind: str) -> type:
    package, _, name = kind.replace("/msg/", "/").partition("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)
