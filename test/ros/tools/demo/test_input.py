from __future__ import annotations

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import UserError
from oodseg_ros.ros.tools.demo.input import MIN_AREA, open_input
from oodseg_ros.scenes import drive


def test_a_drive_comes_with_its_truth():
    given = open_input("scenes:3", 3)
    assert given.count == 3
    assert given.size == (960, 540)
    frames = list(given.frames)
    assert [frame.camera for frame in frames] == ["front"] * 3
    scenes = list(drive(3, 3))
    assert [frame.stamp_ns for frame in frames] == [scene.stamp_ns for scene in scenes] == list(given.truth)
    for scene in scenes:
        large = [obstacle.distance_m for obstacle in scene.obstacles if obstacle.area >= MIN_AREA]
        assert given.truth[scene.stamp_ns].count == len(large)
        assert given.truth[scene.stamp_ns].nearest_m == min(large, default=None)
    info = given.info(frames[0])
    assert np.allclose(np.reshape(info.k, (3, 3)), scenes[0].matrix)
    assert (info.width, info.height) == given.size
    assert given.parameters["mount.height"] == scenes[0].mount_height


def test_a_folder_is_played_without_truth(tmp_path):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((40, 60, 3), index, np.uint8))
    given = open_input(str(tmp_path), 3)
    assert (given.kind, given.count, given.size) == ("folder", 3, (60, 40))
    assert [int(frame.image[0, 0, 0]) for frame in given.frames] == [0, 1, 2]
    assert given.truth == {}


@pytest.mark.parametrize("path", ["scenes:x", "scenes:12345678901", "/nowhere/at/all.mcap"])
def test_wrong_inputs(path):
    with pytest.raises(UserError):
        open_input(path, None)
