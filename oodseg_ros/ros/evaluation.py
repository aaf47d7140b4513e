"""The node `evaluation`: listens to `perception` and leaves the figures that `oodseg replay` computes offline.

    python -m oodseg_ros.ros.evaluation --ros-args -p out:=OUT -p cameras:="[front]" -p truth:=MASKS -p offline:=REPLAY

It sees what a consumer sees: frames that were dropped on the way are missing here, and counted where `offline` names
the folder of an `oodseg replay` of the same bag; `account` says why, by the node's own counts. Scores and masks of the
frames that both judged are the same (`component_deployed` counts the objects in the masks), so figures differ only by
the frames that are missing, and by the alert logic having seen fewer frames. The service `~/ready` says yes once the
node is heard: play the first frame then, not before.

Exit status: 0 the results are written; 1 they are, and nothing was heard; 2 refused.
"""

from __future__ import annotations

from ..process import quiet_interrupt

if __name__ == "__main__":
    quiet_interrupt()  # before the imports, which take seconds

import csv
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from ..errors import ConfigError, UserError
from ..paths import write_json
from ..replay.live_figures import LiveFigures
from ..replay.truth import truth_from_folder
from .messages.alert import to_ns
from .messages.images import view
from .node import launching, qos
from .tools.listener import NodeAccount, read_alert

DEPTH = 200
"""Messages that may wait here while a mask is read: an evaluation must not lose what has arrived."""
DRAIN = 0.5
"""Seconds without a message after which, when told to end, nothing more is on its way."""


class Evaluation(Node):
    """Subscribes on construction; `finish` writes `metrics.json` and `alerts.csv` into the folder `out`."""

    def __init__(self) -> None:
        super().__init__("evaluation")
        cameras = self.declare_parameter("cameras", ["camera"]).value
        self._out = self._path("out")
        truth, offline = self._path("truth"), self._path("offline")
        tolerance = self.declare_parameter("tolerance_s", 0.001).value
        track = self.declare_parameter("track", "obstacle").value
        if self._out is None:
            raise ConfigError("evaluation: the parameter `out` must name a folder for the results")
        self._offline = offline
        self._heard = time.monotonic()
        self._is_ready = False
        self._account = NodeAccount(self, f"{self.get_namespace().rstrip('/')}/{launching.NODE}")
        masks = None if truth is None else truth_from_folder(truth, round(tolerance * 1e9))
        self.figures = LiveFigures(masks, track)
        deep = qos.deep(DEPTH)
        for camera in cameras:
            for topic, add in (("score", self.figures.add_score), ("mask", self.figures.add_mask)):
                heard = partial(self._on_image, add, camera)
                self.create_subscription(Image, f"{camera}/anomaly/{topic}", heard, deep)
        self.create_subscription(DiagnosticArray, "alert", self._on_alert, deep)
        self.create_service(Trigger, "~/ready", self._on_ready)

    def idle(self) -> float:
        """Seconds since the last message of a frame."""
        return time.monotonic() - self._heard

    def finish(self) -> int:
        """Write what was seen so far; returns the number of frames, those without a score counted by their alert."""
        assert self._out is not None  # main checks it
        self._out.mkdir(parents=True, exist_ok=True)
        with (self._out / "alerts.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("camera", "stamp_ns", "state", "reason"))
            writer.writerows((*key, *value) for key, value in sorted(self.figures.alerts.items()))
        metrics = {**self.figures.summary(self._offline), "account": self._account.frames()}
        write_json(self._out / "metrics.json", metrics)
        self.get_logger().info(f"{metrics['frames']} frames; metrics.json is in {self._out}")
        return max(metrics["frames"], len(self.figures.alerts))

    def _path(self, name: str) -> Path | None:
        text = self.declare_parameter(name, "").value
        return Path(text).expanduser() if text else None

    def _on_ready(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        # Who hears the heartbeat has found the node's other topics, too: they were announced before it.
        response.success = self._is_ready
        return response

    def _on_image(self, add: Callable[[str, int, np.ndarray], None], camera: str, message: Image) -> None:
        self._heard = time.monotonic()
        try:
            add(camera, to_ns(message.header.stamp), view(message))
        except UserError as error:
            self.get_logger().warning(f"{camera}: {error}")

    def _on_alert(self, message: DiagnosticArray) -> None:
        # The node's time, not that of this process: the player's /clock may be found here later than the first frame.
        now, self._is_ready = to_ns(message.header.stamp), True
        for status in message.status:
            seen = read_alert(status, now)
            self.figures.add_alert(seen.camera, seen.stamp_ns, seen.state.value, seen.reason, seen.age_s, now)


def main(args: Sequence[str] | None = None) -> None:
    """Entry point; SIGINT and SIGTERM end it, the results are written then."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Only a note: under launch Ctrl-C arrives twice, and the second one must not interrupt the writing.
        signal.signal(number, lambda *_: stop.set())
    # rclpy's own handlers would end the context before what has arrived is counted.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Evaluation()
        node.get_logger().info("listening")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not stop.is_set():
            executor.spin_once(timeout_sec=0.2)
        end = time.monotonic() + 30.0
        while rclpy.ok() and node.idle() < DRAIN and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
        frames = node.finish()
        node.destroy_node()
        if not frames:
            rclpy.logging.get_logger("evaluation").error("no frame was heard: the figures are empty")
            sys.exit(1)
    except UserError as error:
        rclpy.logging.get_logger("evaluation").error(str(error))
        sys.exit(2)
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
