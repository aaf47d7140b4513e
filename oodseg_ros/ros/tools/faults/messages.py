"""Camera messages of the harness, and what can be wrong with them."""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

FRAME_ID = "lens"


def image(picture: np.ndarray, stamp: Time) -> Image:
    """A bgr8 message."""
    message = Image(header=Header(stamp=stamp, frame_id=FRAME_ID), encoding="bgr8")
    message.height, message.width = picture.shape[:2]
    message.step = picture.strides[0]
    message.data.frombytes(memoryview(np.ascontiguousarray(picture)).cast("B"))
    return message


def compressed(picture: np.ndarray, stamp: Time) -> CompressedImage:
    """A JPEG message."""
    message = CompressedImage(header=Header(stamp=stamp, frame_id=FRAME_ID), format="jpeg")
    message.data.frombytes(cv2.imencode(".jpg", picture)[1].tobytes())
    return message


def camera_info(size: tuple[int, int], stamp: Time, kind: str) -> CameraInfo:
    """A pinhole camera of this size (H, W), or `shape`, `nan`, `absurd`."""
    # A larger size of the same shape would be a camera that bins its pixels: that is no contradiction.
    height, width = size if kind != "shape" else (2 * size[0], size[1])
    focal = {"nan": math.nan, "absurd": 1e300}.get(kind, 0.8 * width)
    info = CameraInfo(header=Header(stamp=stamp, frame_id=FRAME_ID), height=height, width=width)
    info.distortion_model = "plumb_bob"
    info.d = [1e300] * 5 if kind == "absurd" else [0.0] * 5
    info.k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0]
    return info


def _sized(height: int, width: int, step: int | None = None) -> Callable[[Image, int], None]:
    def change(message: Image, _: int) -> None:
        message.height, message.width = height, width
        if step is not None:
            message.step = step

    return change


def _cut(keep: float) -> Callable[[Image | CompressedImage, int], None]:
    def change(message: Image | CompressedImage, _: int) -> None:
        del message.data[int(keep * len(message.data)) :]

    return change


def _set(**values: object) -> Callable[[Image, int], None]:
    def change(message: Image, _: int) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


def _replaced(content: Callable[[bytes, int], bytes]) -> Callable[[CompressedImage, int], None]:
    def change(message: CompressedImage, index: int) -> None:
        data = content(message.data.tobytes(), index)
        del message.data[:]
        message.data.frombytes(data)

    return change


def _mono(message: Image, _: int) -> None:
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
    gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).tobytes()
    message.encoding, message.step = "mono8", message.width
    del pixels, message.data[:]
    message.data.frombytes(gray)


def _depth(message: Image, _: int) -> None:
    message.encoding, message.step = "32FC1", 4 * message.width
    del message.data[:]
    message.data.frombytes(bytes(message.step * message.height))


def _alternating(message: Image, index: int) -> None:
    if index % 2:
        del message.data[:]


def _flipped(data: bytes, index: int) -> bytes:
    changed, chance = bytearray(data), random.Random(index)
    for _ in range(20):
        changed[2 + chance.randrange(300)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _bomb(_: bytes, __: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


CHANGES: dict[str, Callable[[Image | CompressedImage, int], None]] = {
    "mono": _mono,
    "zero_size": _sized(0, 0, 0),
    "wrong_step": _set(step=100),
    "huge_step": _set(step=2**32 - 1),
    "truncated": _cut(0.5),
    "no_data": _cut(0.0),
    "enormous": _sized(2**32 - 1, 2**32 - 1),
    "unknown_encoding": _set(encoding="purple9"),
    "depth_encoding": _depth,
    "long_encoding": _set(encoding="x" * 100_000),
    "empty_header": _set(header=Header()),
    "alternating": _alternating,
    "jpeg_garbage": _replaced(lambda data, index: random.Random(index).randbytes(len(data))),
    "jpeg_truncated": _cut(0.5),
    "jpeg_empty": _cut(0.0),
    "jpeg_flipped": _replaced(_flipped),
    "png_bomb": _replaced(_bomb),
    "gif": _replaced(lambda data, index: b"GIF89a" + bytes(200)),
}
"""Name of a fault → what it does to a good message, in place; also gets the number of the frame."""
