"""camera_info that contradicts the image: positions would be wrong without any other sign."""

from __future__ import annotations

from ..fault import Fault
from ..reasons import CAMERA_INFO
from .image_statistics import ImageStatistics
from .settings import InputGateSettings


class CameraInfoCheck:
    """Stateless; at once. What contradicts what is found where the calibration is read."""

    def __init__(self, settings: InputGateSettings) -> None:
        pass

    def __call__(self, statistics: ImageStatistics) -> Fault | None:
        return Fault(CAMERA_INFO, statistics.calibration) if statistics.calibration else None
