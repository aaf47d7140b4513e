"""The acts of fault scripts: name → what is done. Those that ask the node return whether it accepted."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from ...node import qos
from .cameras import RATE
from .harness import NAMESPACE, PATIENCE, Harness
from .script import VICTIM, Act

OUTPUTS = ("anomaly/score", "anomaly/mask", "semantic/image", "overlay")


def do(harness: Harness, act: Act) -> bool:
    """Do one act; False: the node refused."""
    return ACTS[act.kind](harness, **act.options) is not False


def _rate(harness: Harness, camera: str, factor: float) -> None:
    harness.cameras[camera].rate = RATE * factor


def _enable(harness: Harness, on: bool, times: int = 1) -> bool:
    answers = harness.call_all(SetBool, "perception/enable", [SetBool.Request(data=on)] * times)
    return _accepted(answers, times)


def _snapshot(harness: Harness, times: int = 1, expect: bool | None = True) -> bool:
    answers = harness.call_all(Trigger, "perception/snapshot", [Trigger.Request()] * times)
    return any(answer is not None for answer in answers) if expect is None else _accepted(answers, times)


def _accepted(answers: list[Any], times: int) -> bool:
    # DDS keeps ten requests of a service; of a storm the others are lost on the way, and that is no refusal.
    given = [answer for answer in answers if answer is not None]
    return all(answer.success for answer in given) and len(given) >= min(times, 10)


def _recorder(harness: Harness, counts: str) -> bool:
    """Wait until this count of the recorder has risen since the last report before the fault."""
    before = int(harness.recorder_before.get(counts, 0))
    return harness.until(lambda: int(harness.watch.account("recorder").get(counts, 0)) > before, PATIENCE)


def _parameters(harness: Harness, name: str, values: list[Any]) -> bool:
    requests = []
    for value in values:
        parameter = Parameter(name, value=value).to_parameter_msg()
        requests.append(SetParameters.Request(parameters=[parameter]))
    answers: list[Any] = []
    # DDS keeps ten answers for a client; of more at once some would be lost, and we could not tell.
    for start in range(0, len(requests), 8):
        answers += harness.call_all(SetParameters, "perception/set_parameters", requests[start : start + 8], PATIENCE)
    return all(answer is not None and all(result.successful for result in answer.results) for answer in answers)


def _signal(harness: Harness, number: str, times: int = 1) -> None:
    for _ in range(times):
        harness.process.signal(number)


def _file_limit(harness: Harness, bytes: int | None) -> None:
    harness.process.limit_files(bytes)
    if bytes is not None:
        harness.extra.append(lambda: harness.process.alive and harness.process.limit_files(None))


def _block_records(harness: Harness, on: bool) -> None:
    folder = harness.folder / "records"
    if on:
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("in the way")
        harness.extra.append(lambda: folder.is_file() and folder.unlink())
    else:
        folder.unlink()


def _clock(harness: Harness, jump: float = 0.0, running: bool | None = None) -> None:
    if running is not None:
        harness.clock.run(running)
    if jump:
        harness.clock.jump(jump)


def _slow_listener(harness: Harness, on: bool) -> None:
    if not on:
        harness.undo_extras()
        return
    context = harness.node.context
    node = rclpy.create_node("slow_listener", namespace=NAMESPACE, context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    for output in ("anomaly/score", "overlay"):
        node.create_subscription(Image, f"{VICTIM}/{output}", lambda _: time.sleep(0.5), qos.IMAGE_OUT)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()
        executor.shutdown()
        node.destroy_node()

    harness.extra.append(end)


def _subscription_storm(harness: Harness, count: int) -> None:
    node = rclpy.create_node("storm", namespace=NAMESPACE, context=harness.node.context)
    for _ in range(count // 10):
        topics = [f"{VICTIM}/{output}" for output in OUTPUTS]
        made = [node.create_subscription(Image, topic, lambda _: None, 1) for _ in range(10) for topic in topics]
        time.sleep(0.05)
        for subscription in made:
            node.destroy_subscription(subscription)
    node.destroy_node()


def _publisher_storm(harness: Harness, count: int) -> None:
    node = rclpy.create_node("storm", namespace=NAMESPACE, context=harness.node.context)
    for _ in range(count):
        publisher = node.create_publisher(Image, f"{VICTIM}/image_raw", 1)
        time.sleep(0.02)
        node.destroy_publisher(publisher)
    node.destroy_node()


ACTS: dict[str, Callable[..., Any]] = {
    "camera": lambda harness, camera, **behavior: harness.cameras[camera].behave(**behavior),
    "driver_dies": lambda harness, camera: harness.cameras[camera].dies(),
    "driver_returns": lambda harness, camera: harness.cameras[camera].returns(),
    "rate": _rate,
    "engine": lambda harness, mode, count=0, size="": harness.process.tell(f"{mode} {count} {size}"),
    "wait": lambda harness, seconds: time.sleep(seconds),
    "enable": _enable,
    "snapshot": _snapshot,
    "recorder": _recorder,
    "lifecycle": lambda harness, transition, wait=True: harness.change(transition, wait),
    "bring": lambda harness, state: harness.bring(state),
    "parameters": _parameters,
    "signal": _signal,
    "respawn": lambda harness: harness.respawn(),
    "file_limit": _file_limit,
    "remove_records": lambda harness: shutil.rmtree(harness.folder / "records", ignore_errors=True),
    "block_records": _block_records,
    "clock": _clock,
    "slow_listener": _slow_listener,
    "subscription_storm": _subscription_storm,
    "publisher_storm": _publisher_storm,
}
