"""The launch files: by their text everywhere, and loaded and run with the real launch where ROS 2 brings it."""

from __future__ import annotations

import ast
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
PERCEPTION, REPLAY = LAUNCH / "perception.launch.py", LAUNCH / "replay.launch.py"
REPLAY_EVALUATION = LAUNCH / "replay_evaluation.launch.py"
ARGUMENTS = [
    "namespace",
    "use_sim_time",
    "params_file",
    "autostart",
    "bundle",
    "engine",
    "cameras",
    "image_topic",
    "rviz",
    "log_level",
    "use_respawn",
    "build_only",
]
try:
    HAS_LAUNCH = importlib.util.find_spec("launch.actions") is not None
except ModuleNotFoundError:
    HAS_LAUNCH = False
needs_launch = pytest.mark.skipif(not HAS_LAUNCH, reason="launch comes with ROS 2, not from PyPI")


def declarations(file: Path) -> dict[str, dict[str, ast.expr]]:
    """Name → keyword arguments of every DeclareLaunchArgument in a file."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    made = [call for call in calls if getattr(call.func, "id", "") == "DeclareLaunchArgument"]
    return {call.args[0].value: {word.arg: word.value for word in call.keywords} for call in made}


def test_perception_declares_exactly_its_arguments():
    assert list(declarations(PERCEPTION)) == ARGUMENTS


@pytest.mark.parametrize("file", [PERCEPTION, REPLAY], ids=["perception", "replay"])
def test_every_argument_is_described(file):
    for name, words in declarations(file).items():
        text = ast.literal_eval(words["description"])
        assert len(text) > 20, name
        assert "default_value" in words or name == "bag"


def test_switches_have_choices():
    for file in (PERCEPTION, REPLAY):
        for name, words in declarations(file).items():
            default = words.get("default_value")
            if isinstance(default, ast.Constant) and default.value in ("true", "false"):
                assert "choices" in words, name


def test_engine_choices_are_the_engines():
    from oodseg_ros.inference.engine import ENGINES

    choices = ast.literal_eval(declarations(PERCEPTION)["engine"]["choices"])
    assert set(choices) == {"", "auto", *ENGINES}


@pytest.mark.parametrize("file", [PERCEPTION, REPLAY], ids=["perception", "replay"])
def test_defaults_are_text(file):
    """launch takes any substitution; a number or bool fails only when it runs."""
    for name, words in declarations(file).items():
        if "default_value" in words:
            assert isinstance(ast.literal_eval(words["default_value"]), str), name


def description(file: Path):
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    context = LaunchContext()
    return PythonLaunchDescriptionSource(str(file)).get_launch_description(context)


@needs_launch
def test_show_args_is_complete():
    found = {argument.name: argument for argument in description(PERCEPTION).get_launch_arguments()}
    assert list(found) == ARGUMENTS
    assert all(argument.description for argument in found.values())
    replay = {argument.name for argument in description(REPLAY).get_launch_arguments()}
    assert replay == {*ARGUMENTS, "bag", "rate", "loop", "player"}


def run_launch(*arguments: str, file: Path = PERCEPTION) -> subprocess.Popen:
    """`ros2 launch <file> <arguments>` without ros2cli."""
    program = (
        "import sys; from launch import LaunchService, LaunchDescription;"
        "from launch.actions import IncludeLaunchDescription as Include;"
        "from launch.launch_description_sources import PythonLaunchDescriptionSource as Source;"
        "service = LaunchService();"
        "given = [a.split(':=', 1) for a in sys.argv[2:]];"
        "service.include_launch_description(LaunchDescription([Include(Source(sys.argv[1]), launch_arguments=given)]));"
        "sys.exit(service.run())"
    )
    environment = {**os.environ, "ROS_DOMAIN_ID": str(101 + os.getpid() % 100)}
    command = [sys.executable, "-c", program, str(file), *arguments]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


@needs_launch
def test_wrong_arguments_end_with_a_sentence():
    for argument, sentence in (
        ("cameras:=front,1st", "no camera name"),
        ("image_topic:=/a,/b", "names 2 topics for 1 cameras"),
        ("params_file:=/nowhere.yaml", "cannot be read"),
        ("engine:=magic", "magic"),
    ):
        process = run_launch(argument)
        said, _ = process.communicate(timeout=120)
        assert process.returncode != 0, argument
        assert sentence in said


@needs_launch
def test_build_only_fails_loudly_without_a_bundle(tmp_path):
    process = run_launch("build_only:=true", f"bundle:={tmp_path}/none")
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "model.yaml is missing" in said
    assert "the node ended with status" in said


@needs_launch
def test_interrupt_ends_node_and_launch_cleanly():
    """Ctrl-C in a terminal reaches launch and the node, and launch passes it on: the node gets it twice."""
    process = run_launch("autostart:=false", "cameras:=front")
    assert process.stdout is not None
    said = ""
    while "process started" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    time.sleep(6.0)  # nothing is printed by an unconfigured node that one could wait for
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said + rest
    assert "finished cleanly" in rest


@needs_launch
def test_replay_evaluation_hands_the_bag_on(tmp_path):
    """Required arguments do not reach an included file by themselves; here only the content of the bag is missing."""
    process = run_launch(
        f"bag:={tmp_path}/none", f"out:={tmp_path}/out", "bundle:=none", "player:=oodseg", file=REPLAY_EVALUATION
    )
    assert process.stdout is not None
    said = ""
    while "cannot configure" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert "missing required argument" not in said + rest
