"""The pixels of a raw image message → RGB, by the fields of sensor_msgs/Image alone: for bags and for live messages.

Encodings that OpenCV converts from a view of the message take one call (two for 16 bit) and no copy in between.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..errors import ImageError
from .image_bytes import check_size


class Encoding(NamedTuple):
    """Layout of one encoding.

    Attributes:
        dtype: numpy type of one sample, in native byte order.
        channels: samples per pixel in memory.
        to_rgb: OpenCV code to RGB; None = is RGB already.
    """

    dtype: str
    channels: int
    to_rgb: int | None


# 8-bit Bayer names tell the first two rows; OpenCV's codes are named after the second row's second and third pixel.
TO_RGB: dict[str, Encoding] = {
    "rgb8": Encoding("u1", 3, None),
    "bgr8": Encoding("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding("u1", 4, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding("u1", 1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": Encoding("u1", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": Encoding("u1", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": Encoding("u1", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": Encoding("u1", 1, cv2.COLOR_BayerGB2RGB),
    "uyvy": Encoding("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": Encoding("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
}
TO_RGB["yuv422"] = TO_RGB["uyvy"]
TO_RGB["yuv422_yuy2"] = TO_RGB["yuyv"]
# 16-bit encodings: the upper 8 bits, then the way of the 8-bit sibling.
TO_RGB |= {name[:-1] + "16": layout._replace(dtype="u2") for name, layout in list(TO_RGB.items()) if name.endswith("8")}


def raw_to_rgb(msg: Any, encoding: Encoding) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`, C-contiguous. Gray is replicated, alpha is dropped; `rgb8` without padding is a view.

    Raises:
        ImageError: the message is malformed.
    """
    check_size(msg.width, msg.height)
    if encoding.to_rgb in (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2) and msg.width % 2:
        raise ImageError(f"encoding {msg.encoding} needs an even width, the message says {msg.width}")
    pixels = view_pixels(msg, encoding)
    if encoding.dtype == "u2":
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    try:
        image = pixels if encoding.to_rgb is None else cv2.cvtColor(pixels, encoding.to_rgb)
    except cv2.error as error:
        size = f"{msg.width}x{msg.height}"
        raise ImageError(
            f"a {msg.encoding} image of {size} pixels cannot be converted: {error.err or error}"
        ) from error
    return np.ascontiguousarray(image)


def view_pixels(msg: Any, encoding: Encoding) -> np.ndarray:
    """`[H, W]` or `[H, W, C]` in the encoding's type and native byte order; shares the message's memory where it can.

    Raises:
        ImageError: the step or the amount of data contradicts the size.
    """
    dtype = np.dtype(encoding.dtype)
    row_bytes = msg.width * encoding.channels * dtype.itemsize
    if msg.step < row_bytes:
        raise ImageError(
            f"step is {msg.step} bytes, but a row of {msg.width} {msg.encoding} pixels needs {row_bytes}; "
            "fix the publisher"
        )
    # The last row may come without its padding.
    needed = (msg.height - 1) * msg.step + row_bytes
    if len(msg.data) < needed:
        raise ImageError(
            f"data holds {len(msg.data)} bytes, but {msg.height} rows of step {msg.step} need {needed}; "
            "the message was cut short or its size is wrong"
        )
    shape, strides = (msg.height, msg.width), (msg.step, encoding.channels * dtype.itemsize)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    foreign = dtype.itemsize > 1 and bool(msg.is_bigendian) != (sys.byteorder == "big")
    pixels = np.ndarray(shape, dtype.newbyteorder() if foreign else dtype, buffer=msg.data, strides=strides)
    # OpenCV refuses rows at odd addresses of multi-byte samples; those are copied like foreign byte order.
    if foreign or msg.step % dtype.itemsize:
        pixels = pixels.astype(dtype)
    return pixels
