"""Markers and point cloud: where they lie, how wide they are, and that nothing stale survives."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from oodseg_ros.frame import GroundPosition, Obstacle
from oodseg_ros.pipeline.geometry.ground import ground_position, mounted
from oodseg_ros.ros.messages.obstacles import MAX_LIFT, MAX_POINTS, label, to_free_ground, to_markers, to_points

HEADER = Header(stamp=Time(sec=9, nanosec=8), frame_id="front_optical")
K = np.array([[800.0, 0.0, 639.5], [0.0, 800.0, 359.5], [0.0, 0.0, 1.0]])


def geometry(yaw: float = 0.0, pitch: float = 0.1):
    return mounted(K, (), 1280, 720, 1.5, pitch, 0.01, x=2.0, y=0.3, yaw=yaw)


def standing(camera, x: float, y: float, width: float, height: float) -> Obstacle:
    """An upright board of the given size on the ground at (x, y), as `camera` sees it, facing it."""
    axis = camera.rotation[:, 0] * [1, 1, 0]
    axis /= np.linalg.norm(axis)
    foot = np.array([x, y, 0.0])
    corners = np.array([foot + side * axis * width / 2 + [0, 0, up] for side in (-1, 1) for up in (0, height)])
    seen = (corners - camera.translation) @ camera.rotation
    pixels = seen @ camera.matrix.T
    u, v = (pixels[:, :2] / pixels[:, 2:]).T
    box = (round(u.min()), round(v.min()), round(u.max()), round(v.max()))
    spot = (float((u.min() + u.max()) / 2), float(v.max()))
    return Obstacle(box, 500, 0.8, spot, 3, 5, ground_position(camera, spot))


def rows(cloud: PointCloud2) -> np.ndarray:
    back = deserialize_message(serialize_message(cloud), PointCloud2)
    assert back == cloud
    assert [(field.name, field.offset, field.datatype) for field in back.fields] == [
        (name, 4 * index, 7) for index, name in enumerate(("x", "y", "z", "score"))
    ]
    assert (back.height, back.row_step, back.point_step) == (1, back.width * 16, 16)
    return np.frombuffer(back.data, np.float32).reshape(back.width, 4)


@pytest.mark.parametrize("yaw", [0.0, 0.8, -2.0, math.pi])
def test_points_cover_the_foot_width_at_the_right_place_in_any_direction(yaw):
    camera = geometry(yaw)
    ahead = camera.translation[:2] + 12 * np.array([math.cos(yaw), math.sin(yaw)])
    obstacle = standing(camera, *ahead, width=1.0, height=0.6)
    cloud = to_points([obstacle], HEADER, camera)
    assert (cloud.header.frame_id, cloud.header.stamp) == ("base_link", HEADER.stamp)
    points = rows(cloud)
    np.testing.assert_allclose(points[:, :2].mean(0), ahead, atol=0.15)
    assert np.linalg.norm(points[0, :2] - points[-1, :2]) == pytest.approx(1.0, abs=0.05)
    assert np.linalg.norm(np.diff(points[:, :2], axis=0), axis=1).max() <= 0.05 + 1e-5
    # Half of its 0.6 m: inside of it, not on the ground, where any pitch would hide it from a costmap.
    np.testing.assert_allclose(points[:, 2], 0.3, atol=0.05)
    np.testing.assert_allclose(points[:, 3], 0.8, rtol=1e-6)
    along = points[-1, :2] - points[0, :2]
    assert abs(along @ [math.cos(yaw), math.sin(yaw)]) < 0.01, "across the line of sight"


def test_ends_of_free_ground_are_a_cloud_of_their_own():
    points = rows(to_free_ground(np.array([[12.0, 3.0], [8.0, -2.0]]), HEADER, "base_footprint"))
    np.testing.assert_allclose(points, [[12, 3, MAX_LIFT, 0], [8, -2, MAX_LIFT, 0]])
    assert to_free_ground(np.zeros((0, 2)), HEADER).width == 0


def test_markers_stand_where_the_points_lie_and_have_the_obstacles_size():
    camera = geometry()
    near, far = standing(camera, 9.0, 1.0, 0.8, 0.5), standing(camera, 25.0, -2.0, 2.0, 1.2)
    array = to_markers([near, far], HEADER, camera, lifetime=1.5)
    clear, *markers = array.markers
    assert clear.action == Marker.DELETEALL
    assert all(marker.header == Header(stamp=HEADER.stamp, frame_id="base_link") for marker in array.markers)
    assert len({(marker.ns, marker.id) for marker in markers}) == len(markers) == 4
    assert all((marker.lifetime.sec, marker.lifetime.nanosec) == (1, 500_000_000) for marker in markers)
    bodies = [marker for marker in markers if marker.type == Marker.CYLINDER]
    texts = [marker for marker in markers if marker.type == Marker.TEXT_VIEW_FACING]
    for body, text, (x, y, width, height) in zip(bodies, texts, [(9, 1, 0.8, 0.5), (25, -2, 2, 1.2)], strict=True):
        assert (body.pose.position.x, body.pose.position.y) == pytest.approx((x, y), abs=0.5)
        assert body.scale.x == pytest.approx(width, rel=0.1)
        assert body.scale.z == pytest.approx(height, rel=0.15)
        assert body.pose.position.z == pytest.approx(body.scale.z / 2)
        assert text.pose.position.z > body.scale.z
        assert body.color.a > 0
        assert text.color.a > 0
    assert texts[0].text == label(near)
    assert texts[0].text.startswith("#3 9.")


def test_obstacles_without_a_position_are_left_out_and_clear_what_was_there():
    floating = Obstacle((1, 2, 3, 4), 4, 0.9, (2.0, 4.0))
    endless = Obstacle((1, 2, 3, 4), 4, 0.9, (2.0, 4.0), ground=GroundPosition((math.inf, 0.0, 0.0), 5.0, math.inf))
    for obstacles in ([], [floating], [endless]):
        assert [marker.action for marker in to_markers(obstacles, HEADER).markers] == [Marker.DELETEALL]
        assert len(rows(to_points(obstacles, HEADER))) == 0


def test_without_geometry_there_is_one_point_and_a_default_size():
    obstacle = Obstacle((1, 2, 300, 4), 4, 0.25, (2.0, 4.0), ground=GroundPosition((5.0, -1.0, -1e-17), 4.0, 6.0))
    np.testing.assert_array_equal(
        rows(to_points([obstacle], HEADER, frame="base_footprint")), np.float32([[5, -1, 0.15, 0.25]])
    )
    body = to_markers([obstacle], HEADER, frame="base_footprint").markers[1]
    assert body.header.frame_id == "base_footprint"
    assert (body.scale.x, body.scale.z) == (0.3, 0.3)


def test_a_box_as_wide_as_the_image_stays_bounded():
    camera = geometry()
    wide = Obstacle((-100_000, 0, 100_000, 600), 4, 0.9, (640.0, 600.0), ground=ground_position(camera, (640.0, 600.0)))
    assert len(rows(to_points([wide] * 50, HEADER, camera))) <= 50 * MAX_POINTS
    assert to_markers([wide], HEADER, camera).markers[1].scale.x <= 20.0


def test_the_color_runs_from_yellow_to_red():
    place = GroundPosition((5.0, 0.0, 0.0), 4.0, 6.0)
    colors = [
        to_markers([Obstacle((1, 2, 3, 4), 4, score, (2.0, 4.0), ground=place)], HEADER).markers[1].color
        for score in (0.0, 0.5, 1.0, float("nan"))
    ]
    assert [(color.r, color.g) for color in colors] == [(1, 1), (1, 0.5), (1, 0), (1, 0)]


def test_rotation_helper_agrees_with_opencv():
    """The board above is projected by hand; OpenCV's projection must agree, or these tests prove nothing."""
    camera = geometry(0.4)
    rotation = camera.rotation.T
    rvec, tvec = cv2.Rodrigues(rotation)[0], -rotation @ camera.translation
    point = np.array([[[10.0, 4.0, 0.0]]])
    expected = cv2.projectPoints(point, rvec, tvec, camera.matrix, None)[0].reshape(2)
    seen = camera.matrix @ ((point.reshape(3) - camera.translation) @ camera.rotation)
    np.testing.assert_allclose(seen[:2] / seen[2], expected, atol=1e-6)
