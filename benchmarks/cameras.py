"""How one node serves several cameras: delivered, dropped, age at the listener; the real node, over DDS.

    python benchmarks/cameras.py [--cameras 1 2 4 8] [--rate 5] [--size 960x540] [--seconds 12] [--precision fp32]

Cameras publish raw images of procedural scenes in turns, best effort, as drivers do. A frame that the node cannot take
in time must be dropped, never queued: the age must not grow with the number of cameras by more than their batch takes.
`delivered` counts masks at the listener, `answered` and `dropped` are the node's own account.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from oodseg_ros.evaluation.results import provenance
from oodseg_ros.paths import share_dir
from oodseg_ros.ros.node import launching
from oodseg_ros.ros.node.qos import DIAGNOSTICS_OUT, IMAGE_IN, IMAGE_OUT
from oodseg_ros.ros.tools.node_process import NodeProcess
from oodseg_ros.scenes import scene

RESULTS = Path(__file__).resolve().parent / "results" / "cameras.json"
START_LIMIT, SETTLE_LIMIT = 300.0, 60.0
STEPS = 13
"""Different images of one camera, shown in turns."""
WARM_UP = 2.0
"""Seconds whose frames are sent and not counted among the ages."""


class Rig:
    """Publishers of the cameras and listeners to the node's answers, on one ROS node."""

    def __init__(self, node: rclpy.node.Node, count: int, size: tuple[int, int]) -> None:
        self.names = [f"camera_{index}" for index in range(count)]
        self.sent = dict.fromkeys(self.names, 0)
        self.ages: dict[str, list[tuple[int, float]]] = {name: [] for name in self.names}
        self.reports: dict[str, dict[str, str]] = {}
        self._node = node
        self._publishers = {name: node.create_publisher(Image, f"{name}/image_raw", IMAGE_IN) for name in self.names}
        self._messages = {name: [] for name in self.names}
        for index, name in enumerate(self.names):
            image = scene(40 + index, size).image
            for shift in range(STEPS):  # a camera that stands still is reported as frozen
                message = Image(height=size[0], width=size[1], step=3 * size[1], encoding="rgb8")
                message.data.frombytes(np.roll(image, shift, axis=1).tobytes())
                message.header.frame_id = name
                self._messages[name].append(message)
            node.create_subscription(Image, f"{name}/anomaly/mask", self._taker(name), IMAGE_OUT)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, DIAGNOSTICS_OUT)

    @property
    def listened(self) -> bool:
        """Whether the node listens to every camera."""
        return all(publisher.get_subscription_count() for publisher in self._publishers.values())

    @property
    def settled(self) -> bool:
        """Whether the node has accounted for all that it received."""
        waiting = [self.reports.get(name, {}).get("frames_waiting") for name in self.names]
        return all(count == "0" for count in waiting)

    def send(self, name: str) -> None:
        """One image of a camera, stamped now."""
        message = self._messages[name][self.sent[name] % STEPS]
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publishers[name].publish(message)
        self.sent[name] += 1

    def _taker(self, name: str) -> Any:
        def take(message: Image) -> None:
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            self.ages[name].append((stamp, (self._node.get_clock().now().nanoseconds - stamp) * 1e-6))

        return take

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._node.get_namespace()) and status.hardware_id in self.names:
                self.reports[status.hardware_id] = {pair.key: pair.value for pair in status.values}


def measure(count: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run with `count` cameras."""
    width, height = map(int, options.size.split("x"))
    rclpy.init()
    namespace = f"/cameras_{os.getpid()}_{count}"
    node = rclpy.create_node("rig", namespace=namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    rig = Rig(node, count, (height, width))
    parameters: dict[str, Any] = {
        "bundle": options.bundle,
        "engine": options.engine,
        "precision": options.precision,
        "autostart": True,
        "cameras": rig.names,
        "warm_size": options.size,
        "batch": options.batch,
    }
    try:
        with NodeProcess(parameters, folder, namespace) as process:
            _until(lambda: rig.listened, executor, process, START_LIMIT)
            begin, period = time.monotonic(), 1.0 / options.rate / count
            counted_from = node.get_clock().now().nanoseconds + int(WARM_UP * 1e9)
            for index in range(int((WARM_UP + options.seconds) * options.rate * count)):
                while (left := begin + index * period - time.monotonic()) > 0:
                    executor.spin_once(timeout_sec=left)
                rig.send(rig.names[index % count])
                executor.spin_once(timeout_sec=0)
            process.check()
            executor.spin_once(timeout_sec=0.5)
            rig.reports.clear()  # only a report from after the last frame counts
            try:
                _until(lambda: rig.settled, executor, process, SETTLE_LIMIT)
            except TimeoutError as error:
                raise TimeoutError(f"{error}; its last account: {rig.reports}") from error
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return summary(rig, counted_from)


def _until(ready: Any, executor: SingleThreadedExecutor, process: NodeProcess, limit: float) -> None:
    end = time.monotonic() + limit
    while not ready():
        process.check()
        if time.monotonic() > end:
            log = process.log.read_text(errors="replace")[-2000:]
            raise TimeoutError(f"the node did not get ready within {limit:.0f} s; the end of its log:\n{log}")
        executor.spin_once(timeout_sec=0.1)


def summary(rig: Rig, counted_from: int) -> dict[str, Any]:
    """Counts over all cameras, the worst and the best served one, ages at the listener."""
    ages = [age for taken in rig.ages.values() for stamp, age in taken if stamp >= counted_from]
    shares = [len(rig.ages[name]) / rig.sent[name] for name in rig.names]
    reports = rig.reports.values()
    dropped: dict[str, int] = {}
    for report in reports:
        for key, value in report.items():
            if key.startswith("dropped_") and int(value):
                dropped[key[len("dropped_") :]] = dropped.get(key[len("dropped_") :], 0) + int(value)
    return {
        "cameras": len(rig.names),
        "sent": sum(rig.sent.values()),
        "received": sum(int(report["frames_received"]) for report in reports),
        "answered": sum(int(report["frames_answered"]) for report in reports),
        "delivered": sum(map(len, rig.ages.values())),
        "dropped": dropped,
        "least_served_share": min(shares),
        "best_served_share": max(shares),
        **({f"age_p{q}_ms": float(np.percentile(ages, q)) for q in (50, 95, 99)} if ages else {}),
        "age_max_ms": max(ages, default=None),
    }


def main() -> None:
    """Measure, print a line per number of cameras, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--bundle", default="road_lite")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--batch", type=int, default=1, help="images run together; 0 = the number of cameras")
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--size", default="960x540", help="WIDTHxHEIGHT of the images")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update(launching.dds_profile({"ROS_DISTRO": "kilted", **os.environ}, share_dir()))
    settings = {key: value for key, value in vars(options).items() if key not in ("out", "cameras")}
    report: dict[str, Any] = {"provenance": provenance(), "settings": settings, "rows": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="oodseg_cameras_") as folder:
        for count in options.cameras:
            row = measure(count, options, Path(folder))
            report["rows"].append(row)
            print(json.dumps(row), flush=True)
            options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
