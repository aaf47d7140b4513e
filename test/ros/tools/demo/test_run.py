"""`oodseg demo` from the command line: player, DDS, node and page together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oodseg_ros.errors import UserError
from oodseg_ros.paths import models_dir
from oodseg_ros.ros.tools.node_process import NodeProcess

os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
needs_bundle = pytest.mark.skipif(
    not (models_dir() / "road_lite" / "model.yaml").is_file(), reason="the shipped bundle is not here"
)


def start(out: Path, *arguments: str) -> subprocess.Popen:
    program = "from oodseg_ros.cli.main import main; main()"
    command = [sys.executable, "-c", program, "demo", "--out", str(out), *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.slow
@needs_bundle
def test_demo_plays_a_drive_and_ends_by_itself(tmp_path):
    process = start(tmp_path, "--frames", "20")
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    numbers = json.loads((tmp_path / "demo.json").read_text())
    account = numbers["cameras"]["front"]
    assert numbers["sent"] == 20
    assert numbers["answered"] > 0
    # Every frame is accounted for.
    parts = [int(account[f"frames_{part}"]) for part in ("answered", "dropped", "waiting")]
    assert int(account["frames_received"]) == sum(parts)
    assert numbers["bundle"].startswith("road_lite@")
    assert "oodseg_ros demo" in (tmp_path / "index.html").read_text()
    assert "front" in said


@pytest.mark.slow
@needs_bundle
def test_interrupt_leaves_a_page(tmp_path):
    process = start(tmp_path, "--frames", "2000")
    end = time.monotonic() + 300
    while "golden frame" not in (tmp_path / "node.log").read_text() if (tmp_path / "node.log").is_file() else True:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)
    time.sleep(3.0)  # some frames; how many does not matter
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "ended early by Ctrl-C" in (tmp_path / "index.html").read_text()


def test_a_node_that_ends_says_why(tmp_path):
    parameters = {"build_only": True, "bundle": str(tmp_path / "none")}
    end = time.monotonic() + 120

    def watch(process: NodeProcess) -> None:
        while time.monotonic() < end:
            process.check()
            time.sleep(0.1)

    with NodeProcess(parameters, tmp_path, "/node_process_test") as process:
        with pytest.raises(UserError, match=r"model\.yaml is missing"):
            watch(process)
        assert process.stop() == 1


def test_no_bundle_is_said_at_once(tmp_path):
    process = start(tmp_path / "out", "--bundle", str(tmp_path / "none"))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "model.yaml is missing" in said
    assert "Traceback" not in said
