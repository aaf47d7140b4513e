"""Image messages of a bag → RGB, by the fields that sensor_msgs gives them in ROS 1 and ROS 2; needs no ROS."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..errors import ImageError
from ..image_bytes import check_size, decode_image

# encoding: (dtype, channels, OpenCV conversion to RGB; None = it is RGB).
# OpenCV names a Bayer pattern by the middle of its second row.
ENCODINGS: dict[str, tuple[str, int, int | None]] = {
    "rgb8": ("u1", 3, None),
    "bgr8": ("u1", 3, cv2.COLOR_BGR2RGB),
    "8UC3": ("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": ("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": ("u1", 4, cv2.COLOR_BGRA2RGB),
    "8UC4": ("u1", 4, cv2.COLOR_BGRA2RGB),
    "mono8": ("u1", 1, cv2.COLOR_GRAY2RGB),
    "8UC1": ("u1", 1, cv2.COLOR_GRAY2RGB),
    "mono16": ("u2", 1, cv2.COLOR_GRAY2RGB),
    "rgb16": ("u2", 3, None),
    "bgr16": ("u2", 3, cv2.COLOR_BGR2RGB),
    "rgba16": ("u2", 4, cv2.COLOR_RGBA2RGB),
    "bgra16": ("u2", 4, cv2.COLOR_BGRA2RGB),
    "yuv422": ("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": ("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": ("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": ("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
}
for _pattern, _code in (
    ("rggb", cv2.COLOR_BayerBG2RGB),
    ("bggr", cv2.COLOR_BayerRG2RGB),
    ("gbrg", cv2.COLOR_BayerGR2RGB),
    ("grbg", cv2.COLOR_BayerGB2RGB),
):
    ENCODINGS[f"bayer_{_pattern}8"] = ("u1", 1, _code)
    ENCODINGS[f"bayer_{_pattern}16"] = ("u2", 1, _code)


def message_to_rgb(message: Any) -> np.ndarray:
    """RGB uint8 `[H, W, 3]` of an Image or CompressedImage (which has `format`); 16-bit values keep their upper 8 bits.

    Raises:
        ImageError: unknown encoding, contradicting sizes, truncated or undecodable data.
    """
    if hasattr(message, "format") and not hasattr(message, "encoding"):
        return decode_image(message.data)
    return _raw(message)


def _raw(message: Any) -> np.ndarray:
    height, width, step, encoding = int(message.height), int(message.width), int(message.step), str(message.encoding)
    if encoding not in ENCODINGS:
        raise ImageError(f"image encoding {encoding!r} is not supported; known: {', '.join(ENCODINGS)}")
    check_size(width, height)
    kind, channels, conversion = ENCODINGS[encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    row = width * channels * dtype.itemsize
    data = np.asarray(message.data, np.uint8)
    if step < row:
        raise ImageError(f"image step {step} is smaller than a row of {width} {encoding} pixels ({row} bytes)")
    # The padding behind the last row may be absent.
    if data.size < step * (height - 1) + row:
        raise ImageError(f"image data is truncated: {data.size} bytes for {height} rows of {step}")
    image = np.ndarray(
        (height, width, channels), dtype, data, strides=(step, channels * dtype.itemsize, dtype.itemsize)
    )
    if channels == 1:
        image = image[..., 0]
    try:
        image = np.ascontiguousarray(image.astype(dtype.newbyteorder("="), copy=False))
        image = image.copy() if conversion is None else cv2.cvtColor(image, conversion)
    except cv2.error as error:
        raise ImageError(f"an image of {width}x{height} cannot be converted from {encoding}: {error.err}") from error
    return (image >> 8).astype(np.uint8) if image.dtype != np.uint8 else image
