"""config/parameters.yaml, its example file, and the sentences about wrong values."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.schema import Spec, check, load_schema, render, unknown
from oodseg_ros.paths import config_dir


def flat(block: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for key, value in block.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return pairs


def test_the_example_file_is_the_schema() -> None:
    text = (config_dir() / "perception.yaml").read_text()
    assert text == render(load_schema()), "run: python -m oodseg_ros.parameters.schema > config/perception.yaml"


def test_the_example_file_holds_every_parameter_at_its_default_with_a_comment() -> None:
    schema, text = load_schema(), (config_dir() / "perception.yaml").read_text()
    given = flat(yaml.safe_load(text)["/**"]["ros__parameters"])
    expected = {name: spec.default for name, spec in schema.specs(["camera"]).items()}
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        assert type(given[name]) is type(value), name
        assert given[name] == value or (math.isnan(value) and math.isnan(given[name])), name
    lines = text.splitlines()
    for index, line in enumerate(lines):
        key = line.strip().partition(":")[0]
        if key in {name.rpartition(".")[2] for name in expected} and not line.endswith(":"):
            assert lines[index - 1].strip().startswith("#"), line


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("max_age", "soon", "max_age must be of type double, got 'soon' (str)"),
        ("max_age", -1.0, "max_age must be from 0 to 3600"),
        ("max_age", float("nan"), "max_age must be from 0 to 3600, got nan"),
        ("threads", 1.5, "threads must be of type integer"),
        ("threads", True, "threads must be of type integer, got True (bool)"),
        ("build_only", 1, "build_only must be of type bool"),
        ("cameras", "front", "cameras must be a list of strings"),
        ("cameras", [], "cameras is empty; name at least one camera"),
        ("cameras", ["front left"], "'front left' (str) cannot be a camera name"),
        ("cameras", ["a", "b", "a"], "names a camera twice"),
        ("bundle", "x" * 500 + "\n", None),
    ],
)
def test_wrong_values_are_refused_with_a_sentence(name: str, value: Any, sentence: str | None) -> None:
    spec = load_schema().node[name]
    if sentence is None:
        assert check(spec, name, value) == value
        return
    with pytest.raises(ConfigError) as refusal:
        check(spec, name, value)
    assert sentence in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_a_choice_is_named() -> None:
    spec = load_schema().camera["transport"]
    with pytest.raises(
        ConfigError, match=r"front\.transport must be one of raw, compressed, ffmpeg, foxglove, got 'theora'"
    ):
        check(spec, "front.transport", "theora")


def test_whole_numbers_are_doubles_where_a_double_is_meant() -> None:
    value = check(load_schema().node["max_age"], "max_age", 2)
    assert value == 2.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bundel", "did you mean bundle?"),
        ("obstacles.treshold", "did you mean obstacles.threshold?"),
        ("front.transprot", "did you mean front.transport?"),
        ("rear.transport", "if rear is a camera, add it to `cameras`"),
        ("zzzzzz", "config/perception.yaml lists all of them"),
    ],
)
def test_an_unknown_name_brings_the_nearest_right_one(name: str, hint: str) -> None:
    assert hint in unknown(name, load_schema().specs(["front"]))


@pytest.mark.parametrize(
    "text",
    [
        "node: {a: {type: string, default: x}}\ncamera: {}",
        "node: {a: {type: text, default: x, description: d}}\ncamera: {}",
        "node: {a: {type: double, default: 5.0, range: [0, 1], description: d}}\ncamera: {}",
        "node: {a: {type: string, default: x, description: d, colour: red}}\ncamera: {}",
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(tmp_path: Any, text: str) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_schema(path)


def test_every_type_has_a_check() -> None:
    for kind, value in {"string": "a", "bool": True, "integer": 1, "double": 0.5, "string_array": ["a"]}.items():
        assert check(Spec("p", kind, value, "d"), "p", value) == value
