"""The harness's camera messages: a road that moves, what can go wrong with the picture, and with the message made of
it.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

SIZES = {"front": (240, 320), "side": (192, 256)}
"""Camera → (H, W); different, so that a mode of the test engine can be meant for one of them."""


@lru_cache(maxsize=8)
def _road(height: int, width: int) -> np.ndarray:
    from ....scenes import scene

    return cv2.cvtColor(scene(3, (height, width)).image, cv2.COLOR_RGB2BGR)


def good(index: int, size: tuple[int, int]) -> np.ndarray:
    """BGR uint8 `[H, W, 3]`: frame `index` of a drive; every frame differs from the one before, as a sensor's does."""
    road = np.roll(_road(*size), 2 * index, axis=1)
    noise = np.random.default_rng(index).integers(-4, 5, road.shape, dtype=np.int16)
    return (road + noise).clip(0, 255).astype(np.uint8)


def _fog(index: int, size: tuple[int, int]) -> np.ndarray:
    """A tenth of the contrast, and the sensor's noise whole."""
    noise = np.random.default_rng(index).integers(-2, 3, (*size, 3), dtype=np.int16)
    return (0.1 * good(index, size) + 0.9 * 200 + noise).clip(0, 255).astype(np.uint8)


def _blurred(index: int, size: tuple[int, int]) -> np.ndarray:
    road = np.roll(_road(*size), 2 * index, axis=1)
    soft = cv2.GaussianBlur(road, (0, 0), 9.0)
    # A sensor's noise survives a lens out of focus.
    noise = np.random.default_rng(index).integers(-1, 2, road.shape, dtype=np.int16)
    return (soft + noise).clip(0, 255).astype(np.uint8)


def _blocked(index: int, size: tuple[int, int]) -> np.ndarray:
    picture = good(index, size)
    noise = np.random.default_rng(index).integers(0, 2, (*size, 3), dtype=np.uint8)
    covered = slice(size[0] // 4, None)
    picture[covered] = 90 + noise[covered]
    return picture


PICTURES: dict[str, Callable[[int, tuple[int, int]], np.ndarray]] = {
    "good": good,
    "black": lambda index, size: np.random.default_rng(index).integers(0, 3, (*size, 3), dtype=np.uint8),
    "over_exposed": lambda index, size: cv2.convertScaleAbs(good(index, size), alpha=1.0, beta=250),
    "fog": _fog,
    "blurred": _blurred,
    "blocked": _blocked,
    "frozen": lambda _, size: good(0, size),
    "small": lambda index, size: good(index, (size[0] // 2, size[1] // 2)),
    "changing": lambda index, size: good(index, (size[0] - 16 * (index % 4), size[1])),
}


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
