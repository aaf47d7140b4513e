"""Compressed image bytes (JPEG, PNG) → RGB array, with the size read and refused before anything is decoded.

A few bytes can claim gigapixels, so the header is parsed here and the decoder only sees what passed. JPEG carries no
checksum: with flipped bits in its middle it decodes to a damaged picture that cannot be told from a sound one here.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable

import cv2
import numpy as np

from ..errors import ImageError

MAX_SIDE = 8192
"""Longest side in pixels that is accepted anywhere."""

MAX_EXPANSION = 2000
"""Most pixels per byte: an all-black camera image compresses to about 60 (JPEG) or 1000 (PNG) pixels per byte."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_PHONES = re.compile(rb"....ftyp(hei[cfmsx]|hev[cx]|mif1|msf1|avif|avis)", re.DOTALL)
"""How HEIC and AVIF files begin, whatever their names say; phones and transfers call them `.jpg`, too."""
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_ANY_DEPTH = cv2.IMREAD_ANYDEPTH
_EXIF_ORIENTATION = 0x0112
_TURNS: dict[int, tuple[Callable[[np.ndarray], np.ndarray], ...]] = {
    2: (lambda image: cv2.flip(image, 1),),
    3: (lambda image: cv2.rotate(image, cv2.ROTATE_180),),
    4: (lambda image: cv2.flip(image, 0),),
    5: (cv2.transpose,),
    6: (lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),),
    7: (cv2.transpose, lambda image: cv2.rotate(image, cv2.ROTATE_180)),
    8: (lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),),
}
"""EXIF orientation → what brings the stored picture upright."""
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
    direct = getattr(cv2, "IMREAD_COLOR_RGB", None)  # since OpenCV 4.10; saves one pass over the image
    if direct is None or (raw.startswith(_PNG_MAGIC) and raw[24:25] == b"\x10"):
        return cv2.cvtColor(decode_pixels(raw), cv2.COLOR_BGR2RGB)
    return _decode(raw, image_size(raw), direct)


def decode_pixels(raw: bytes, keep_gray: bool = False) -> np.ndarray:
    """As `decode_image`, but uint8 BGR `[H, W, 3]`, or `[H, W]` of a picture with one channel where `keep_gray`."""
    return to_8_bit(
        _decode(raw, image_size(raw), _ANY_DEPTH | (cv2.IMREAD_ANYCOLOR if keep_gray else cv2.IMREAD_COLOR))
    )


def decode_file(raw: bytes) -> np.ndarray:
    """A picture file of any format that OpenCV reads, turned upright as its EXIF orientation asks: files come from
    cameras that people hold, and every viewer and labeling tool turns them.

    Returns, raises: as `decode_image`.
    """
    known = raw.startswith((_PNG_MAGIC, _JPEG_MAGIC))
    image = to_8_bit(_decode(raw, image_size(raw) if known else None, _ANY_DEPTH | cv2.IMREAD_COLOR))
    check_size(image.shape[1], image.shape[0])
    for turn in _TURNS.get(orientation(raw), ()):
        image = turn(image)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def orientation(raw: bytes) -> int:
    """The EXIF orientation of a picture file, 1 = upright or not told."""
    import PIL.Image  # only here: a node has no use for it

    try:
        with PIL.Image.open(io.BytesIO(raw)) as picture:
            return int(picture.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # Pillow's parsers raise many kinds on damaged EXIF blocks
        return 1


def to_8_bit(pixels: np.ndarray) -> np.ndarray:
    """uint16 samples scaled to uint8, uint8 as they are.

    Raises:
        ImageError: another type, which holds measurements rather than a picture.
    """
    if pixels.dtype == np.uint16:
        return cv2.convertScaleAbs(pixels, alpha=255 / 65535)
    if pixels.dtype != np.uint8:
        raise ImageError(f"samples of type {pixels.dtype} are measurements, not a picture; save it with 8 or 16 bits")
    return pixels


def _decode(raw: bytes, size: tuple[int, int] | None, flags: int) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION) if raw else None
    except cv2.error as error:
        raise ImageError(f"the image data ({len(raw)} bytes) cannot be decoded: {error.err or error}") from error
    if image is None and (kind := _PHONES.match(raw)):
        name = "AVIF" if kind[1].startswith(b"avi") else "HEIC"
        raise ImageError(f"it is a {name} picture, whatever its name says, and those are not read; convert it to JPEG")
    if image is None or (size is not None and image.shape[1::-1] != size):
        told = "" if size is None else f", {size[0]}x{size[1]} by its header"
        raise ImageError(
            f"the image data ({len(raw)} bytes{told}) is damaged, or no image: the decoder gave up; "
            "check the camera driver and the transport, or the file"
        )
    return image


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
