"""Hours under load: 1, 4 and 8 cameras at 30 Hz through the real node, with an engine of constant time in it.

    python benchmarks/soak.py --minutes 60                 an hour in all, a third for each number of cameras
    python benchmarks/soak.py --minutes 1 --cameras 4      what you have time for

Asks: does memory grow, is a heartbeat lost, does an answer come late, is every frame that was sent accounted for? The
cameras (a process of their own, see soak_cameras.py) know what they sent; the node tells what it received, answered,
dropped by reason, and what transport lost before it. Writes JSON and prints a table; exit code 1 if an answer is no.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak_figures import MAX_AGE, figures, table

NAMESPACE = "/soak"
ALERT_RATE = 10.0


class Consumer:
    """Counts alerts by sequence number and keeps the node's last account."""

    def __init__(self, node: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        from oodseg_ros.ros.node import qos

        self.sequences: list[int] = []
        self.times: list[float] = []
        self.states: dict[str, int] = {}
        self.accounts: dict[str, dict[str, str]] = {}
        self.reports = 0
        node.create_subscription(DiagnosticArray, "alert", self._on_alert, qos.deep(1000))
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.deep(100))

    def forget(self) -> None:
        """What was heard while the cameras were not running yet."""
        del self.sequences[:], self.times[:]
        self.states.clear()

    def _on_alert(self, message: Any) -> None:
        values = [{pair.key: pair.value for pair in status.values} for status in message.status]
        self.sequences.append(int(values[0]["sequence"]))
        self.times.append(time.monotonic())
        for entry in values:
            state = f"{entry['state']} {entry['reason']}"
            self.states[state] = self.states.get(state, 0) + 1

    def _on_diagnostics(self, message: Any) -> None:
        self.reports += 1
        for status in message.status:
            if f"{NAMESPACE}/perception: " in status.name:
                name = status.name.rpartition(": ")[2].removeprefix("camera ")
                self.accounts[name] = {pair.key: pair.value for pair in status.values}


def soak(cameras: int, seconds: float, rate: float, engine_seconds: float, size: str, folder: Path) -> dict[str, Any]:
    """One run; figures as they go into the JSON."""
    import rclpy
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState
    from rclpy.executors import SingleThreadedExecutor

    from oodseg_ros.ros.tools.faults.process import FaultProcess

    names = [f"camera{index}" for index in range(cameras)]
    parameters = {
        "cameras": names,
        "batch": 1,
        "alert_rate": ALERT_RATE,
        "diagnostics_rate": 4.0,
        "max_age": MAX_AGE,
        "image_timeout": 2.0,
        "snapshot_dir": str(folder / "snapshots"),
        **{name: {"geometry": "mount"} for name in names},
    }
    node = rclpy.create_node("soak", namespace=NAMESPACE)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    consumer = Consumer(node)
    process = FaultProcess(parameters, folder, NAMESPACE)

    def until(condition: Any, limit: float, what: str) -> None:
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end or not process.alive:
                raise SystemExit(f"soak: not within {limit:g} s: {what}; see {folder / 'node.log'}")
            executor.spin_once(timeout_sec=0.05)

    try:
        process.tell(f"seconds {engine_seconds}")
        client = node.create_client(ChangeState, "perception/change_state")
        until(client.service_is_ready, 120, "the node answers")
        until(lambda: node.count_publishers(f"{NAMESPACE}/alert") == 0, 10, "no other node")
        for number in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
            until(future.done, 120, "the node changes its state")
        until(lambda: consumer.times, 30, "the node tells its state")
        frames = int(seconds * rate)
        command = [sys.executable, str(Path(__file__).with_name("soak_cameras.py")), NAMESPACE, str(frames), str(rate)]
        driver = subprocess.Popen([*command, size, *names], stdout=subprocess.PIPE, text=True)
        told: list[dict[str, int]] = []
        threading.Thread(target=lambda: told.extend(map(json.loads, driver.stdout)), daemon=True).start()
        until(lambda: told, 60, "the cameras' warm-up")
        _settle(consumer, until)
        before, pause = _totals(consumer, names), told[0]["pause"] * cameras
        until(lambda: _totals(consumer, names)["received"] > before["received"], 60, "frames arrive")
        consumer.forget()
        memory = _watch(driver, executor, process.process.pid)
        _settle(consumer, until)
        after = {key: count - before.get(key, 0) for key, count in _totals(consumer, names).items()}
        after["lost_in_transport"] -= pause
        return figures(consumer, names, sum(told[-1].values()), after, memory, frames / rate)
    finally:
        process.end()
        executor.shutdown()
        node.destroy_node()


def _settle(consumer: Consumer, until: Any) -> None:
    """Until the node has told twice since now what it has counted."""
    reports = consumer.reports
    until(lambda: consumer.reports >= reports + 3, 30, "an account of the node")


def _totals(consumer: Consumer, names: list[str]) -> dict[str, int]:
    """Counts over all cameras: received, answered, lost_in_transport, and dropped_<reason>."""
    totals: dict[str, int] = {}
    for name in names:
        for key, value in consumer.accounts.get(name, {}).items():
            if key in ("frames_received", "frames_answered", "frames_lost_in_transport") or key.startswith("dropped_"):
                short = key.removeprefix("frames_")
                totals[short] = totals.get(short, 0) + int(value)
    return totals


def _watch(driver: subprocess.Popen, executor: Any, pid: int) -> list[tuple[float, float]]:
    """Spin until the cameras are done; (seconds, resident MB) of the node, one per second."""
    samples, begun, due = [], time.monotonic(), 0.0
    page = os.sysconf("SC_PAGE_SIZE") / 1e6
    while driver.poll() is None:
        executor.spin_once(timeout_sec=0.2)
        now = time.monotonic() - begun
        if now >= due:
            due = now + 1.0
            samples.append((now, int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page))
    return samples


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--engine-ms", type=float, default=2.0, help="time of the engine per image")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--out", type=Path, default=None, help="JSON file")
    options = parser.parse_args()

    from oodseg_ros.paths import share_dir
    from oodseg_ros.ros.node import launching

    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(launching.dds_profile(os.environ, share_dir()))
    import rclpy

    rclpy.init()
    runs, load = [], os.getloadavg()[0]
    try:
        for cameras in options.cameras:
            seconds = 60.0 * options.minutes / len(options.cameras)
            with tempfile.TemporaryDirectory(prefix="oodseg-soak-") as folder:
                run = soak(cameras, seconds, options.rate, options.engine_ms / 1e3, options.size, Path(folder))
            runs.append(run)
            print(f"{cameras} cameras: {'; '.join(run['trouble']) or 'ok'}", file=sys.stderr, flush=True)
    finally:
        rclpy.try_shutdown()
    print(table(runs))
    if options.out is not None:
        data = {
            "command": f"python benchmarks/soak.py --minutes {options.minutes:g}",
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "load_before": round(load, 2),
            "rate": options.rate,
            "size": options.size,
            "engine_ms": options.engine_ms,
            "runs": runs,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(data, indent=1) + "\n")
    sys.exit(any(run["trouble"] for run in runs))


if __name__ == "__main__":
    main()
