"""Geometry of one camera, frame by frame: calibration from camera_info, pose from TF or from the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ...errors import ConfigError
from ...frame import Frame
from ...parameters.settings import CameraSettings, Mount
from .camera_info import CameraInfo, Lens, content, from_camera_info, to_lens, turned
from .ground import CameraGeometry, mounted
from .transforms import Pose


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
            self._report("camera_info", f"no camera_info for {frame.camera!r}, so its obstacles have no position")
            return None
        try:
            return self._make(frame, info)
        except ConfigError as error:
            self._report("camera_info", f"camera {frame.camera}: obstacles have no position: {error}")
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
                self._report("tf", f"camera {frame.camera}: obstacles have no position: {problem}{advice}")
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
