"""The demo: frames out over DDS, the real node in its own process, its answers back, and a page about what was seen."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from ....bundle import Bundle, load_bundle
from ....errors import UserError
from ....frame import Frame
from ....paths import share_dir
from ...node import launching
from ..gallery import Gallery
from ..listener import AlertSeen, CameraSeen, Listener
from ..node_process import NodeProcess
from .input import DemoInput, Player, Truth, read_ahead

START_LIMIT = 180.0
"""Seconds for the node to load its model and subscribe."""
READ_AHEAD = 200_000_000
"""Bytes of frames drawn or decoded before they are due, most of them while the node loads its model."""
SETTLE_LIMIT = 15.0
"""Seconds after the last frame for the node to answer it and to report; on a free machine it takes two."""


@dataclass
class DemoResult:
    """Everything the page shows; times in nanoseconds are those of the node's clock.

    Attributes:
        cameras: name in topics → what was seen.
        engine: the node's diagnostics on itself.
        sent: camera → stamps of the frames that were sent.
        truth: stamp as sent → truth, where known.
        start_s: from the start to the node's readiness.
        first_answer_s, first_obstacle_s: from the start to the first alert that says CLEAR or OBSTACLE, and OBSTACLE.
    """

    bundle: Bundle
    cameras: dict[str, CameraSeen]
    pictures: Gallery
    engine: dict[str, str] = field(default_factory=dict)
    sent: dict[str, list[int]] = field(default_factory=dict)
    truth: dict[int, Truth] = field(default_factory=dict)
    start_s: float = float("nan")
    first_answer_s: float | None = None
    first_obstacle_s: float | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Watch:
    """What the demo tells while it runs.

    Attributes:
        changed: an alert that differs from the one before, and seconds since the first frame.
    """

    stage: Callable[[str], None]
    changed: Callable[[AlertSeen, float], None]
    progress: Callable[[int], None]


def run_demo(given: DemoInput, out: Path, bundle: str, engine: str, watch: Watch, started: float) -> DemoResult:
    """Play the input to the node and collect what it says. Ctrl-C ends the play; what was seen until then is returned.

    Args:
        out: folder for the node's parameters and log.
        bundle, engine: as the node's parameters.
        started: `time.monotonic()` of the start, for the times to the first alerts.

    Raises:
        UserError: bundle or input are wrong, or the node ended by itself.
    """
    # Before the first participant of this process: it sends images too.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(launching.dds_profile(os.environ, share_dir()))
    loaded = load_bundle(bundle)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    # A namespace of its own: a second demo, or a vehicle's node on this machine, must not mix in.
    namespace = f"/oodseg_demo_{os.getpid()}"
    node = rclpy.create_node("demo", namespace=namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop = threading.Event()
    player = Player(node, given.cameras)
    first: dict[str, float] = {}
    zero: list[int] = []
    result = DemoResult(loaded, {}, Gallery())

    def on_changed(alert: AlertSeen) -> None:
        if alert.state.value != "UNKNOWN":
            first.setdefault("answer", time.monotonic() - started)
        if alert.state.value == "OBSTACLE":
            first.setdefault("obstacle", time.monotonic() - started)
        result.pictures.mark(alert.camera, alert.stamp_ns)
        watch.changed(alert, (alert.received_ns - zero[0]) * 1e-9 if zero else 0.0)

    listener = Listener(node, list(player.topics.values()), on_changed, result.pictures.offer)
    result.cameras = listener.cameras
    parameters = _parameters(given, player, loaded, engine)
    width, height = given.size
    frames = read_ahead(given.frames, max(8, READ_AHEAD // (3 * width * height)), stop)
    spinner = threading.Thread(target=_spin, args=(executor, stop), name="spin", daemon=True)
    spinner.start()
    try:
        with NodeProcess(parameters, out, namespace) as process:
            try:
                watch.stage(f"starting the node with {loaded.id}")
                _wait(process, lambda: player.listeners() == len(player.topics), START_LIMIT)
                result.start_s = time.monotonic() - started

                def on_sent(frame: Frame, stamp: int) -> None:
                    zero or zero.append(stamp)
                    result.sent.setdefault(player.topics[frame.camera], []).append(stamp)
                    if frame.stamp_ns in given.truth:
                        result.truth[stamp] = given.truth[frame.stamp_ns]
                    process.check()
                    watch.progress(sum(map(len, result.sent.values())))

                watch.stage(f"playing {given.name}")
                player.play(frames, on_sent, stop, given.info)
            except KeyboardInterrupt:
                result.interrupted = True
            if result.sent:
                watch.stage("waiting for the last answers")
                _settle(process, listener)
            # What the node says while it is being stopped is not part of the drive.
            stop.set()
            spinner.join(5.0)
    finally:
        stop.set()
        spinner.join(5.0)
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    result.engine = dict(listener.account.engine)
    for name, camera in result.cameras.items():
        camera.account = listener.account.cameras.get(name, {})
    result.first_answer_s, result.first_obstacle_s = first.get("answer"), first.get("obstacle")
    return result


def latencies(camera: CameraSeen) -> np.ndarray:
    """Seconds from an image's stamp to the arrival of its mask, in order of the stamps."""
    return np.array([value for _, value in sorted(camera.latency_s.items())])


def _parameters(given: DemoInput, player: Player, bundle: Bundle, engine: str) -> dict[str, Any]:
    cameras = list(player.topics.values())
    parameters: dict[str, Any] = {
        "bundle": str(bundle.path.resolve()),
        "engine": engine,
        "autostart": True,
        "cameras": cameras,
        # Otherwise the first frame waits for its compilation, and those after it are dropped meanwhile.
        "warm_size": "{}x{}".format(*given.size),
        # On a slow or busy machine late answers and their overlays are still worth a look here.
        "max_age": 5.0,
        "overlay_rate": 10.0,
    }
    parameters |= {f"{camera}.{name}": value for camera in cameras for name, value in given.parameters.items()}
    return parameters


def _wait(process: NodeProcess, ready: Callable[[], bool], limit: float) -> None:
    end = time.monotonic() + limit
    while not ready():
        process.check()
        if time.monotonic() > end:
            raise UserError(f"the node did not get ready within {limit:.0f} s; its log: {process.log}")
        time.sleep(0.05)


def _settle(process: NodeProcess, listener: Listener) -> None:
    end, received = time.monotonic() + SETTLE_LIMIT, listener.account.received
    try:
        while not listener.account.settled(received) and time.monotonic() < end:
            process.check()
            time.sleep(0.05)
    except KeyboardInterrupt:
        pass


def _spin(executor: SingleThreadedExecutor, stop: threading.Event) -> None:
    while not stop.is_set():
        executor.spin_once(timeout_sec=0.1)
