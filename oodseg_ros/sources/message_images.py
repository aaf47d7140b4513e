"""Image messages → RGB, by the fields of sensor_msgs/Image and CompressedImage alone: the one decoder of live messages
and of bags, of ROS 1 and ROS 2; needs no ROS.

Encodings that OpenCV converts from a view of the message take one call (two for 16 bit) and no copy in between.
"""

from __future__ import annotations

import re
import sys
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..errors import ImageError
from .image_bytes import check_size, decode_image, decode_pixels, to_8_bit


class Encoding(NamedTuple):
    """Layout of one encoding.

    Attributes:
        dtype: numpy type of one sample, in native byte order.
        channels: samples per pixel in memory; of the luma plane where color follows in a plane of its own.
        to_rgb: OpenCV code to RGB; None = is RGB already.
        chroma: rows of the color plane below the picture, per row of the picture.
    """

    dtype: str
    channels: int
    to_rgb: int | None
    chroma: float = 0.0


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
    "nv12": Encoding("u1", 1, cv2.COLOR_YUV2RGB_NV12, 0.5),
    "nv21": Encoding("u1", 1, cv2.COLOR_YUV2RGB_NV21, 0.5),
}
TO_RGB["yuv422"] = TO_RGB["uyvy"]
TO_RGB["yuv422_yuy2"] = TO_RGB["yuyv"]
# 16-bit encodings: the upper 8 bits, then the way of the 8-bit sibling.
TO_RGB |= {name[:-1] + "16": layout._replace(dtype="u2") for name, layout in list(TO_RGB.items()) if name.endswith("8")}
# OpenCV's own type names say nothing about color; by OpenCV's convention three channels are BGR.
TO_RGB |= {"8UC1": TO_RGB["mono8"], "8UC3": TO_RGB["bgr8"], "8UC4": TO_RGB["bgra8"]}

_BAYER = re.compile(r"\bbayer_(rggb|bggr|gbrg|grbg)(8|16)\b")
_MEASURED = re.compile(r"(16|32|64)[USF]C\d+")
_ADVICE = "publish bgr8, rgb8, mono8, a Bayer or YUV 4:2:2 encoding, nv12 or nv21"


def message_to_rgb(message: Any) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`, C-contiguous, of an Image or CompressedImage (which has `format` and no `encoding`).

    Gray is replicated, alpha is dropped; an `rgb8` image without row padding shares the message's memory.

    Raises:
        ImageError: no encoding of a picture, contradicting sizes, truncated or undecodable data.
    """
    if not hasattr(message, "encoding"):
        return _compressed_to_rgb(message.data, message.format)
    name = message.encoding[:64]
    encoding = TO_RGB.get(name)
    if encoding is not None:
        return raw_to_rgb(message, encoding)
    if _MEASURED.fullmatch(name):
        raise ImageError(
            f"encoding {name} holds measurements such as depth or anomaly scores, not a picture; "
            "remap image_raw to the camera's color or mono topic"
        )
    raise ImageError(f"encoding {name!r} cannot be turned into a picture; {_ADVICE} (known: {', '.join(TO_RGB)})")


def _compressed_to_rgb(data: Any, told: str) -> np.ndarray:
    """`told` is the message's format, as image_transport writes it: `bayer_rggb8; jpeg compressed `, or just `jpeg`."""
    if "compressedDepth" in told or _MEASURED.fullmatch(told.partition(";")[0].strip()):
        raise ImageError(
            f"format {told[:64]!r} holds measurements such as depth, not a picture; "
            "use the camera's color or mono topic"
        )
    bayer = _BAYER.search(told)
    if bayer is None:
        return decode_image(data)
    pixels = decode_pixels(bytes(data), keep_gray=True)
    # The mosaic is one channel; a driver that made colors of it before compressing sends three.
    mosaic = TO_RGB[f"bayer_{bayer[1]}8"].to_rgb
    code = mosaic if mosaic is not None and pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, code)


def raw_to_rgb(msg: Any, encoding: Encoding) -> np.ndarray:
    """See `message_to_rgb`; `encoding` is that of the message.

    Raises:
        ImageError: the message is malformed.
    """
    check_size(msg.width, msg.height)
    if encoding.to_rgb in (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2) and msg.width % 2:
        raise ImageError(f"encoding {msg.encoding} needs an even width, the message says {msg.width}")
    if encoding.chroma and (msg.width % 2 or msg.height % 2):
        raise ImageError(f"encoding {msg.encoding} needs even sides, the message says {msg.width}x{msg.height}")
    pixels = to_8_bit(view_pixels(msg, encoding))
    try:
        image = pixels if encoding.to_rgb is None else cv2.cvtColor(pixels, encoding.to_rgb)
    except cv2.error as error:
        size = f"{msg.width}x{msg.height}"
        raise ImageError(
            f"a {msg.encoding} image of {size} pixels cannot be converted: {error.err or error}"
        ) from error
    return np.ascontiguousarray(image)


def view_pixels(msg: Any, encoding: Encoding) -> np.ndarray:
    """`[H, W]` or `[H, W, C]`, `[1.5 H, W]` with a color plane below, in the encoding's type and native byte order;
    shares the message's memory where it can.

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
    rows = msg.height + round(msg.height * encoding.chroma)
    needed = (rows - 1) * msg.step + row_bytes
    if len(msg.data) < needed:
        raise ImageError(
            f"data holds {len(msg.data)} bytes, but {rows} rows of step {msg.step} need {needed}; "
            "the message was cut short or its size is wrong"
        )
    shape: tuple[int, ...] = (rows, msg.width)
    strides: tuple[int, ...] = (msg.step, encoding.channels * dtype.itemsize)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    foreign = dtype.itemsize > 1 and bool(msg.is_bigendian) != (sys.byteorder == "big")
    pixels: np.ndarray = np.ndarray(shape, dtype.newbyteorder() if foreign else dtype, buffer=msg.data, strides=strides)
    # OpenCV refuses rows at odd addresses of multi-byte samples; those are copied like foreign byte order.
    if foreign or msg.step % dtype.itemsize:
        pixels = pixels.astype(dtype)
    return pixels
