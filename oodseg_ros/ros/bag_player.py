"""Play a bag into DDS without ROS's own tools: the recorded bytes as they are, at the recorded rate, with /clock.

Nothing is decoded or restamped, so the node sees what it would see from `ros2 bag play --clock`. Run as a module:

    python -m oodseg_ros.ros.bag_player BAG [--rate 1.0] [--loop] [--topics /camera/image_raw/compressed]
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ..errors import BagError
from .messages.stamps import to_stamp
from .node import qos

TYPES = {f"sensor_msgs/msg/{kind.__name__}": kind for kind in (Image, CompressedImage, CameraInfo)}
CLOCK_PERIOD = 0.02
"""Seconds between /clock messages: ages of sim-time nodes are known to this."""
LEAD = 1.0
"""Seconds of /clock before the first image and after the last one: a subscriber needs the time before it can tell an
age, and may have been found by us before it has found us."""


class BagPlayer:
    """Publishers for the camera topics of a ROS 2 bag, and /clock.

    Args:
        node: their owner.
        bag: rosbag2 folder or file.
        topics: topic in the bag → topic to publish; None = all images and camera infos under their own names.

    Raises:
        BagError: the bag cannot be read or holds none of the topics.
    """

    def __init__(self, node: Node, bag: Path, topics: Mapping[str, str] | None = None) -> None:
        self._bag = bag
        try:
            with Reader(bag) as reader:
                known = {c.topic: c.msgtype for c in reader.connections if c.msgtype in TYPES}
        except Exception as error:  # rosbags raises its own errors, and those of the storage below it
            raise BagError(f"bag {bag} cannot be read: {error}") from error
        chosen = dict(topics) if topics is not None else {topic: topic for topic in known}
        missing = [topic for topic in chosen if topic not in known]
        if missing or not chosen:
            raise BagError(
                f"bag {bag} has no camera topic {', '.join(missing) or 'at all'}; it has: {', '.join(known) or 'none'}"
            )
        self._publishers: dict[str, Publisher] = {
            topic: node.create_publisher(TYPES[known[topic]], name, qos.IMAGE_OUT) for topic, name in chosen.items()
        }
        self._clock = node.create_publisher(Clock, "/clock", qos.ALERT_OUT)

    def listeners(self) -> int:
        """Topics to which somebody subscribes."""
        return sum(publisher.get_subscription_count() > 0 for publisher in self._publishers.values())

    def play(self, stop: threading.Event, rate: float = 1.0) -> Counter[str]:
        """Publish until the bag ends or `stop` is set; returns the messages sent by topic of the bag."""
        sent: Counter[str] = Counter()
        with Reader(self._bag) as reader:
            wanted = [connection for connection in reader.connections if connection.topic in self._publishers]
            begin, start = None, time.monotonic() + LEAD
            for connection, log_ns, data in reader.messages(wanted):
                begin = log_ns if begin is None else begin
                due = start + (log_ns - begin) * 1e-9 / rate
                while (rest := due - time.monotonic()) > 0:
                    self._tick(begin, start, rate)
                    if stop.wait(min(rest, CLOCK_PERIOD)):
                        return sent
                self._tick(begin, start, rate)
                self._publishers[connection.topic].publish(bytes(data))
                sent[connection.topic] += 1
            while begin is not None and time.monotonic() < due + LEAD and not stop.wait(CLOCK_PERIOD):
                self._tick(begin, start, rate)
        return sent

    def _tick(self, begin: int, start: float, rate: float) -> None:
        self._clock.publish(Clock(clock=to_stamp(begin + int((time.monotonic() - start) * rate * 1e9))))


def main() -> None:
    """Play a bag once somebody listens to all of its cameras."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate", type=float, default=1.0, help="1 = as recorded")
    parser.add_argument("--loop", action="store_true", help="again and again until Ctrl-C; time jumps back each time")
    parser.add_argument("--topics", nargs="*", help="camera topics of the bag; default: all")
    options = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("bag_player")
    try:
        topics = {topic: topic for topic in options.topics} if options.topics else None
        player = BagPlayer(node, options.bag, topics)
        while not player.listeners():
            time.sleep(0.1)
        sent = player.play(threading.Event(), options.rate)
        while options.loop:
            sent += player.play(threading.Event(), options.rate)
        print(dict(sent))
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
