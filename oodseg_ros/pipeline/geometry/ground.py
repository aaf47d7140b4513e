"""Where a pixel meets the ground: a flat ground plane at z = 0 of `base_link`, seen by a calibrated camera.

The range interval says how far the truth may be off when the vehicle or its mount pitches; for a camera 1.5 m above the
road, half a degree makes 30 m an interval from 25.5 to 36.4 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ...errors import ConfigError
from ...frame import GroundPosition

MAX_RANGE = 200.0
"""Metres. Beyond it one image row spans tens of metres and a position would be invented."""

_DISTORTION_SIZES = (0, 4, 5, 8, 12, 14)
_REPROJECTION_LIMIT = 0.5
_CRITERIA = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
# Optical axes (x right, y down, z forward) in base_link axes (x forward, y left, z up), REP-103.
_OPTICAL_TO_BODY = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class CameraGeometry:
    """A calibrated camera on a vehicle.

    Attributes:
        matrix: 3x3 camera matrix K in pixels at image size.
        distortion: OpenCV's coefficients (0, 4, 5, 8, 12 or 14 of them), or its 4 fisheye ones.
        width, height: image size in pixels that K belongs to.
        rotation: 3x3, vectors of the optical frame → `base_link`.
        translation: the camera's position in `base_link`, metres.
        pitch_sigma: uncertainty of the pitch angle in radians, one standard deviation, not negative.
        fisheye: the coefficients follow OpenCV's fisheye model (ROS: `equidistant`).

    Raises:
        ConfigError: a value is not finite, has another shape, or is no rotation.
    """

    matrix: np.ndarray
    distortion: tuple[float, ...]
    width: int
    height: int
    rotation: np.ndarray
    translation: np.ndarray
    pitch_sigma: float
    fisheye: bool = False

    def __post_init__(self) -> None:
        for name, shape in (("matrix", (3, 3)), ("rotation", (3, 3)), ("translation", (3,))):
            array = np.asarray(getattr(self, name), np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise ConfigError(
                    f"camera geometry: {name} must be finite numbers of shape {shape}, got {array.tolist()}"
                )
            object.__setattr__(self, name, array)
        if self.matrix[0, 0] <= 0 or self.matrix[1, 1] <= 0:
            raise ConfigError("camera geometry: the focal lengths must be positive; is the camera calibrated?")
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(self.rotation) < 0:
            raise ConfigError("camera geometry: the rotation is no rotation matrix")
        distortion = tuple(float(value) for value in self.distortion)
        object.__setattr__(self, "distortion", distortion)
        sizes = (4,) if self.fisheye else _DISTORTION_SIZES
        if len(distortion) not in sizes or not np.isfinite(distortion).all():
            raise ConfigError(f"camera geometry: {sizes} finite distortion coefficients are needed, got {distortion}")
        if not (math.isfinite(self.pitch_sigma) and self.pitch_sigma >= 0):
            raise ConfigError(f"camera geometry: pitch_sigma must be 0 or more radians, got {self.pitch_sigma!r}")
        if self.width <= 0 or self.height <= 0:
            raise ConfigError(f"camera geometry: the image size must be positive, got {self.width}x{self.height}")


def mounted(
    matrix: np.ndarray,
    distortion: tuple[float, ...],
    width: int,
    height: int,
    mount_height: float,
    mount_pitch: float,
    pitch_sigma: float,
    x: float = 0.0,
    y: float = 0.0,
    yaw: float = 0.0,
) -> CameraGeometry:
    """Geometry of a camera that is screwed on, without TF.

    Args:
        matrix, distortion, width, height, pitch_sigma: see `CameraGeometry`.
        mount_height: metres above the ground, positive.
        mount_pitch: radians, positive looks down.
        x, y: metres forward and left of `base_link`'s origin.
        yaw: radians, positive looks left.

    Raises:
        ConfigError: a value is not finite, or the height is not positive.
    """
    if not all(math.isfinite(value) for value in (mount_height, mount_pitch, x, y, yaw)) or mount_height <= 0:
        raise ConfigError(
            f"a camera mount needs a positive height and finite angles, got {mount_height} m, {mount_pitch} rad"
        )
    cos_p, sin_p, cos_y, sin_y = math.cos(mount_pitch), math.sin(mount_pitch), math.cos(yaw), math.sin(yaw)
    pitch = np.array([[cos_p, 0.0, sin_p], [0.0, 1.0, 0.0], [-sin_p, 0.0, cos_p]])
    turn = np.array([[cos_y, -sin_y, 0.0], [sin_y, cos_y, 0.0], [0.0, 0.0, 1.0]])
    return CameraGeometry(
        matrix, distortion, width, height, turn @ pitch @ _OPTICAL_TO_BODY, np.array([x, y, mount_height]), pitch_sigma
    )


def ground_position(
    geometry: CameraGeometry, foot: tuple[float, float], max_range: float = MAX_RANGE
) -> GroundPosition | None:
    """Ground point seen at the pixel `foot` (u, v), and its interval of horizontal distance from `base_link`'s origin.

    None where the ray does not meet the ground: at or above the horizon, farther than `max_range` metres from the
    camera, camera at or below the ground, or a pixel that the distortion model cannot reach.
    """
    span = _span(geometry, foot, max_range)
    if span is None:
        return None
    heading, distance, near, far = span
    x, y = float(geometry.translation[0]), float(geometry.translation[1])
    low, high = _distances(x, y, heading, near, far)
    return GroundPosition((x + heading[0] * distance, y + heading[1] * distance, 0.0), low, high)


def ground_area(
    geometry: CameraGeometry,
    box: tuple[int, int, int, int],
    foot: tuple[float, float],
    hidden: bool = False,
    max_range: float = MAX_RANGE,
) -> np.ndarray | None:
    """Corners `[N, 2]` (x, y in `base_link`, metres) of the ground where an obstacle may stand, or None.

    Args:
        box: of the obstacle, pixels; gives its width.
        foot: its lowest point; gives its distance and the interval of it.
        hidden: the true foot is not seen, so it may be as near as the camera.
        max_range: metres at which an endless interval is cut.
    """
    if _span(geometry, foot, max_range) is None:
        return None
    columns = (float(box[0]), foot[0], float(box[2] - 1))
    spans = [span for column in columns if (span := _span(geometry, (column, foot[1]), max_range)) is not None]
    origin = geometry.translation[:2]
    nears = [origin + np.asarray(heading) * (0.0 if hidden else near) for heading, _, near, _ in spans]
    fars = [origin + np.asarray(heading) * min(far, max_range) for heading, _, _, far in spans]
    return np.array([*nears, *reversed(fars)])


def _span(
    geometry: CameraGeometry, foot: tuple[float, float], max_range: float
) -> tuple[tuple[float, float], float, float, float] | None:
    """Heading on the ground, and distance, near and far end of its interval, metres from the camera."""
    ray = _ray(geometry, foot)
    height = float(geometry.translation[2])
    if ray is None or height <= 0:
        return None
    direction = (geometry.rotation @ ray).tolist()
    flat = math.hypot(direction[0], direction[1])
    below = math.atan2(-direction[2], flat)
    if below <= 0 or height / math.tan(below) > max_range:
        return None
    heading = (direction[0] / flat, direction[1] / flat) if flat > 1e-12 else (0.0, 0.0)
    # The uncertain pitch turns the ray in its own vertical plane: the worst case for cameras that look sideways.
    near = height / math.tan(min(below + geometry.pitch_sigma, math.pi / 2))
    far = height / math.tan(below - geometry.pitch_sigma) if below > geometry.pitch_sigma else math.inf
    return heading, height / math.tan(below), near, far


def _ray(geometry: CameraGeometry, foot: tuple[float, float]) -> np.ndarray | None:
    """Direction [3] in the optical frame, z = 1; None if undistorting does not come back to the pixel."""
    pixel = np.array([[[foot[0], foot[1]]]], np.float64)
    if not np.isfinite(pixel).all():
        return None
    if not any(geometry.distortion):
        fx, fy, cx, cy = geometry.matrix[0, 0], geometry.matrix[1, 1], geometry.matrix[0, 2], geometry.matrix[1, 2]
        return np.array([(foot[0] - cx) / fx, (foot[1] - cy) / fy, 1.0])
    coefficients = np.array(geometry.distortion)
    none = np.zeros(3)
    if geometry.fisheye:
        normal = cv2.fisheye.undistortPoints(pixel, geometry.matrix, coefficients)
        back = cv2.fisheye.distortPoints(normal, geometry.matrix, coefficients)
    else:
        normal = cv2.undistortPointsIter(pixel, geometry.matrix, coefficients, None, None, _CRITERIA)
        point = np.array([[[*normal[0, 0], 1.0]]])
        back = cv2.projectPoints(point, none, none, geometry.matrix, coefficients)[0]
    if not np.isfinite(normal).all() or not np.abs(back - pixel).max() <= _REPROJECTION_LIMIT:
        return None
    return np.array([*normal[0, 0], 1.0])


def _distances(x: float, y: float, heading: tuple[float, float], near: float, far: float) -> tuple[float, float]:
    """Least and largest distance from (0, 0) of the points (x, y) + t * heading, t in near..far."""
    closest = min(max(-(x * heading[0] + y * heading[1]), near), far)
    low = math.hypot(x + closest * heading[0], y + closest * heading[1])
    if math.isinf(far):
        return low, math.inf
    return low, max(math.hypot(x + t * heading[0], y + t * heading[1]) for t in (near, far))


def pinhole(
    width: int, height: int, field_of_view: float, mount_height: float, mount_pitch: float, pitch_sigma: float = 0.01
) -> CameraGeometry:
    """Geometry of an ideal camera, for images that come without calibration.

    Args:
        width, height: image size in pixels.
        field_of_view: horizontal, radians, between 0 and pi.
        mount_height, mount_pitch: see `mounted`.
        pitch_sigma: radians.
    """
    focal = width / 2 / math.tan(field_of_view / 2)
    matrix = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return mounted(matrix, (), width, height, mount_height, mount_pitch, pitch_sigma)
