"""The cameras of soak.py: NAMESPACE FRAMES RATE SIZE CAMERA…; prints what was sent as lines of JSON.

Stamps lie exactly one period apart, so that every loss can be told from them; images of one camera differ, so that no
camera is frozen. Some seconds of frames come first, so that the node knows the period, then a pause in which its counts
are read: what it calls lost across the pause is known to be the pause.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import rclpy
from sensor_msgs.msg import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oodseg_ros.ros.messages.alert import to_stamp
from oodseg_ros.ros.node import qos
from oodseg_ros.ros.tools.faults.messages import good, image

PICTURES = 8
WARM_UP = 3.0
PAUSE = 6.0


def main() -> None:
    """Send and count."""
    namespace, frames, rate, size, *names = sys.argv[1:]
    width, height = map(int, size.split("x"))
    rclpy.init()
    node = rclpy.create_node("soak_cameras", namespace=namespace)
    publishers = [node.create_publisher(Image, f"{name}/image_raw", qos.IMAGE_OUT) for name in names]
    messages = [image(good(index, (height, width)), to_stamp(0)) for index in range(PICTURES)]
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.05)
    # The node knows us a moment after we know the node.
    time.sleep(2.0)
    period = 1.0 / float(rate)
    begin, start_ns = time.monotonic() + 0.1, time.time_ns() + 100_000_000
    sent = dict.fromkeys(names, 0)
    warm, pause = (round(seconds * float(rate)) for seconds in (WARM_UP, PAUSE))
    for index in range(warm + pause + int(frames)):
        if index == warm:
            print(json.dumps({"warm_up": warm, "pause": pause}), flush=True)
        if warm <= index < warm + pause:
            continue
        # One camera after the other within a period, as unsynchronized cameras do.
        for number, (name, publisher) in enumerate(zip(names, publishers, strict=True)):
            due = (index + number / len(names)) * period
            time.sleep(max(0.0, begin + due - time.monotonic()))
            message = messages[(index + number) % PICTURES]
            message.header.stamp = to_stamp(start_ns + int(due * 1e9))
            publisher.publish(message)
            sent[name] += index > warm
    time.sleep(1.0)
    print(json.dumps(sent), flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
