"""A node's process holds what it needs: no converter of networks, no telemetry, no writers of bags, no training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oodseg_ros.inference.runner import Runner

pytest.importorskip("rclpy")
pytest.importorskip("openvino")

# As the executable begins. The bundle's graphs are in the cache, as at every start but the first.
START = """
import sys
from oodseg_ros.process import begin_node
begin_node()
import oodseg_ros.ros.perception
from oodseg_ros.inference.runner import Runner
runner = Runner.load(sys.argv[1], "openvino")
runner.warm(64, 128)
"""
NEEDLESS = ("torch", "transformers", "scipy", "PIL", "rosbags", "mcap", "openvino_telemetry", "openvino.tools.ovc")


def run(code: str, bundle: Path) -> str:
    command = [sys.executable, "-c", START + code, str(bundle)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def converted(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle whose graphs for the golden frame and for 128x64 are in the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OODSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        Runner.load(tiny_bundle, "openvino").warm(64, 128)
        yield tiny_bundle


def test_it_imports_nothing_that_it_does_not_need(converted: Path) -> None:
    found = f"print([name for name in {NEEDLESS} if sys.modules.get(name)])"
    assert run(found, converted) == "[]"


def test_another_size_is_converted_all_the_same(converted: Path) -> None:
    assert run("runner.warm(96, 128); print('torch' in sys.modules)", converted) == "True"
