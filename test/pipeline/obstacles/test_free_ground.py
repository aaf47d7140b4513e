"""Lines of free ground: they end before what is in the way, and nothing unseen is called free."""

from __future__ import annotations

import math

import numpy as np
import pytest

from oodseg_ros.frame import Prediction
from oodseg_ros.labels import load_labels
from oodseg_ros.pipeline.geometry.ground import ground_position, mounted
from oodseg_ros.pipeline.obstacles.free_ground import MAX_CLEAR, free_ground, ground_ids

LABELS = load_labels("driving11")
ROAD, SKY, VEHICLE = (LABELS.names.index(name) for name in ("road", "sky", "vehicle"))
WIDTH, HEIGHT = 320, 240
CAMERA = mounted(np.array([[200.0, 0, 159.5], [0, 200.0, 119.5], [0, 0, 1]]), (), WIDTH, HEIGHT, 1.5, 0.05, 0.01)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, score, mask of a road under a sky, the horizon where it belongs."""
    labels = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    labels[111:] = ROAD
    return labels, np.zeros((HEIGHT, WIDTH), np.float32), np.zeros((HEIGHT, WIDTH), np.uint8)


def lines(labels: np.ndarray, score: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return free_ground(Prediction(labels, score, "x"), mask, CAMERA, ground_ids(LABELS))


def at(x: int, y: int) -> float:
    """Near end of the ground distance seen at a pixel."""
    return ground_position(CAMERA, (x, y)).range_min


def test_an_open_road_is_free_far_ahead_in_all_strips() -> None:
    ends = lines(*scene())
    distances = np.hypot(*ends.T)
    assert distances.max() <= MAX_CLEAR
    assert distances.min() > 15
    assert (ends[:, 0] > 0).all()
    turns = np.diff(np.unwrap(np.arctan2(ends[:, 1], ends[:, 0])))
    assert (np.abs(turns) * distances[1:]).max() < 0.06, "no costmap cell between two lines"
    field = math.degrees(2 * math.atan(160 / 200))
    assert math.degrees(-turns.sum()) == pytest.approx(field, abs=2), "the whole view"


@pytest.mark.parametrize("kind", ["anomalous", "not judged", "other class"])
def test_a_line_ends_before_what_is_in_the_way(kind: str) -> None:
    labels, score, mask = scene()
    where = (slice(150, 170), slice(100, 220))
    if kind == "anomalous":
        mask[where] = 255
    elif kind == "not judged":
        score[where] = np.nan
    else:
        labels[where] = VEHICLE
    ends = lines(labels, score, mask)
    angles = np.degrees(np.arctan2(ends[:, 1], ends[:, 0]))
    middle = ends[np.abs(angles) < 10, 0]
    assert middle.max() <= at(160, 170) + 0.01, "not beyond its foot"
    assert middle.min() > 0.8 * at(160, 170)
    assert np.hypot(*ends[np.abs(angles) > 25].T).min() > 15, "beside it the road is free"


def test_a_single_pixel_between_two_columns_is_not_passed() -> None:
    labels, score, mask = scene()
    mask[180, 161] = 255
    ends = lines(labels, score, mask)
    assert ends[:, 0].min() <= at(160, 181) + 0.01


def test_the_own_hood_is_no_obstacle_and_a_strip_that_begins_with_one_is_not_free() -> None:
    labels, score, mask = scene()
    score[200:] = np.nan
    assert (lines(labels, score, mask)[:, 1] > 5).any()
    labels[190:, :160] = VEHICLE
    ends = lines(labels, score, mask)
    assert len(ends)
    assert (ends[:, 1] < 0.05).all(), "the left half of the image shows nothing of the ground"


def test_nothing_is_free_without_ground_classes_or_above_the_horizon() -> None:
    labels, score, mask = scene()
    none = free_ground(Prediction(labels, score, "x"), mask, CAMERA, np.zeros(256, bool))
    assert none.shape == (0, 2)
    up = mounted(CAMERA.matrix, (), WIDTH, HEIGHT, 1.5, -1.0, 0.01)
    labels[:] = ROAD
    assert len(free_ground(Prediction(labels, score, "x"), mask, up, ground_ids(LABELS))) == 0


@pytest.mark.parametrize("name", ["driving11", "camvid11", "cityscapes19", "streethazards13", "ade20k"])
def test_every_shipped_label_set_has_ground(name: str) -> None:
    labels = load_labels(name)
    ids = np.flatnonzero(ground_ids(labels))
    assert "road" in {labels.names[index] for index in ids}
    assert not {"car", "vehicle", "person", "sky", "building"} & {labels.names[index] for index in ids}
