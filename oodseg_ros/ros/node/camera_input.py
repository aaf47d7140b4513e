"""The subscriptions of one camera. Their callbacks count and store, nothing else: the executor must stay free."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from ...errors import ConfigError
from ...parameters.settings import CameraSettings
from ...pipeline import reasons
from ...pipeline.inference_thread import InferenceThread
from ...pipeline.step import Arrival
from ...sources.video_packets import PacketWorker
from ..messages.alert import to_ns
from ..messages.images import Packet, to_frame
from . import qos, topics

SENDER_MEMORY = 2.0
"""Seconds for which a publisher that has sent something counts as sending."""


class CameraInput:
    """Created on activate, destroyed on deactivate: rclpy's lifecycle does not silence subscriptions.

    Args:
        thread: counts every image as it arrives, and judges it.
    """

    def __init__(self, node: Node, camera: CameraSettings, thread: InferenceThread) -> None:
        self.info: CameraInfo | None = None
        self._node = node
        self._name = camera.name
        self._thread = thread
        self._senders: dict[str, dict[bytes, float]] = {}
        self._several = False
        packets = camera.transport in ("ffmpeg", "foxglove")
        self._packets = PacketWorker(self._decoded) if packets else None
        on_image = self._on_packet if packets else self._on_image
        self._subscriptions = [
            node.create_subscription(
                _type_of(topic, camera),
                topic.named(camera.name),
                _called_alike(self._on_info if topic.kind == "sensor_msgs/CameraInfo" else on_image),
                qos.profile(topic.quality),
                qos_overriding_options=qos.overridable(),
            )
            for topic in topics.inputs(camera.transport)
        ]

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._packets is not None:
            self._packets.close()

    def check_publishers(self) -> tuple[str, str]:
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
        stamp = to_ns(message.header.stamp)
        if self._admit(stamp, info):
            encoding = message.format if isinstance(message, CompressedImage) else message.encoding
            self._put(stamp, encoding, message)

    def _on_packet(self, message: Any, info: dict[str, Any]) -> None:
        header = getattr(message, "header", None)
        if header is None:
            header = Header(stamp=message.timestamp, frame_id=message.frame_id)
        # Also those that are not admitted: later pictures are built on them.
        assert self._packets is not None  # made with this subscription
        self._packets.put(message, (header, self._admit(to_ns(header.stamp), info)))

    def _decoded(self, with_it: tuple[Header, bool], picture: Any) -> None:
        header, admitted = with_it
        if admitted:
            self._put(to_ns(header.stamp), "", Packet(header, picture))

    def _put(self, stamp_ns: int, encoding: str, message: Any) -> None:
        name = self._name
        self._thread.put(Arrival(name, stamp_ns, lambda: to_frame(message, name), encoding, message))

    def _admit(self, stamp_ns: int, info: dict[str, Any]) -> bool:
        self._heard("image", info)
        return self._thread.receive(self._name, stamp_ns, reasons.SEVERAL_PUBLISHERS if self.mixed else None)

    def _on_info(self, message: CameraInfo, info: dict[str, Any]) -> None:
        self._heard("camera_info", info)
        self.info = message


def _type_of(topic: topics.Topic, camera: CameraSettings) -> type:
    found = topics.message_type(topic)
    if found is None:
        package = topic.kind.partition("/")[0]
        raise ConfigError(
            f"camera {camera.name}: transport {camera.transport} needs the messages of {package}, which are not "
            f"installed; install ros-<distro>-{package.replace('_', '-')}"
        )
    return found


def _called_alike(callback: Callable[[Any, dict[str, Any]], None]) -> Callable[..., None]:
    """Humble's rclpy hands over the message alone."""
    return callback if hasattr(Subscription, "CallbackType") else lambda message: callback(message, {})


def _type_name(subscription: Subscription) -> str:
    kind = subscription.msg_type
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def _owner(info: Any) -> str:
    # DDS may find an endpoint some moments before the node that it belongs to.
    return "a node" if "UNKNOWN" in info.node_name else f"{info.node_namespace.rstrip('/')}/{info.node_name}"


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
