"""How the process ends: well when told to, with another status when something is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray

from oodseg_ros.ros.perception import EXIT_ENGINE_FAILED, EXIT_REFUSED

FAILING = """
import sys
from oodseg_ros.ros import perception
from oodseg_ros.ros.node.loading import load_runner

class Failing:
    def __init__(self, runner):
        self.bundle, self.engine_identity, self.golden_error = runner.bundle, "failing", 0.0
        self.second_look = None
    def is_warm(self, *size):
        return True
    def __call__(self, images):
        raise MemoryError("device out of memory")

def load(settings, logger):
    runner, warnings = load_runner(settings, logger)
    return Failing(runner), warnings

sys.exit(perception.run(lambda: perception.Perception(load=load), sys.argv))
"""


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (signal.SIGINT, "unconfigured"),
        (signal.SIGINT, "inactive"),
        (signal.SIGTERM, "active"),
    ],
)
def test_signals_end_it_well_in_every_state(perception: Callable, number: int, state: str) -> None:
    process = perception()
    assert process.state() == "unconfigured"
    if state != "unconfigured":
        assert process.change("configure"), process.log
    if state == "active":
        assert process.change("activate"), process.log
    assert process.end(number) == 0, process.log
    assert "Traceback" not in process.log


def test_autostart_makes_it_active_by_itself(perception: Callable, peer: Any) -> None:
    process = perception(autostart=True)
    peer.until(lambda: process.state() == "active", "active")
    assert process.end() == 0


def test_an_engine_that_fails_again_and_again_ends_the_process_for_a_respawn(
    peer: Any, perception: Callable, tiny_bundle: Path, tmp_path: Path
) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    arguments = {"bundle": tiny_bundle, "engine": "torch", "autostart": "true", "engine_retries": 2}
    given = [word for name, value in arguments.items() for word in ("-p", f"{name}:={value}")]
    namespace = f"__ns:={peer.node.get_namespace()}"
    process = subprocess.Popen([sys.executable, str(script), "--ros-args", "-r", namespace, *given])
    try:
        alerts = peer.listen(DiagnosticArray, "alert", 500)
        sent = 0
        while process.poll() is None:
            assert sent < 600, "the node did not give up"
            noise = np.random.default_rng(sent).integers(0, 256, (64, 128, 3), dtype=np.uint8)
            peer.publish("camera/image_raw", peer.image(noise))
            sent += 1
            peer.spin(0.1)
            if not peer.node.count_subscribers("camera/image_raw"):
                break
        assert process.wait(60) == EXIT_ENGINE_FAILED
    finally:
        process.kill()
    reasons = [pair.value for message in alerts for pair in message.status[0].values if pair.key == "reason"]
    assert "engine_error" in reasons
    assert reasons[-1] == "engine_failed"


@pytest.mark.parametrize("missing", [False, True])
def test_build_only_builds_and_ends(tiny_bundle: Path, tmp_path: Path, missing: bool) -> None:
    bundle = tmp_path / "nothing" if missing else tiny_bundle
    arguments = {"build_only": "true", "bundle": bundle, "engine": "openvino", "warm_size": "128x64"}
    given = [word for name, value in arguments.items() for word in ("-p", f"{name}:={value}")]
    result = subprocess.run(
        [sys.executable, "-m", "oodseg_ros.ros.perception", "--ros-args", *given],
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, OODSEG_CACHE=str(tmp_path / "cache")),
    )
    said = result.stdout + result.stderr
    if missing:
        assert result.returncode == EXIT_REFUSED
        assert "no bundle at" in said
        assert "Traceback" not in said
    else:
        assert result.returncode == 0, said
        assert "warm for 128x64" in said
        assert any((tmp_path / "cache").rglob("*")), "the built engine is kept"


BUSY = """
import sys, threading
import numpy as np
from oodseg_ros.ros import perception

def encode():
    import cv2
    picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    while True:
        cv2.imencode(".png", picture)

class Busy(perception.Perception):
    def close(self):
        for _ in range(3):
            threading.Thread(target=encode, daemon=True).start()
        return super().close()

sys.exit(perception.run(Busy, sys.argv))
"""


def test_threads_that_still_encode_do_not_abort_the_process(peer: Any, tmp_path: Path) -> None:
    """Such as the recorder's on a slow disk. Python would end them inside C++ code, which aborts."""
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    command = [sys.executable, str(script), "--ros-args", "-r", f"__ns:={peer.node.get_namespace()}/busy"]
    process = subprocess.Popen(command)
    try:
        service = f"{peer.node.get_namespace()}/busy/perception/enable"
        names = peer.node.get_service_names_and_types
        peer.until(lambda: service in dict(names()), "the node is there")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
