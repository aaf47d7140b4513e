"""config/parameters.yaml, its example file, and the sentences about wrong values.

Which way is the careful one.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.schema import Spec, check, less_careful, load_schema, render, unknown
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


pytest.importorskip("rclpy")

SPECS = load_schema().specs(["camera"], ["lane"])


@pytest.mark.parametrize(
    ("name", "before", "after", "less"),
    [
        ("obstacles.threshold", 1.34, 3.0, True),
        ("obstacles.threshold", 1.34, 1.0, False),
        ("obstacles.release_frames", 3, 2, True),
        ("obstacles.release_frames", 3, 5, False),
        ("max_age", 1.0, 2.0, True),
        ("zone_outside", "alert", "report", True),
        ("zone_outside", "ignore", "report", False),
        ("zone.lane.action", "alert", "ignore", True),
        ("zone.lane.polygon", [0.0, 0.0], [0.0, 1.0], True),
        ("zone.lane.polygon", [0.0, 0.0], [0.0, 0.0], False),
        ("health.input", ["black", "frozen"], ["frozen"], True),
        ("health.input", ["frozen"], ["frozen", "black"], False),
        ("overlay_rate", 5.0, 50.0, False),
    ],
)
def test_each_parameter_has_its_way(name: str, before: object, after: object, less: bool) -> None:
    assert bool(less_careful(SPECS, {name: before}, {name: after})) is less


def test_nan_is_what_the_bundle_says() -> None:
    meanings = {"obstacles.threshold": 1.34}
    change = less_careful(SPECS, {"obstacles.threshold": math.nan}, {"obstacles.threshold": 3.0}, meanings)
    assert change == ["obstacles.threshold 1.34 -> 3"]
    assert not less_careful(SPECS, {"obstacles.threshold": math.nan}, {"obstacles.threshold": 1.0}, meanings)
    unknown = less_careful(SPECS, {"obstacles.threshold": 9.0}, {"obstacles.threshold": math.nan})
    assert unknown, "of what is not known nobody can say that it is careful"


def test_against_the_defaults() -> None:
    assert less_careful(SPECS, {}, {"obstacles.min_area": 400, "obstacles.trigger_hits": 1}) == [
        "obstacles.min_area 100 -> 400"
    ]
