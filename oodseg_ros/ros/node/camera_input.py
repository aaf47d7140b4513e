"""The subscriptions of one camera. Their callbacks count and store, nothing else: the executor must stay free."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from ...parameters.settings import CameraSettings
from ...pipeline.account import FrameCounter
from ...pipeline.mailbox import Item, Mailbox
from ..messages.stamps import to_ns
from . import qos, topics


class CameraInput:
    """Created on activate, destroyed on deactivate: rclpy's lifecycle does not silence subscriptions.

    Attributes:
        info: newest CameraInfo, or None.

    Args:
        node: owner of the subscriptions.
        camera: its settings.
        mailbox: gets the messages.
        counter: account of the camera.
        arrived: called with the camera's name for every image message.
        refuse: reason for which frames are dropped unseen at the moment (e.g. `disabled`), or None.
        rejected: called with camera and reason for a frame that is dropped for its stamp.
    """

    def __init__(
        self,
        node: Node,
        camera: CameraSettings,
        mailbox: Mailbox,
        counter: FrameCounter,
        arrived: Callable[[str], None],
        refuse: Callable[[], str | None],
        rejected: Callable[[str, str], None],
    ) -> None:
        self.info: CameraInfo | None = None
        self._node = node
        self._name = camera.name
        self._mailbox = mailbox
        self._counter = counter
        self._arrived = arrived
        self._refuse = refuse
        self._rejected = rejected
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
        stamp = to_ns(message.header.stamp)
        self._arrived(self._name)
        if reason := self._counter.receive(stamp):
            self._rejected(self._name, reason)
        elif reason := self._refuse():
            self._counter.drop(reason)
        elif not self._mailbox.put(Item(self._name, stamp, message)):
            self._counter.drop("inactive")

    def _on_info(self, message: CameraInfo) -> None:
        self.info = message
