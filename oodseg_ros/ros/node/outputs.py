"""The answers of one camera: published in order of importance, where somebody listens; or one written to disk for a
person to look at.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from ... import views
from ...errors import ConfigError, why
from ...frame import Frame
from ...labels import LabelSet
from ...model_card import Calibration
from ...overlay import draw_overlay
from ...parameters.judging import default
from ...paths import completed
from ...pipeline.camera import Judgement
from ...pipeline.geometry.ground import CameraGeometry
from ...pipeline.obstacles.free_ground import free_ground, ground_ids
from ..messages.detections import VISION_MSGS, to_detections, to_detections_3d, to_label_info
from ..messages.images import to_compressed, to_image
from ..messages.obstacles import to_free_ground, to_markers, to_points
from . import qos, topics

_OVERLAYS = ("overlay", "overlay/compressed")
_LABEL_INFO = "semantic/label_info"


@dataclass(frozen=True)
class Answer:
    """One answered frame with the header of its message."""

    frame: Frame
    judgement: Judgement
    header: Header
    geometry: CameraGeometry | None


@dataclass(frozen=True)
class _Scene:
    """What every maker of a message may need beside the answer."""

    labels: LabelSet
    ground: np.ndarray
    base_frame: str
    info: Callable[[], CameraInfo | None]


def _free_ground(answer: Answer, scene: _Scene) -> Any:
    if answer.geometry is None:
        return None
    ends = free_ground(answer.judgement.prediction, answer.judgement.mask, answer.geometry, scene.ground)
    return to_free_ground(ends, answer.header, scene.base_frame)


def _camera_info(answer: Answer, scene: _Scene) -> CameraInfo | None:
    """The camera's, under the header of the answer: image_transport's subscribers pair the two by their stamps."""
    if (info := scene.info()) is None:
        return None
    stamped = copy(info)
    stamped.header = answer.header
    return stamped


_MAKERS: Mapping[str, Callable[[Answer, _Scene], Any]] = {
    "obstacles": lambda a, s: to_detections(a.judgement.obstacles, a.header, a.geometry),
    "obstacles/detections_3d": lambda a, s: to_detections_3d(a.judgement.obstacles, a.header, a.geometry, s.base_frame),
    "obstacles/markers": lambda a, s: to_markers(a.judgement.obstacles, a.header, a.geometry, s.base_frame),
    "obstacles/points": lambda a, s: to_points(a.judgement.obstacles, a.header, a.geometry, s.base_frame),
    "obstacles/free_ground": _free_ground,
    "anomaly/camera_info": _camera_info,
    "semantic/camera_info": _camera_info,
}
"""Topic → its message, or None where there is nothing to say."""

_IMAGES: Mapping[str, tuple[str, Callable[[Judgement, LabelSet], np.ndarray]]] = {
    "anomaly/mask": ("mono8", lambda j, _: j.mask),
    "semantic/image": ("mono8", lambda j, _: j.prediction.labels),
    "semantic/open_set": ("mono8", lambda j, _: views.open_set(j.prediction, j.mask)),
    "semantic/confidence": ("mono8", lambda j, _: views.confidence(j.prediction.score, _calibration(j))),
    "anomaly/score": ("32FC1", lambda j, _: j.score),
    "anomaly/score_color": ("bgr8", lambda j, _: _bgr(views.score_picture(j.score, j.mask, _calibration(j)))),
    "semantic/color": ("bgr8", lambda j, labels: _bgr(views.class_picture(j.prediction, labels))),
}
"""Topic → encoding, and its pixels."""


class CameraOutputs:
    """Publishers of one camera, made on configure.

    Args:
        camera: name, prefix of the topics.
        wanted: which groups of `topics` are offered.
        base_frame: frame of markers and points.
        ground_classes: names of classes over which free ground is seen.
        info: newest CameraInfo of the camera, or None.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        node: Node,
        camera: str,
        wanted: frozenset[str],
        labels: LabelSet,
        base_frame: str,
        ground_classes: Iterable[str] = default("ground_classes"),
        info: Callable[[], CameraInfo | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._clock = clock
        self._next_overlay = 0.0
        self._scene = _Scene(labels, ground_ids(labels, ground_classes), base_frame, info)
        self._messages: dict[str, Image] = {}
        self._publishers: dict[str, Publisher] = {}
        for topic in topics.outputs():
            kind = topics.message_type(topic) if VISION_MSGS or not topic.kind.startswith("vision_msgs") else None
            if topic.group in wanted and kind is not None:
                self._publishers[topic.tail] = node.create_publisher(
                    kind, topic.named(camera), qos.profile(topic.quality), **qos.options()
                )
        if _LABEL_INFO in self._publishers:
            header = Header(stamp=node.get_clock().now().to_msg())
            self._publishers[_LABEL_INFO].publish(to_label_info(labels, header))

    def destroy(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def listened(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def publish(self, answer: Answer, overlay_rate: float, overlay_alpha: float, late: bool) -> None:
        """All that somebody listens to; publishing holds the GIL, so what matters most goes first, as in `topics`.

        Of an answer that was refused people see the overlay, and machines get nothing.

        Args:
            answer: to be published under the header of its input.
            overlay_rate: most overlays per second.
            overlay_alpha: weight of the class colors.
            late: the answer is nearly too old; the overlay is left out.
        """
        if answer.judgement.refused is None:
            for topic in self._publishers:
                if (topic in _MAKERS or topic in _IMAGES) and self.listened(topic):
                    self._publish(topic, answer)
        wanted = [topic for topic in _OVERLAYS if self.listened(topic)]
        now = self._clock()
        if wanted and not late and now >= self._next_overlay:
            self._next_overlay = now + 1.0 / overlay_rate
            picture = draw_overlay(answer.frame.image, answer.judgement, self._scene.labels, overlay_alpha)
            picture = _bgr(picture)
            for topic in wanted:
                if topic == "overlay":
                    self._publish_image(topic, picture, answer.header, "bgr8")
                else:
                    self._publishers[topic].publish(to_compressed(picture, answer.header))

    def _publish(self, topic: str, answer: Answer) -> None:
        if topic in _IMAGES:
            encoding, make = _IMAGES[topic]
            self._publish_image(topic, make(answer.judgement, self._scene.labels), answer.header, encoding)
        elif (message := _MAKERS[topic](answer, self._scene)) is not None:
            self._publishers[topic].publish(message)

    def _publish_image(self, topic: str, pixels: np.ndarray, header: Header, encoding: str) -> None:
        # The same message each time: its memory is filled again instead of being allocated.
        message = self._messages[topic] = to_image(pixels, header, encoding, self._messages.get(topic))
        self._publishers[topic].publish(message)


def _calibration(judgement: Judgement) -> Calibration:
    assert judgement.calibration is not None  # the pipeline sets it
    return judgement.calibration


def _bgr(picture: np.ndarray) -> np.ndarray:
    """The picture itself, its channels turned round."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR, dst=picture)


def make_folders(folder: Path, answers: list[Answer]) -> list[Path]:
    """`<folder>/<camera>_<stamp ns>/` for each answer, made.

    Raises:
        ConfigError: the folder cannot be written.
    """
    paths = [folder / f"{answer.frame.camera}_{answer.frame.stamp_ns}" for answer in answers]
    try:
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"snapshot_dir {folder} cannot be written: {why(error)}") from error
    return paths


def write_answer(path: Path, answer: Answer, labels: LabelSet, alpha: float) -> None:
    """image.png, overlay.png and, last, answer.npz (score, labels, mask, bundle); each appears when it is complete.

    Raises:
        OSError: the disk is full or gone.
    """
    frame, judgement = answer.frame, answer.judgement
    _write(path / "image.png", _png(frame.image))
    _write(path / "overlay.png", _png(draw_overlay(frame.image, judgement, labels, alpha)))
    prediction = judgement.prediction
    arrays = {"score": judgement.score, "labels": prediction.labels, "mask": judgement.mask}
    stream = io.BytesIO()
    np.savez(stream, **arrays, bundle=np.array(prediction.bundle_id))  # type: ignore[arg-type]
    _write(path / "answer.npz", stream.getbuffer())


def _png(image: np.ndarray) -> bytes:
    # Level 1: a snapshot is taken while driving, and a smaller file is not worth the time.
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _write(path: Path, data: bytes | memoryview) -> None:
    with completed(path) as part:
        part.write_bytes(data)
