"""A parameter file without ROS: what rclpy makes of it, and the same sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.params_file import read_params, settings_for
from oodseg_ros.paths import config_dir


def read(tmp_path: Path, data: Any) -> dict[str, Any]:
    file = tmp_path / "params.yaml"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return read_params(file)


def block(**values: Any) -> dict[str, Any]:
    return {"ros__parameters": values}


@pytest.mark.parametrize("name", ["/**", "perception", "/perception", "/front/perception", "/**/perception", "/*"])
def test_blocks_are_found_by_the_nodes_name_and_by_wildcards(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, {name: block(max_age=2.0), "other": block(max_age=3.0)}) == {"max_age": 2.0}


def test_namespaces_may_be_blocks_and_later_blocks_count(tmp_path: Path) -> None:
    data = {"/**": block(max_age=2.0, deadline=1.0), "front": {"perception": block(max_age=4.0)}}
    text = yaml.safe_dump(data, sort_keys=False)
    assert read(tmp_path, text) == {"max_age": 4.0, "deadline": 1.0}


def test_nested_and_dotted_names_are_the_same(tmp_path: Path) -> None:
    text = "/**:\n  ros__parameters:\n    obstacles: {min_area: 7}\n    obstacles.trigger_hits: 1\n"
    assert read(tmp_path, text) == {"obstacles.min_area": 7, "obstacles.trigger_hits": 1}


def test_the_shipped_file_gives_the_defaults(tmp_path: Path) -> None:
    given = read_params(config_dir() / "perception.yaml")
    assert settings_for(given, ["front"])[0] == settings_for({}, ["camera"])[0]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("", "no parameter file"),
        ("- 1\n- 2", "no parameter file"),
        ({"perception": {"max_age": 1.0}}, "no block has `ros__parameters:`"),
        ({"camera_driver": block(rate=5)}, "no parameters for the node perception; it has some for /camera_driver"),
        ({"/**": {"ros__parameters": [1]}}, "must hold names and values"),
    ],
)
def test_what_is_no_parameter_file_is_said(tmp_path: Path, data: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read(tmp_path, data)


def test_wrong_and_unknown_parameters_are_all_named() -> None:
    with pytest.raises(ConfigError) as refusal:
        settings_for({"max_age": "soon", "bundel": "x", "obstacles.min_area": 0}, ["front"])
    for text in ("max_age must be of type double", "did you mean bundle?", "obstacles.min_area must be from 1"):
        assert text in str(refusal.value)


def test_the_cameras_of_the_source_are_meant_where_the_file_names_none() -> None:
    settings, idle = settings_for({"front.priority": 3, "left.priority": 1, "use_sim_time": True}, ["front", "rear"])
    assert settings.names == ("front", "rear")
    assert settings.camera("front").priority == 3
    assert idle == ["left.priority"]


def test_numbers_are_read_as_ros_reads_them() -> None:
    settings, _ = settings_for({"obstacles.threshold": "1e3", "max_age": 2}, ["front"])
    assert settings.obstacles.threshold == 1000.0
    assert settings.max_age == 2.0
    assert settings_for({"obstacles.threshold": float("nan")}, ["front"])[0].obstacles.threshold is None
