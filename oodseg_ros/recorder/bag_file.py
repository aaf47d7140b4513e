"""Moments → one mcap bag that `oodseg replay` and every mcap viewer open.

Topics: `/<camera>/image_raw/compressed` (the camera's own bytes, or lossless PNG), `/<camera>/anomaly/score` (32FC1,
rounded to 11 significant bits, which compresses well and moves no score by more than 0.05 %), `/alert`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mcap.records import Header
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_typestore

from ..frame import Alert, AlertState
from ..paths import completed
from .ring import Moment

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
ALERT = "diagnostic_msgs/msg/DiagnosticArray"
LEVELS = {AlertState.CLEAR: 0, AlertState.OBSTACLE: 1, AlertState.UNKNOWN: 2}
NAME = "oodseg_ros"
"""Of the mcap metadata record that holds cause and versions."""

Describe = Callable[[str, Alert], Mapping[str, str]]


def write_bag(
    file: Path, moments: list[Moment], trigger: float, notes: Mapping[str, str], describe: Describe, most: int
) -> int:
    """Write a bag under a temporary name and rename it when it is complete; returns the moments written.

    Args:
        file: its final name.
        moments: in any order; those nearest to the trigger go first. The list is used up, and so is its memory.
        trigger: monotonic seconds.
        notes: cause and versions, kept as a metadata record.
        describe: camera and alert → key-values of its status.
        most: bytes at which writing ends.

    Raises:
        OSError: the disk is full or gone; nothing is left of the file.
    """
    moments.sort(key=lambda moment: -abs(moment.at - trigger))
    with completed(file) as part, part.open("wb") as stream:
        written = _Bag(stream, describe).write(moments, notes, most)
        stream.flush()
        os.fsync(stream.fileno())
    return written


def wrote(file: Path) -> bool:
    """Whether `write_bag` has made this file: what lies beside its bags is somebody else's."""
    try:
        with file.open("rb") as stream:
            first = next(StreamReader(stream, record_size_limit=1 << 20).records, None)
    except Exception:  # a damaged or foreign file raises whatever its bytes make the parser raise
        return False
    return isinstance(first, Header) and first.library == NAME


def prepare() -> None:
    """Do once what the first bag would otherwise do while something happens on the road: compile the serializers."""
    image, score = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32)
    moment = Moment(0.0, 0, "camera", 0, "", Alert(AlertState.UNKNOWN, "starting"), image, None, score)
    _Bag(io.BytesIO(), lambda camera, alert: {"state": alert.state.value}).write([moment], {}, 1)


class _Bag:
    def __init__(self, stream: io.BufferedIOBase, describe: Describe) -> None:
        self._stream = stream
        self._writer = Writer(stream, compression=CompressionType.ZSTD)
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._describe = describe
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}

    def write(self, moments: list[Moment], notes: Mapping[str, str], most: int) -> int:
        self._writer.start(profile="ros2", library=NAME)
        self._writer.add_metadata(NAME, dict(notes))
        written = 0
        while moments:
            # Let go of each one as soon as it is on disk.
            self._moment(moments.pop())
            written += 1
            if self._stream.tell() > most:
                break
        self._writer.finish()
        return written

    def _moment(self, moment: Moment) -> None:
        types = self._store.types
        header = types["std_msgs/msg/Header"](
            types["builtin_interfaces/msg/Time"](*divmod(moment.stamp_ns, 10**9)), moment.frame_id
        )
        if moment.has_picture:
            data, kind = _picture(moment)
            message = types[COMPRESSED](header, kind, data)
            self._message(f"/{moment.camera}/image_raw/compressed", COMPRESSED, moment, message)
        if moment.score is not None:
            height, width = moment.score.shape
            score = moment.score if moment.published is None else moment.published(moment.score)
            data = rounded(score).view(np.uint8).ravel()
            message = types[IMAGE](header, height, width, "32FC1", 0, 4 * width, data)
            self._message(f"/{moment.camera}/anomaly/score", IMAGE, moment, message)
        pair = types["diagnostic_msgs/msg/KeyValue"]
        values = [pair(key, value) for key, value in self._describe(moment.camera, moment.alert).items()]
        status = types["diagnostic_msgs/msg/DiagnosticStatus"](
            LEVELS[moment.alert.state], f"alert: {moment.camera}", moment.alert.state.value, moment.camera, values
        )
        self._message("/alert", ALERT, moment, types[ALERT](header, [status]))

    def _message(self, topic: str, kind: str, moment: Moment, message: Any) -> None:
        if topic not in self._channels:
            if kind not in self._schemas:
                text, _ = self._store.generate_msgdef(kind, ros_version=2)
                self._schemas[kind] = self._writer.register_schema(kind, "ros2msg", text.encode())
            self._channels[topic] = self._writer.register_channel(topic, "cdr", self._schemas[kind])
        self._writer.add_message(
            self._channels[topic], moment.log_ns, bytes(self._store.serialize_cdr(message, kind)), moment.log_ns
        )


def _picture(moment: Moment) -> tuple[np.ndarray, str]:
    if moment.encoded is not None:
        data = np.frombuffer(bytes(moment.encoded), np.uint8)
        return data, "png" if bytes(data[:4]) == b"\x89PNG" else "jpeg"
    # Lossless, so that a replay judges what the node judged. Level 1: ten times the time saves little more.
    bgr = cv2.cvtColor(moment.image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].ravel(), "png"


def rounded(score: np.ndarray) -> np.ndarray:
    """float32 `[H, W]` rounded to 11 significant bits; NaN and infinity stay."""
    bits = np.ascontiguousarray(score, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
