"""The processes that node_overhead.py starts: camera, listener, and one of the nodes. Each writes what it counted as
JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

BEST_EFFORT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)

SOME_THRESHOLD = 2.7
"""Any: a mask costs the same."""


def camera(out: Path, size: str, rate: str, seconds: str) -> None:
    """Publishes images once the node listens; tells by a file that it begins."""
    from oodseg_ros.scenes import scene

    node = rclpy.create_node("camera_driver")
    publisher = node.create_publisher(Image, "camera/image_raw", RELIABLE)
    width, height = map(int, size.split("x"))
    message = Image(width=width, height=height, step=width * 3, encoding="bgr8")
    message.header.frame_id = "lens"
    # Noise is no picture that a network was calibrated on: the node refuses its answers.
    message.data.frombytes(np.ascontiguousarray(scene(40, (height, width)).image[..., ::-1]).tobytes())
    first_row = np.frombuffer(message.data, np.uint8)[: message.step]
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(2.0)  # the listener's matches
    period = 1.0 / float(rate)
    total = int(float(seconds) * float(rate))
    Path(f"{out}.begun").touch()
    time.sleep(0.5)
    start = time.monotonic()
    for index in range(total):
        time.sleep(max(0.0, start + index * period - time.monotonic()))
        message.header.stamp = node.get_clock().now().to_msg()
        # A picture that never changes is a frozen camera to the node.
        first_row[:] = index % 256
        publisher.publish(message)
    time.sleep(1.0)
    out.write_text(json.dumps({"sent": total}))


def listener(out: Path, *topics: str) -> None:
    """Takes the outputs as bytes and counts them."""
    from diagnostic_msgs.msg import DiagnosticArray

    node = rclpy.create_node("listener")
    counts = dict.fromkeys((*topics, "alert"), 0)

    def count(topic: str) -> Any:
        def callback(_: Any) -> None:
            counts[topic] += 1

        return callback

    for topic in topics:
        node.create_subscription(Image, f"camera/{topic}", count(topic), BEST_EFFORT, raw=True)
    node.create_subscription(DiagnosticArray, "alert", count("alert"), 10)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    out.write_text(json.dumps({"counts": counts}))


def plain(out: Path, size: str) -> None:
    """The usual node around a constant answer."""
    answer = constants(size)
    usual_node(out, lambda image: answer)


def openvino(out: Path, size: str, file: str) -> None:
    """The usual node around an exported graph, as OpenVINO runs it in FP32."""
    import openvino

    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def answer(image: np.ndarray) -> tuple[np.ndarray, ...]:
        found = compiled([image[None]])
        return with_mask(found[0][0], found[1][0])

    usual_node(out, answer)


def onnxruntime(out: Path, size: str, file: str) -> None:
    """The usual node around an exported graph, as ONNX Runtime runs it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def answer(image: np.ndarray) -> tuple[np.ndarray, ...]:
        labels, score = session.run(None, {"images": image[None]})
        return with_mask(labels[0], score[0])

    usual_node(out, answer)


def with_mask(labels: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """And the mask that a plain node would make of the score."""
    return labels, score, (score > SOME_THRESHOLD).astype(np.uint8)


def usual_node(out: Path, answer: Callable[[np.ndarray], tuple[np.ndarray, ...]]) -> None:
    """Convert by cv_bridge, answer, convert by cv_bridge, publish."""
    from cv_bridge import CvBridge

    node = rclpy.create_node("plain")
    bridge = CvBridge()
    publishers = [
        node.create_publisher(Image, f"camera/{topic}", RELIABLE)
        for topic in ("semantic/image", "anomaly/score", "anomaly/mask")
    ]
    ages: list[float] = []

    def callback(message: Image) -> None:
        answers = zip(
            publishers, answer(bridge.imgmsg_to_cv2(message, "rgb8")), ("mono8", "32FC1", "mono8"), strict=True
        )
        for publisher, pixels, encoding in answers:
            reply = bridge.cv2_to_imgmsg(pixels, encoding)
            reply.header = message.header
            publisher.publish(reply)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        ages.append((node.get_clock().now().nanoseconds - stamp) * 1e-9)

    node.create_subscription(Image, "camera/image_raw", callback, BEST_EFFORT)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    out.write_text(json.dumps({"answered": len(ages), "ages": ages, "peak_mb": peak_mb()}))


def ours(out: Path, size: str) -> None:
    """The node of this package, whole, with a constant instead of the network."""
    our_node(out, [], load=lambda settings, logger: (ConstantRunner(size), ()))


def network(out: Path, size: str, bundle: str, precision: str) -> None:
    """The node of this package as people start it."""
    wanted = {"bundle": bundle, "precision": precision, "warm_size": size}
    our_node(out, ["--ros-args", *(part for key, value in wanted.items() for part in ("-p", f"{key}:={value}"))])


def our_node(out: Path, arguments: list[str], **options: Any) -> None:
    """Runs until it is told to stop, then writes what it counted."""
    from oodseg_ros.ros.perception import SUCCESS, Perception, run

    class Measured(Perception):
        def close(self) -> bool:
            camera = self._session.pipeline.cameras["camera"]
            ages = list(camera.ages._values)
            counts = camera.counter.counts()
            counted = {"answered": counts.answered, "dropped": counts.dropped, "ages": ages, "peak_mb": peak_mb()}
            out.write_text(json.dumps(counted))
            return super().close()

    def make() -> Perception:
        node = Measured(**options)
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        return node

    rclpy.try_shutdown()
    run(make, arguments)


def peak_mb() -> float:
    """This process's largest resident memory so far."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def constants(size: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, score and mask of the constant answer: nothing anomalous."""
    width, height = map(int, size.split("x"))
    rows = np.arange(height, dtype=np.uint8)[:, None]
    labels = np.ascontiguousarray(np.broadcast_to(rows % 11, (height, width)))
    return labels, (labels * 0.01).astype(np.float32), np.zeros((height, width), np.uint8)


class ConstantRunner:
    """Stands where the Runner stands; a measuring device, not an engine."""

    engine_identity = "constant"
    golden_error = 0.0
    second_look = None

    def __init__(self, size: str) -> None:
        from oodseg_ros.bundle import WEIGHTS_FILE, Bundle
        from oodseg_ros.frame import Prediction
        from oodseg_ros.labels import load_labels
        from oodseg_ros.model_card import Calibration, InputSpec, Licence, ModelCard

        card = ModelCard(
            name="constant",
            label_set="driving11",
            network={},
            input=InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1, multiple=1),
            calibration=Calibration(threshold=1.0, table=[(0.0, 0.0), (2.0, 1.0)], source="none"),
            licence=Licence(weights="none"),
            files={WEIGHTS_FILE: "0" * 64},
        )
        self.bundle = Bundle(Path(), card, load_labels("driving11"))
        labels, score, _ = constants(size)
        self._prediction = Prediction(labels, score, self.bundle.id)

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool:
        return True

    def warm(self, height: int, width: int, batch: int = 1) -> None:
        """Nothing to compile."""

    def batch_pays(self, height: int, width: int, batch: int) -> bool:
        return True

    def __call__(self, images: Any) -> list[Any]:
        return [self._prediction for _ in images]


if __name__ == "__main__":
    role, out, *arguments = sys.argv[1:]
    rclpy.init()
    roles = (camera, listener, plain, openvino, onnxruntime, ours, network)
    {each.__name__: each for each in roles}[role](Path(out), *arguments)
    rclpy.try_shutdown()
