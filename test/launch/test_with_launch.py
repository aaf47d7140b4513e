"""The launch files as `ros2 launch` runs them: only where launch and launch_ros are installed, which PyPI lacks.

`ros2 bag play` is used where it is installed as well, else the package's own player. OODSEG_LAUNCHES=50 replays a bag
that often in a row.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from bags import T, compressed, write_bag

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
PERCEPTION, REPLAY = LAUNCH / "perception.launch.py", LAUNCH / "replay.launch.py"
REPLAY_EVALUATION = LAUNCH / "replay_evaluation.launch.py"
try:
    HAS_LAUNCH = importlib.util.find_spec("launch.actions") and importlib.util.find_spec("launch_ros.actions")
except ModuleNotFoundError:
    HAS_LAUNCH = None
HAS_ROSBAG2 = shutil.which("ros2") is not None and importlib.util.find_spec("ros2bag") is not None
PLAYERS = ["oodseg", *(["rosbag2"] if HAS_ROSBAG2 else [])]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HAS_LAUNCH, reason="launch and launch_ros come with ROS 2, not from PyPI"),
]
DOMAIN = 101 + os.getpid() % 100
STARTED = "process started with pid ["
FRAMES = 10
CHOICES = ["device:=cpu", "threshold:=0.5", "image_reliability:=reliable"]
TOPIC = "/camera/image_raw/compressed"
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace
file, pushed, *words = sys.argv[1:]
given = [word.split(":=", 1) for word in words]
include = IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=given)
service = LaunchService()
group = [GroupAction([PushRosNamespace(pushed), include])] if pushed else [include]
service.include_launch_description(LaunchDescription(group))
sys.exit(service.run())
"""


class Launch:
    """`ros2 launch <file> <arguments>` without ros2cli, in a session of its own."""

    def __init__(self, file: Path, *words: str, pushed: str = "") -> None:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(file), pushed, *words],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.said = ""

    def until(self, text: str) -> None:
        """Read its output up to a line with `text`."""
        while text not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    def end(self, limit: float = 300.0) -> int:
        """Wait for its end; returns the status. Nothing that it started may be left."""
        rest, _ = self.process.communicate(timeout=limit)
        self.said += rest
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return self.process.returncode

    def interrupt(self) -> None:
        """Ctrl-C in a terminal reaches launch and what it started, and launch passes it on: they get it twice."""
        os.killpg(self.process.pid, signal.SIGINT)


@pytest.fixture
def launch() -> Iterator[Callable[..., Launch]]:
    running: list[Launch] = []

    def start(file: Path, *words: str, pushed: str = "") -> Launch:
        running.append(Launch(file, *words, pushed=pushed))
        return running[-1]

    yield start
    for each in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """JPEG frames of 64x128, 5 a second, and beside them the old alerts of the node that was recorded."""
    rng, messages = np.random.default_rng(0), []
    for index in range(FRAMES):
        stamp = 1_600_000_000_000_000_000 + index * 200_000_000
        message = compressed(stamp, rng.integers(0, 256, (64, 128, 3), np.uint8))
        old = T["diagnostic_msgs/msg/DiagnosticArray"](message.header, [])
        messages += [(TOPIC, stamp, message), ("/alert", stamp, old)]
    return write_bag(tmp_path / "bag", messages)


@pytest.fixture
def words(tmp_path: Path, tiny_bundle: Path, bag: Path) -> list[str]:
    """Arguments of a replay with the tiny bundle, whose random answers the health checks would refuse."""
    parameters = {"health": {"input": ["stamps"], "output": ["drift"]}, "max_age": 60.0, "threads": 1}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    given = {"bag": bag, "bundle": tiny_bundle, "engine": "torch", "params_file": file, "image_topic": TOPIC}
    return [f"{name}:={value}" for name, value in given.items()]


@pytest.fixture
def state() -> Iterator[Callable[[str], None]]:
    """Waits until the node /perception answers that it is in a state."""
    rclpy = pytest.importorskip("rclpy")
    from lifecycle_msgs.srv import GetState
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("asks", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = node.create_client(GetState, "/perception/get_state")

    def wait(label: str) -> None:
        end = time.monotonic() + 300.0
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.2)
            if not client.service_is_ready():
                continue
            # Asked again and again: a question to a process that has died is never answered.
            future = client.call_async(GetState.Request())
            executor.spin_until_future_complete(future, timeout_sec=2.0)
            if future.done() and future.result().current_state.label == label:
                return
        raise AssertionError(f"/perception did not become {label}")

    yield wait
    node.destroy_node()
    context.try_shutdown()


def test_show_args_is_complete() -> None:
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    for file in sorted(LAUNCH.glob("*.launch.py")):
        description = PythonLaunchDescriptionSource(str(file)).get_launch_description(LaunchContext())
        assert all(argument.description for argument in description.get_launch_arguments()), file


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("cameras:=front,1st", "no camera name"),
        ("image_topic:=/a,/b", "names 2 topics for 1 cameras"),
        ("params_file:=/nowhere.yaml", "cannot be read"),
        ("engine:=magic", "magic"),
        ("rviz:=maybe", "give true or false"),
        ("alert_rate:=fast", "give a number"),
    ],
)
@pytest.mark.parametrize("file", [PERCEPTION, REPLAY], ids=["perception", "replay"])
def test_wrong_arguments_end_with_a_sentence_before_anything_starts(launch, bag, file, argument, sentence) -> None:
    more = [] if file is PERCEPTION else [f"bag:={bag}", "player:=oodseg"]
    started = launch(file, argument, *more)
    assert started.end() != 0
    assert sentence in started.said
    assert "process started" not in started.said


def test_a_bag_that_is_not_there_starts_nothing(launch, tmp_path) -> None:
    for file, more in ((REPLAY, []), (REPLAY_EVALUATION, [f"out:={tmp_path}/out"])):
        started = launch(file, f"bag:={tmp_path}/none", "player:=oodseg", *more)
        assert started.end() != 0
        assert "does not exist" in started.said
        assert "process started" not in started.said


def test_build_only_fails_loudly_without_a_bundle(launch, tmp_path) -> None:
    started = launch(PERCEPTION, "build_only:=true", f"bundle:={tmp_path}/none")
    assert started.end() != 0
    assert "model.yaml is missing" in started.said
    assert "the node ended with status" in started.said


def test_interrupt_ends_node_and_launch_cleanly(launch, state) -> None:
    started = launch(PERCEPTION, "autostart:=false", "cameras:=front", "rviz:=True")
    started.until("process started")
    if shutil.which("rviz2") is None:
        assert "RViz is not installed" in started.said
    state("unconfigured")
    started.interrupt()
    assert started.end() == 0, started.said
    assert "finished cleanly" in started.said


def test_a_node_that_refuses_its_bundle_fails_the_replay(launch, words, tmp_path) -> None:
    started = launch(REPLAY, *words, f"bundle:={tmp_path}/none", "player:=oodseg")
    assert started.end() != 0
    assert "did not start and is unconfigured" in started.said


@pytest.mark.parametrize("player", PLAYERS)
def test_replays_in_a_row(launch, words, player) -> None:
    """None hangs, each is played whole, none leaves anything behind."""
    for index in range(int(os.environ.get("OODSEG_LAUNCHES", "2"))):
        begun = time.monotonic()
        started = launch(REPLAY, *words, f"player:={player}", "rate:=2")
        assert started.end() == 0, started.said
        assert f"{FRAMES} images played, " in started.said, started.said
        assert started.said.partition("playing ")[2].partition("\n")[0] == TOPIC
        print(f"{player} {index + 1}: {time.monotonic() - begun:.0f} s", flush=True)


@pytest.mark.parametrize("player", PLAYERS)
def test_a_damaged_bag_is_no_success(launch, words, bag, player) -> None:
    """`ros2 bag play` itself ends with 0 where the rest of the bag is missing."""
    file = bag / "bag.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    started = launch(REPLAY, *words, f"player:={player}", "rate:=2")
    assert started.end() != 0, started.said
    # It may also refuse the file, since this small one has nothing but the chunk that was cut.
    refused = player == "rosbag2" and "`ros2 bag play` ended with status" in started.said
    assert refused or "is damaged; only what is sound in it was played" in started.said, started.said
    assert "the bag was not replayed: the player ended with status 1" in started.said


@pytest.mark.parametrize("player", PLAYERS)
@pytest.mark.parametrize("how", [["rate:=0.5"], ["rate:=2"], ["start_offset:=0.9"]], ids=["half", "twice", "offset"])
def test_the_evaluation_hears_every_frame_or_knows_why(launch, words, tmp_path, player, how) -> None:
    started = launch(REPLAY_EVALUATION, *words, f"out:={tmp_path}/live", f"player:={player}", *how)
    assert started.end() == 0, started.said
    metrics = json.loads((tmp_path / "live" / "metrics.json").read_text())
    account = metrics["account"]["camera"]
    played = FRAMES if how[0].startswith("rate") else FRAMES - 5
    assert f"{played} images played, {account['frames_received']} received" in started.said, started.said
    assert account["frames_received"] == account["frames_answered"] + account.get("frames_dropped", 0)
    assert metrics["frames"] == account["frames_answered"]


@pytest.mark.parametrize("player", PLAYERS)
def test_an_evaluation_of_a_loop_ends_with_the_user(launch, words, tmp_path, player) -> None:
    more = [f"out:={tmp_path}/live", f"player:={player}", "loop:=true", "rate:=2"]
    started = launch(REPLAY_EVALUATION, *words, *more)
    started.until("playing ")
    time.sleep(15.0)
    started.interrupt()
    assert started.end() == 0, started.said
    metrics = json.loads((tmp_path / "live" / "metrics.json").read_text())
    assert metrics["account"]["camera"]["frames_received"] > FRAMES
    # The last frame of each round is taken before time jumps back.
    assert "dropped_stamp_in_future" not in metrics["account"]["camera"]
    assert metrics["frames"] <= FRAMES
    assert metrics["evidence_age_s"]["p50"] >= 0


@pytest.mark.parametrize("player", PLAYERS)
def test_everything_follows_a_pushed_namespace(launch, words, tmp_path, player) -> None:
    """Parameters under the root key `perception`, the node's log level and what the player plays to."""
    file = tmp_path / "params.yaml"
    text = yaml.safe_load(file.read_text())["/**"]
    text["ros__parameters"]["cameras"] = ["left"]
    file.write_text(yaml.safe_dump({"perception": text}))
    started = launch(
        REPLAY, *words, f"player:={player}", "namespace:=car", "log_level:=debug", *CHOICES, pushed="fleet"
    )
    assert started.end() == 0, started.said
    assert f"left: {FRAMES} " in started.said, started.said
    assert "[fleet.car.perception]: camera left: image of 1600000000" in started.said


def test_a_node_that_dies_is_brought_up_again(launch, words, state) -> None:
    started = launch(PERCEPTION, *(word for word in words if not word.startswith("bag:=")), "use_respawn:=1")
    for _ in range(2):
        started.until(STARTED)
        pid = int(started.said.rpartition(STARTED)[2].partition("]")[0])
        state("active")
        os.kill(pid, signal.SIGKILL)
        started.said = ""
    started.until(STARTED)
    state("active")
    started.interrupt()
    assert started.end() == 0, started.said
