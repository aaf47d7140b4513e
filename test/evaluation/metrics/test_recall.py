"""Recall by distance, against objects put at known distances on a flat road."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.evaluation.metrics.components import frame_components
from oodseg_ros.evaluation.metrics.recall import CameraMount, by_distance

HEIGHT, WIDTH = 500, 1000
MOUNT = CameraMount(1.5, pitch=2.0, field_of_view=60.0)


def row_at(distance: float) -> float:
    """Image row of the road at a distance, for the mount above."""
    focal = WIDTH / 2 / math.tan(math.radians(30))
    return (HEIGHT - 1) / 2 + focal * math.tan(math.atan2(MOUNT.height, distance) - math.radians(MOUNT.pitch))


def test_near_objects_found_and_far_ones_missed() -> None:
    label, score = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.float32)
    for distance, column, found in ((8.0, 200, True), (25.0, 500, True), (26.0, 800, False)):
        foot = round(row_at(distance))
        label[foot - 30 : foot + 1, column : column + 40] = 1
        score[foot - 30 : foot + 1, column : column + 40] = float(found)
    frame = frame_components(score, label, 0.5, "anomaly")
    rows = {name: (count, found) for name, count, found, _ in by_distance([frame], [(HEIGHT, WIDTH)], MOUNT)}
    assert rows == {"0-10 m": (1, 1.0), "20-30 m": (2, 0.5)}


def test_an_object_above_the_horizon_is_far() -> None:
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[10:60, 100:160] = 1
    frame = frame_components(np.zeros(label.shape, np.float32), label, 0.5, "anomaly")
    ((name, count, found, _),) = by_distance([frame], [(HEIGHT, WIDTH)], MOUNT)
    assert (name, count, found) == ("from 100 m", 1, 0.0)


@pytest.mark.parametrize("arguments", [(0.0,), (1.5, 90.0), (1.5, 0.0, 180.0), (float("nan"),)])
def test_impossible_cameras_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="height must be positive"):
        CameraMount(*arguments)
