"""Distances of obstacles in rendered scenes, whose true distances are known to the renderer alone."""

import math

import numpy as np
import pytest

from oodseg_ros.frame import AlertState, Frame, Prediction
from oodseg_ros.model_card import Calibration
from oodseg_ros.parameters.judging import ObstacleSettings
from oodseg_ros.pipeline.camera import CameraPipeline
from oodseg_ros.pipeline.geometry.ground import CameraGeometry, ground_position, mounted
from oodseg_ros.scenes import drive, scene

CALIBRATION = Calibration(threshold=0.5, table=[(0.0, 0.0), (1.0, 1.0)], source="by hand")
SIZE = (360, 640)


def geometry_of(view, sigma: float = 0.005) -> CameraGeometry:
    return mounted(view.matrix, (), SIZE[1], SIZE[0], view.mount_height, view.mount_pitch, sigma)


def perfect(view) -> Prediction:
    """What a perfect network would say: the ground truth as a score."""
    return Prediction(view.labels, (view.anomaly == 1).astype(np.float32), "truth@0")


@pytest.fixture(scope="module")
def scenes():
    return [scene(seed, SIZE) for seed in range(8)]


def test_foot_points_lie_where_the_renderer_put_them(scenes):
    checked = 0
    for view in scenes:
        for obstacle in view.obstacles:
            position = ground_position(geometry_of(view), obstacle.foot)
            if position is not None:
                # Feet are given to a fraction of a pixel, which is worth more metres the farther it is.
                pixel = obstacle.distance_m**2 / (view.matrix[1, 1] * view.mount_height)
                assert math.hypot(*position.position[:2]) == pytest.approx(obstacle.distance_m, abs=0.05 + 0.5 * pixel)
                checked += 1
    assert checked >= 8


def test_ranges_of_found_obstacles_hold_the_true_distance(scenes):
    checked = 0
    for view in scenes:
        camera = CameraPipeline(CALIBRATION, ObstacleSettings(min_area=30))
        found = camera.judge(Frame(view.image), perfect(view), 0, geometry_of(view)).obstacles
        for truth in view.obstacles:
            match = [o for o in found if np.abs(np.subtract(o.box, truth.box)).max() <= 1 and o.ground is not None]
            # Where other things stand before an obstacle, its visible foot is not its true one.
            if match and abs(truth.box[3] - 1 - truth.foot[1]) <= 2:
                pixel = 2 * truth.distance_m**2 / (view.matrix[1, 1] * view.mount_height)
                ground = match[0].ground
                assert ground.range_min - pixel <= truth.distance_m <= ground.range_max + pixel
                checked += 1
    assert checked >= 5


def test_a_drive_past_obstacles_raises_the_alert():
    camera = CameraPipeline(CALIBRATION, ObstacleSettings(min_area=30))
    states = {}
    for view in drive(3, 24, SIZE, rate=5.0):
        alert = camera.judge(Frame(view.image, view.stamp_ns), perfect(view), view.stamp_ns, geometry_of(view)).alert
        states.setdefault(alert.state, 0)
        states[alert.state] += 1
        assert alert.evidence_age_s == 0.0
        if alert.state is AlertState.CLEAR and alert.reason == "ok":
            assert not alert.obstacles
    assert states[AlertState.OBSTACLE] > 2
