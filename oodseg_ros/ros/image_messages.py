"""sensor_msgs/Image and CompressedImage → Frame, and arrays → sensor_msgs/Image.

Encodings that OpenCV converts from a view of the message take one call (two for 16 bit) and no copy in between. The
rest goes through cv_bridge, which is imported on first need only.
"""

from __future__ import annotations

import array
import sys
from typing import Any, NamedTuple

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from ..errors import ImageError
from ..frame import Frame
from ..image_bytes import check_size, decode_image
from .cv_bridge_images import through_cv_bridge
from .stamps import to_ns


class _Encoding(NamedTuple):
    dtype: str  # numpy type of one sample, in native byte order
    channels: int  # samples per pixel in memory
    to_rgb: int | None  # OpenCV code to RGB uint8; None = is RGB already


# 8-bit Bayer names tell the first two rows; OpenCV's codes are named after the second row's second and third pixel.
_TO_RGB: dict[str, _Encoding] = {
    "rgb8": _Encoding("u1", 3, None),
    "bgr8": _Encoding("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": _Encoding("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": _Encoding("u1", 4, cv2.COLOR_BGRA2RGB),
    "mono8": _Encoding("u1", 1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": _Encoding("u1", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": _Encoding("u1", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": _Encoding("u1", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": _Encoding("u1", 1, cv2.COLOR_BayerGB2RGB),
    "uyvy": _Encoding("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": _Encoding("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
}
_TO_RGB["yuv422"] = _TO_RGB["uyvy"]
_TO_RGB["yuv422_yuy2"] = _TO_RGB["yuyv"]
# 16-bit encodings: the upper 8 bits, then the way of the 8-bit sibling.
_TO_RGB |= {
    name[:-1] + "16": encoding._replace(dtype="u2") for name, encoding in list(_TO_RGB.items()) if name.endswith("8")
}
_VIEW_ONLY = {"32FC1": _Encoding("f4", 1, None), "8UC1": _TO_RGB["mono8"]}

_OUTPUTS = {"mono8": ("u1", 1), "bgr8": ("u1", 3), "rgb8": ("u1", 3), "32FC1": ("f4", 1)}


def to_frame(msg: Image | CompressedImage, camera: str) -> Frame:
    """Turn a camera message into a frame; the header's stamp and frame_id are kept.

    An `rgb8` image without row padding shares the message's memory; everything else is a fresh array.

    Raises:
        ImageError: the message is malformed or its encoding holds no camera picture; the text starts with the camera.
    """
    try:
        image = decode_image(msg.data) if isinstance(msg, CompressedImage) else to_rgb(msg)
    except ImageError as error:
        raise ImageError(f"camera {camera}: {error}") from error
    return Frame(image, to_ns(msg.header.stamp), camera, msg.header.frame_id)


def to_rgb(msg: Image) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`, C-contiguous, of a raw camera image. Grey is replicated, alpha is dropped.

    Raises:
        ImageError: see `to_frame`.
    """
    check_size(msg.width, msg.height)
    if msg.encoding == "32FC1":
        raise ImageError(
            "encoding 32FC1 holds measurements such as depth or anomaly scores, not a picture; "
            "remap image_raw to the camera's color or mono topic"
        )
    encoding = _TO_RGB.get(msg.encoding)
    if encoding is None:
        return through_cv_bridge(msg)
    if encoding.to_rgb in (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2) and msg.width % 2:
        raise ImageError(f"encoding {msg.encoding} needs an even width, the message says {msg.width}")
    pixels = _view(msg, encoding)
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


def view(msg: Image) -> np.ndarray:
    """The message's pixels without conversion: `[H, W]` or `[H, W, C]` in the encoding's type, native byte order.

    Shares memory with the message (rows may be strided) except for 16- and 32-bit samples in foreign byte order.

    Raises:
        ImageError: malformed message, or an encoding without a fixed pixel layout known here.
    """
    check_size(msg.width, msg.height)
    encoding = _TO_RGB.get(msg.encoding) or _VIEW_ONLY.get(msg.encoding)
    if encoding is None:
        known = ", ".join(sorted({*_TO_RGB, *_VIEW_ONLY}))
        raise ImageError(f"encoding {msg.encoding!r} cannot be viewed as an array; known: {known}")
    return _view(msg, encoding)


def _view(msg: Image, encoding: _Encoding) -> np.ndarray:
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


def to_image(pixels: np.ndarray, header: Any, encoding: str, msg: Image | None = None) -> Image:
    """Fill a sensor_msgs/Image.

    Args:
        pixels: `mono8` uint8 `[H, W]`, `32FC1` float32 `[H, W]`, `bgr8`/`rgb8` uint8 `[H, W, 3]`.
        header: std_msgs/Header of the input; taken as it is.
        encoding: one of the above.
        msg: an earlier message to fill again; its memory is reused when the size is equal.

    Raises:
        ValueError: array and encoding do not fit.
    """
    dtype, channels = _OUTPUTS.get(encoding, (None, 0))
    shape = pixels.shape if channels > 1 else (*pixels.shape, 1)
    if dtype is None or pixels.dtype != dtype or len(shape) != 3 or shape[2] != channels or pixels.size == 0:
        raise ValueError(f"an array {pixels.dtype} {pixels.shape} is no {encoding} image")
    pixels = np.ascontiguousarray(pixels)
    msg = Image() if msg is None else msg
    msg.header = header
    msg.height, msg.width = pixels.shape[:2]
    msg.encoding = encoding
    msg.is_bigendian = int(sys.byteorder == "big")
    msg.step = pixels.strides[0]
    if len(msg.data) == pixels.nbytes and isinstance(msg.data, array.array):
        np.frombuffer(msg.data, np.uint8)[:] = pixels.reshape(-1).view(np.uint8)
    else:
        # An array.array is the one type that every distribution takes over without looking at each element: assigning
        # bytes costs 290 ms per megapixel image on Humble, a numpy array as much everywhere.
        data = array.array("B")
        data.frombytes(memoryview(pixels).cast("B"))
        msg.data = data
    return msg
