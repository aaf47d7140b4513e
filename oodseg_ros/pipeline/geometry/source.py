"""Geometry of one camera, frame by frame: calibration from camera_info, pose from TF (live, or a bag's static
transforms) or from the parameters. Needs no ROS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...errors import ConfigError
from ...frame import Frame
from ...parameters.settings import CameraSettings, Mount
from .camera_info import CameraInfo, Lens, content, from_camera_info, to_lens, turned
from .ground import CameraGeometry, mounted

NO_POSITION = "have no position"
"""In every sentence on obstacles without one."""


class Pose(NamedTuple):
    """Pose of a camera: rotation `[3, 3]` optical frame → base frame, translation `[3]` in the base frame, metres."""

    rotation: np.ndarray
    translation: np.ndarray


def to_pose(transform: Any) -> Pose:
    """Rotation matrix and vector of a geometry_msgs/Transform.

    Raises:
        ConfigError: a value is not finite, or the quaternion is not of unit length.
    """
    rotation, shift = transform.rotation, transform.translation
    x, y, z, w = quaternion = (rotation.x, rotation.y, rotation.z, rotation.w)
    length = math.sqrt(sum(value * value for value in quaternion))
    translation = np.array([shift.x, shift.y, shift.z])
    if not np.isfinite(translation).all() or not abs(length - 1) < 1e-2:
        raise ConfigError(f"the transform is broken: quaternion {quaternion}, translation {translation.tolist()}")
    x, y, z, w = (value / length for value in quaternion)
    matrix = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return Pose(np.array(matrix), translation)


class StaticTransforms:
    """The tree of /tf_static, filled message by message; a `PoseSource` without ROS.

    Transforms that move (/tf) are not in it: a camera behind such a joint has no pose here.

    Attributes:
        problem: why the last lookup had no answer; empty when it had one.

    Args:
        base_frame: the vehicle's frame, origin on the ground.
    """

    def __init__(self, base_frame: str) -> None:
        self.problem = ""
        self._base = base_frame.lstrip("/")
        self._parents: dict[str, tuple[str, Pose]] = {}

    def add(self, message: Any) -> None:
        """A tf2_msgs/TFMessage; of two transforms for one frame the later one counts.

        Raises:
            ConfigError: a transform is broken.
        """
        for stamped in message.transforms:
            child, parent = stamped.child_frame_id.lstrip("/"), stamped.header.frame_id.lstrip("/")
            self._parents[child] = parent, to_pose(stamped.transform)

    def lookup(self, frame_id: str, stamp_ns: int) -> Pose | None:
        """Pose of a frame on the vehicle, at any time; None if the tree does not hold it, the reason in `problem`."""
        camera, base = self._to_root(frame_id.lstrip("/")), self._to_root(self._base)
        shared = next((frame for frame in camera if frame in base), None)
        if shared is None:
            self.problem = f"/tf_static holds no way from {frame_id!r} to {self._base!r}"
            return None
        self.problem = ""
        seen, vehicle = camera[shared], base[shared]
        inverse = vehicle.rotation.T
        return Pose(inverse @ seen.rotation, inverse @ (seen.translation - vehicle.translation))

    def _to_root(self, frame: str) -> dict[str, Pose]:
        """Pose of `frame` in itself, its parent, and so on."""
        pose = Pose(np.eye(3), np.zeros(3))
        found = {frame: pose}
        while (above := self._parents.get(frame)) is not None and above[0] not in found:
            frame, step = above
            pose = Pose(step.rotation @ pose.rotation, step.rotation @ pose.translation + step.translation)
            found[frame] = pose
        return found


class PoseSource(Protocol):
    """Where a frame_id sits on the vehicle; `problem` says why the last lookup had no answer."""

    problem: str

    def lookup(self, frame_id: str, stamp_ns: int) -> Pose | None: ...


class GeometrySource:
    """Frame → geometry, or None where positions would be invented; each reason is reported once.

    Args:
        camera: settings; `geometry` is auto (TF, else mount), tf, mount or none.
        info: newest CameraInfo of the camera, or None.
        transforms: TF, or None where tf2_ros is not installed.
        report: called with (kind, sentence) when there is no geometry, and when `auto` has to take the mount.
        rectified: the pictures follow P of camera_info.
    """

    def __init__(
        self,
        camera: CameraSettings,
        info: Callable[[], CameraInfo | None],
        poses: Callable[[], PoseSource | None],
        report: Callable[[str, str], None],
        rectified: bool = False,
    ) -> None:
        self._camera = camera
        self._info = info
        self._poses = poses
        self._report = report
        self._rectified = rectified
        self._tf_knew = False
        self._newest: tuple[tuple, CameraGeometry] | None = None

    def __call__(self, frame: Frame) -> CameraGeometry | None:
        """Geometry at the frame's size and time. Called for every judged frame, so an unchanged one is kept."""
        if self._camera.geometry == "none":
            return None
        info = self._info()
        if info is None:
            self._report("camera_info", f"no camera_info for {frame.camera!r}, so its obstacles {NO_POSITION}")
            return None
        try:
            return self._make(frame, info)
        except ConfigError as error:
            self._report("camera_info", f"camera {frame.camera}: obstacles {NO_POSITION}: {error}")
            return None

    def _make(self, frame: Frame, info: CameraInfo) -> CameraGeometry | None:
        height, width = frame.image.shape[:2]
        mount = self._camera.mount
        pose = None
        if self._camera.geometry != "mount":
            pose, problem = self._by_transforms(frame, info)
            self._tf_knew |= pose is not None
            # A transform that is late is no reason to believe in another pose, and the defaults are nobody's camera.
            if pose is None and (self._camera.geometry == "tf" or self._tf_knew or not mount.given):
                advice = "" if self._tf_knew or self._camera.geometry == "tf" else "; publish its TF or set its mount.*"
                self._report("tf", f"camera {frame.camera}: obstacles {NO_POSITION}: {problem}{advice}")
                return None
            if pose is None:
                self._report(
                    "tf",
                    f"camera {frame.camera}: {problem}; taking mount.* ({mount.height} m, {mount.pitch} rad)",
                )
        # A driver publishes an equal CameraInfo with every image, so identity of the message says nothing.
        where = None if pose is None else (pose.rotation.tobytes(), pose.translation.tobytes())
        key = (width, height, content(info), where)
        if self._newest is None or self._newest[0] != key:
            if pose is None:
                geometry = from_mount(to_lens(info, width, height, self._rectified), mount)
            else:
                size = (info, width, height)
                geometry = from_camera_info(*size, pose.rotation, pose.translation, mount.pitch_sigma, self._rectified)
            self._newest = (key, geometry)
        return self._newest[1]

    def _by_transforms(self, frame: Frame, info: CameraInfo) -> tuple[Pose | None, str]:
        if (poses := self._poses()) is None:
            return None, "tf2_ros is not installed"
        frame_id = frame.frame_id or info.header.frame_id
        if not frame_id:
            return None, "neither image nor camera_info names its frame_id"
        pose = poses.lookup(frame_id, frame.stamp_ns)
        return pose, poses.problem


def from_mount(lens: Lens, mount: Mount) -> CameraGeometry:
    """Geometry of a camera that sits where the parameters say.

    Raises:
        ConfigError: see `ground.mounted`.
    """
    size = (lens.width, lens.height, mount.height, mount.pitch, mount.pitch_sigma)
    geometry = mounted(lens.matrix, lens.distortion, *size, x=mount.x, y=mount.y, yaw=mount.yaw)
    return replace(geometry, fisheye=lens.fisheye, rotation=turned(geometry.rotation, lens))
