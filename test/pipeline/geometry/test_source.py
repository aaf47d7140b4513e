"""Which geometry a camera gets: TF, the static mount, or none with a reason."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from oodseg_ros.frame import Frame
from oodseg_ros.parameters.settings import CameraSettings, Mount
from oodseg_ros.pipeline.geometry.camera_info import to_lens
from oodseg_ros.pipeline.geometry.ground import ground_position
from oodseg_ros.pipeline.geometry.source import GeometrySource, from_mount
from oodseg_ros.ros.node.vehicle import Pose

MOUNT = Mount(height=1.2, pitch=0.1, yaw=0.0, x=2.0, y=0.5, pitch_sigma=0.01)
BY_TF = Pose(np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.array([0.0, 0.0, 3.0]))
FRAME = Frame(np.zeros((72, 128, 3), np.uint8), 5_000_000_000, "front", "front_optical")


def camera_info(focal: float = 100.0) -> CameraInfo:
    info = CameraInfo(header=Header(frame_id="from_info"), width=128, height=72, distortion_model="plumb_bob")
    info.k = [focal, 0.0, 63.5, 0.0, focal, 35.5, 0.0, 0.0, 1.0]
    return info


class Tree:
    """Poses by frame, as `Transforms` answers them."""

    def __init__(self, **poses: Pose):
        self.poses = poses
        self.asked: list[tuple[str, int]] = []
        self.problem = ""

    def lookup(self, frame_id: str, stamp_ns: int) -> Pose | None:
        self.asked.append((frame_id, stamp_ns))
        self.problem = "" if frame_id in self.poses else f"no transform from {frame_id!r}"
        return self.poses.get(frame_id)


def source(geometry: str, info: CameraInfo | None, tree: Tree | None = None):
    """A source and the list of its reports."""
    reports: list[tuple[str, str]] = []
    camera = CameraSettings("front", "raw", 0, "", geometry, MOUNT)
    return GeometrySource(camera, lambda: info, lambda: tree, lambda *report: reports.append(report)), reports


def test_auto_takes_tf_at_the_images_frame_and_stamp():
    tree = Tree(front_optical=BY_TF)
    make, reports = source("auto", camera_info(), tree)
    geometry = make(FRAME)
    np.testing.assert_array_equal(geometry.translation, [0, 0, 3])
    assert geometry.pitch_sigma == MOUNT.pitch_sigma
    assert tree.asked == [("front_optical", 5_000_000_000)]
    assert reports == []


def test_an_image_without_frame_id_uses_that_of_camera_info():
    tree = Tree(from_info=BY_TF)
    make, _ = source("tf", camera_info(), tree)
    assert make(Frame(FRAME.image, 1, "front", "")) is not None
    assert tree.asked == [("from_info", 1)]


@pytest.mark.parametrize("tree", [None, Tree()])
def test_auto_falls_back_to_the_mount_and_says_so(tree):
    make, reports = source("auto", camera_info(), tree)
    np.testing.assert_array_equal(make(FRAME).translation, [2.0, 0.5, 1.2])
    ((kind, text),) = reports
    assert kind == "tf"
    assert "taking mount.* (1.2 m, 0.1 rad)" in text
    assert ("tf2_ros is not installed" if tree is None else "no transform from 'front_optical'") in text


def test_tf_alone_has_no_fallback():
    make, reports = source("tf", camera_info(), Tree())
    assert make(FRAME) is None
    assert "camera front: obstacles have no position: no transform" in reports[0][1]


def test_mount_never_asks_tf_and_none_asks_nobody():
    tree = Tree(front_optical=BY_TF)
    make, reports = source("mount", camera_info(), tree)
    np.testing.assert_array_equal(make(FRAME).translation, [2.0, 0.5, 1.2])
    make, silent = source("none", None, tree)
    assert make(FRAME) is None
    assert tree.asked == reports == silent == []


def test_no_or_a_bad_calibration_is_reported_and_gives_no_geometry():
    make, reports = source("mount", None)
    assert make(FRAME) is None
    assert reports == [("camera_info", "no camera_info for 'front', so its obstacles have no position")]
    make, reports = source("mount", camera_info(math.nan))
    assert make(FRAME) is None
    assert "values that are not numbers" in reports[0][1]


def test_an_unchanged_geometry_is_kept_and_a_changed_one_made_anew():
    infos = [camera_info(), camera_info(), camera_info(200.0), camera_info(200.0)]
    tree = Tree(front_optical=BY_TF)
    camera = CameraSettings("front", "raw", 0, "", "auto", MOUNT)
    make = GeometrySource(camera, lambda: infos[0], lambda: tree, lambda *_: None)
    first = make(FRAME)
    infos.pop(0)
    assert make(FRAME) is first, "an equal message is no change"
    infos.pop(0)
    second = make(FRAME)
    assert second.matrix[0, 0] == 200
    tree.poses["front_optical"] = Pose(BY_TF.rotation, np.array([0.0, 0.0, 2.0]))
    assert make(FRAME).translation[2] == 2
    half = make(Frame(FRAME.image[::2, ::2], FRAME.stamp_ns, "front", "front_optical"))
    assert (half.width, half.height, half.matrix[0, 0]) == (64, 36, 100)


def test_a_fisheye_calibration_stays_one_on_a_mount():
    info = camera_info()
    info.distortion_model, info.d = "equidistant", [0.05, 0.01, 0.0, 0.0]
    geometry = from_mount(to_lens(info, 128, 72), MOUNT)
    assert geometry.fisheye
    plain = from_mount(to_lens(camera_info(), 128, 72), MOUNT)
    # Straight below the center both agree on the direction, but a fisheye squeezes: the same pixel is nearer.
    near, far = ground_position(geometry, (63.5, 71.0)), ground_position(plain, (63.5, 71.0))
    assert near.position[1] == pytest.approx(far.position[1])
    assert near.position[0] < far.position[0]


@pytest.mark.parametrize("tree", [None, Tree()])
def test_auto_invents_no_position_for_a_camera_of_which_nobody_said_where_it_sits(tree):
    reports: list[tuple[str, str]] = []
    # The pitch's uncertainty alone is no pose.
    camera = CameraSettings("front", geometry="auto", mount=Mount(pitch_sigma=0.02))
    make = GeometrySource(camera, camera_info, lambda: tree, lambda *report: reports.append(report))
    assert make(FRAME) is None
    ((kind, text),) = reports
    assert kind == "tf"
    assert "obstacles have no position" in text
    assert "publish its TF or set its mount.*" in text
    told = GeometrySource(CameraSettings("front", geometry="mount"), camera_info, lambda: tree, lambda *_: None)
    assert told(FRAME) is not None, "whoever says mount means its numbers, also the default ones"


def test_a_transform_that_is_late_is_no_reason_to_believe_in_another_pose():
    tree = Tree(front_optical=BY_TF)
    make, reports = source("auto", camera_info(), tree)
    assert make(FRAME).translation[2] == 3
    del tree.poses["front_optical"]
    assert make(FRAME) is None, "the mount is another pose"
    assert "obstacles have no position: no transform" in reports[-1][1]
    tree.poses["front_optical"] = BY_TF
    assert make(FRAME).translation[2] == 3


def test_a_rectified_picture_is_measured_with_p_in_every_geometry():
    info = camera_info()
    info.p = [80.0, 0.0, 60.0, 0.0, 0.0, 82.0, 30.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    for geometry in ("mount", "tf", "auto"):
        camera = CameraSettings("front", geometry=geometry, mount=MOUNT)
        tree = partial(lambda known: known, Tree(front_optical=BY_TF))
        made = GeometrySource(camera, lambda: info, tree, lambda *_: None, rectified=True)(FRAME)
        assert (made.matrix[0, 0], made.matrix[1, 2], made.distortion) == (80, 30, ())
        made = GeometrySource(camera, lambda: info, tree, lambda *_: None)(FRAME)
        assert (made.matrix[0, 0], made.distortion) == (100, (-0.3, 0.1, 0.0, 0.0, 0.0))
