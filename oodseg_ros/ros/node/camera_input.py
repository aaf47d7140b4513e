"""The subscriptions of one camera. Their callbacks count and store, nothing else: the executor must stay free."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ...parameters.settings import CameraSettings
from ...pipeline import reasons
from ...pipeline.pipeline import Arrival
from ..messages.images import to_frame
from ..messages.stamps import to_ns
from . import qos, topics

SENDER_MEMORY = 2.0
"""Seconds for which a publisher that has sent something counts as sending."""


class CameraInput:
    """Created on activate, destroyed on deactivate: rclpy's lifecycle does not silence subscriptions.

    Attributes:
        info: newest CameraInfo, or None.

    Args:
        node: owner of the subscriptions.
        camera: its settings.
        put: gets every image as it arrives, and a reason for which it must not be looked at, or None.
    """

    def __init__(self, node: Node, camera: CameraSettings, put: Callable[[Arrival, str | None], object]) -> None:
        self.info: CameraInfo | None = None
        self._node = node
        self._name = camera.name
        self._put = put
        self._senders: dict[str, dict[bytes, float]] = {}
        self._several = False
        self._subscriptions = [
            node.create_subscription(
                topics.message_type(topic),
                topic.named(camera.name),
                self._on_info if topic.kind == "sensor_msgs/CameraInfo" else self._on_image,
                qos.profile(topic.quality),
                qos_overriding_options=qos.overridable(),
            )
            for topic in topics.inputs(camera.transport)
        ]

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def look_around(self) -> tuple[str, str]:
        """What is wrong with those who publish on the camera's topics, by the graph; not for every frame.

        Returns:
            Why pictures or calibrations of several publishers may mix, and why none arrive; empty where all is well.
        """
        several, missing = "", ""
        for subscription in self._subscriptions:
            topic, kind = subscription.topic_name, _type_name(subscription)
            found = self._node.get_publishers_info_by_topic(topic)
            same = [info for info in found if info.topic_type == kind]
            if len(same) > 1:
                several = several or f"{topic} has {len(same)} publishers: {', '.join(sorted(map(_owner, same)))}"
            if subscription is self._subscriptions[0]:
                self._several = len(same) > 1
                missing = _why_missing(subscription, topic, kind, found)
        return several, missing

    @property
    def mixed(self) -> bool:
        """Several publishers have sent on one topic within `SENDER_MEMORY`.

        Before Kilted rclpy does not tell who sent a message; there, several publishers of pictures count as sending.
        """
        if not self._senders:
            return self._several
        now = time.monotonic()
        return any(sum(now - at < SENDER_MEMORY for at in seen.values()) > 1 for seen in self._senders.values())

    def _heard(self, kind: str, info: dict[str, Any]) -> None:
        gid = (info.get("publisher_gid") or {}).get("data")
        if gid is None:
            return
        now, seen = time.monotonic(), self._senders.setdefault(kind, {})
        if gid not in seen and len(seen) > 1:
            for old in [each for each, at in seen.items() if now - at >= SENDER_MEMORY]:
                del seen[old]
        seen[gid] = now

    def _on_image(self, message: Image | CompressedImage, info: dict[str, Any]) -> None:
        self._heard("image", info)
        encoding = message.format if isinstance(message, CompressedImage) else message.encoding
        name, stamp = self._name, to_ns(message.header.stamp)
        arrival = Arrival(name, stamp, lambda: to_frame(message, name), encoding, message)
        self._put(arrival, reasons.SEVERAL_PUBLISHERS if self.mixed else None)

    def _on_info(self, message: CameraInfo, info: dict[str, Any]) -> None:
        self._heard("camera_info", info)
        self.info = message


def _type_name(subscription: Subscription) -> str:
    kind = subscription.msg_type
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def _owner(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _why_missing(subscription: Subscription, topic: str, kind: str, found: list[Any]) -> str:
    """Why no message of `kind` can arrive on the topic; empty where somebody publishes it."""
    if not found:
        return f"nobody publishes {topic}"
    same = [info for info in found if info.topic_type == kind]
    if not same:
        other = found[0]
        return f"{topic} is published by {_owner(other)} as {other.topic_type}, but {kind} is expected"
    for info in same:
        verdict, why = qos_check_compatible(info.qos_profile, subscription.qos_profile)
        if verdict != QoSCompatibility.ERROR:
            return ""
    return f"the QoS that {_owner(info)} offers on {topic} does not match: {why.strip()}"
