"""What both live messages and bags rely on; every encoding is tested in datasets/test_message_images.py."""

from types import SimpleNamespace

import numpy as np
import pytest

from oodseg_ros.errors import ImageError
from oodseg_ros.sources.raw_image import TO_RGB, raw_to_rgb, view_pixels

H, W = 4, 6


def message(encoding: str, step: int, data: np.ndarray, big: int = 0) -> SimpleNamespace:
    return SimpleNamespace(height=H, width=W, encoding=encoding, step=step, data=data, is_bigendian=big)


def test_rgb_without_padding_is_not_copied():
    data = np.arange(H * W * 3, dtype=np.uint8)
    image = raw_to_rgb(message("rgb8", W * 3, data), TO_RGB["rgb8"])
    assert np.shares_memory(image, data)
    np.testing.assert_array_equal(image.reshape(-1), data)


def test_padded_rows_are_left_out():
    rows = np.arange(H * (W * 3 + 5), dtype=np.uint8).reshape(H, -1)
    image = raw_to_rgb(message("rgb8", W * 3 + 5, rows.reshape(-1)), TO_RGB["rgb8"])
    np.testing.assert_array_equal(image, rows[:, : W * 3].reshape(H, W, 3))


@pytest.mark.parametrize(("big", "order"), [(0, "<u2"), (1, ">u2")])
def test_views_are_in_native_byte_order(big, order):
    values = np.arange(H * W, dtype=np.uint16).reshape(H, W) * 999
    data = values.astype(order).reshape(-1).view(np.uint8)
    pixels = view_pixels(message("mono16", W * 2, data, big), TO_RGB["mono16"])
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, values)


def test_odd_step_of_wide_samples():
    rows = np.zeros((H, W * 2 + 1), np.uint8)
    rows[:, : W * 2] = np.full((H, W), 0x8000, "<u2").view(np.uint8)
    assert (raw_to_rgb(message("mono16", W * 2 + 1, rows.reshape(-1)), TO_RGB["mono16"]) == 128).all()


def test_yuv_needs_an_even_width():
    odd = message("uyvy", 14, np.zeros(H * 14, np.uint8))
    odd.width = 7
    with pytest.raises(ImageError, match="even width"):
        raw_to_rgb(odd, TO_RGB["uyvy"])
