"""Ground positions: exact round trips for random cameras, and everything that must have no position."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oodseg_ros.errors import ConfigError
from oodseg_ros.pipeline.geometry.ground import MAX_RANGE, CameraGeometry, ground_position, mounted, pinhole

K = np.array([[1000.0, 0.0, 960.0], [0.0, 1000.0, 540.0], [0.0, 0.0, 1.0]])
MILD = (-0.3, 0.1, 0.001, -0.0005, -0.01)


def project(geometry: CameraGeometry, point: np.ndarray) -> tuple[float, float] | None:
    """Pixel of a point in base_link; None behind the camera."""
    optical = geometry.rotation.T @ (point - geometry.translation)
    if optical[2] < 0.1:
        return None
    coefficients = np.array(geometry.distortion) if geometry.distortion else np.zeros(4)
    if geometry.fisheye:
        pixel = cv2.fisheye.projectPoints(optical[None, None], np.zeros(3), np.zeros(3), geometry.matrix, coefficients)[
            0
        ]
    else:
        pixel = cv2.projectPoints(optical[None], np.zeros(3), np.zeros(3), geometry.matrix, coefficients)[0]
    return tuple(pixel.reshape(2))


finite = {"allow_nan": False, "allow_infinity": False}
geometries = st.builds(
    lambda distortion, height, pitch, sigma, x, y, yaw: mounted(
        K, distortion, 1920, 1080, height, pitch, sigma, x, y, yaw
    ),
    distortion=st.sampled_from([(), (0.0,) * 5, MILD, (-0.2, 0.05, 0.0, 0.0)]),
    height=st.floats(0.3, 4.0, **finite),
    pitch=st.floats(-0.2, 0.8, **finite),
    sigma=st.floats(0.0, 0.05, **finite),
    x=st.floats(-3.0, 3.0, **finite),
    y=st.floats(-2.0, 2.0, **finite),
    yaw=st.floats(-math.pi, math.pi, **finite),
)


@given(geometries, st.floats(0.0, 1919.0, **finite), st.floats(0.0, 1079.0, **finite))
def test_position_projects_back_to_its_pixel(geometry, u, v):
    position = ground_position(geometry, (u, v))
    assume(position is not None)
    assert position.position[2] == 0.0
    pixel = project(geometry, np.array(position.position))
    assert pixel == pytest.approx((u, v), abs=0.5 if any(geometry.distortion) else 1e-3)
    distance = math.hypot(*position.position[:2])
    assert 0.0 <= position.range_min <= distance + 1e-6
    assert position.range_max >= distance - 1e-6


@given(geometries, st.floats(2.0, 150.0, **finite), st.floats(-0.6, 0.6, **finite))
def test_known_ground_point_is_recovered(geometry, distance, bearing):
    forward = math.atan2(geometry.rotation[1, 2], geometry.rotation[0, 2])
    point = geometry.translation + distance * np.array([math.cos(forward + bearing), math.sin(forward + bearing), 0.0])
    point[2] = 0.0
    pixel = project(geometry, point)
    assume(pixel is not None and 0 <= pixel[0] < 1920 and 0 <= pixel[1] < 1080)
    found = ground_position(geometry, pixel)
    assert found is not None
    np.testing.assert_allclose(found.position, point, atol=1e-4 * distance**2)


def test_flat_camera_has_the_textbook_range():
    geometry = mounted(K, (), 1920, 1080, 1.5, 0.0, math.radians(0.5))
    position = ground_position(geometry, (960.0, 590.0))
    assert position.position == pytest.approx((30.0, 0.0, 0.0))
    assert (position.range_min, position.range_max) == pytest.approx((25.5, 36.4), abs=0.1)


def test_axes_follow_rep_103():
    geometry = mounted(K, (), 1920, 1080, 1.5, 0.2, 0.0)
    assert ground_position(geometry, (1200.0, 800.0)).position[1] < 0  # right in the image is -y
    left_camera = mounted(K, (), 1920, 1080, 1.5, 0.2, 0.0, x=1.0, y=0.5, yaw=math.pi / 2)
    x, y, _ = ground_position(left_camera, (960.0, 540.0)).position
    assert x == pytest.approx(1.0)
    assert y > 0.5


def test_nothing_at_or_above_the_horizon():
    level = mounted(K, (), 1920, 1080, 1.5, 0.0, 0.01)
    assert ground_position(level, (960.0, 540.0)) is None
    assert ground_position(level, (960.0, 200.0)) is None
    assert ground_position(level, (100.0, 539.0)) is None


def test_nothing_beyond_the_stated_range():
    level = mounted(K, (), 1920, 1080, 1.5, 0.0, 0.0)
    near_row = 540.0 + 1000.0 * 1.5 / (MAX_RANGE - 1)
    far_row = 540.0 + 1000.0 * 1.5 / (MAX_RANGE + 1)
    assert ground_position(level, (960.0, near_row)).position[0] == pytest.approx(MAX_RANGE - 1)
    assert ground_position(level, (960.0, far_row)) is None
    assert ground_position(level, (960.0, near_row), max_range=50.0) is None


def test_upper_ray_above_the_horizon_makes_the_range_open():
    geometry = mounted(K, (), 1920, 1080, 1.5, 0.0, 0.02)
    position = ground_position(geometry, (960.0, 550.0))
    assert position.range_max == math.inf
    assert 0 < position.range_min < 150.0


def test_camera_that_looks_straight_down():
    geometry = mounted(K, (), 1920, 1080, 2.0, math.pi / 2, 0.01, x=1.0)
    position = ground_position(geometry, (960.0, 540.0))
    assert position.position == pytest.approx((1.0, 0.0, 0.0), abs=1e-9)


def test_range_is_measured_from_base_link_even_behind_a_mast():
    # A camera ahead of base_link that looks back: its ground points run through base_link's origin.
    geometry = mounted(K, (), 1920, 1080, 2.0, 0.5, 0.4, x=4.0, yaw=math.pi)
    position = ground_position(geometry, (960.0, 540.0))
    assert position.range_min == pytest.approx(0.0, abs=1e-6)
    assert position.range_max > abs(position.position[0])


def test_camera_below_ground_sees_no_ground():
    down = mounted(K, (), 1920, 1080, 1.0, 0.3, 0.0)
    buried = CameraGeometry(K, (), 1920, 1080, down.rotation, np.array([0.0, 0.0, -1.0]), 0.0)
    assert ground_position(buried, (960.0, 900.0)) is None


def test_fisheye_round_trip():
    down = mounted(K, (), 1920, 1080, 1.2, 0.4, 0.01)
    matrix = np.array([[500.0, 0.0, 960.0], [0.0, 500.0, 540.0], [0.0, 0.0, 1.0]])
    fisheye = CameraGeometry(
        matrix, (0.02, -0.01, 0.002, 0.0), 1920, 1080, down.rotation, down.translation, 0.01, fisheye=True
    )
    point = np.array([3.0, 2.0, 0.0])
    found = ground_position(fisheye, project(fisheye, point))
    np.testing.assert_allclose(found.position, point, atol=1e-2)


def test_pixel_outside_the_distortion_models_reach_has_no_position():
    # r(1 - 0.5 r^2) has its maximum 0.544 at r = 0.816: a pixel at 0.9 is the image of no ray at all.
    geometry = mounted(K, (-0.5, 0.0, 0.0, 0.0), 1920, 1080, 1.5, 0.5, 0.0)
    assert ground_position(geometry, (960.0 + 900.0, 540.0)) is None


@pytest.mark.parametrize("foot", [(math.nan, 3.0), (3.0, math.inf)])
def test_foot_that_is_no_number(foot):
    assert ground_position(mounted(K, MILD, 1920, 1080, 1.5, 0.5, 0.0), foot) is None


def test_pinhole_sees_its_field_of_view():
    geometry = pinhole(640, 480, math.radians(90), 1.0, 0.1)
    left = geometry.rotation @ np.array([-(geometry.matrix[0, 2] + 0.5) / geometry.matrix[0, 0], 0.0, 1.0])
    assert math.degrees(math.atan2(left[1], left[0] / math.cos(0.1))) == pytest.approx(45.0, abs=0.1)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"matrix": np.full((3, 3), np.nan)}, "matrix"),
        ({"matrix": np.zeros((3, 3))}, "focal"),
        ({"matrix": np.eye(4)}, "matrix"),
        ({"rotation": 2 * np.eye(3)}, "rotation"),
        ({"rotation": np.diag([1.0, 1.0, -1.0])}, "rotation"),
        ({"translation": np.array([0.0, np.inf, 1.0])}, "translation"),
        ({"distortion": (0.1, 0.2)}, "distortion"),
        ({"distortion": (0.1, math.nan, 0.0, 0.0)}, "distortion"),
        ({"pitch_sigma": -0.1}, "pitch_sigma"),
        ({"width": 0}, "size"),
        ({"distortion": (0.0,) * 5, "fisheye": True}, "distortion"),
    ],
)
def test_impossible_geometry_is_refused(change, word):
    values = {
        "matrix": K,
        "distortion": (),
        "width": 1920,
        "height": 1080,
        "rotation": np.eye(3),
        "translation": np.array([0.0, 0.0, 1.0]),
        "pitch_sigma": 0.0,
    }
    with pytest.raises(ConfigError, match=word):
        CameraGeometry(**(values | change))


@pytest.mark.parametrize("height", [0.0, -1.0, math.nan])
def test_mount_without_height_is_refused(height):
    with pytest.raises(ConfigError, match="height"):
        mounted(K, (), 1920, 1080, height, 0.0, 0.0)
