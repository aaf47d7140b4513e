"""Compressed image bytes (JPEG, PNG) → RGB array, with the size read and refused before anything is decoded.

A few bytes can claim gigapixels, so the header is parsed here and the decoder only sees what passed. JPEG carries no
checksum: with flipped bits in its middle it decodes to a damaged picture that cannot be told from a sound one here.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np

from ..errors import ImageError

MAX_SIDE = 8192
"""Longest side in pixels that is accepted anywhere."""

MAX_EXPANSION = 2000
"""Most pixels per byte: an all-black camera image compresses to about 60 (JPEG) or 1000 (PNG) pixels per byte."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"


def decode_image(data: bytes | bytearray | memoryview | np.ndarray) -> np.ndarray:
    """Decode one JPEG or PNG file held in memory. 16-bit samples become 8-bit, grey becomes RGB, alpha is dropped.

    An EXIF orientation is ignored: the pixel grid must stay the one that camera_info describes.

    Returns:
        RGB uint8 `[H, W, 3]`, C-contiguous.

    Raises:
        ImageError: empty, neither JPEG nor PNG, cut short, damaged, or of an absurd size.
    """
    raw = bytes(data)
    width, height = image_size(raw)
    buffer = np.frombuffer(raw, np.uint8)
    direct = getattr(cv2, "IMREAD_COLOR_RGB", None)  # since OpenCV 4.10; saves one pass over the image
    flags = (cv2.IMREAD_COLOR if direct is None else direct) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(buffer, flags)
    except cv2.error as error:
        raise ImageError(f"the image data ({len(raw)} bytes) cannot be decoded: {error.err or error}") from error
    if image is None or image.shape[:2] != (height, width):
        raise ImageError(
            f"the image data ({len(raw)} bytes, {width}x{height} by its header) is damaged: the decoder gave up; "
            "check the camera driver and the transport"
        )
    return image if direct is not None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def image_size(raw: bytes) -> tuple[int, int]:
    """Width and height that a JPEG or PNG declares; also refuses what is cut short or absurd.

    Raises:
        ImageError: with the reason.
    """
    if not raw:
        raise ImageError("the image data is empty; the publisher sent a message without content")
    if raw.startswith(_PNG_MAGIC):
        width, height = _png_size(raw)
    elif raw.startswith(_JPEG_MAGIC):
        width, height = _jpeg_size(raw)
    else:
        raise ImageError(
            f"the image data is neither JPEG nor PNG (it starts with {raw[:4].hex(' ')}); publish one of the two, "
            "e.g. with image_transport's `compressed`"
        )
    check_size(width, height)
    if width * height > MAX_EXPANSION * len(raw):
        raise ImageError(f"{len(raw)} bytes claim to hold {width}x{height} pixels; refused as a decompression bomb")
    return width, height


def check_size(width: int, height: int) -> None:
    """Refuse sizes that no camera has.

    Raises:
        ImageError: a side is zero or above `MAX_SIDE`.
    """
    if width <= 0 or height <= 0:
        raise ImageError(f"the image has no pixels ({width}x{height})")
    if width > MAX_SIDE or height > MAX_SIDE:
        raise ImageError(f"the image claims {width}x{height} pixels; sides up to {MAX_SIDE} are accepted")


def _png_size(raw: bytes) -> tuple[int, int]:
    if len(raw) < 33 or raw[12:16] != b"IHDR":
        raise ImageError(f"the PNG data ({len(raw)} bytes) is cut short or has no header chunk")
    if raw.rfind(b"IEND") < 33:
        raise ImageError(f"the PNG data ({len(raw)} bytes) is cut short: its end is missing")
    return struct.unpack_from(">II", raw, 16)


def _jpeg_size(raw: bytes) -> tuple[int, int]:
    """Walk the marker segments up to the first scan; the size stands in the frame header before it."""
    size = None
    at = 2
    while at + 4 <= len(raw):
        if raw[at] != 0xFF:
            break
        marker = raw[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in _JPEG_BARE_MARKERS:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", raw, at + 2)
        if length < 2:
            break
        if marker in _JPEG_SIZE_MARKERS and at + 9 <= len(raw):
            height, width = struct.unpack_from(">HH", raw, at + 5)
            size = (width, height)
        at += 2 + length
        if marker == _JPEG_SCAN:
            # Inside a scan 0xFF is always followed by 0x00 or a restart marker, so this pair can only be the end.
            if raw.rfind(_JPEG_END) < at:
                raise ImageError(f"the JPEG data ({len(raw)} bytes) is cut short: its end marker is missing")
            if size is not None:
                return size
            break
    raise ImageError(f"the JPEG data ({len(raw)} bytes) is damaged or cut short: its header has no readable size")
