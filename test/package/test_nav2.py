"""The costmap YAML of docs/nav2.md: names that navigation2 declares, topics that the node publishes.

The names were read in the sources of navigation2, branches humble (1.1.20), jazzy (1.3.13), kilted (1.4.2), lyrical
(1.5.1), and of semantic_segmentation_layer b269885. What a parameter file names beyond them is ignored without a word.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from oodseg_ros.labels import load_labels
from oodseg_ros.ros.node.topics import LATCHED_OUT, outputs
from oodseg_ros.views import UNKNOWN_ID

PAGE = (Path(__file__).parents[2] / "docs" / "nav2.md").read_text()
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]
TOPICS = {topic.tail: topic for topic in outputs()}

# Those of all four branches; later ones also know tf_filter_tolerance, transport_type, allow_parameter_qos_overrides.
OBSTACLE_LAYER = {
    "enabled", "footprint_clearing_enabled", "min_obstacle_height", "max_obstacle_height", "combination_method",
    "observation_sources",
}  # fmt: skip
OBSTACLE_SOURCE = {
    "topic", "sensor_frame", "observation_persistence", "expected_update_rate", "data_type", "min_obstacle_height",
    "max_obstacle_height", "inf_is_valid", "marking", "clearing", "obstacle_max_range", "obstacle_min_range",
    "raytrace_max_range", "raytrace_min_range",
}  # fmt: skip
SEMANTIC_LAYER = {
    "enabled", "combination_method", "observation_sources", "publish_debug_topics", "use_approximate_time_sync",
    "sensor_data_depth",
}  # fmt: skip
SEMANTIC_SOURCE = {
    "segmentation_topic", "confidence_topic", "labels_topic", "pointcloud_topic", "observation_persistence",
    "expected_update_rate", "class_types", "max_obstacle_distance", "min_obstacle_distance", "tile_map_decay_time",
    "visualize_tile_map", "use_cost_selection", "camera_horizontal_fov", "camera_vertical_fov", "fov_decay_time",
    "outside_fov_decay_time", "visualize_frustum_fov",
}  # fmt: skip
SEMANTIC_CLASS = {"classes", "base_cost", "max_cost", "mark_confidence", "samples_to_max_cost", "dominant_priority"}
LIFECYCLE_MANAGER = {"node_names", "autostart", "bond_timeout"}
PLUGINS = {
    "nav2_costmap_2d::ObstacleLayer",
    "nav2_costmap_2d::InflationLayer",
    "semantic_segmentation_layer::SemanticSegmentationLayer",
}


def costmap(index: int) -> dict[str, Any]:
    return BLOCKS[index]["local_costmap"]["local_costmap"]["ros__parameters"]


@pytest.mark.parametrize("index", [0, 1])
def test_every_plugin_has_its_block_and_is_one_that_exists(index: int) -> None:
    parameters = costmap(index)
    assert set(parameters) == {"plugins", *parameters["plugins"]}
    assert {parameters[name]["plugin"] for name in parameters["plugins"]} <= PLUGINS


def test_the_obstacle_layer_is_told_only_what_it_knows() -> None:
    layer = dict(costmap(0)["unknown_obstacles"])
    layer.pop("plugin")
    sources = {name: layer.pop(name) for name in layer["observation_sources"].split()}
    assert set(layer) <= OBSTACLE_LAYER
    for source in sources.values():
        assert set(source) <= OBSTACLE_SOURCE
        assert source["data_type"] == "PointCloud2"
        assert source["marking"] is not source["clearing"]
        # Declared as doubles in C++: a whole number without a point would end the costmap's process.
        assert all(type(source[key]) is float for key in source if key.endswith(("height", "range", "rate")))
        # Of a source the default is 0, which drops every point above the ground; below it a pitching vehicle sees some.
        assert source["max_obstacle_height"] > 0.5
        assert source["min_obstacle_height"] < 0
    marks = next(source for source in sources.values() if source["marking"])
    clears = next(source for source in sources.values() if source["clearing"])
    assert (marks["topic"], clears["topic"]) == ("/front/obstacles/points", "/front/obstacles/free_ground")
    for source in sources.values():
        assert TOPICS[source["topic"].removeprefix("/front/")].kind == "sensor_msgs/PointCloud2"
    assert layer["min_obstacle_height"] < 0
    assert clears["sensor_frame"], "else the rays begin at the cloud's frame"


def test_the_semantic_layer_is_told_only_what_it_knows() -> None:
    layer = dict(costmap(1)["semantic_layer"])
    layer.pop("plugin")
    source = layer.pop(layer["observation_sources"])
    assert set(layer) <= SEMANTIC_LAYER
    types = {name: source.pop(name) for name in source["class_types"]}
    assert set(source) <= SEMANTIC_SOURCE
    for block in types.values():
        assert set(block) == SEMANTIC_CLASS
        # C++ integers and a boolean; a wrong type ends the costmap's process.
        assert all(type(block[key]) is int for key in SEMANTIC_CLASS - {"classes", "dominant_priority"})
    assert types["danger"]["classes"] == ["unknown"]
    assert types["danger"]["base_cost"] == 254
    named = [name for block in types.values() for name in block["classes"]]
    assert set(named) == {"unknown", *load_labels("driving11").names} - {"sky"}
    assert len(load_labels("driving11")) <= UNKNOWN_ID
    for key in ("segmentation_topic", "confidence_topic"):
        topic = TOPICS[source[key].removeprefix("/front/")]
        assert topic.kind == "sensor_msgs/Image"
        assert topic.about.startswith(("mono8", "the same with 254"))
    labels = TOPICS[source["labels_topic"].removeprefix("/front/")]
    assert (labels.kind, labels.quality) == ("vision_msgs/LabelInfo", LATCHED_OUT)


def test_the_lifecycle_manager_waits_for_no_bond() -> None:
    parameters = BLOCKS[2]["lifecycle_manager_perception"]["ros__parameters"]
    assert set(parameters) == LIFECYCLE_MANAGER
    assert parameters["bond_timeout"] == 0.0
    assert parameters["node_names"] == ["perception"]
