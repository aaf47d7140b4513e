"""CameraInfo to geometry: scaling, region of interest, and everything that must be refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from oodseg_ros.errors import ConfigError
from oodseg_ros.pipeline.geometry.camera_info import from_camera_info, is_rectified, to_lens
from oodseg_ros.pipeline.geometry.ground import ground_position

LEVEL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # optical frame of a level camera → base_link


def camera_info(**fields) -> CameraInfo:
    info = CameraInfo(width=1920, height=1080, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [1000.0, 0.0, 959.5, 0.0, 1000.0, 539.5, 0.0, 0.0, 1.0]
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def k(**changes: float) -> list[float]:
    values = {"fx": 1000.0, "s": 0.0, "cx": 959.5, "z": 0.0, "fy": 1000.0, "cy": 539.5, "a": 0.0, "b": 0.0, "one": 1.0}
    return list({**values, **changes}.values())


def test_a_pixel_45_degrees_down_lands_as_far_away_as_the_camera_is_high():
    geometry = from_camera_info(camera_info(), 1920, 1080, LEVEL, np.array([2.0, 0.5, 1.2]), 0.01)
    ground = ground_position(geometry, (959.5, 539.5 + 1000.0))
    np.testing.assert_allclose(ground.position, (3.2, 0.5, 0.0), atol=1e-9)
    assert ground.range_min < np.hypot(3.2, 0.5) < ground.range_max


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_a_binned_image_sees_the_same_ground(factor):
    translation = np.array([0.0, 0.0, 1.5])
    full = from_camera_info(camera_info(), 1920, 1080, LEVEL, translation, 0.01)
    small = from_camera_info(camera_info(), 1920 // factor, 1080 // factor, LEVEL, translation, 0.01)
    assert (small.width, small.height) == (1920 // factor, 1080 // factor)
    # The block of pixels u*factor .. u*factor + factor - 1 is centered on u*factor + (factor - 1) / 2.
    u, v = 100, 130
    middle = ((u + 0.5) * factor - 0.5, (v + 0.5) * factor - 0.5)
    seen, expected = ground_position(small, (u, v)), ground_position(full, middle)
    assert (seen is None) == (expected is None)
    if seen is not None:
        np.testing.assert_allclose(seen.position, expected.position, rtol=1e-9)


def test_binning_and_region_of_interest_of_the_message_are_honoured():
    roi = RegionOfInterest(x_offset=320, y_offset=180, width=1280, height=720)
    lens = to_lens(camera_info(roi=roi, binning_x=2, binning_y=2), 640, 360)
    np.testing.assert_allclose(lens.matrix, [[500, 0, (640 / 2) - 0.5], [0, 500, 180 - 0.5], [0, 0, 1]])
    with pytest.raises(ConfigError, match="describes images of 640x360 pixels, but the image has 1280x720"):
        to_lens(camera_info(roi=roi, binning_x=2, binning_y=2), 1280, 720)


@pytest.mark.parametrize("size", [(1280, 720), (960, 1080), (3840, 2160), (1920, 1079), (1440, 1080), (1, 1)])
def test_another_image_size_that_is_no_binning_is_refused(size):
    with pytest.raises(ConfigError, match=r"no whole fraction of it; publish the camera_info that belongs"):
        to_lens(camera_info(), *size)


@pytest.mark.parametrize(
    ("model", "coefficients", "fisheye"),
    [
        ("plumb_bob", (-0.3, 0.1, 0.001, 0.002, 0.0), False),
        ("plumb_bob", (-0.3, 0.1, 0.001, 0.002), False),
        ("rational_polynomial", (0.1,) * 8, False),
        ("equidistant", (0.1, 0.01, 0.0, 0.0), True),
    ],
)
def test_distortion_models(model, coefficients, fisheye):
    lens = to_lens(camera_info(distortion_model=model, d=list(coefficients)), 1920, 1080)
    assert (lens.distortion, lens.fisheye) == (coefficients, fisheye)


def test_all_zero_distortion_needs_no_model():
    assert to_lens(camera_info(distortion_model="", d=[]), 1920, 1080).distortion == ()
    assert to_lens(camera_info(distortion_model="whatever", d=[0.0] * 7), 1920, 1080).distortion == ()


NAN, INF = float("nan"), float("inf")
BAD = {
    "NaN focal length": (camera_info(k=k(fx=NAN)), "K holds values that are not numbers: nan"),
    "infinite center": (camera_info(k=k(cy=INF)), "not numbers"),
    "NaN distortion": (camera_info(d=[NAN] * 5), "distortion D holds values that are not numbers"),
    "uncalibrated": (camera_info(k=[0.0] * 9), "not calibrated"),
    "no focal length": (camera_info(k=k(fy=0.0)), "not calibrated"),
    "negative focal length": (camera_info(k=k(fx=-1000.0)), "focal lengths are negative"),
    "last row": (camera_info(k=k(one=0.0)), "last row"),
    "lower triangle": (camera_info(k=k(z=3.0)), "upper triangular"),
    "center outside": (camera_info(k=k(cx=2500.0)), "optical axis lies outside the 1920x1080 image"),
    "unequal focal lengths": (camera_info(k=k(fx=5000.0)), "differ by more than a factor of 2"),
    "normalized focal lengths": (camera_info(k=k(fx=0.6, fy=0.6)), "a focal length of 0.6 pixels cannot belong"),
    "absurd focal lengths": (camera_info(k=k(fx=1e300, fy=1e300)), r"a focal length of 1e\+300 pixels cannot belong"),
    "no size": (camera_info(width=0), "no image size"),
    "region outside": (camera_info(roi=RegionOfInterest(x_offset=1000, width=1000, height=10)), "region of interest"),
    "unknown model": (camera_info(distortion_model="fov", d=[0.9]), "'fov' is unknown; known: plumb_bob"),
    "wrong count": (camera_info(d=[0.1] * 3), "plumb_bob has 4 or 5 coefficients, D holds 3"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_calibration_that_does_not_add_up_is_refused_with_a_sentence(name):
    info, text = BAD[name]
    with pytest.raises(ConfigError, match=text) as caught:
        from_camera_info(info, 1920, 1080, LEVEL, np.zeros(3), 0.01)
    assert str(caught.value).startswith("camera_info")


DOUBLES = st.floats(allow_nan=True, allow_infinity=True)
UINTS = st.integers(0, 2**32 - 1) | st.integers(0, 4000)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(DOUBLES, min_size=9, max_size=9),
    st.lists(DOUBLES, max_size=15),
    st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", ""]),
    st.tuples(*[UINTS] * 8),
    st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
)
def test_any_camera_info_gives_a_lens_or_a_config_error(matrix, distortion, model, numbers, size):
    info = CameraInfo(width=numbers[0], height=numbers[1], binning_x=numbers[2], binning_y=numbers[3])
    info.roi = RegionOfInterest(x_offset=numbers[4], y_offset=numbers[5], width=numbers[6], height=numbers[7])
    info.k, info.d, info.distortion_model = matrix, distortion, model
    try:
        lens = to_lens(info, *size)
    except ConfigError:
        return
    assert np.isfinite(lens.matrix).all()
    assert (lens.width, lens.height) == size


RAW_K = np.array([[700.0, 0, 640], [0, 700, 360], [0, 0, 1]])
RAW_D = np.array([-0.32, 0.11, 0, 0, -0.018])


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.01, -0.02, 0.005)], ids=["one camera", "of a stereo pair"])
def test_raw_and_rectified_pictures_of_one_camera_info_lead_to_the_same_places(turn):
    """What image_proc leaves: image_rect by P and R beside the camera_info of image_raw. Off by meters with K and D."""
    size = (1280, 720)
    rotation = cv2.Rodrigues(np.array(turn))[0]
    p, _ = cv2.getOptimalNewCameraMatrix(RAW_K, RAW_D, size, 0)
    info = CameraInfo(width=1280, height=720, distortion_model="plumb_bob", d=RAW_D.tolist())
    info.k, info.r = RAW_K.ravel().tolist(), rotation.ravel().tolist()
    info.p = np.hstack([p, [[-70.0], [0], [0]]]).ravel().tolist()
    mount = np.array([0.0, 0.0, 1.5])
    raw = from_camera_info(info, *size, LEVEL, mount, 0.01)
    rectified = from_camera_info(info, *size, LEVEL, mount, 0.01, rectified=True)
    for x, y in ((8, 0), (15, 2), (30, 0), (30, 6)):
        seen = LEVEL.T @ (np.array([x, y, 0.0]) - mount)
        in_raw = cv2.projectPoints(seen[None], np.zeros(3), np.zeros(3), RAW_K, RAW_D)[0].ravel()
        in_rect = p @ (rotation @ seen)
        in_rect = in_rect[:2] / in_rect[2]
        for geometry, pixel in ((raw, in_raw), (rectified, in_rect)):
            np.testing.assert_allclose(ground_position(geometry, tuple(pixel)).position, (x, y, 0), atol=0.02)
    wrong = ground_position(raw, tuple((p @ (LEVEL.T @ np.array([30.0, 6, -1.5])) / 30)[:2]))
    assert wrong is None or abs(wrong.position[0] - 30) > 0.5, "what this is about"


def test_a_rectified_picture_of_half_the_size_and_a_part_of_it():
    info = camera_info(p=[900.0, 0, 950, 0, 0, 910, 530, 0, 0, 0, 1, 0], r=[0.0] * 9, d=[0.1] * 5)
    lens = to_lens(info, 960, 540, rectified=True)
    assert (lens.matrix[0, 0], lens.matrix[1, 1], lens.distortion, lens.turn) == (450, 455, (), None)
    info.roi = RegionOfInterest(x_offset=100, y_offset=200, width=640, height=480)
    assert to_lens(info, 640, 480, rectified=True).matrix[0, 2] == 850


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "has no P"),
        ({"k": [0.0] * 9}, "not calibrated"),
        ({"p": [float("nan")] * 12}, "P holds values that are not numbers"),
        ({"p": [900.0, 0, 950, 0, 0, 910, 530, 0, 0, 0, 1, 0], "r": [1.0] * 9}, "R is no rotation matrix"),
        ({"p": [-900.0, 0, 950, 0, 0, 910, 530, 0, 0, 0, 1, 0]}, "focal lengths are negative; P ="),
    ],
)
def test_a_camera_info_that_no_rectified_picture_can_follow_is_refused(fields, sentence):
    with pytest.raises(ConfigError, match=sentence):
        to_lens(camera_info(**fields), 1920, 1080, rectified=True)


@pytest.mark.parametrize(
    ("topic", "named"),
    [
        ("/front/image_raw", False),
        ("/front/image_rect", True),
        ("/front/image_rect_color", True),
        ("/front/image_rect/compressed", True),
        ("/zed/left/rgb/image_rect_color", True),
        ("/front/rectified/image", True),
        ("/rect/image", True),
        ("/direct/image_raw", False),
        ("/rectangle/image_raw", False),
        ("/correct_image", False),
    ],
)
def test_which_topics_are_rectified_by_name(topic, named):
    assert is_rectified("front", "auto", topic) is named
    assert is_rectified("front", "rectified", topic) is True
    if named:
        with pytest.raises(ConfigError, match=r"front\.rectification is raw, but the pictures of /"):
            is_rectified("front", "raw", topic)
    else:
        assert is_rectified("front", "raw", topic) is False
