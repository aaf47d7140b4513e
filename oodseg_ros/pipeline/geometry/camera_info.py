"""sensor_msgs/CameraInfo and the camera's pose → CameraGeometry at the size of the image that is judged.

A wrong calibration puts obstacles in wrong places without any other sign, so what does not add up is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...errors import ConfigError
from ...frame import Frame
from .ground import CameraGeometry

CameraInfo = Any
"""Anything with the fields of sensor_msgs/CameraInfo of ROS 2: a message of rclpy, or one read from a bag."""

# distortion_model of sensor_msgs/distortion_models.hpp → (numbers of coefficients, OpenCV's fisheye model)
_MODELS = {
    "plumb_bob": ((0, 4, 5), False),
    "rational_polynomial": ((0, 8, 12, 14), False),
    "equidistant": ((0, 4), True),
}
_MIN_FOCAL = 0.05
"""Least focal length as a part of the image's width: below it the field of view would exceed 168 degrees (pinhole)."""
_MAX_FOCAL = 100.0
"""And the largest one: a field of view of half a degree."""
_RECTIFIED = re.compile(r"(^|[/_])rect(ified)?([/_]|$)")


class Lens(NamedTuple):
    """Calibration of a camera at one image size.

    Attributes:
        matrix: `[3, 3]` in pixels: K, or of a rectified picture the left part of P.
        distortion: OpenCV's coefficients; none of a rectified picture.
        width, height: of the image.
        fisheye: the coefficients are of OpenCV's fisheye model.
        turn: `[3, 3]` camera → rectified camera; None = the same.
    """

    matrix: np.ndarray
    distortion: tuple[float, ...]
    width: int
    height: int
    fisheye: bool = False
    turn: np.ndarray | None = None


def is_rectified(camera: str, rectification: str, topic: str) -> bool:
    """Whether the pictures of a topic follow P of camera_info instead of K and D.

    Args:
        camera: its name, for the sentence.
        rectification: the camera's parameter: auto, raw or rectified.
        topic: of its pictures, as remapped; `image_rect`, `image_rect_color` and the like are rectified.

    Raises:
        ConfigError: the parameter says raw, the topic's name says rectified.
    """
    named = _RECTIFIED.search(topic.lower()) is not None
    if rectification == "raw" and named:
        raise ConfigError(
            f"parameter {camera}.rectification is raw, but the pictures of {topic} are rectified by its name; take the "
            "camera's image_raw, or set rectified (positions would be wrong by meters)"
        )
    return named if rectification == "auto" else rectification == "rectified"


def from_camera_info(
    info: CameraInfo,
    width: int,
    height: int,
    rotation: np.ndarray,
    translation: np.ndarray,
    pitch_sigma: float,
    rectified: bool = False,
) -> CameraGeometry:
    """Geometry of a camera for images of `width` x `height` pixels.

    Args:
        info: its calibration; binning and region of interest are honoured.
        width, height: of the image.
        rotation: 3x3, optical frame → `base_link`.
        translation: position of the camera in `base_link`, metres.
        pitch_sigma: uncertainty of the pitch angle, radians.
        rectified: the picture follows P, see `to_lens`.

    Raises:
        ConfigError: the calibration is missing, not finite, contradicts itself, or belongs to another image size.
    """
    lens = to_lens(info, width, height, rectified)
    rotation = turned(rotation, lens)
    return CameraGeometry(
        lens.matrix, lens.distortion, width, height, rotation, translation, pitch_sigma, fisheye=lens.fisheye
    )


def turned(rotation: np.ndarray, lens: Lens) -> np.ndarray:
    """Rotation `[3, 3]` of the camera that took the picture: a stereo camera's rectified one is turned a little."""
    return rotation if lens.turn is None else rotation @ lens.turn.T


def to_lens(info: CameraInfo, width: int, height: int, rectified: bool = False) -> Lens:
    """The calibration in `info`, moved and scaled to an image of `width` x `height` pixels.

    Args:
        info: of the camera, as published beside `image_raw` and `image_rect` alike.
        width, height: of the image.
        rectified: of a rectified picture: P and R without D, which is K and D of the raw one.

    Raises:
        ConfigError: see `from_camera_info`.
    """
    name = "P" if rectified else "K"
    matrix = np.array(info.p, np.float64).reshape(3, 4)[:, :3] if rectified else np.array(info.k, float).reshape(3, 3)
    distortion, fisheye = ((), False) if rectified else _distortion(info)
    _check(info, matrix, name)
    turn = _turn(info) if rectified else None
    binning_x, binning_y = max(info.binning_x, 1), max(info.binning_y, 1)
    roi = info.roi
    seen_width, seen_height = (roi.width or info.width) // binning_x, (roi.height or info.height) // binning_y
    factor = _extra_binning(seen_width, seen_height, width, height)
    if factor is None:
        raise ConfigError(
            f"camera_info describes images of {seen_width}x{seen_height} pixels, but the image has {width}x{height}, "
            "which is no whole fraction of it; publish the camera_info that belongs to this image topic"
        )
    matrix[0, 2] -= roi.x_offset
    matrix[1, 2] -= roi.y_offset
    for row, bins in ((0, binning_x * factor), (1, binning_y * factor)):
        # Pixel centers have whole coordinates, so the corner of the image, not its first center, is the fixed point.
        matrix[row, row] /= bins
        matrix[row, 1 - row] /= bins
        matrix[row, 2] = (matrix[row, 2] + 0.5) / bins - 0.5
    return Lens(matrix, distortion, width, height, fisheye, turn)


def _turn(info: CameraInfo) -> np.ndarray | None:
    """R where it turns anything; drivers leave it at zero."""
    turn = np.array(info.r, np.float64).reshape(3, 3)
    if not turn.any() or np.array_equal(turn, np.eye(3)):
        return None
    if not np.isfinite(turn).all() or not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.linalg.det(turn) < 0:
        raise ConfigError(f"camera_info contradicts itself: R is no rotation matrix; R = {_numbers(turn)}")
    return turn


def _check(info: CameraInfo, matrix: np.ndarray, name: str) -> None:
    if info.width == 0 or info.height == 0:
        raise ConfigError(
            "camera_info has no image size (width or height is 0); calibrate the camera or fix its driver"
        )
    if not np.isfinite(matrix).all():
        raise ConfigError(f"camera_info's {name} holds values that are not numbers: {_numbers(matrix)}")
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    if not matrix.any() or fx == 0 or fy == 0:
        if name == "P" and any(info.k):
            raise ConfigError(
                "camera_info has no P (it is zero), which a rectified picture follows; calibrate the camera, or set "
                "its rectification to raw if the picture is"
            )
        raise ConfigError(f"camera_info says that the camera is not calibrated ({name} is zero); calibrate it")
    wrong = None
    if fx < 0 or fy < 0:
        wrong = "the focal lengths are negative"
    elif list(matrix[2]) != [0, 0, 1] or matrix[1, 0] != 0:
        wrong = "its last row is not 0, 0, 1, or it is no upper triangular matrix"
    elif not (0 <= cx <= info.width and 0 <= cy <= info.height):
        wrong = f"the optical axis lies outside the {info.width}x{info.height} image"
    elif not 0.5 <= fx / fy <= 2:
        wrong = "the two focal lengths differ by more than a factor of 2"
    elif not _MIN_FOCAL * info.width <= fx <= _MAX_FOCAL * info.width:
        wrong = f"a focal length of {fx:g} pixels cannot belong to an image {info.width} pixels wide"
    if wrong:
        raise ConfigError(f"camera_info contradicts itself: {wrong}; {name} = {_numbers(matrix)}")
    roi = info.roi
    if roi.x_offset + roi.width > info.width or roi.y_offset + roi.height > info.height:
        raise ConfigError(
            f"camera_info contradicts itself: its region of interest ({roi.width}x{roi.height} at {roi.x_offset}, "
            f"{roi.y_offset}) leaves the {info.width}x{info.height} image"
        )


def _distortion(info: CameraInfo) -> tuple[tuple[float, ...], bool]:
    values = tuple(float(value) for value in info.d)
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"camera_info's distortion D holds values that are not numbers: {values}")
    if not any(values):
        return (), False
    if info.distortion_model not in _MODELS:
        known = ", ".join(_MODELS)
        raise ConfigError(f"camera_info's distortion model {info.distortion_model[:64]!r} is unknown; known: {known}")
    counts, fisheye = _MODELS[info.distortion_model]
    if len(values) not in counts:
        wanted = " or ".join(map(str, counts[1:]))
        raise ConfigError(
            f"camera_info's distortion model {info.distortion_model} has {wanted} coefficients, D holds {len(values)}"
        )
    return values, fisheye


def _extra_binning(seen_width: int, seen_height: int, width: int, height: int) -> int | None:
    """Whole factor by which the image is smaller than described (1 = equal); odd last columns or rows may be lost."""
    for factor in range(1, 17):
        if (seen_width // factor, seen_height // factor) == (width, height):
            return factor
    return None


def _numbers(matrix: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in matrix.reshape(-1))


def content(info: CameraInfo) -> tuple:
    """The fields that decide the geometry, to be compared: a driver sends an equal calibration with every image."""
    roi = info.roi
    numbers = (
        info.width,
        info.height,
        info.binning_x,
        info.binning_y,
        roi.x_offset,
        roi.y_offset,
        roi.width,
        roi.height,
    )
    return (*numbers, info.distortion_model, *(np.asarray(part).tobytes() for part in (info.k, info.d, info.p, info.r)))


class CalibrationCheck:
    """Frame → how camera_info contradicts it; empty = it does not, or there is none, or nobody wants positions.

    A camera that says it is not calibrated (K is zero) contradicts nothing under `geometry: auto`; where `tf` or
    `mount` promise positions it does.

    Args:
        geometry: the camera's parameter.
        info: newest CameraInfo of the camera, or None.
        rectified: the pictures follow P.
    """

    def __init__(self, geometry: str, info: Callable[[], CameraInfo | None], rectified: bool = False) -> None:
        self._geometry = geometry
        self._rectified = rectified
        self._info = info
        self._newest: tuple[tuple, str] | None = None

    def __call__(self, frame: Frame) -> str:
        if self._geometry == "none" or (info := self._info()) is None:
            return ""
        key = (*content(info), frame.image.shape)
        if self._newest is None or self._newest[0] != key:
            self._newest = key, self._problem(info, frame)
        return self._newest[1]

    def _problem(self, info: CameraInfo, frame: Frame) -> str:
        if self._geometry == "auto" and not np.any(info.k):
            return ""
        try:
            to_lens(info, frame.image.shape[1], frame.image.shape[0], self._rectified)
        except ConfigError as error:
            return str(error)
        return ""
