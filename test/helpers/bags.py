"""Messages and bags for tests, written with rosbags."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
T = STORE.types


def header(stamp_ns: int, frame_id: str = "lens") -> Any:
    return T["std_msgs/msg/Header"](T["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9)), frame_id)


def image(stamp_ns: int, picture: np.ndarray, encoding: str = "rgb8", frame_id: str = "lens") -> Any:
    """`picture` uint8 `[H, W]` or `[H, W, C]`, as it is."""
    height, width = picture.shape[:2]
    told = (height, width, encoding, 0, picture.strides[0], picture.ravel())
    return T["sensor_msgs/msg/Image"](header(stamp_ns, frame_id), *told)


def compressed(stamp_ns: int, picture: np.ndarray, kind: str = "jpeg", frame_id: str = "lens") -> Any:
    """`picture` RGB uint8 `[H, W, 3]`; `kind` jpeg or png."""
    data = cv2.imencode(f".{kind}", picture[..., ::-1])[1].ravel()
    return T["sensor_msgs/msg/CompressedImage"](header(stamp_ns, frame_id), kind, data)


def odometry(stamp_ns: int, x: float, speed: float = 0.0) -> Any:
    """At (x, 0, 0), with a speed forward."""
    vector, zeros = T["geometry_msgs/msg/Vector3"], np.zeros(36)
    point, turn = T["geometry_msgs/msg/Point"](x, 0.0, 0.0), T["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    pose = T["geometry_msgs/msg/PoseWithCovariance"](T["geometry_msgs/msg/Pose"](point, turn), zeros)
    moving = T["geometry_msgs/msg/Twist"](vector(speed, 0.0, 0.0), vector(0.0, 0.0, 0.0))
    twist = T["geometry_msgs/msg/TwistWithCovariance"](moving, zeros)
    return T["nav_msgs/msg/Odometry"](header(stamp_ns, "odom"), "base_link", pose, twist)


def write_bag(
    path: Path,
    messages: Iterable[tuple[str, int, Any]],
    storage: StoragePlugin = StoragePlugin.MCAP,
    version: int = 9,
    store: Any = STORE,
    **options: Any,
) -> Path:
    """A rosbag2 folder.

    Args:
        messages: (topic, log time in nanoseconds, message of `store`).
        options: topic → further arguments of its connection.
    """
    with Writer(path, version=version, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}
        for topic, log_ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store, **options.get(topic, {}))
            writer.write(connections[topic], log_ns, store.serialize_cdr(message, kind))
    return path
