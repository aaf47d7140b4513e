"""One road: the same frames, parameters and clock give the same alerts from the node, from `replay` and from `run`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import T, image, write_bag
from typer.testing import CliRunner

pytest.importorskip("rclpy")
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from std_msgs.msg import Header

from oodseg_ros.cli.main import build_app
from oodseg_ros.inference.runner import Runner
from oodseg_ros.replay.alert_table import COLUMNS
from oodseg_ros.sources.bag_messages import ReplayBag

HEIGHT, WIDTH, FRAMES = 64, 128, 14
START, STEP, DELAY = 1_700_000_000 * 10**9, 100_000_000, 30_000_000
BLACK, BROKEN, AGAIN, OLD = 5, 8, 10, 11
"""Frames that are black, hold no picture, repeat a stamp, and are older than max_age when they come."""
K = [100.0, 0.0, 63.5, 0.0, 100.0, 31.5, 0.0, 0.0, 1.0]


def picture(index: int) -> np.ndarray:
    rng = np.random.default_rng(index // 3)
    image = rng.integers(40, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return np.zeros_like(image) if index == BLACK else image


def stamp_of(index: int) -> int:
    index = index - 1 if index == AGAIN else index
    return START + index * STEP - (2_000_000_000 if index == OLD else 0)


def log_of(index: int) -> int:
    return START + index * STEP + DELAY


def encoding(index: int) -> str:
    return "secret" if index == BROKEN else "rgb8"


def time_of(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    region, info = T["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False), T["sensor_msgs/msg/CameraInfo"]
    told = (HEIGHT, WIDTH, "plumb_bob", np.zeros(0), np.array(K), np.eye(3).ravel(), np.zeros(12), 0, 0, region)
    messages = []
    for index in range(FRAMES):
        message = image(stamp_of(index), picture(index), encoding(index))
        messages.append(("/front/image_raw", log_of(index), message))
        # After the first image: what holds for a camera holds from its first frame on.
        messages.append(("/front/camera_info", log_of(index) + 1, info(message.header, *told)))
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def play(peer: Any, process: Any) -> list[Any]:
    """The frames of the bag one by one over DDS, the clock standing still in between; the status after each."""
    alerts = peer.listen(DiagnosticArray, "alert", 2000)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics", 2000)
    assert process.change("activate"), process.log
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    name = f"{peer.node.get_namespace()}/perception: camera front"

    def account() -> tuple[int, int]:
        """Received and waiting, by the newest diagnostics."""
        entries = [entry for message in diagnostics[-3:] for entry in message.status if entry.name == name]
        values = {pair.key: pair.value for pair in entries[-1].values} if entries else {}
        return int(values.get("frames_received", -1)), int(values.get("frames_waiting", -1))

    def at(nanoseconds: int) -> bool:
        clock.publish(Clock(clock=time_of(nanoseconds)))
        return bool(alerts) and alerts[-1].header.stamp == time_of(nanoseconds)

    calibration = CameraInfo(header=Header(frame_id="lens"), height=HEIGHT, width=WIDTH, k=K)
    calibration.distortion_model, calibration.r, calibration.roi = "plumb_bob", np.eye(3).ravel(), RegionOfInterest()
    statuses = []
    for index in range(FRAMES):
        now = log_of(index)
        peer.until(lambda now=now: at(now), f"the node's clock is that of frame {index}")
        for _ in range(20 if index == 0 else 1):
            peer.publish("front/camera_info", calibration)
            peer.spin(0.1)
        message = Image(header=Header(stamp=time_of(stamp_of(index)), frame_id="lens"))
        message.height, message.width, message.step = HEIGHT, WIDTH, WIDTH * 3
        message.encoding = encoding(index)
        message.data.frombytes(picture(index).tobytes())
        peer.publish("front/image_raw", message)
        peer.until(lambda count=index + 1: account() == (count, 0), f"frame {index} is accounted for: {account()}")
        alerts.clear()
        peer.until(lambda: len(alerts) >= 2, "a heartbeat after it")
        assert alerts[-1].header.stamp == time_of(log_of(index))
        statuses.append(next(one for one in alerts[-1].status if one.hardware_id == "front"))
    return statuses


def said(status: Any) -> tuple[Any, ...]:
    """What a status says; the sequence counts heartbeats, of which a replay has other ones."""
    level = status.level if isinstance(status.level, int) else status.level[0]
    values = {pair.key: pair.value for pair in status.values}
    values.pop("sequence")
    return level, status.message, status.hardware_id, values


def test_node_replay_and_run_say_the_same_byte_for_byte(
    peer: Any, perception: Callable, bag: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    score = Runner.load(tiny_bundle, engine="torch")([picture(0)])[0].score
    process = perception(
        cameras=["front"],
        front={"geometry": "mount", "mount": {"height": 1.4, "pitch": 0.3}},
        zones=["yard"],
        zone={"yard": {"polygon": [0.0, 0.5, 0.0, 100.0, 100.0, 100.0, 100.0, 0.5], "action": "report"}},
        obstacles={"threshold": float(np.quantile(score, 0.9)), "min_area": 8, "max_obstacles": 5},
        health={"input": ["stamps", "size", "camera_info", "black"], "output": ["drift"]},
        image_timeout=3600.0,
        diagnostics_rate=10.0,
        use_sim_time=True,
    )
    assert process.change("configure"), process.log
    live = [said(status) for status in play(peer, process)]
    assert process.end() == 0

    shared = [str(tiny_bundle), str(bag), "--params", str(process.params)]
    replayed, ran = tmp_path / "replayed", tmp_path / "ran"
    for command in (
        ["replay", *shared[:2], "--out", str(replayed), "--write-bag", *shared[2:]],
        ["run", *shared[:2], "--out", str(ran), *shared[2:]],
    ):
        result = CliRunner().invoke(build_app([command[0]]), command)
        assert result.exit_code == 0, result.output
    out = ReplayBag(replayed / "bag")
    offline = [said(out.parse(raw).status[0]) for raw in out.messages({"/alert"})]
    assert len(offline) == FRAMES
    for index, (on_the_node, in_the_replay) in enumerate(zip(live, offline, strict=True)):
        assert on_the_node == in_the_replay, f"frame {index}"
    assert (ran / "alerts.csv").read_bytes() == (replayed / "alerts.csv").read_bytes()
    with (ran / "alerts.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = [key for key in COLUMNS if key in live[0][3]]
    assert [{key: row[key] for key in shown} for row in rows] == [{key: one[3][key] for key in shown} for one in live]

    # And that there was something to be equal about.
    reasons = [one[3]["reason"] for one in live]
    assert reasons[BLACK] == "black"
    assert reasons[BROKEN] == "decode_failed"
    assert {one[3]["state"] for one in live} >= {"UNKNOWN", "OBSTACLE"}
    assert any(" range=" in text and " zone=yard" in text for one in live for text in one[3].values())
    assert live[AGAIN][3]["stamp"] == live[AGAIN - 1][3]["stamp"]
    assert live[OLD][3]["stamp"] == live[AGAIN][3]["stamp"], "too old: what is known stays, and grows older"
