"""The node `evaluation` in a process of its own: what it hears over DDS gives the figures of the same scores."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
from oodseg_ros.evaluation.metrics.components import ComponentMetrics
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.frame import Alert, AlertState
from oodseg_ros.replay.alert_table import COLUMNS
from oodseg_ros.ros.messages.alert import to_alert, to_stamp

START, STEP, FRAMES = 1_700_000_000_000_000_000, 100_000_000, 5
STATES = (AlertState.CLEAR, AlertState.OBSTACLE, AlertState.OBSTACLE, AlertState.CLEAR, AlertState.OBSTACLE)


def frame(index: int) -> tuple[int, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(index)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:25, 5 * index : 5 * index + 20] = 1
    mask[-5:] = 255
    return START + index * STEP, (rng.normal(size=mask.shape) + 2.0 * mask).astype(np.float32), mask


def found(index: int) -> np.ndarray:
    """The mask that a node may publish, uint8: a part of the true object and something else."""
    mask = np.zeros((40, 60), np.uint8)
    mask[5:22, 5 * index : 5 * index + 16] = 255
    mask[27:33, 50:58] = 255
    return mask


def start(peer: Any, folder: Path, **parameters: str) -> tuple[subprocess.Popen, Path]:
    log = folder / "log.txt"
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "oodseg_ros.ros.evaluation", "--ros-args", *words]
    with log.open("w") as stream:
        namespace = ["-r", f"__ns:={peer.node.get_namespace()}"]
        return subprocess.Popen([*command, *namespace], stdout=stream, stderr=stream, env=os.environ), log


@pytest.mark.parametrize("sim_time", ["false", "true"])
def test_figures_of_what_was_heard(peer, tmp_path, sim_time):
    """Also before anybody has found /clock, as at the first frame of a bag."""
    masks, offline, out = (tmp_path / name for name in ("masks", "offline", "out"))
    masks.mkdir()
    offline.mkdir()
    for index in range(FRAMES):
        stamp, _, mask = frame(index)
        cv2.imwrite(str(masks / f"{stamp}.png"), mask)
    with (offline / "alerts.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for index in range(FRAMES + 1):  # one frame more than arrives here, and one with another state
            state = "CLEAR" if index != 1 else "UNKNOWN"
            state = STATES[index].value if index not in (1, FRAMES) else state
            row = {"camera": "front", "stamp_ns": START + index * STEP, "state": state, "reason": "ok"}
            writer.writerow(row)
    words = {"out": out, "truth": masks, "offline": offline, "cameras": "[front]", "use_sim_time": sim_time}
    process, log = start(peer, tmp_path, **{name: str(value) for name, value in words.items()})
    try:
        for index in range(FRAMES):
            stamp, score, _ = frame(index)
            peer.publish("front/anomaly/score", peer.image(score, "32FC1", to_stamp(stamp)))
            if index:  # one frame's mask is lost on the way
                peer.publish("front/anomaly/mask", peer.image(found(index), "mono8", to_stamp(stamp)))
            alert = Alert(STATES[index], "ok", stamp, 0.1 * index)
            peer.publish("alert", to_alert({"front": alert}, to_stamp(stamp), index, "tiny@0"))
            peer.spin(0.1)
        peer.spin(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
    metrics = json.loads((out / "metrics.json").read_text())
    pixel, components = PixelMetrics(), ComponentMetrics("obstacle")
    for index in range(FRAMES):
        _, score, mask = frame(index)
        pixel.update(score, mask)
        if index:
            components.update(score, mask, found(index))
    for key, value in pixel.compute().items():
        assert metrics["pixel"][key] == pytest.approx(value), key
    # Objects are what the node published, not what is above a threshold.
    deployed = metrics["component_deployed"]
    assert deployed["frames"] == FRAMES - 1
    assert deployed["F1"] == pytest.approx(components.compute_predicted()["F1"])
    assert metrics["frames"] == FRAMES
    assert metrics["alerts"]["onsets"] == 2
    assert metrics["agreement"] == {"common_frames": 5, "missing_live": 1, "only_live": 0, "same_state": 0.8}
    with (out / "alerts.csv").open() as stream:
        assert [row["state"] for row in csv.DictReader(stream)] == [state.value for state in STATES]


def test_wrong_parameters_are_refused_with_a_sentence(peer, tmp_path):
    for parameters, text in (({"cameras": "[front]"}, "`out` must name"), ({"out": "x", "truth": "/none"}, "no mask")):
        process, log = start(peer, tmp_path, **parameters)
        assert process.wait(60) == 2
        assert text in log.read_text()
