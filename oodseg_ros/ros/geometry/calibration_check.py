"""Whether camera_info belongs to the images of its camera, as a sentence for the input gate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CameraInfo

from ...errors import ConfigError
from ...frame import Frame
from .camera_geometry import to_lens
from .geometry_source import content


class CalibrationCheck:
    """Frame → how camera_info contradicts it; empty = it does not, or there is none, or nobody wants positions.

    A camera that says it is not calibrated (K is zero) contradicts nothing under `geometry: auto`; where `tf` or
    `mount` promise positions it does.

    Args:
        geometry: the camera's parameter.
        info: newest CameraInfo of the camera, or None.
    """

    def __init__(self, geometry: str, info: Callable[[], CameraInfo | None]) -> None:
        self._geometry = geometry
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
            to_lens(info, frame.image.shape[1], frame.image.shape[0])
        except ConfigError as error:
            return str(error)
        return ""
