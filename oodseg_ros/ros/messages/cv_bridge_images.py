"""The rare encodings, through cv_bridge. Kept apart so that cv_bridge is loaded only by a vehicle that needs it."""

from __future__ import annotations

import array
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image

from ...errors import ImageError

# OpenCV's own type names say nothing about color; by OpenCV's convention three channels are BGR.
_PLAIN = {"8UC1": (1, cv2.COLOR_GRAY2RGB), "8UC3": (3, cv2.COLOR_BGR2RGB), "8UC4": (4, cv2.COLOR_BGRA2RGB)}
_ADVICE = "publish bgr8, rgb8, mono8, a Bayer or YUV 4:2:2 encoding instead"


def through_cv_bridge(msg: Image) -> np.ndarray:
    """RGB uint8 `[H, W, 3]`, C-contiguous; the size of `msg` has been checked.

    Raises:
        ImageError: cv_bridge is not installed, or refuses the message.
    """
    name = msg.encoding[:64]
    channels, code = _PLAIN.get(name, (1, None))
    if msg.step < msg.width * channels:
        raise ImageError(
            f"step is {msg.step} bytes, but a row of {msg.width} {name} pixels needs {msg.width * channels}"
        )
    if len(msg.data) < msg.height * msg.step:
        raise ImageError(
            f"data holds {len(msg.data)} bytes, but {msg.height} rows of step {msg.step} need {msg.height * msg.step}"
        )
    bridge = _bridge()
    try:
        if code is None:
            image = bridge.imgmsg_to_cv2(msg, "rgb8")
        else:
            image = cv2.cvtColor(bridge.imgmsg_to_cv2(_packed(msg, channels), "passthrough"), code)
    # cv_bridge raises CvBridgeError, KeyError, ValueError, cv2.error or, by NumPy version, AttributeError.
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise ImageError(
            f"encoding {name!r} cannot be turned into a picture by cv_bridge ({reason}); {_ADVICE}"
        ) from error
    if image.dtype != np.uint8 or image.shape != (msg.height, msg.width, 3):
        raise ImageError(
            f"encoding {name!r}: cv_bridge answered {image.dtype} {image.shape} where rgb8 was asked; {_ADVICE}"
        )
    return np.ascontiguousarray(image)


def _packed(msg: Image, channels: int) -> Image:
    """The message without row padding: some versions of cv_bridge ignore `step`, some choke on `is_bigendian`."""
    row = msg.width * channels
    if msg.step == row and len(msg.data) == row * msg.height and not msg.is_bigendian:
        return msg
    rows = np.ndarray((msg.height, row), np.uint8, buffer=msg.data, strides=(msg.step, 1))
    data = array.array("B")
    data.frombytes(rows.tobytes())
    packed = Image(header=msg.header, height=msg.height, width=msg.width, encoding=msg.encoding, step=row)
    packed.data = data
    return packed


@lru_cache(maxsize=1)
def _bridge() -> Any:
    try:
        from cv_bridge import CvBridge
    # A cv_bridge built for another NumPy fails with AttributeError or RuntimeError, not only ImportError.
    except Exception as error:
        raise ImageError(
            f"this encoding needs cv_bridge, which cannot be imported ({error}); "
            f"install ros-<distro>-cv-bridge, or {_ADVICE}"
        ) from error
    return CvBridge()
