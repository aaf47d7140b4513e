"""A new bag with a replay's outputs beside its inputs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.metadata import parse_qos
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore
from rosbags.typesys.stores.ros2_humble import (
    builtin_interfaces__msg__Time as Time,
)
from rosbags.typesys.stores.ros2_humble import (
    diagnostic_msgs__msg__DiagnosticArray as DiagnosticArray,
)
from rosbags.typesys.stores.ros2_humble import (
    diagnostic_msgs__msg__DiagnosticStatus as DiagnosticStatus,
)
from rosbags.typesys.stores.ros2_humble import (
    diagnostic_msgs__msg__KeyValue as KeyValue,
)
from rosbags.typesys.stores.ros2_humble import (
    sensor_msgs__msg__Image as Image,
)
from rosbags.typesys.stores.ros2_humble import (
    std_msgs__msg__Header as Header,
)

from ..errors import ConfigError
from ..pipeline.alert import alert_level, alert_sentence, alert_values
from ..sources.bag_messages import RawMessage, ReplayBag
from ..sources.video_packets import DEFINITIONS
from .judge import Judged

ANSWERS = "/anomaly/"
"""Part of the names of all the topics, per camera, on which a node or a replay answers."""
LATCHED = "/tf_static"
NODE = "/perception"
"""Name of the node whose alerts these are."""


class OutputBag:
    """Context manager; writes version 8 with sqlite3, which Humble to Kilted can play.

    Every message of the input is copied as it is; for every frame the node's `alert` follows with the log time of the
    image, and for an answered one `<camera>/anomaly/score` (32FC1) and `<camera>/anomaly/mask` (mono8).

    Args:
        path: a new folder.
        bundle: identity that goes into every alert.

    Raises:
        ConfigError: the folder exists.
    """

    def __init__(self, path: Path, bundle: str = "") -> None:
        if path.exists():
            raise ConfigError(f"{path} exists; give another --out, or remove it")
        self._path, self._beside = path, None
        if set("%#?") & set(str(path.resolve())):
            # rosbags hands the path to SQLite as a URI without quoting: the data would lie in another file.
            self._beside = tempfile.TemporaryDirectory(prefix="oodseg_bag_")
            path = Path(self._beside.name) / "bag"
        self._writer = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._connections: dict[str, object] = {}
        self.left_out: dict[str, str] = {}
        self._bundle = bundle
        self._sequence = 0

    def __enter__(self) -> OutputBag:
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        if self._beside is not None:
            shutil.move(self._writer.path, self._path)
            self._beside.cleanup()

    def copy(self, bag: ReplayBag) -> None:
        """All messages of the input, but for the topics `left_out`, told with the reason.

        Those are earlier answers, which would stand among this replay's own in the same topics, and types that neither
        the bag nor `rosbags` defines.
        """
        self.left_out = {topic: "earlier answers" for topic in bag.topics if topic == "/alert" or ANSWERS in topic}
        for raw in bag.messages({*bag.topics} - {*self.left_out}):
            connection = self._connections.get(raw.topic) or self._connect(raw, bag)
            if connection is not None:
                self._writer.write(connection, raw.log_ns, raw.data)

    def write(self, judged: Judged) -> None:
        """What the node publishes for this frame: score and mask where it was answered, and its camera's alert."""
        step, log_ns = judged.step, judged.now_ns
        camera, frame, judgement = step.arrival.camera, step.frame, step.judgement
        if frame is not None and judgement is not None and judgement.refused is None:
            header = Header(Time(*divmod(frame.stamp_ns, 10**9)), frame.frame_id)
            self._image(f"/{camera}/anomaly/score", log_ns, header, "32FC1", judgement.score)
            self._image(f"/{camera}/anomaly/mask", log_ns, header, "mono8", judgement.mask)
        words = alert_values(step.alert, judged.unplaced) | {
            "sequence": str(self._sequence),
            "bundle": self._bundle,
        }
        self._sequence += 1
        status = DiagnosticStatus(
            alert_level(step.alert),
            f"{NODE}: {camera}",
            alert_sentence(step.alert),
            camera,
            [KeyValue(key, value) for key, value in words.items()],
        )
        array = DiagnosticArray(Header(Time(*divmod(log_ns, 10**9)), ""), [status])
        self._write("/alert", "diagnostic_msgs/msg/DiagnosticArray", log_ns, array)

    def _image(self, topic: str, log_ns: int, header: Header, encoding: str, array: np.ndarray) -> None:
        height, width = array.shape
        data = np.ascontiguousarray(array).view(np.uint8).ravel()
        message = Image(header, height, width, encoding, 0, width * array.itemsize, data)
        self._write(topic, "sensor_msgs/msg/Image", log_ns, message)

    def _write(self, topic: str, kind: str, log_ns: int, message: object) -> None:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        self._writer.write(self._connections[topic], log_ns, self._store.serialize_cdr(message, kind))

    def _connect(self, raw: RawMessage, bag: ReplayBag) -> object | None:
        if raw.topic in self.left_out:
            return None
        definition, digest = bag.definitions.get(raw.topic, (DEFINITIONS.get(raw.kind, ""), ""))
        try:
            if definition and not digest:
                types = Typestore()
                types.register(get_types_from_msg(definition, raw.kind))
                digest = types.hash_rihs01(raw.kind)
        except (
            Exception
        ):  # rosbags' parser raises its own errors, assertion and key errors on definitions it cannot read
            definition = ""
        qos = _offered(bag.qos.get(raw.topic), raw.topic)
        if definition:
            how = {"msgdef": definition, "rihs01": digest}
        elif raw.kind in self._store.types and not raw.ros1:
            how = {"typestore": self._store}
        else:
            self.left_out[raw.topic] = f"type {raw.kind or '(not told)'} is defined nowhere"
            return None
        self._connections[raw.topic] = self._writer.add_connection(raw.topic, raw.kind, offered_qos_profiles=qos, **how)
        return self._connections[raw.topic]


def _offered(told: Any, topic: str) -> list[Qos]:
    """QoS profiles as the input bag holds them: without them players offer volatile topics, which latecomers miss."""
    try:
        found = parse_qos(told or [])
    except Exception:  # edited by hand: any type may stand anywhere
        found = []
    if found or topic != LATCHED:
        return found
    never = QosTime(2147483647, 4294967295)
    latched = (QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL)
    return [Qos(*latched, never, never, QosLiveliness.AUTOMATIC, never, False)]
