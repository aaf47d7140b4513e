from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.errors import ImageError
from oodseg_ros.ros.messages.alert import to_stamp
from oodseg_ros.ros.messages.images import to_frame
from oodseg_ros.ros.tools.faults.catalog import CAMERA, MESSAGE
from oodseg_ros.ros.tools.faults.messages import CHANGES, PICTURES, SIZES, camera_info, compressed, good, image
from oodseg_ros.ros.tools.faults.script import VICTIM

SIZE = SIZES["front"]


@pytest.mark.parametrize("kind", PICTURES)
def test_every_picture_is_one_and_only_a_frozen_one_repeats(kind: str) -> None:
    first, second = (PICTURES[kind](index, SIZE) for index in (1, 2))
    assert first.dtype == np.uint8
    assert first.ndim == 3
    if kind == "changing":
        assert first.shape != second.shape
    else:
        assert np.array_equal(first, second) == (kind == "frozen")
    np.testing.assert_array_equal(first, PICTURES[kind](1, SIZE))


def test_the_faults_are_what_they_are_called() -> None:
    good = PICTURES["good"](0, SIZE)
    assert good.shape == (*SIZE, 3)
    assert 20 < good.mean() < 235
    assert PICTURES["black"](0, SIZE).max() <= 2
    assert np.median(PICTURES["over_exposed"](0, SIZE)) == 255
    assert PICTURES["blocked"](0, SIZE)[SIZE[0] // 2 :].std() < 1
    edges = [np.abs(np.diff(PICTURES[kind](0, SIZE).astype(int), axis=1)).mean() for kind in ("good", "blurred")]
    assert edges[1] < 0.4 * edges[0]


pytest.importorskip("rclpy")


PICTURE = good(0, SIZES["front"])


def test_good_messages_hold_the_picture() -> None:
    frame = to_frame(image(PICTURE, to_stamp(5)), "front")
    np.testing.assert_array_equal(frame.image, PICTURE[..., ::-1])
    assert frame.stamp_ns == 5
    assert to_frame(compressed(PICTURE, to_stamp(5)), "side").image.shape == PICTURE.shape


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_breaks_what_it_says(name: str) -> None:
    victims = {script.name: script.victim for script in (*CAMERA, *MESSAGE)}
    make = image if victims.get(name, VICTIM) == VICTIM else compressed
    message = make(PICTURE, to_stamp(5))
    CHANGES[name](message, 1)
    if name == "mono":
        assert to_frame(message, "front").image.shape == PICTURE.shape
    elif name == "empty_header":
        assert to_frame(message, "front").stamp_ns == 0
    elif name == "jpeg_flipped":
        # Some flips are survived by a JPEG: it has no checksum. Most are not.
        assert message.data != make(PICTURE, to_stamp(5)).data
    else:
        with pytest.raises(ImageError):
            to_frame(message, "front")


def test_camera_infos() -> None:
    assert camera_info((240, 320), to_stamp(1), "").width == 320
    assert camera_info((240, 320), to_stamp(1), "shape").height == 480
    assert np.isnan(camera_info((240, 320), to_stamp(1), "nan").k[0])
    assert camera_info((240, 320), to_stamp(1), "absurd").k[0] == 1e300
