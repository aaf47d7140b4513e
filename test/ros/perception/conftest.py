"""The real node in a process of its own, and a peer that talks to it over DDS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

PROFILE = Path(__file__).parents[3] / "config" / "fastdds_shm.xml"
for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
    os.environ.setdefault(variable, str(PROFILE))

LIMIT = 90.0
"""Seconds after which a wait has failed; the machine may be busy."""
RESEND = 5.0
"""Seconds after which an image that was not answered is taken for lost."""


ARTIFICIAL = {"input": ["stamps"], "output": ["drift"]}
"""Health checks that plain colors and the answers of random weights pass; those of pictures have tests of their own."""


class Peer:
    """A plain node in the test's process."""

    def __init__(self, namespace: str) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.node = rclpy.create_node("peer", namespace=namespace)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()

    def until(self, condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
        """Spin until `condition()` is true and return it."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if result := condition():
                return result
            self.executor.spin_once(timeout_sec=0.05)
        raise AssertionError(f"not within {limit:g} s: {what}")

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def listen(self, kind: type, topic: str, depth: int = 50, latched: bool = False) -> list[Any]:
        """A list that fills with the topic's messages; waits until the publisher is matched."""
        from rclpy.qos import DurabilityPolicy, QoSProfile

        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, QoSProfile(depth=depth, durability=durability))
        self.until(lambda: self.node.count_publishers(topic), f"somebody publishes {topic}")
        return heard

    def listen_later(self, kind: type, topic: str, depth: int) -> list[Any]:
        """A list that fills with the topic's messages once somebody publishes it."""
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, depth)
        return heard

    def publish(self, topic: str, message: Any) -> None:
        """Publish; the first time waits until the node listens."""
        publisher = self._publishers.get(topic)
        if publisher is None:
            publisher = self._publishers[topic] = self.node.create_publisher(type(message), topic, 10)
        self.until(publisher.get_subscription_count, f"somebody subscribes to {topic}")
        publisher.publish(message)

    def exchange(self, send: Callable[[], list[tuple[list[Any], Any]]], what: str) -> list[Any]:
        """Send until everything that was sent is answered; returns the headers of the answered messages.

        Sends again after some seconds: images go out best effort, and a subscription known here may not know us yet.

        Args:
            send: sends messages with new stamps; returns pairs (list that fills with answers, header of the message).
            what: named when nothing helps.
        """
        for _ in range(int(LIMIT / RESEND)):
            expected = send()

            def answered(pairs: list[tuple[list[Any], Any]] = expected) -> bool:
                return all(any(answer.header == header for answer in heard[-5:]) for heard, header in pairs)

            try:
                self.until(answered, what, RESEND)
            except AssertionError:
                continue
            return [header for _, header in expected]
        raise AssertionError(f"not after {LIMIT / RESEND:.0f} attempts: {what}")

    def call(self, kind: type, service: str, request: Any, limit: float = LIMIT) -> Any:
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.node.create_client(kind, service)
        self.until(client.service_is_ready, f"service {service}")
        future = client.call_async(request)
        self.until(future.done, f"answer of {service}", limit)
        return future.result()

    def now(self, shift: float = 0.0) -> Any:
        """Stamp of this moment, `shift` seconds later."""
        from rclpy.duration import Duration

        return (self.node.get_clock().now() + Duration(seconds=shift)).to_msg()

    def image(self, pixels: np.ndarray, encoding: str = "bgr8", stamp: Any = None, frame_id: str = "lens") -> Any:
        """sensor_msgs/Image."""
        from sensor_msgs.msg import Image
        from std_msgs.msg import Header

        message = Image(header=Header(stamp=stamp or self.now(), frame_id=frame_id))
        message.height, message.width = pixels.shape[:2]
        message.encoding, message.step = encoding, pixels.strides[0]
        message.data.frombytes(np.ascontiguousarray(pixels).tobytes())
        return message

    def jpeg(self, pixels: np.ndarray, stamp: Any = None, frame_id: str = "lens") -> Any:
        """sensor_msgs/CompressedImage."""
        import cv2
        from sensor_msgs.msg import CompressedImage
        from std_msgs.msg import Header

        message = CompressedImage(header=Header(stamp=stamp or self.now(), frame_id=frame_id), format="jpeg")
        message.data.frombytes(cv2.imencode(".jpg", pixels)[1].tobytes())
        return message


class PerceptionProcess:
    """The executable, or another module that runs the node, with a params file of its own."""

    def __init__(
        self,
        peer: Peer,
        folder: Path,
        parameters: dict[str, Any],
        module: str = "oodseg_ros.ros.perception",
        arguments: Sequence[str] = (),
    ) -> None:
        self.peer = peer
        self._log = folder / "log.txt"
        self.params = params = folder / "params.yaml"
        params.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        namespace = peer.node.get_namespace()
        command = [sys.executable, "-m", module, "--ros-args", "--params-file", str(params)]
        with self._log.open("w") as stream:
            self.process = subprocess.Popen(
                [*command, "-r", f"__ns:={namespace}", *arguments],
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def said(self, text: str) -> str:
        """Wait until the log holds `text`; returns the log."""
        self.peer.until(lambda: text in self.log or self.process.poll() is not None, f"the log says {text!r}")
        assert text in self.log, self.log
        return self.log

    def state(self) -> str:
        from lifecycle_msgs.srv import GetState

        for _ in range(int(LIMIT / RESEND)):
            try:
                answer = self.peer.call(GetState, "perception/get_state", GetState.Request(), RESEND)
                return answer.current_state.label
            except AssertionError:
                # A service found here may not have found the way back, and its first answer is lost; or it is busy.
                continue
        raise AssertionError("the node does not tell its state")

    def change(self, transition: str) -> bool:
        """configure, activate, deactivate, cleanup; True if the node did it."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        before = self.state()
        try:
            return self.peer.call(ChangeState, "perception/change_state", request, 4 * RESEND).success
        except AssertionError:
            # The answer was lost, or the request: the state tells.
            after = self.state()
            return after != before or self.peer.call(ChangeState, "perception/change_state", request).success

    def end(self, number: int = signal.SIGINT, times: int = 1) -> int:
        """Send a signal and return the exit status."""
        for _ in range(times):
            self.process.send_signal(number)
        return self.process.wait(LIMIT)


@pytest.fixture(scope="session")
def _rclpy() -> Iterator[None]:
    rclpy = pytest.importorskip("rclpy")
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def peer(_rclpy: None, request: pytest.FixtureRequest) -> Iterator[Peer]:
    """One per test module, in a namespace of the module's name."""
    peer = Peer(f"/{request.module.__name__.rpartition('.')[2]}")
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def perception(
    peer: Peer, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., PerceptionProcess]]:
    """Starts the node with parameters (default: the tiny bundle on the torch engine); killed after the module."""
    running: list[PerceptionProcess] = []

    def end_all() -> None:
        for each in running:
            if each.process.poll() is None:
                each.process.kill()
                each.process.wait()

    def start(
        module: str = "oodseg_ros.ros.perception", arguments: Sequence[str] = (), **parameters: Any
    ) -> PerceptionProcess:
        # What a failed test left over would answer in the place of the next one.
        end_all()
        given = {"bundle": str(tiny_bundle), "engine": "torch", "threads": 1, "health": ARTIFICIAL, **parameters}
        running.append(PerceptionProcess(peer, tmp_path_factory.mktemp("perception"), given, module, arguments))
        return running[-1]

    yield start
    end_all()
