"""Conversions over the wire: to another process by DDS and back."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from oodseg_ros.ros.messages.images import to_frame, to_image, view

HEADER = Header(stamp=Time(sec=1_700_000_000, nanosec=999_999_999), frame_id="front_optical")


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"), [("bgr8", np.uint8, 3), ("mono8", np.uint8, 1), ("32FC1", np.float32, 1)]
)
def test_an_image_comes_back_from_another_process_bit_by_bit(echo, encoding, dtype, channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (120, 161, channels)).astype(dtype).squeeze()
    if dtype == np.float32:
        pixels[3, 4:7] = np.nan, np.inf, -0.0
    back = echo(to_image(pixels, HEADER, encoding))
    assert (back.header, back.encoding, back.height, back.width) == (HEADER, encoding, 120, 161)
    np.testing.assert_array_equal(view(back), pixels)
    if encoding == "bgr8":
        frame = to_frame(back, "front")
        np.testing.assert_array_equal(frame.image, pixels[..., ::-1])
        assert frame.stamp_ns == 1_700_000_000_999_999_999


def test_a_message_filled_again_is_sent_with_its_new_content(echo):
    first, second = np.full((50, 60), 7, np.uint8), np.full((50, 60), 9, np.uint8)
    message = to_image(first, HEADER, "mono8")
    to_image(second, HEADER, "mono8", message)
    np.testing.assert_array_equal(view(echo(message)), second)


def test_a_compressed_image_over_the_wire(echo):
    import cv2

    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, 32:] = 10, 200, 60
    data = cv2.imencode(".png", pixels)[1]
    back = echo(CompressedImage(header=HEADER, format="png", data=data.tobytes()))
    np.testing.assert_array_equal(to_frame(back, "front").image, pixels[..., ::-1])
