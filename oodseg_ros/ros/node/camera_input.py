"""The subscriptions of one camera. Their callbacks count and store, nothing else: the executor must stay free."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ...parameters.settings import CameraSettings
from ...pipeline.pipeline import Arrival
from ..messages.images import to_frame
from ..messages.stamps import to_ns
from . import qos, topics


class CameraInput:
    """Created on activate, destroyed on deactivate: rclpy's lifecycle does not silence subscriptions.

    Attributes:
        info: newest CameraInfo, or None.

    Args:
        node: owner of the subscriptions.
        camera: its settings.
        put: gets every image as it arrives.
    """

    def __init__(self, node: Node, camera: CameraSettings, put: Callable[[Arrival], object]) -> None:
        self.info: CameraInfo | None = None
        self._node = node
        self._name = camera.name
        self._put = put
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

    def _on_image(self, message: Image | CompressedImage) -> None:
        encoding = message.format if isinstance(message, CompressedImage) else message.encoding
        name, stamp = self._name, to_ns(message.header.stamp)
        self._put(Arrival(name, stamp, lambda: to_frame(message, name), encoding, message))

    def _on_info(self, message: CameraInfo) -> None:
        self.info = message
