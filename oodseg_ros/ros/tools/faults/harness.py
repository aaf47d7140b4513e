"""Everything around the node under test: two cameras, a clock, a consumer of its alerts, callers of its services."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from ....errors import UserError
from .cameras import CameraDriver, DriverClock
from .process import FaultProcess
from .script import VICTIM, WITNESS, Script
from .watch import Watch

NAMESPACE = "/faults"
PATIENCE = 30.0
"""Seconds allowed for what is no part of a measurement, such as the start of a process."""
_ANSWER = 5.0
WAY_UP = ("configure", "activate")
STATES = {"unconfigured": 0, "inactive": 1, "active": 2}


def parameters(folder: Path, node: str, timeout: float) -> dict[str, Any]:
    """Parameters of a node process; `node` as in `Script.node`, `timeout` in seconds for images and their age."""
    return {
        "cameras": [VICTIM, WITNESS],
        WITNESS: {"transport": "compressed"},
        "batch": 1,
        "alert_rate": 20.0,
        "diagnostics_rate": 5.0,
        "image_timeout": timeout,
        "max_age": timeout,
        # The shared nodes must survive engines that raise for seconds; those that may die are there to die of it.
        "engine_retries": 2 if node == "own" else 100,
        "snapshot_dir": str(folder / "snapshots"),
        "health": {"stall_exit": 5.0 if node == "own" else 60.0},
        "use_sim_time": node == "sim",
        "record": {
            "enabled": True,
            "folder": str(folder / "records"),
            "before": 2.0,
            "after": 0.0,
            "rate": 4.0,
            "memory_mb": 64,
            "max_bag_mb": 20,
            "max_per_hour": 3600,
            "min_free_mb": 0,
        },
    }


class Harness:
    """Context manager; at most one node process at a time.

    Args:
        folder: gets logs, bags and snapshots of the node.
        timeout: seconds after which the node calls a camera silent and an image old; on a machine that is busy with
            other things a short one finds faults of the machine.
    """

    def __init__(self, folder: Path, timeout: float = 1.0) -> None:
        self.folder, self.timeout = folder, timeout
        self.process: FaultProcess | None = None
        self.profile = ""
        self.extra: list[Callable[[], None]] = []
        self.recorder_before: dict[str, str] = {}

    def __enter__(self) -> Harness:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node: Node = rclpy.create_node("harness", namespace=NAMESPACE, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="harness", daemon=True)
        self._thread.start()
        self.watch = Watch(self.node)
        self._clients: dict[str, Any] = {}
        self.clock: DriverClock | None = None
        self.cameras: dict[str, CameraDriver] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._executor.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def ready(self, profile: str) -> None:
        """A node of this profile is active and both cameras are CLEAR; starts or restarts it where it is not.

        Raises:
            UserError: even a fresh one does not get there.
        """
        if self.profile == profile and self.process is not None and self.process.alive and self._both_clear():
            return
        self._stop()
        self.profile = profile
        self.clock = DriverClock(self.node, profile == "sim")
        self.cameras = {name: CameraDriver(self.node, name, name == WITNESS, self.clock) for name in (VICTIM, WITNESS)}
        self.respawn()
        if not self._both_clear():
            seen = ", ".join(f"{camera}: {self.watch.now(camera)}" for camera in self.cameras)
            raise UserError(f"the node does not become CLEAR ({seen}); see {self.folder / 'node.log'}")

    def respawn(self) -> None:
        """Start the node and bring it up."""
        if self.process is not None:
            self.process.end()
        self.process = FaultProcess(parameters(self.folder, self.profile, self.timeout), self.folder, NAMESPACE)
        self.bring("active")

    def bring(self, state: str) -> None:
        """Through whatever transitions are needed.

        Raises:
            UserError: it does not get there.
        """
        end = time.monotonic() + 2 * PATIENCE
        while time.monotonic() < end:
            here = self.state()
            if here == state:
                return
            if here in STATES:
                up = STATES[here] < STATES[state]
                self.change(WAY_UP[STATES[here]] if up else ("cleanup", "deactivate")[STATES[here] - 1])
        raise UserError(f"the node does not become {state}; see {self.folder / 'node.log'}")

    def state(self) -> str:
        """Lifecycle state; empty where nobody answers."""
        answer = self.call(GetState, "perception/get_state", GetState.Request())
        return "" if answer is None else answer.current_state.label

    def change(self, transition: str, wait: bool = True) -> bool:
        """One transition; True if the node did it."""
        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        before = self.state() if wait else ""
        answer = self.call(ChangeState, "perception/change_state", request, 2 * _ANSWER if wait else 0.0, attempts=1)
        if answer is None and wait:
            # It takes long, or the answer was lost: the state tells, once the node has time to tell it.
            return self.state() not in ("", before)
        return answer is not None and answer.success

    def call(self, kind: Any, service: str, request: Any, limit: float = _ANSWER, attempts: int = 3) -> Any | None:
        """The answer, or None."""
        (answer,) = self.call_all(kind, service, [request], limit, attempts)
        return answer

    def call_all(
        self, kind: Any, service: str, requests: list[Any], limit: float = _ANSWER, attempts: int = 3
    ) -> list[Any | None]:
        """Answers of calls that are all on their way at once."""
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self.node.create_client(kind, service)
        futures = []
        # A service that is found may not have found the way back yet, and the first answers are lost: ask again.
        for _ in range(attempts):
            if self.until(client.service_is_ready, _ANSWER):
                futures = [client.call_async(request) for request in requests]
                self.until(lambda asked=futures: all(future.done() for future in asked), limit)
            if any(future.done() for future in futures):
                break
        return [future.result() if future.done() else None for future in futures] or [None] * len(requests)

    def until(self, condition: Callable[[], Any], limit: float) -> bool:
        """Wait for it; False when it did not come true."""
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def undo_extras(self) -> None:
        """End whatever an act left running."""
        while self.extra:
            self.extra.pop()()

    def _both_clear(self) -> bool:
        for camera in self.cameras.values():
            camera.behave()

        def clear() -> bool:
            newest = [self.watch.now(camera) for camera in (VICTIM, WITNESS)]
            return self.watch.silence() < 1.0 and all(seen is not None and seen.state == "CLEAR" for seen in newest)

        return self.until(clear, PATIENCE)

    def _stop(self) -> None:
        self.undo_extras()
        if self.process is not None:
            self.process.end()
            self.process = None
        for camera in self.cameras.values():
            camera.close()
        self.cameras = {}
        if self.clock is not None:
            self.clock.close()
            self.clock = None

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


@contextlib.contextmanager
def prepared(harness: Harness, script: Script) -> Iterator[None]:
    """The node is well before, and what the fault left running is gone after."""
    harness.ready(script.node)
    harness.watch.clear()
    try:
        yield
    finally:
        harness.undo_extras()
