"""Image messages of a bag → RGB, by the fields that sensor_msgs gives them in ROS 1 and ROS 2; needs no ROS."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..errors import ImageError
from .image_bytes import decode_image
from .raw_image import TO_RGB, Encoding, raw_to_rgb

# OpenCV's own type names say nothing about color; by OpenCV's convention three channels are BGR.
_PLAIN = {
    "8UC1": Encoding("u1", 1, cv2.COLOR_GRAY2RGB),
    "8UC3": Encoding("u1", 3, cv2.COLOR_BGR2RGB),
    "8UC4": Encoding("u1", 4, cv2.COLOR_BGRA2RGB),
}
ENCODINGS = TO_RGB | _PLAIN


def message_to_rgb(message: Any) -> np.ndarray:
    """RGB uint8 `[H, W, 3]` of an Image or CompressedImage (which has `format`).

    Raises:
        ImageError: unknown encoding, contradicting sizes, truncated or undecodable data.
    """
    if hasattr(message, "format") and not hasattr(message, "encoding"):
        return decode_image(message.data)
    encoding = ENCODINGS.get(message.encoding)
    if encoding is None:
        raise ImageError(f"image encoding {message.encoding!r} holds no picture; known: {', '.join(ENCODINGS)}")
    return raw_to_rgb(message, encoding)
