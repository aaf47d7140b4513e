"""Viewers' configurations against what the node really creates, and what RViz would draw of its images."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
import rclpy

from oodseg_ros.labels import load_labels
from oodseg_ros.paths import config_dir
from oodseg_ros.ros.node.outputs import CameraOutputs
from oodseg_ros.ros.node.topics import outputs
from oodseg_ros.ros.node.viewers import DEFAULTS, foxglove_layout, rviz_config

CAMERAS = ("front", "rear_left")


@pytest.fixture(scope="module")
def published() -> Iterator[dict]:
    """Fully qualified topic → publisher, of the node's real outputs for two cameras in a namespace."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("viewers", namespace="/car", context=context)
    groups = frozenset(topic.group for topic in outputs())
    made = [CameraOutputs(node, camera, groups, load_labels("driving11"), "base_footprint") for camera in CAMERAS]
    yield {publisher.topic_name: publisher for publisher in node.publishers}
    for each in made:
        each.destroy()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def displays(text: str) -> list[dict]:
    return [d for d in yaml.safe_load(text)["Visualization Manager"]["Displays"] if "Topic" in d]


@pytest.mark.parametrize(("file", "make"), [("oodseg.rviz", rviz_config), ("foxglove.json", foxglove_layout)])
def test_the_shipped_files_are_what_the_module_makes(file: str, make) -> None:
    assert (config_dir() / file).read_text() == make(*DEFAULTS), "run python -m oodseg_ros.ros.node.viewers"


def test_rviz_shows_topics_types_and_qos_that_the_node_offers(published: dict) -> None:
    from rclpy.qos import ReliabilityPolicy

    shown = displays(rviz_config(CAMERAS, "car", "base_footprint"))
    for display in shown:
        publisher = published[display["Topic"]["Value"]]
        assert display["Class"] == f"rviz_default_plugins/{publisher.msg_type.__name__}"
        # A reliable subscriber needs a reliable publisher; all are.
        assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert display["Topic"]["Reliability Policy"] == ("Best Effort" if "Image" in display["Class"] else "Reliable")
    for camera in CAMERAS:
        here = {d["Topic"]["Value"].removeprefix(f"/car/{camera}/") for d in shown if camera in d["Topic"]["Value"]}
        assert here == {topic.tail for topic in outputs() if topic.title}
        overlay = next(d for d in shown if d["Topic"]["Value"] == f"/car/{camera}/overlay")
        assert overlay["Enabled"] is overlay["Value"] is True
    assert len({display["Name"] for display in shown}) == len(shown)


def test_rviz_looks_at_the_base_frame() -> None:
    manager = yaml.safe_load(rviz_config(CAMERAS, "/car", "base_footprint"))["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "base_footprint"
    assert manager["Views"]["Current"]["Target Frame"] == "base_footprint"
    assert manager["Displays"][0]["Reference Frame"] == "base_footprint"


def test_foxglove_shows_topics_that_the_node_offers(published: dict) -> None:
    layout = json.loads(foxglove_layout(CAMERAS, "/car", "base_footprint"))
    panels = layout["configById"]
    topics = {panel["imageMode"]["imageTopic"] for name, panel in panels.items() if name.startswith("Image!")}
    topics |= set(panels["3D!obstacles"]["topics"])
    assert topics <= set(published)
    assert {f"/car/{camera}/overlay/compressed" for camera in CAMERAS} <= topics
    assert panels["3D!obstacles"]["followTf"] == "base_footprint"

    def leaves(part) -> list[str]:
        return [part] if isinstance(part, str) else leaves(part["first"]) + leaves(part["second"])

    assert sorted(leaves(layout["layout"])) == sorted(panels)


def test_images_that_are_shown_are_of_encodings_that_rviz_draws_as_they_are() -> None:
    """RViz takes 8 bit encodings byte by byte; only 16 bit and 32FC1 go through its median window."""
    from oodseg_ros.ros.node.outputs import _IMAGES

    titled = {topic.tail for topic in outputs() if topic.title and topic.kind == "sensor_msgs/Image"}
    assert {_IMAGES[tail][0] for tail in titled - {"overlay"}} <= {"mono8", "bgr8"}
    for display in displays(rviz_config(CAMERAS)):
        if display["Class"].endswith("/Image"):
            assert display["Median window"] == 1
            assert display["Normalize Range"] is False


def as_rviz_draws(data: np.ndarray, encoding: str, median: int, history: list[tuple[float, float]]) -> np.ndarray:
    """Gray or RGB bytes by the rules of rviz_default_plugins' ros_image_texture (Kilted, 2024-10).

    bgr8, rgb8 and mono8 reach the texture unchanged. 32FC1 is scaled by its minimum and maximum; with a median window
    above 1 both are cast to uint16 first, and where their range is not positive nothing is written at all.
    """
    if encoding != "32FC1":
        return data[..., ::-1] if encoding == "bgr8" else data
    low, high = float(np.minimum(65535, np.nanmin(data))), float(np.maximum(0, np.nanmax(data)))
    if median > 1:
        history[:] = [(low, high), *history][:median]
        middle = len(history) // 2
        low, high = (float(int(sorted(values)[middle]) % 65536) for values in zip(*history, strict=True))
    if high - low <= 0:
        return np.zeros(data.shape, np.uint8)
    return (np.clip((data - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def test_the_raw_score_is_what_rviz_cannot_show_and_the_colors_are_what_it_can() -> None:
    from oodseg_ros.model_card import Calibration
    from oodseg_ros.views import ANOMALOUS_RGB, score_picture

    score = np.linspace(-7, 14, 40 * 60, dtype=np.float32).reshape(40, 60)
    assert not as_rviz_draws(score, "32FC1", 5, []).any(), "why the raw score has no display"
    calibration = Calibration(threshold=10.0, table=[(-7.0, 0.0), (14.0, 1.0)], source="by hand")
    mask = (score > 10).astype(np.uint8) * 255
    drawn = score_picture(score, mask, calibration)
    seen = as_rviz_draws(np.ascontiguousarray(drawn[..., ::-1]), "bgr8", 1, [])
    assert (seen[mask != 0] == ANOMALOUS_RGB).all()
    assert (np.diff(seen[mask == 0].astype(int)[:, 0]) >= 0).all()


def montage(seed: int) -> np.ndarray:
    """BGR picture of every image topic of the shipped bundle on a procedural scene, as RViz would draw it."""
    import cv2

    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.frame import Frame
    from oodseg_ros.inference.runner import Runner
    from oodseg_ros.overlay import draw_overlay
    from oodseg_ros.parameters.judging import ObstacleSettings
    from oodseg_ros.pipeline.camera import CameraPipeline
    from oodseg_ros.ros.node.outputs import _IMAGES
    from oodseg_ros.scenes import scene

    bundle, image, hood = load_bundle("road_lite"), scene(seed, (480, 640)).image, np.zeros((480, 640), np.uint8)
    hood[450:] = 255
    camera = CameraPipeline(bundle.card.calibration, ObstacleSettings(trigger_hits=1, trigger_window=1), hood)
    judged = camera.judge(Frame(image), Runner.load(bundle)([image])[0], 0)
    tiles = {"anomaly/score with a median window of 5": as_rviz_draws(judged.score, "32FC1", 5, [])}
    for topic, (encoding, make) in _IMAGES.items():
        if encoding != "32FC1":
            pixels = np.ascontiguousarray(make(judged, bundle.labels))
            tiles[topic] = as_rviz_draws(pixels, encoding, 1, [])
    tiles["overlay"] = draw_overlay(image, judged, bundle.labels)
    pictures = []
    for name, tile in tiles.items():
        small = cv2.resize(tile if tile.ndim == 3 else cv2.cvtColor(tile, cv2.COLOR_GRAY2RGB), (320, 240))
        band = np.full((24, 320, 3), 255, np.uint8)
        cv2.putText(band, name, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        pictures.append(np.vstack([band, small]))
    rows = [np.hstack(pictures[start : start + 4]) for start in range(0, len(pictures), 4)]
    return np.ascontiguousarray(np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    import sys

    import cv2

    cv2.imwrite(sys.argv[1], montage(int(sys.argv[2])), [cv2.IMWRITE_JPEG_QUALITY, 85])
