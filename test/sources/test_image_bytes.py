"""JPEG and PNG bytes: exact decoding, and every way in which they can be bad, before much memory is taken."""

from __future__ import annotations

import array
import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from oodseg_ros.errors import ImageError
from oodseg_ros.sources.image_bytes import MAX_SIDE, decode_image, image_size


def picture(height: int = 40, width: int = 56) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 4, y * 6, (x + y) * 2], -1).astype(np.uint8)


def encode(rgb: np.ndarray, extension: str, *options: int) -> bytes:
    bgr = rgb if rgb.ndim == 2 else np.ascontiguousarray(rgb[..., ::-1])
    return cv2.imencode(extension, bgr, list(options))[1].tobytes()


RGB = picture()
JPEG = encode(RGB, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 98)
PROGRESSIVE = encode(RGB, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
PNG = encode(RGB, ".png")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int, padding: int = 0) -> bytes:
    """A PNG whose header says width x height, with a little valid pixel data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"tEXt", b"a\0" + b"b" * padding)
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    """The test JPEG with another size in its frame header."""
    at = next(i for i in range(len(JPEG)) if JPEG[i : i + 2] == b"\xff\xc0")
    return JPEG[: at + 5] + struct.pack(">HH", height, width) + JPEG[at + 9 :]


def exif_rotated(jpeg: bytes) -> bytes:
    """With an EXIF block that asks viewers to turn the image by 90 degrees."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def test_png_is_exact_and_jpeg_close():
    np.testing.assert_array_equal(decode_image(PNG), RGB)
    for data in (JPEG, PROGRESSIVE):
        image = decode_image(data)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert np.abs(image.astype(int) - RGB).max() <= 24, "swapped channels differ by up to 200"


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, "u1")]
)
def test_any_holder_of_bytes_is_taken(kind):
    np.testing.assert_array_equal(decode_image(kind(PNG)), RGB)


def test_grey_alpha_and_16_bit_become_rgb():
    grey = RGB[..., 0]
    np.testing.assert_array_equal(decode_image(encode(grey, ".png")), np.repeat(grey[..., None], 3, 2))
    assert decode_image(encode(grey, ".jpg")).shape == (*grey.shape, 3)
    rgba = np.dstack([RGB[..., ::-1], np.full(grey.shape, 7, np.uint8)])
    np.testing.assert_array_equal(decode_image(cv2.imencode(".png", rgba)[1]), RGB)
    wide = cv2.imencode(".png", RGB[..., ::-1].astype(np.uint16) * 257)[1]
    np.testing.assert_array_equal(decode_image(wide), RGB)


def test_an_exif_orientation_does_not_turn_the_pixel_grid():
    turned = exif_rotated(JPEG)
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (56, 40), (
        "the block is understood"
    )
    np.testing.assert_array_equal(decode_image(turned), decode_image(JPEG))


def test_trailing_bytes_of_a_camera_do_no_harm():
    assert decode_image(JPEG + bytes(500)).shape == RGB.shape


HUGE = MAX_SIDE + 1
BAD = {
    "empty": (b"", "the image data is empty"),
    "text": (b"<html>not found</html>", r"neither JPEG nor PNG \(it starts with 3c 68 74 6d\)"),
    "another format": (encode(RGB, ".bmp"), "neither JPEG nor PNG"),
    "only a start": (JPEG[:3], "damaged or cut short"),
    "cut in the header": (JPEG[:100], "cut short"),
    "cut in the middle": (JPEG[: len(JPEG) // 2], "cut short: its end marker is missing"),
    "last byte missing": (JPEG[:-1], "cut short"),
    "png cut in the header": (PNG[:20], "cut short or has no header chunk"),
    "png cut in the middle": (PNG[: len(PNG) // 2], "cut short: its end is missing"),
    "png with flipped bits": (PNG[:200] + bytes([PNG[200] ^ 0xFF]) + PNG[201:], "is damaged|cannot be decoded"),
    "png without pixels": (png_claiming(0, 10), "no pixels"),
    "png bomb": (png_claiming(2**31 - 1, 2**31 - 1), "2147483647x2147483647 pixels; sides up to 8192"),
    "png too wide": (png_claiming(HUGE, 1), "sides up to 8192"),
    "png of the largest size": (png_claiming(MAX_SIDE, MAX_SIDE), "8192x8192 pixels; refused as a decompression bomb"),
    "png with too little data": (png_claiming(300, 300), "damaged|cannot be decoded"),
    "jpeg bomb": (jpeg_claiming(65535, 65535), "65535x65535 pixels; sides up to 8192"),
    "jpeg without height": (jpeg_claiming(56, 0), "no pixels"),
    "jpeg claiming more than it can hold": (jpeg_claiming(8192, 8192), "refused as a decompression bomb"),
    "jpeg header only": (b"\xff\xd8\xff\xd9", "damaged or cut short"),
    "jpeg of fill bytes": (b"\xff\xd8" + b"\xff" * 5000, "damaged or cut short"),
    "jpeg with a segment of length 0": (b"\xff\xd8\xff\xe0\0\0" + bytes(50), "damaged or cut short"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_refused_with_a_sentence(name):
    data, text = BAD[name]
    with pytest.raises(ImageError, match=text):
        decode_image(data)


@pytest.mark.parametrize("name", [name for name in BAD if "png with" not in name and "pixels" not in name])
def test_what_the_header_gives_away_never_reaches_the_decoder(name, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("was decoded"))
    with pytest.raises(ImageError):
        decode_image(BAD[name][0])


def memory() -> int:
    """Peak resident memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([JPEG, PROGRESSIVE, PNG]),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    st.integers(0, 5000),
)
@example(JPEG, [], 5000)
def test_damaged_files_give_an_image_of_their_declared_size_or_an_image_error(data, changes, cut):
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    damaged = bytes(damaged[:cut])
    before = memory()
    try:
        image = decode_image(damaged)
    except ImageError:
        image = None
    assert memory() - before < 400 << 20
    if image is not None:
        assert image.shape[1::-1] == image_size(damaged)
        assert image.dtype == np.uint8


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xc0\0\x11\x08"]),
    st.binary(max_size=300),
)
def test_any_bytes_give_an_image_or_an_image_error(magic, rest):
    try:
        image = decode_image(magic + rest)
    except ImageError:
        return
    assert image.ndim == 3
