"""Configurations of RViz and Foxglove for the topics of the node, made for its cameras, namespace and base frame.

Needs no rclpy. `config/oodseg.rviz` and `config/foxglove.json` are made by this module for the default camera; others:

    python -m oodseg_ros.ros.node.viewers rviz --cameras front,rear --namespace /car --base-frame base_footprint
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import yaml

from .topics import Topic, outputs, qualified

DEFAULTS = (("camera",), "", "base_link")
"""Cameras, namespace and base frame of the shipped files."""

_DISPLAYS = {
    "sensor_msgs/Image": "Image",
    "visualization_msgs/MarkerArray": "MarkerArray",
    "sensor_msgs/PointCloud2": "PointCloud2",
}


def rviz_config(cameras: Sequence[str], namespace: str = "", base_frame: str = "base_link") -> str:
    """Text of an RViz configuration with the outputs of every camera.

    Of the first camera everything is shown that is shown by default, of the others the obstacles and the overlay: every
    image that is shown is made for it.
    """
    tf = {"Class": "rviz_default_plugins/TF", "Name": "TF", "Enabled": True, "Value": True, "Show Arrows": False}
    displays = [_grid(base_frame), tf]
    for index, camera in enumerate(cameras):
        for topic in outputs():
            if topic.title:
                shown = topic.shown and (index == 0 or topic.tail == "overlay" or topic.kind != "sensor_msgs/Image")
                displays.append(_display(topic, camera, namespace, shown))
    config = {
        "Panels": [
            {"Class": "rviz_common/Displays", "Name": "Displays", "Help Height": 0, "Tree Height": 400},
            {"Class": "rviz_common/Views", "Name": "Views"},
            {"Class": "rviz_common/Time", "Name": "Time", "SyncMode": 0, "SyncSource": ""},
        ],
        "Visualization Manager": {
            "Class": "",
            "Displays": displays,
            "Enabled": True,
            "Global Options": {"Background Color": "30; 30; 34", "Fixed Frame": base_frame, "Frame Rate": 30},
            "Name": "root",
            "Tools": [{"Class": "rviz_default_plugins/MoveCamera"}, {"Class": "rviz_default_plugins/Measure"}],
            "Transformation": {"Current": {"Class": "rviz_default_plugins/TF"}},
            "Value": True,
            "Views": {"Current": _view(base_frame), "Saved": None},
        },
        "Window Geometry": {"Height": 900, "Width": 1500},
    }
    return "# Made by `python -m oodseg_ros.ros.node.viewers rviz`.\n" + yaml.safe_dump(config, sort_keys=False)


def foxglove_layout(cameras: Sequence[str], namespace: str = "", base_frame: str = "base_link") -> str:
    """Text of a Foxglove layout: images of every camera, obstacles in 3D, alert and diagnostics."""
    panels: dict[str, Any] = {}
    for index, camera in enumerate(cameras):
        for tail in ("overlay/compressed", "anomaly/score_color") if index == 0 else ("overlay/compressed",):
            name = qualified(f"{camera}/{tail}", namespace)
            panels[f"Image!{camera}{tail.replace('/', '')}"] = {
                "foxglovePanelTitle": f"{camera}: {tail}",
                "imageMode": {"imageTopic": name},
            }
    visible = {
        qualified(topic.named(camera), namespace): {"visible": topic.shown}
        for camera in cameras
        for topic in outputs()
        if topic.title and topic.kind != "sensor_msgs/Image"
    }
    panels["3D!obstacles"] = {"followTf": base_frame, "followMode": "follow-pose", "topics": visible, "layers": {}}
    panels["DiagnosticSummary!diagnostics"] = {"topicToRender": "/diagnostics", "sortByLevel": True}
    panels["RawMessages!alert"] = {"topicPath": f"{qualified('alert', namespace)}.status[:].message"}
    layout = {"configById": panels, "globalVariables": {}, "userNodes": {}, "layout": _mosaic(list(panels))}
    return json.dumps(layout, indent=2) + "\n"


def _mosaic(names: list[str], direction: str = "row") -> Any:
    """Panels halved again and again, in alternating directions."""
    if len(names) == 1:
        return names[0]
    middle, other = len(names) // 2, "column" if direction == "row" else "row"
    return {
        "first": _mosaic(names[:middle], other),
        "second": _mosaic(names[middle:], other),
        "direction": direction,
        "splitPercentage": 50,
    }


def _display(topic: Topic, camera: str, namespace: str, shown: bool) -> dict[str, Any]:
    kind = _DISPLAYS[topic.kind]
    display: dict[str, Any] = {
        "Class": f"rviz_default_plugins/{kind}",
        "Name": f"{camera}: {topic.title}",
        "Enabled": shown,
        "Value": shown,
        "Topic": {
            "Value": qualified(topic.named(camera), namespace),
            "Depth": topic.quality.depth,
            "Durability Policy": "Volatile",
            "History Policy": "Keep Last",
            # Images are asked for best effort: a slow screen must not hold up the node.
            "Reliability Policy": "Best Effort" if kind == "Image" else "Reliable",
        },
    }
    if kind == "Image":
        # All are colors or bytes, which RViz draws as they are; a median window is what spoils floats.
        display |= {"Normalize Range": False, "Min Value": 0, "Max Value": 1, "Median window": 1}
    elif kind == "PointCloud2":
        free = topic.tail.endswith("free_ground")
        display |= {
            "Style": "Points",
            "Size (Pixels)": 6,
            "Color Transformer": "FlatColor",
            "Color": "80; 200; 120" if free else "255; 60; 60",
            "Use Fixed Frame": True,
        }
    else:
        display["Namespaces"] = {}
    return display


def _grid(base_frame: str) -> dict[str, Any]:
    return {
        "Class": "rviz_default_plugins/Grid",
        "Name": "Ground, cells of 5 m",
        "Enabled": True,
        "Value": True,
        "Alpha": 0.5,
        "Cell Size": 5,
        "Plane": "XY",
        "Plane Cell Count": 40,
        "Reference Frame": base_frame,
    }


def _view(base_frame: str) -> dict[str, Any]:
    return {
        "Class": "rviz_default_plugins/Orbit",
        "Name": "Current View",
        "Target Frame": base_frame,
        "Distance": 30,
        "Focal Point": {"X": 12, "Y": 0, "Z": 0},
        "Pitch": 0.6,
        "Yaw": 3.14159,
        "Near Clip Distance": 0.01,
        "Value": "Orbit (rviz)",
    }


def main() -> None:
    """Print a configuration."""
    cameras, namespace, base_frame = DEFAULTS
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("viewer", choices=["rviz", "foxglove"])
    parser.add_argument("--cameras", default=",".join(cameras), help="names, separated by commas")
    parser.add_argument("--namespace", default=namespace, help="of the node")
    parser.add_argument("--base-frame", default=base_frame, help="the node's parameter base_frame")
    options = parser.parse_args()
    make = {"rviz": rviz_config, "foxglove": foxglove_layout}[options.viewer]
    print(make(options.cameras.split(","), options.namespace, options.base_frame), end="")


if __name__ == "__main__":
    main()
