"""Where the node's memory goes: resident megabytes after each stage of its start, with a cached graph.

    python benchmarks/node_memory.py [--bundle road_lite] [--size 960x540] [--precision fp32]

What the traffic adds is in the column MB of `node_overhead.py --onnx`, which is VmHWM of the same node.
"""

from __future__ import annotations

from oodseg_ros.process import begin_node

if __name__ == "__main__":
    begin_node()  # as its executable does

import argparse
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"RssAnon": "own", "RssFile": "of files", "RssShmem": "shared"}


def main() -> None:
    """Start a node stage by stage, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", default="road_lite")
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    print(f"| stage | {' | '.join(KINDS.values())} | all | peak |\n| --- |{' --- |' * 5}")
    stage = table()
    stage("Python")
    for modules in (("numpy", "cv2"), ("rclpy.lifecycle", "sensor_msgs.msg"), ("oodseg_ros.ros.perception",)):
        for module in modules:
            import_module(module)
        stage(f"`{'`, `'.join(modules)}`")
    start(options, stage)


def table() -> Callable[[str], None]:
    """What prints a row: what a stage added, and all that there is after it."""
    before = dict.fromkeys(KINDS, 0.0)

    def stage(name: str) -> None:
        lines = Path("/proc/self/status").read_text().splitlines()
        now = {line.partition(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith("kB")}
        added = " | ".join(f"{now[kind] - before[kind]:+.0f}" for kind in KINDS)
        print(f"| {name} | {added} | {now['VmRSS']:.0f} | {now['VmHWM']:.0f} |")
        before.update({kind: now[kind] for kind in KINDS})

    return stage


def start(options: argparse.Namespace, stage: Callable[[str], None]) -> None:
    """From `rclpy.init` to an active node."""
    import rclpy

    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.inference.runner import Runner
    from oodseg_ros.inference.sizes import parse_size
    from oodseg_ros.ros.node.launching import dds_profile
    from oodseg_ros.ros.perception import SUCCESS, Perception

    def load(settings: Any, logger: Any) -> tuple[Runner, tuple[str, ...]]:
        import_module("openvino")
        stage("`openvino`")
        runner = Runner.load(load_bundle(options.bundle), "openvino", precision=options.precision)
        stage("bundle verified, golden frame answered")
        runner.warm(*parse_size(options.size))
        stage(f"compiled for {options.size} and run once")
        return runner, ()

    os.environ |= dds_profile({"ROS_DISTRO": "kilted", **os.environ}, ROOT)
    rclpy.init()
    node = Perception(load)
    stage("node made: DDS, its segment of shared memory")
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    stage("publishers and subscriptions")
    node.close()


if __name__ == "__main__":
    main()
