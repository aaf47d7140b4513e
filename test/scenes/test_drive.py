"""Scenes hold what they claim: exact labels, honest distances, the same bytes for the same seed."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
from oodseg_ros.labels import load_labels
from oodseg_ros.pipeline.geometry.ground import ground_position, mounted
from oodseg_ros.scenes import EPOCH_NS, drive, scene

SIZE = (180, 320)


@pytest.fixture(scope="module")
def scenes():
    return [scene(seed, SIZE) for seed in range(16)]


def test_ground_truth_is_consistent(scenes):
    classes = len(load_labels("driving11"))
    for one in scenes:
        assert one.image.shape == (*SIZE, 3)
        assert one.image.dtype == one.labels.dtype == one.anomaly.dtype == np.uint8
        assert set(np.unique(one.labels)) <= {*range(classes), 255}
        assert set(np.unique(one.anomaly)) <= {0, 1, 255}
        # A pixel has a class exactly where it is no unknown and no void.
        assert ((one.labels == 255) == (one.anomaly != 0)).all()


def test_obstacles_are_where_their_boxes_say(scenes):
    for one in scenes:
        left = one.anomaly == 1
        assert sum(obstacle.area for obstacle in one.obstacles) == left.sum()
        for obstacle in one.obstacles:
            x0, y0, x1, y1 = obstacle.box
            assert 0 <= x0 < x1 <= SIZE[1]
            assert 0 <= y0 < y1 <= SIZE[0]
            inside = one.anomaly[y0:y1, x0:x1] == 1
            assert inside.sum() >= obstacle.area
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()
            left[y0:y1, x0:x1] = False
        assert not left.any()
        assert [o.distance_m for o in one.obstacles] == sorted(o.distance_m for o in one.obstacles)


def test_all_classes_and_kinds_of_scene_occur(scenes):
    seen = set(np.concatenate([np.unique(one.labels) for one in scenes])) - {255}
    assert seen == set(range(11))
    assert len({obstacle.kind for one in scenes for obstacle in one.obstacles}) >= 8
    assert any(not one.obstacles for one in scenes)
    brightness = [one.image.mean() for one in scenes]
    assert max(brightness) > 1.5 * min(brightness)


def test_distance_agrees_with_ground_projection():
    checked = 0
    for seed in range(13):
        one = scene(seed, (270, 480))
        # The vehicle's own yaw in the scene turns its axes, not the distance.
        geometry = mounted(one.matrix, (), 480, 270, one.mount_height, one.mount_pitch, 0.0)
        for obstacle in one.obstacles:
            position = ground_position(geometry, obstacle.foot)
            assert np.hypot(*position.position[:2]) == pytest.approx(obstacle.distance_m, rel=1e-6)
            x0, y0, x1, y1 = obstacle.box
            solid = obstacle.area > 0.4 * (x1 - x0) * (y1 - y0)
            if not solid or x0 == 0 or x1 == 480 or y1 == 270:
                continue  # cut by the image's edge or seen through: its lowest pixel need not be its foot
            below = one.labels[min(y1, 269), (x0 + x1) // 2]
            if below not in (3, 4):
                continue  # something stands in front of it
            near, far = (ground_position(geometry, ((x0 + x1 - 1) / 2, y1 - 1 + d)) for d in (1.5, -1.5))
            low = np.hypot(*near.position[:2])
            high = np.hypot(*far.position[:2]) if far else np.inf
            assert low <= obstacle.distance_m <= high, (seed, obstacle)
            checked += 1
    assert checked > 10


def test_same_seed_same_bytes():
    for first, second in ((scene(7, SIZE), scene(7, SIZE)), *zip(drive(3, 3, SIZE), drive(3, 3, SIZE), strict=True)):
        assert first.image.tobytes() == second.image.tobytes()
        assert first.labels.tobytes() == second.labels.tobytes()
        assert first.obstacles == second.obstacles
    assert scene(7, SIZE).image.tobytes() != scene(8, SIZE).image.tobytes()


@pytest.fixture(scope="module")
def frames():
    return list(drive(1, 120, SIZE))


def test_drive_goes_from_clear_over_obstacle_to_clear(frames):
    present = np.array([bool(frame.obstacles) for frame in frames])
    first, last = np.flatnonzero(present)[[0, -1]]
    assert first >= 15
    assert present[first : last + 1].mean() > 0.8
    assert last - first >= 20
    assert last < 115
    assert not (frames[-1].anomaly == 1).any()
    assert [frame.stamp_ns for frame in frames[:3]] == [EPOCH_NS, EPOCH_NS + 100_000_000, EPOCH_NS + 200_000_000]


def test_drive_is_coherent(frames):
    nearest = [frame.obstacles[0].distance_m for frame in frames if frame.obstacles]
    assert np.median(-np.diff(nearest)) == pytest.approx(1.2, abs=0.1)  # 12 m/s at 10 Hz
    for first, second in pairwise(frames):
        assert (first.labels == second.labels).mean() > 0.7
        assert first.mount_height == second.mount_height
        assert (first.matrix == second.matrix).all()


def test_short_drive_still_meets_something():
    frames = list(drive(11, 30, SIZE))
    assert not (frames[0].anomaly == 1).any()
    assert any(frame.obstacles for frame in frames)


def test_cutouts_are_used_as_given():
    cutout = np.zeros((60, 90, 4), np.uint8)
    cv2.ellipse(cutout, (45, 30), (30, 20), 0, 0, 360, (10, 240, 30, 255), -1)
    found = [one for one in (scene(seed, SIZE, [cutout]) for seed in range(8)) if one.obstacles]
    assert found
    for one in found:
        assert {obstacle.kind for obstacle in one.obstacles} == {"cutout"}
        pixels = one.image[one.anomaly == 1].mean(0)
        assert pixels[1] > pixels[0] + 15
        assert pixels[1] > pixels[2] + 15


def test_bad_cutouts_are_refused():
    for picture in (np.zeros((20, 20, 4), np.uint8), np.full((20, 20, 3), 255, np.uint8)):
        with pytest.raises(DatasetError, match="cut-out 0"):
            scene(0, SIZE, [picture])
