"""The acts of fault scripts: name → what is done. Each returns whether the node accepted it."""

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
from .harness import NAMESPACE, PATIENCE, Harness
from .script import VICTIM, Act

OUTPUTS = ("anomaly/score", "anomaly/mask", "semantic/image", "overlay")


def do(harness: Harness, act: Act) -> bool:
    """Do one act."""
    return bool(ACTS[act.kind](harness, **act.options))


def _camera(harness: Harness, camera: str, **behavior: Any) -> bool:
    harness.cameras[camera].behave(**behavior)
    return True


def _driver_dies(harness: Harness, camera: str) -> bool:
    harness.cameras[camera].dies()
    return True


def _driver_returns(harness: Harness, camera: str) -> bool:
    harness.cameras[camera].returns()
    return True


def _rate(harness: Harness, camera: str, factor: float) -> bool:
    harness.cameras[camera].rate = 10.0 * factor
    return True


def _engine(harness: Harness, mode: str, count: int = 0, size: str = "") -> bool:
    harness.process.tell(f"{mode} {count} {size}")
    return True


def _wait(harness: Harness, seconds: float) -> bool:
    time.sleep(seconds)
    return True


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


def _lifecycle(harness: Harness, transition: str, wait: bool = True) -> bool:
    return harness.change(transition, wait)


def _bring(harness: Harness, state: str) -> bool:
    harness.bring(state)
    return True


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


def _signal(harness: Harness, number: str, times: int = 1) -> bool:
    for _ in range(times):
        harness.process.signal(number)
    return True


def _respawn(harness: Harness) -> bool:
    harness.respawn()
    return True


def _file_limit(harness: Harness, bytes: int | None) -> bool:
    harness.process.limit_files(bytes)
    if bytes is not None:
        harness.extra.append(lambda: harness.process.alive and harness.process.limit_files(None))
    return True


def _remove_records(harness: Harness) -> bool:
    shutil.rmtree(harness.folder / "records", ignore_errors=True)
    return True


def _block_records(harness: Harness, on: bool) -> bool:
    folder = harness.folder / "records"
    if on:
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("in the way")
        harness.extra.append(lambda: folder.is_file() and folder.unlink())
    else:
        folder.unlink()
    return True


def _clock(harness: Harness, jump: float = 0.0, running: bool | None = None) -> bool:
    if running is not None:
        harness.clock.run(running)
    if jump:
        harness.clock.jump(jump)
    return True


def _slow_listener(harness: Harness, on: bool) -> bool:
    if not on:
        harness.undo_extras()
        return True
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
    return True


def _subscription_storm(harness: Harness, count: int) -> bool:
    node = rclpy.create_node("storm", namespace=NAMESPACE, context=harness.node.context)
    for _ in range(count // 10):
        topics = [f"{VICTIM}/{output}" for output in OUTPUTS]
        made = [node.create_subscription(Image, topic, lambda _: None, 1) for _ in range(10) for topic in topics]
        time.sleep(0.05)
        for subscription in made:
            node.destroy_subscription(subscription)
    node.destroy_node()
    return True


def _publisher_storm(harness: Harness, count: int) -> bool:
    node = rclpy.create_node("storm", namespace=NAMESPACE, context=harness.node.context)
    for _ in range(count):
        publisher = node.create_publisher(Image, f"{VICTIM}/image_raw", 1)
        time.sleep(0.02)
        node.destroy_publisher(publisher)
    node.destroy_node()
    return True


ACTS: dict[str, Callable[..., bool]] = {
    "camera": _camera,
    "driver_dies": _driver_dies,
    "driver_returns": _driver_returns,
    "rate": _rate,
    "engine": _engine,
    "wait": _wait,
    "enable": _enable,
    "snapshot": _snapshot,
    "recorder": _recorder,
    "lifecycle": _lifecycle,
    "bring": _bring,
    "parameters": _parameters,
    "signal": _signal,
    "respawn": _respawn,
    "file_limit": _file_limit,
    "remove_records": _remove_records,
    "block_records": _block_records,
    "clock": _clock,
    "slow_listener": _slow_listener,
    "subscription_storm": _subscription_storm,
    "publisher_storm": _publisher_storm,
}
