"""A network whose score is the red channel, for pictures that say what they are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from oodseg_ros.errors import ImageError
from oodseg_ros.frame import Frame, Prediction
from oodseg_ros.model_card import Calibration
from oodseg_ros.parameters.params_file import settings_for
from oodseg_ros.parameters.settings import Settings
from oodseg_ros.pipeline.step import Arrival

CALIBRATION = Calibration(threshold=100.0, table=[(0.0, 0.0), (255.0, 1.0)], source="a test")
SECOND = 1_000_000_000
BAD = 66
"""Pixel value that makes the engine fail."""


class PixelRunner:
    """Answers the pixel values; records what it was asked. `hold` lets the compiler wait."""

    def __init__(self, warm: Sequence[tuple[int, int, int]] = ()) -> None:
        self.batches: list[int] = []
        self.warmed: list[tuple[int, int, int]] = list(warm)
        self.hold = threading.Event()
        self.hold.set()
        self.compiling = threading.Event()
        self.broken = False
        self.pays = True

    def batch_pays(self, height: int, width: int, batch: int) -> bool:
        return self.pays

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool:
        return (height, width, batch) in self.warmed

    def warm(self, height: int, width: int, batch: int = 1) -> None:
        if height < 4:
            raise ImageError("too small")
        self.compiling.set()
        assert self.hold.wait(60)
        self.warmed.append((height, width, batch))

    def __call__(self, images: Sequence[Any]) -> list[Prediction]:
        self.batches.append(len(images))
        if self.broken or any((image == BAD).any() for image in images):
            raise RuntimeError("device error")
        return [Prediction(image[..., 1], image[..., 0].astype(np.float32), "test") for image in images]


def plain_settings(cameras: Sequence[str] = ("front", "left", "rear"), **changes: Any) -> Settings:
    """No gates, one pixel is an obstacle, and one frame decides, unless said otherwise."""
    easy = {f"obstacles__{name}": 1 for name in ("min_area", "trigger_hits", "trigger_window", "release_frames")}
    given = {**easy, "health__input": [], "health__output": [], "max_age": 0.0, **changes}
    return settings_for({name.replace("__", "."): value for name, value in given.items()}, cameras)[0]


def picture(camera: str, value: int = 1, stamp: int = 1, size: tuple[int, int] = (8, 8)) -> Arrival:
    image = np.full((*size, 3), value, np.uint8)
    return Arrival(camera, stamp, lambda: Frame(image, stamp, camera))


def unreadable(camera: str, stamp: int = 1) -> Arrival:
    def decode() -> Frame:
        raise ImageError("no picture")

    return Arrival(camera, stamp, decode)


@pytest.fixture
def runner() -> PixelRunner:
    return PixelRunner()
