"""Raw and compressed image messages, for every encoding, byte order and row padding."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.errors import ImageError
from oodseg_ros.sources.message_images import ENCODINGS, message_to_rgb

COLOR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def raw(array: np.ndarray, encoding: str, padding: int = 0, big: bool = False, **changes) -> SimpleNamespace:
    array = array.astype(array.dtype.newbyteorder(">" if big else "<"))
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(array.shape[0], -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    fields = {
        "height": array.shape[0],
        "width": array.shape[1],
        "step": data.shape[1],
        "encoding": encoding,
        "is_bigendian": int(big),
        "data": data.reshape(-1),
    }
    return SimpleNamespace(**(fields | changes))


def encode(encoding: str) -> tuple[np.ndarray, np.ndarray]:
    """A picture in this encoding and the RGB that it must become."""
    wide = encoding.endswith("16")
    name = encoding[:-2] if wide else encoding.removesuffix("8")
    gray = COLOR[..., 0]
    if name in ("mono", "8UC1"):
        array, rgb = gray, cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    elif name == "rgb":
        array, rgb = COLOR, COLOR
    elif name in ("bgr", "8UC3"):
        array, rgb = COLOR[..., ::-1], COLOR
    elif name == "rgba":
        array, rgb = np.dstack([COLOR, gray]), COLOR
    elif name in ("bgra", "8UC4"):
        array, rgb = np.dstack([COLOR[..., ::-1], gray]), COLOR
    else:
        raise AssertionError(name)
    return (array.astype(np.uint16) * 256 + 99, rgb) if wide else (array, rgb)


PLAIN = [name for name in ENCODINGS if not name.startswith(("bayer", "yu", "uy"))]


@pytest.mark.parametrize("encoding", PLAIN)
@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("big", [False, True])
def test_plain_encodings(encoding, padding, big):
    array, rgb = encode(encoding)
    found = message_to_rgb(raw(array, encoding, padding, big))
    np.testing.assert_allclose(found, rgb, atol=1 if encoding.endswith("16") else 0)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous


@pytest.mark.parametrize("bits", ["8", "16"])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_keep_their_colors(pattern, bits):
    """A picture of one color sampled through the pattern must come back as that color."""
    color = {"r": 200, "g": 120, "b": 30}
    tile = np.array([[color[pattern[0]], color[pattern[1]]], [color[pattern[2]], color[pattern[3]]]])
    mosaic = np.tile(tile, (8, 8)).astype(np.uint16 if bits == "16" else np.uint8)
    if bits == "16":
        mosaic *= 256
    found = message_to_rgb(raw(mosaic, f"bayer_{pattern}{bits}"))
    np.testing.assert_allclose(found[4:-4, 4:-4], np.broadcast_to([200, 120, 30], (8, 8, 3)), atol=1)


@pytest.mark.parametrize(("encoding", "luma"), [("uyvy", 1), ("yuv422", 1), ("yuyv", 0), ("yuv422_yuy2", 0)])
def test_yuv(encoding, luma):
    pixels = np.full((4, 8, 2), 128, np.uint8)  # no color
    pixels[..., luma] = 235  # white
    assert (message_to_rgb(raw(pixels, encoding)) >= 254).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed(suffix):
    smooth = cv2.resize(COLOR, (64, 48), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(suffix, cv2.cvtColor(smooth, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])[1]
    found = message_to_rgb(SimpleNamespace(format="jpeg", data=data.reshape(-1)))
    assert np.abs(found.astype(int) - smooth).mean() < 6


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (raw(COLOR, "rgb8", step=5), "step"),
        (raw(COLOR, "rgb8", data=np.zeros(10, np.uint8)), "cut short"),
        (raw(COLOR, "rgb8", height=0), "pixels"),
        (raw(COLOR, "rgb8", width=10**6), "pixels"),
        (raw(COLOR, "32FC1"), "32FC1"),
        (raw(COLOR, "what"), "known"),
        (SimpleNamespace(format="jpeg", data=np.zeros(0, np.uint8)), "empty"),
        (SimpleNamespace(format="jpeg", data=np.frombuffer(b"hello world", np.uint8)), "JPEG"),
    ],
)
def test_bad_messages_are_named(message, word):
    with pytest.raises(ImageError, match=word):
        message_to_rgb(message)


def test_last_row_may_lack_its_padding():
    message = raw(COLOR, "rgb8", padding=6)
    message.data = message.data[:-6]
    np.testing.assert_array_equal(message_to_rgb(message), COLOR)


@given(
    st.sampled_from([*ENCODINGS, "junk"]),
    st.integers(-1, 40),
    st.integers(-1, 40),
    st.integers(0, 300),
    st.binary(max_size=900),
    st.booleans(),
)
def test_anything_is_an_image_or_an_image_error(encoding, height, width, step, data, big):
    message = SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=step,
        data=np.frombuffer(data, np.uint8),
        is_bigendian=big,
    )
    try:
        image = message_to_rgb(message)
    except ImageError:
        return
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
