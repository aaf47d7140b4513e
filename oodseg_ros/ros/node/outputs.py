"""The topics of one camera: published in order of importance, and only where somebody listens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from ...frame import Frame
from ...labels import LabelSet
from ...overlay import draw_overlay
from ...pipeline.camera import Judgement
from ...pipeline.geometry.ground import CameraGeometry
from ..messages import detections as detection_messages
from ..messages.detections import VISION_MSGS, to_detections, to_label_info
from ..messages.images import to_image
from ..messages.obstacles import to_markers, to_points
from . import qos


@dataclass(frozen=True)
class Answer:
    """One answered frame with the header of its message."""

    frame: Frame
    judgement: Judgement
    header: Header
    geometry: CameraGeometry | None


class CameraOutputs:
    """Publishers of one camera, made on configure.

    Args:
        node: their owner.
        camera: name, prefix of the topics.
        wanted: which of `settings.OUTPUTS` are offered.
        labels: the bundle's label set.
        base_frame: frame of markers and points.
    """

    def __init__(
        self,
        node: Node,
        camera: str,
        wanted: frozenset[str],
        labels: LabelSet,
        base_frame: str,
        clock: Callable = time.monotonic,
    ) -> None:
        self._node = node
        self._labels = labels
        self._base_frame = base_frame
        self._clock = clock
        self._next_overlay = 0.0
        self._messages: dict[str, Image] = {}
        self._publishers: dict[str, Publisher] = {}
        kinds: list[tuple[str, str, Any]] = [
            ("obstacles", "obstacles/markers", MarkerArray),
            ("obstacles", "obstacles/points", PointCloud2),
            ("mask", "anomaly/mask", Image),
            ("semantic", "semantic/image", Image),
            ("score", "anomaly/score", Image),
            ("overlay", "overlay", Image),
        ]
        if VISION_MSGS:
            kinds.insert(0, ("obstacles", "obstacles", detection_messages.Detection2DArray))
            kinds.append(("semantic", "semantic/label_info", detection_messages.LabelInfo))
        for output, topic, kind in kinds:
            if output in wanted:
                self._publishers[topic] = node.create_publisher(
                    kind, f"{camera}/{topic}", qos.TOPICS[topic], **qos.options()
                )
        if "semantic/label_info" in self._publishers:
            header = Header(stamp=node.get_clock().now().to_msg())
            self._publishers["semantic/label_info"].publish(to_label_info(labels, header))

    def destroy(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def listened(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def publish(self, answer: Answer, overlay_rate: float, overlay_alpha: float, late: bool) -> None:
        """Obstacles, mask, semantic, score, overlay; publishing holds the GIL, so what matters most goes first.

        Of an answer that was refused people see the overlay, and machines get nothing.

        Args:
            answer: to be published under the header of its input.
            overlay_rate: most overlays per second.
            overlay_alpha: weight of the class colors.
            late: the answer is nearly too old; the overlay is left out.
        """
        if answer.judgement.refused is None:
            self._publish_answer(answer)
        now = self._clock()
        if not late and now >= self._next_overlay and self.listened("overlay"):
            self._next_overlay = now + 1.0 / overlay_rate
            picture = draw_overlay(answer.frame.image, answer.judgement, self._labels, overlay_alpha)
            cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=picture)
            self._publish_image("overlay", picture, answer.header, "bgr8")

    def _publish_answer(self, answer: Answer) -> None:
        obstacles, header = answer.judgement.obstacles, answer.header
        if self.listened("obstacles"):
            self._publishers["obstacles"].publish(to_detections(obstacles, header))
        for topic, make in (("obstacles/markers", to_markers), ("obstacles/points", to_points)):
            if self.listened(topic):
                self._publishers[topic].publish(make(obstacles, header, answer.geometry, self._base_frame))
        self._publish_image("anomaly/mask", answer.judgement.mask, header, "mono8")
        self._publish_image("semantic/image", answer.judgement.prediction.labels, header, "mono8")
        self._publish_image("anomaly/score", answer.judgement.prediction.score, header, "32FC1")

    def _publish_image(self, topic: str, pixels: Any, header: Header, encoding: str) -> None:
        if self.listened(topic):
            # The same message each time: its memory is filled again instead of being allocated.
            message = self._messages[topic] = to_image(pixels, header, encoding, self._messages.get(topic))
            self._publishers[topic].publish(message)
