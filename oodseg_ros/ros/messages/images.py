"""sensor_msgs/Image and CompressedImage → Frame, and arrays → sensor_msgs/Image."""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from ...errors import ImageError
from ...frame import Frame
from ...sources.image_bytes import check_size
from ...sources.message_images import TO_RGB, Encoding, message_to_rgb, view_pixels
from ...sources.video_packets import to_rgb as packet_to_rgb
from .alert import to_ns

_VIEW_ONLY = {"32FC1": Encoding("f4", 1, None)}

_OUTPUTS = {"mono8": ("u1", 1), "bgr8": ("u1", 3), "rgb8": ("u1", 3), "32FC1": ("f4", 1)}


@dataclass(frozen=True)
class Packet:
    """A video packet behind its decoder: a picture for `video_packets.to_rgb`, or why there is none."""

    header: Header
    picture: Any

    encoding = "video"


def to_frame(msg: Image | CompressedImage | Packet, camera: str) -> Frame:
    """Turn a camera message into a frame; the header's stamp and frame_id are kept.

    An `rgb8` image without row padding shares the message's memory; everything else is a fresh array.

    Raises:
        ImageError: the message is malformed or its encoding holds no camera picture; the text starts with the camera.
    """
    try:
        if isinstance(msg, Packet):
            if isinstance(msg.picture, ImageError):
                raise msg.picture
            image = packet_to_rgb(msg.picture)
        else:
            image = message_to_rgb(msg)
    except ImageError as error:
        raise ImageError(f"camera {camera}: {error}") from error
    return Frame(image, to_ns(msg.header.stamp), camera, msg.header.frame_id)


def view(msg: Image) -> np.ndarray:
    """The message's pixels without conversion: `[H, W]` or `[H, W, C]` in the encoding's type, native byte order.

    Shares memory with the message (rows may be strided) except for 16- and 32-bit samples in foreign byte order.

    Raises:
        ImageError: malformed message, or an encoding without a fixed pixel layout known here.
    """
    check_size(msg.width, msg.height)
    encoding = TO_RGB.get(msg.encoding) or _VIEW_ONLY.get(msg.encoding)
    if encoding is None:
        known = ", ".join(sorted({*TO_RGB, *_VIEW_ONLY}))
        raise ImageError(f"encoding {msg.encoding!r} cannot be viewed as an array; known: {known}")
    return view_pixels(msg, encoding)


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
        data.frombytes(memoryview(pixels).cast("B"))  # type: ignore[arg-type]
        msg.data = data
    return msg


def to_compressed(pixels: np.ndarray, header: Any, quality: int = 80) -> CompressedImage:
    """JPEG of a bgr8 image uint8 `[H, W, 3]`, described as image_transport's compressed plugin does."""
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an array {pixels.dtype} {pixels.shape} cannot be written as JPEG")
    message = CompressedImage(header=header, format="bgr8; jpeg compressed bgr8")
    message.data = array.array("B", data.tobytes())
    return message
