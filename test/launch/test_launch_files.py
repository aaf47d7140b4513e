"""The launch files by their text, which needs no ROS 2; `test_with_launch.py` runs them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
FILES = sorted(LAUNCH.glob("*.launch.py"))
PERCEPTION = LAUNCH / "perception.launch.py"
ARGUMENTS = [
    "namespace",
    "use_sim_time",
    "params_file",
    "autostart",
    "bundle",
    "engine",
    "device",
    "threshold",
    "cameras",
    "image_topic",
    "image_reliability",
    "rviz",
    "warm_size",
    "alert_rate",
    "log_level",
    "use_respawn",
    "build_only",
]


def declarations(file: Path) -> dict[str, dict[str, ast.expr]]:
    """Name → keyword arguments of every DeclareLaunchArgument in a file."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    made = [call for call in calls if getattr(call.func, "id", "") == "DeclareLaunchArgument"]
    return {call.args[0].value: {word.arg: word.value for word in call.keywords} for call in made}


def test_perception_declares_exactly_its_arguments():
    assert list(declarations(PERCEPTION)) == ARGUMENTS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_every_argument_is_described(file):
    for name, words in declarations(file).items():
        text = ast.literal_eval(words["description"])
        assert len(text) > 20, name
        assert "default_value" in words or name in ("bag", "out")


def test_engine_choices_are_the_engines():
    """Read from the registry, not written again."""
    assert "*ENGINES" in ast.unparse(declarations(PERCEPTION)["engine"]["choices"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_defaults_are_text(file):
    """launch takes any substitution; a number or bool fails only when it runs."""
    for name, words in declarations(file).items():
        if "default_value" in words:
            assert isinstance(ast.literal_eval(words["default_value"]), str), name
