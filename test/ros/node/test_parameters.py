"""Parameters through the real node: shipped files as they are, and every value set back to its documented default."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")
import rclpy
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue
from rclpy.parameter import Parameter

from oodseg_ros.parameters.schema import load_schema
from oodseg_ros.paths import config_dir
from oodseg_ros.ros.perception import FAILURE, SUCCESS, Perception
from oodseg_ros.ros.tools.faults.node import FaultEngine

SHIPPED = [file for file in sorted(config_dir().rglob("*.yaml")) if "ros__parameters" in file.read_text()]
SPECS = load_schema().specs(["camera"])


@pytest.fixture
def make() -> Iterator[Callable[..., Perception]]:
    """A real node with these arguments; its engine costs nothing."""
    made: list[tuple[Perception, rclpy.Context]] = []

    def start(*arguments: str) -> Perception:
        context = rclpy.Context()
        rclpy.init(context=context, args=["--ros-args", *arguments])
        node = Perception(load=lambda settings, logger: (FaultEngine(), ()), context=context)
        made.append((node, context))
        return node

    yield start
    for node, context in made:
        node.close()
        rclpy.try_shutdown(context=context)


def file_with(folder: Path, parameters: dict[str, Any]) -> str:
    path = folder / "parameters.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    return str(path)


def same(value: Any, default: Any) -> bool:
    if isinstance(default, float) and math.isnan(default):
        return math.isnan(value)
    return (list(value) if isinstance(default, list) else value) == default


def test_there_is_a_shipped_file() -> None:
    assert config_dir() / "perception.yaml" in SHIPPED


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_a_copy_of_a_shipped_file_is_taken_as_it_is(make: Callable, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    node = make("--params-file", str(copy))
    assert node.trigger_configure() == SUCCESS
    for name, spec in SPECS.items():
        assert same(node.get_parameter(name).value, spec.default), name


def as_ros2cli_writes(value: Any) -> ParameterValue:
    """What `ros2 param set` sends for the value as YAML: types are guessed, `[]` is an array of bool."""
    value = yaml.safe_load(yaml.safe_dump(value))
    message = ParameterValue()
    kinds = {bool: "bool", int: "integer", float: "double", str: "string"}
    if not isinstance(value, list):
        kind = kinds[type(value)]
        setattr(message, f"{kind}_value", value)
        message.type = getattr(ParameterType, f"PARAMETER_{kind.upper()}")
        return message
    kind = next(kinds[each] for each in kinds if all(type(item) is each for item in value))
    setattr(message, f"{kind}_array_value", value)
    message.type = getattr(ParameterType, f"PARAMETER_{kind.upper()}_ARRAY")
    return message


def set_all(node: Perception, names: list[str]) -> dict[str, str]:
    """Set each to its default as ros2cli would; name → reason of those that were refused."""
    refused = {}
    for name in names:
        value = SPECS[name].default
        # A person writes 1 for 1.0.
        whole = isinstance(value, float) and math.isfinite(value) and value.is_integer()
        message = as_ros2cli_writes(int(value) if whole else value)
        parameter = Parameter.from_parameter_msg(ParameterMsg(name=name, value=message))
        result = node.set_parameters([parameter])[0]
        if not result.successful:
            refused[name] = result.reason
    return refused


@pytest.mark.skipif(not hasattr(rclpy.node.Node, "add_pre_set_parameters_callback"), reason="Humble is strict on types")
def test_every_value_can_be_set_back_to_its_default_as_a_person_writes_it(make: Callable) -> None:
    node = make()
    assert set_all(node, list(SPECS)) == {}
    assert node.trigger_configure() == SUCCESS
    running = [name for name, spec in SPECS.items() if spec.runtime]
    assert set_all(node, running) == {}
    others = [name for name in SPECS if name not in running]
    refused = set_all(node, others)
    assert set(refused) == set(others)
    assert all("takes effect at configure" in reason for reason in refused.values())


@pytest.mark.skipif(not hasattr(rclpy.node.Node, "add_pre_set_parameters_callback"), reason="Humble is strict on types")
def test_an_empty_list_may_come_in_any_type_and_a_wrong_one_is_still_refused(make: Callable) -> None:
    node, name = make(), "obstacles.min_area_by_distance"
    for kind in ("NOT_SET", "BOOL_ARRAY", "STRING_ARRAY", "DOUBLE_ARRAY"):
        assert node.set_parameters([Parameter(name, Parameter.Type.DOUBLE_ARRAY, [5.0, 200.0])])[0].successful
        value = None if kind == "NOT_SET" else []
        result = node.set_parameters([Parameter(name, Parameter.Type[kind], value)])[0]
        assert result.successful, (kind, result.reason)
        assert list(node.get_parameter(name).value) == []
    assert node.set_parameters([Parameter(name, Parameter.Type.INTEGER_ARRAY, [5, 200])])[0].successful
    for wrong in (Parameter(name, Parameter.Type.STRING_ARRAY, ["5"]), Parameter("max_age", value="soon")):
        assert not node.set_parameters([wrong])[0].successful
    assert not node.set_parameters([Parameter("max_age", Parameter.Type.NOT_SET, None)])[0].successful


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.type.endswith("array")])
def test_an_empty_list_in_a_file_is_an_empty_list(make: Callable, name: str, tmp_path: Path) -> None:
    node = make("--params-file", file_with(tmp_path, {name: []}))
    if name == "cameras":
        assert node.trigger_configure() == FAILURE
        return
    assert node.trigger_configure() == SUCCESS
    assert list(node.get_parameter(name).value) == []


def test_the_real_executable_configures_with_the_shipped_file_verbatim(tmp_path: Path) -> None:
    """`build_only` ends right after configure would have read it; a refusal ends with status 1."""
    copy = tmp_path / "perception.yaml"
    copy.write_bytes((config_dir() / "perception.yaml").read_bytes())
    code = (
        "import sys; from oodseg_ros.ros.perception import Perception, run, SUCCESS\n"
        "from oodseg_ros.ros.tools.faults.node import FaultEngine\n"
        "sys.exit(run(lambda: Perception(load=lambda settings, logger: (FaultEngine(), ())), sys.argv))"
    )
    command = [sys.executable, "-c", code, "--ros-args", "--params-file", str(copy), "-p", "build_only:=true"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_a_topic_that_is_rectified_by_name_is_measured_so_and_contradictions_are_refused(make: Callable) -> None:
    remapped = ("-r", "camera/image_raw:=/front/image_rect")
    node = make(*remapped)
    assert node.trigger_configure() == SUCCESS
    assert node._session.pipeline.cameras["camera"].rectified is True
    assert make(*remapped, "-p", "camera.rectification:=raw").trigger_configure() == FAILURE
    plain = make("-p", "camera.rectification:=rectified")
    assert plain.trigger_configure() == SUCCESS
    assert plain._session.pipeline.cameras["camera"].rectified is True
    assert make().trigger_configure() == SUCCESS
