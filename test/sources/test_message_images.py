"""Raw and compressed image messages, for every encoding, byte order and row padding."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.errors import ImageError
from oodseg_ros.sources.message_images import TO_RGB, message_to_rgb, raw_to_rgb, view_pixels

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


PLAIN = [name for name in TO_RGB if not name.startswith(("bayer", "yu", "uy", "nv"))]


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


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(("encoding", "order"), [("nv12", (0, 1)), ("nv21", (1, 0))])
def test_luma_with_a_plane_of_color_below(encoding, order, padding):
    """Smooth picture, ITU-R BT.601 limited range, as cameras and hardware decoders send it."""
    y, x = np.mgrid[:16, :24]
    rgb = np.stack([x * 10, y * 15, 255 - x * 10], -1).astype(np.uint8)
    yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)  # planes Y, U, V
    u, v = yuv[16:20].reshape(8, 12), yuv[20:24].reshape(8, 12)
    color = np.stack([(u, v)[order[0]], (u, v)[order[1]]], -1).reshape(8, 24)
    array = np.concatenate([yuv[:16], color])
    found = message_to_rgb(raw(array, encoding, padding, height=16))
    assert found.shape == (16, 24, 3)
    assert np.abs(found.astype(int) - rgb).mean() < 8
    with pytest.raises(ImageError, match="24 rows of step"):
        message_to_rgb(raw(array[:16], encoding))
    with pytest.raises(ImageError, match="even sides"):
        message_to_rgb(raw(array, encoding, height=15))


def mosaic(rgb: np.ndarray, order: str) -> np.ndarray:
    out = np.empty(rgb.shape[:2], rgb.dtype)
    for place, letter in enumerate(order):
        out[place // 2 :: 2, place % 2 :: 2] = rgb[place // 2 :: 2, place % 2 :: 2, "rgb".index(letter)]
    return out


@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_bayer_mosaic_inside_png_is_what_the_raw_message_is(order, bits):
    array = mosaic(cv2.resize(COLOR, (64, 48), interpolation=cv2.INTER_CUBIC), order)
    array = array.astype(np.uint16) * 257 if bits == 16 else array
    told = f"bayer_{order}{bits}; png compressed "
    packed = SimpleNamespace(format=told, data=cv2.imencode(".png", array)[1].ravel())
    np.testing.assert_array_equal(message_to_rgb(packed), message_to_rgb(raw(array, f"bayer_{order}{bits}")))


def test_a_bayer_mosaic_inside_jpeg_has_its_colors():
    y, x = np.mgrid[:64, :96]
    rgb = np.stack([x * 2, y * 3, 200 - x * 2], -1).astype(np.uint8)
    data = cv2.imencode(".jpg", mosaic(rgb, "rggb"), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].ravel()
    found = message_to_rgb(SimpleNamespace(format="bayer_rggb8; jpeg compressed ", data=data))
    assert np.abs(found.astype(int) - rgb).mean() < 4
    colored = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].ravel()
    found = message_to_rgb(SimpleNamespace(format="bayer_rggb8; jpeg compressed bgr8", data=colored))
    assert np.abs(found.astype(int) - rgb).mean() < 4, "colors were made of the mosaic before it was compressed"


@pytest.mark.parametrize("told", ["16UC1; compressedDepth png", "32FC1; compressedDepth", "16UC1; png compressed "])
def test_compressed_depth_is_no_picture(told):
    data = cv2.imencode(".png", np.full((8, 8), 1500, np.uint16))[1].ravel()
    with pytest.raises(ImageError, match="measurements such as depth"):
        message_to_rgb(SimpleNamespace(format=told, data=data))


@pytest.mark.parametrize("gray", [False, True])
def test_16_bit_png_is_what_the_raw_message_is(gray):
    array = (np.random.default_rng(1).integers(0, 65536, (6, 8) if gray else (6, 8, 3))).astype(np.uint16)
    packed = SimpleNamespace(format="png", data=cv2.imencode(".png", array)[1].ravel())
    np.testing.assert_array_equal(message_to_rgb(packed), message_to_rgb(raw(array, "mono16" if gray else "bgr16")))


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
    st.sampled_from([*TO_RGB, "junk"]),
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


H, W = 4, 6


def message(encoding: str, step: int, data: np.ndarray, big: int = 0) -> SimpleNamespace:
    return SimpleNamespace(height=H, width=W, encoding=encoding, step=step, data=data, is_bigendian=big)


def test_rgb_without_padding_is_not_copied():
    data = np.arange(H * W * 3, dtype=np.uint8)
    image = raw_to_rgb(message("rgb8", W * 3, data), TO_RGB["rgb8"])
    assert np.shares_memory(image, data)
    np.testing.assert_array_equal(image.reshape(-1), data)


def test_padded_rows_are_left_out():
    rows = np.arange(H * (W * 3 + 5), dtype=np.uint8).reshape(H, -1)
    image = raw_to_rgb(message("rgb8", W * 3 + 5, rows.reshape(-1)), TO_RGB["rgb8"])
    np.testing.assert_array_equal(image, rows[:, : W * 3].reshape(H, W, 3))


@pytest.mark.parametrize(("big", "order"), [(0, "<u2"), (1, ">u2")])
def test_views_are_in_native_byte_order(big, order):
    values = np.arange(H * W, dtype=np.uint16).reshape(H, W) * 999
    data = values.astype(order).reshape(-1).view(np.uint8)
    pixels = view_pixels(message("mono16", W * 2, data, big), TO_RGB["mono16"])
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, values)


def test_odd_step_of_wide_samples():
    rows = np.zeros((H, W * 2 + 1), np.uint8)
    rows[:, : W * 2] = np.full((H, W), 0x8000, "<u2").view(np.uint8)
    assert (raw_to_rgb(message("mono16", W * 2 + 1, rows.reshape(-1)), TO_RGB["mono16"]) == 128).all()


def test_yuv_needs_an_even_width():
    odd = message("uyvy", 14, np.zeros(H * 14, np.uint8))
    odd.width = 7
    with pytest.raises(ImageError, match="even width"):
        raw_to_rgb(odd, TO_RGB["uyvy"])
