"""The event recorder on the real node: what a snapshot and a dying camera leave on disk, and that replay opens it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from oodseg_ros.inference.runner import Runner
from oodseg_ros.replay.run import ReplayOptions, replay_bags


def test_the_last_seconds_of_a_camera_that_dies_are_on_disk(
    perception: Callable, peer: Any, tiny_bundle: Path, tmp_path: Path
) -> None:
    node = perception(
        cameras=["front", "rear"],
        rear={"transport": "compressed"},
        batch=1,
        image_timeout=2.0,
        publish={"overlay": False},
        record={"enabled": True, "folder": str(tmp_path), "after": 0.0, "rate": 100.0, "before": 60.0},
    )
    assert node.change("configure"), node.log
    scores = {camera: peer.listen(Image, f"{camera}/anomaly/score") for camera in ("front", "rear")}
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    assert node.change("activate"), node.log
    random = np.random.default_rng(0)
    sent: dict[int, np.ndarray] = {}

    def publish() -> list[tuple[list[Any], Any]]:
        pixels = random.integers(0, 256, (64, 128, 3), dtype=np.uint8)
        front, rear = peer.image(pixels), peer.jpeg(pixels)
        sent[front.header.stamp.sec * 10**9 + front.header.stamp.nanosec] = pixels
        peer.publish("front/image_raw", front)
        peer.publish("rear/image_raw/compressed", rear)
        return [(scores["front"], front.header), (scores["rear"], rear.header)]

    for _ in range(4):
        peer.exchange(publish, "answers of both cameras")
    peer.until(lambda: list(tmp_path.glob("*_unknown_no_image_*.mcap")), "a bag about the silent camera")
    answer = peer.call(Trigger, "perception/snapshot", Trigger.Request())
    assert answer.success
    assert str(tmp_path) in answer.message
    (file,) = peer.until(lambda: list(tmp_path.glob("*_snapshot.mcap")), "a bag of the snapshot")

    def told() -> bool:
        # On a slow machine the cameras fall silent once more, and then the snapshot is not the last bag.
        bags = {str(bag) for bag in tmp_path.glob("*.mcap")}
        for status in diagnostics[-1].status if diagnostics else ():
            if status.name.endswith(": recorder"):
                values = {pair.key: pair.value for pair in status.values}
                return values["last"] in bags and int(values["written"]) == len(bags)
        return False

    peer.until(told, "diagnostics tell of the bags")
    assert node.end() == 0

    runner = Runner.load(str(tiny_bundle), engine="torch", threads=1)
    watched = []
    # Random weights see one class, and plain pictures are no road; on a busy machine they came late.
    options = ReplayOptions(params={"health.input": [], "health.output": [], "max_age": 0.0})
    metrics = replay_bags(runner, [file], tmp_path / "out", options, lambda bag, done: watched.append(done))
    assert metrics["frames"] >= 8
    assert not metrics["damage"]
    assert not metrics["skipped"]

    from oodseg_ros.sources.open_source import open_source

    frames = [frame for frame in open_source(file) if frame.camera.endswith("front")]
    assert len(frames) >= 4
    for frame in frames:
        np.testing.assert_array_equal(frame.image, sent[frame.stamp_ns][..., ::-1])
    assert time.time_ns() - frames[0].stamp_ns < 3600 * 10**9
