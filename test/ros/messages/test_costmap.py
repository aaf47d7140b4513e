"""The two clouds in a costmap, by the rules of navigation2's obstacle layer and the parameters of docs/nav2.md.

The layer clears cells along the line from the sensor to each point of a clearing cloud, then marks the cells of the
points of a marking cloud; of both it drops points outside the height window, in the frame of the map.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from oodseg_ros.frame import Obstacle, Prediction
from oodseg_ros.labels import load_labels
from oodseg_ros.pipeline.geometry.ground import ground_position, mounted
from oodseg_ros.pipeline.obstacles.free_ground import free_ground, ground_ids
from oodseg_ros.ros.messages.obstacles import to_free_ground, to_points

PAGE = (Path(__file__).parents[3] / "docs" / "nav2.md").read_text()
LAYER = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0])["local_costmap"]["local_costmap"][
    "ros__parameters"
]["unknown_obstacles"]
LABELS = load_labels("driving11")
ROAD, SKY, VEHICLE = (LABELS.names.index(name) for name in ("road", "sky", "vehicle"))
WIDTH, HEIGHT, CELL = 640, 480, 0.1
MATRIX = np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])
CAMERA = mounted(MATRIX, (), WIDTH, HEIGHT, 1.5, 0.05, 0.0087, x=1.0)
HEADER = Header(stamp=Time(sec=1), frame_id="lens")


class Costmap:
    """40 x 40 m before and beside the vehicle, whose origin lies in the middle of its left edge."""

    def __init__(self) -> None:
        self.marked = np.zeros((400, 400), np.uint8)

    def update(self, marks: Any, clears: Any, pitch: float) -> None:
        origin = self._cell(CAMERA.translation[:2])
        for point in self._kept(clears, LAYER["front_free"], pitch):
            cv2.line(self.marked, origin, self._cell(point), 0)
        for point in self._kept(marks, LAYER["front_obstacles"], pitch):
            x, y = self._cell(point)
            self.marked[y, x] = 255

    @staticmethod
    def _cell(point: np.ndarray) -> tuple[int, int]:
        return int(point[0] / CELL), int(point[1] / CELL) + 200

    @staticmethod
    def _kept(cloud: Any, source: dict[str, Any], pitch: float) -> np.ndarray:
        points = np.frombuffer(cloud.data, np.float32).reshape(-1, 4)[:, :3].astype(float)
        turn = cv2.Rodrigues(np.array([0.0, pitch, 0.0]))[0]
        points = points @ turn.T
        low = max(source["min_obstacle_height"], LAYER["min_obstacle_height"])
        high = min(source["max_obstacle_height"], LAYER["max_obstacle_height"])
        inside = (points[:, 2] >= low) & (points[:, 2] <= high)
        near = np.linalg.norm(points[:, :2], axis=1) < source.get(
            "obstacle_max_range", source.get("raytrace_max_range")
        )
        return points[inside & near]


def scene(*boxes: tuple[float, float, float, float, int]) -> tuple[Any, Any]:
    """Both clouds of a road with boards (x, y, width, height, class; -1 = unknown) standing on it."""
    labels = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    labels[int(239.5 - 500 * math.tan(0.05)) + 1 :] = ROAD
    mask, obstacles = np.zeros((HEIGHT, WIDTH), np.uint8), []
    for x, y, width, height, kind in boxes:
        corners = np.array([[x, y + side * width / 2, up] for side in (-1, 1) for up in (0.0, height)])
        u, v, w = (MATRIX @ ((corners - CAMERA.translation) @ CAMERA.rotation).T).tolist()
        u, v = np.divide(u, w), np.divide(v, w)
        x0, y0, x1, y1 = round(u.min()), round(v.min()), round(u.max()), round(v.max())
        (mask if kind < 0 else labels)[y0:y1, x0:x1] = 255 if kind < 0 else kind
        if kind < 0:
            foot = (float((u.min() + u.max()) / 2), float(v.max()))
            obstacles.append(Obstacle((x0, y0, x1, y1), 900, 0.9, foot, ground=ground_position(CAMERA, foot)))
    prediction = Prediction(labels, np.zeros((HEIGHT, WIDTH), np.float32), "x")
    ends = free_ground(prediction, mask, CAMERA, ground_ids(LABELS))
    return to_points(obstacles, HEADER, CAMERA), to_free_ground(ends, HEADER)


BOX = (12.0, 0.5, 1.0, 0.5, -1)


def cells_at(costmap: Costmap, x: float, y: float, reach: float = 1.0) -> int:
    column, row = Costmap._cell(np.array([x, y]))
    span = round(reach / CELL)
    return int((costmap.marked[row - span : row + span, column - span : column + span] != 0).sum())


@pytest.mark.parametrize(
    "pitch", [-0.0349, -0.0087, 0.0, 0.0087, 0.0349], ids=lambda pitch: f"{math.degrees(pitch):.1f}"
)
def test_an_obstacle_is_marked_under_any_pitch_and_cleared_once_it_is_gone(pitch: float) -> None:
    costmap = Costmap()
    costmap.update(*scene(BOX), pitch)
    assert cells_at(costmap, 12.0, 0.5) >= 8, "as wide as it is"
    assert (costmap.marked != 0).sum() == cells_at(costmap, 12.0, 0.5), "and nothing else"
    costmap.update(*scene(BOX), pitch)
    assert cells_at(costmap, 12.0, 0.5) >= 8, "seen again, it stays"
    costmap.update(*scene(), pitch)
    assert (costmap.marked != 0).sum() == 0


def test_what_a_vehicle_hides_is_not_cleared() -> None:
    costmap = Costmap()
    costmap.update(*scene(BOX), 0.0)
    before = cells_at(costmap, 12.0, 0.5)
    costmap.update(*scene((7.0, 0.4, 2.5, 1.4, VEHICLE)), 0.0)
    assert cells_at(costmap, 12.0, 0.5) == before


def test_points_on_the_ground_are_what_a_height_window_from_zero_loses() -> None:
    """Why the points are lifted, and why the page sets the window below zero."""
    marks, _ = scene(BOX)
    points = np.frombuffer(marks.data, np.float32).reshape(-1, 4)
    turn = cv2.Rodrigues(np.array([0.0, math.radians(1.0), 0.0]))[0]
    on_ground = (points[:, :3] * [1, 1, 0]) @ turn.T
    lifted = points[:, :3] @ turn.T
    assert (on_ground[:, 2] < 0).all()
    assert (lifted[:, 2] > on_ground[:, 2] + 0.2).all()
