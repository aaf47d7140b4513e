"""Raw and compressed camera messages to frames: every encoding, padded rows, and every kind of bad message."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from oodseg_ros.errors import ImageError
from oodseg_ros.ros.messages.images import to_frame, to_image, view
from oodseg_ros.sources.message_images import message_to_rgb

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="front_optical")


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    """An Image of `pixels` [H, W(, C)], with `padding` bytes of rubbish after each row."""
    stored = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")))
    rows = stored.reshape(len(stored), -1).view(np.uint8)
    rows = np.hstack([rows, np.full((len(rows), padding), 0xAB, np.uint8)])
    msg = Image(header=HEADER, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=rows.shape[1])
    msg.is_bigendian = int(big_endian)
    msg.data = array.array("B", rows.tobytes())
    return msg


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """A smooth RGB picture, so that Bayer and chroma subsampling lose little."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], -1).astype(np.uint8)


def mosaic(rgb: np.ndarray, order: str) -> np.ndarray:
    """Bayer mosaic [H, W] whose first two rows start with `order`, e.g. rggb."""
    channel = {"r": 0, "g": 1, "b": 2}
    raw = np.empty(rgb.shape[:2], rgb.dtype)
    for index, letter in enumerate(order):
        dy, dx = divmod(index, 2)
        raw[dy::2, dx::2] = rgb[dy::2, dx::2, channel[letter]]
    return raw


RGB = picture()
OPAQUE = np.full((*RGB.shape[:2], 1), 255, np.uint8)
EXACT = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "rgba8": np.dstack([RGB, OPAQUE]),
    "bgra8": np.dstack([RGB[..., ::-1], OPAQUE]),
    "8UC3": RGB[..., ::-1],
    "8UC4": np.dstack([RGB[..., ::-1], OPAQUE]),
}


@pytest.mark.parametrize("padding", [0, 1, 5, 32])
@pytest.mark.parametrize("encoding", EXACT)
def test_color_encodings_are_exact_with_and_without_padded_rows(encoding, padding):
    frame = to_frame(message(EXACT[encoding], encoding, padding), "front")
    np.testing.assert_array_equal(frame.image, RGB)
    assert frame.image.flags.c_contiguous
    assert (frame.camera, frame.frame_id, frame.stamp_ns) == ("front", "front_optical", 12_000_000_345)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize("encoding", ["rgb16", "bgr16", "rgba16", "bgra16"])
def test_16_bit_colors_keep_their_upper_byte_in_either_byte_order(encoding, padding, big_endian):
    wide = EXACT[encoding.replace("16", "8")].astype(np.uint16) * 257
    np.testing.assert_array_equal(message_to_rgb(message(wide, encoding, padding, big_endian)), RGB)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(("encoding", "scale"), [("mono8", 1), ("8UC1", 1), ("mono16", 257)])
def test_grey_is_replicated(encoding, scale, padding):
    grey = RGB[..., 0]
    pixels = grey.astype(np.uint16) * scale if scale > 1 else grey
    np.testing.assert_array_equal(message_to_rgb(message(pixels, encoding, padding)), np.repeat(grey[..., None], 3, 2))


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_orders_give_the_right_colors(order, bits, padding):
    raw = mosaic(RGB, order)
    raw = raw.astype(np.uint16) * 257 if bits == 16 else raw
    image = message_to_rgb(message(raw, f"bayer_{order}{bits}", padding))
    error = np.abs(image.astype(int) - RGB)[2:-2, 2:-2]
    assert error.max() <= 12, "a swapped order mixes red and blue by up to 255"


@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize(("encoding", "luma"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)])
def test_yuv_422(encoding, luma, padding):
    yuv = cv2.cvtColor(RGB, cv2.COLOR_RGB2YUV)
    # ITU-R BT.601 limited range, as cameras send it.
    pixels = np.empty((*RGB.shape[:2], 2), np.uint8)
    pixels[..., luma] = 16 + yuv[..., 0].astype(float) * 219 / 255
    red, green, blue = RGB.astype(float).transpose(2, 0, 1)
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    pixels[:, ::2, 1 - luma] = u[:, ::2]
    pixels[:, 1::2, 1 - luma] = v[:, ::2]
    image = message_to_rgb(message(pixels, encoding, padding))
    assert np.abs(image.astype(int) - RGB).max() <= 16


def test_an_unpadded_rgb_image_and_every_view_share_the_messages_memory():
    msg = message(RGB, "rgb8")
    assert np.shares_memory(message_to_rgb(msg), np.frombuffer(msg.data, np.uint8))
    for encoding in ("mono8", "bgr8", "bgra8", "32FC1"):
        pixels = RGB[..., 0].astype(np.float32) if encoding == "32FC1" else EXACT.get(encoding, RGB[..., 0])
        msg = message(pixels, encoding, padding=8)
        seen = view(msg)
        np.testing.assert_array_equal(seen, pixels)
        assert np.shares_memory(seen, np.frombuffer(msg.data, np.uint8))


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 3, 4])
def test_a_score_image_can_be_viewed_but_is_no_camera_image(padding, big_endian):
    score = np.array([[0.5, np.nan, -3.0], [np.inf, 1e-8, 7.0]], np.float32)
    msg = message(score, "32FC1", padding, big_endian)
    seen = view(msg)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, score)
    with pytest.raises(ImageError, match=r"camera front: .*32FC1 holds measurements.*remap"):
        to_frame(msg, "front")


def test_the_last_row_may_come_without_padding():
    msg = message(RGB, "bgr8", padding=4)
    msg.data = msg.data[:-4]
    np.testing.assert_array_equal(message_to_rgb(msg), RGB[..., ::-1])


def change(**fields) -> Image:
    msg = message(RGB, "bgr8")
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


BAD = {
    "no encoding": (change(encoding=""), "cannot be turned into a picture"),
    "unknown encoding": (change(encoding="banana9"), "'banana9' cannot be turned into a picture.*publish bgr8"),
    "very long encoding": (change(encoding="x" * 10_000), "cannot be turned into a picture"),
    "a depth image": (change(encoding="16UC1"), "16UC1"),
    "data cut short": (
        change(data=message(RGB, "bgr8").data[:-1]),
        "data holds 2303 bytes, but 24 rows of step 96 need 2304",
    ),
    "no data": (change(data=array.array("B")), "data holds 0 bytes"),
    "step too small": (change(step=95), "step is 95 bytes, but a row of 32 bgr8 pixels needs 96"),
    "step zero": (change(step=0), "step is 0 bytes"),
    "zero width": (change(width=0), "no pixels"),
    "zero height": (change(height=0), "no pixels"),
    "absurd width": (change(width=2**32 - 1), "4294967295x24.*sides up to 8192"),
    "absurd height": (change(height=8193), "sides up to 8192"),
    "absurd step": (change(step=2**32 - 1), "cut short"),
    "odd width for 4:2:2": (change(encoding="yuv422", width=31), "even width"),
    "8UC3 cut short": (change(encoding="8UC3", height=25), "data holds"),
    "8UC3 step too small": (change(encoding="8UC3", step=12), "step is 12"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_refused_with_a_sentence(name):
    msg, text = BAD[name]
    with pytest.raises(ImageError, match=text) as caught:
        to_frame(msg, "rear_left")
    assert str(caught.value).startswith("camera rear_left: ")
    assert len(str(caught.value)) < 500


def test_compressed_images_become_frames():
    data = cv2.imencode(".png", np.ascontiguousarray(RGB[..., ::-1]))[1].tobytes()
    msg = CompressedImage(header=HEADER, format="bgr8; png compressed bgr8", data=data)
    frame = to_frame(msg, "front")
    np.testing.assert_array_equal(frame.image, RGB)
    assert (frame.stamp_ns, frame.frame_id) == (12_000_000_345, "front_optical")
    with pytest.raises(ImageError, match="camera front: the image data is empty"):
        to_frame(CompressedImage(header=HEADER, format="jpeg"), "front")


OUTPUTS = [
    ("mono8", RGB[..., 0]),
    ("bgr8", RGB),
    ("rgb8", RGB),
    ("32FC1", RGB[..., 0].astype(np.float32) / 7),
]


@pytest.mark.parametrize(("encoding", "pixels"), OUTPUTS)
def test_arrays_come_back_from_messages_also_strided_and_reused(encoding, pixels):
    msg = to_image(pixels, HEADER, encoding)
    assert (msg.header, msg.encoding, msg.height, msg.width) == (HEADER, encoding, 24, 32)
    assert msg.step * msg.height == len(msg.data)
    np.testing.assert_array_equal(view(msg), pixels)
    memory = msg.data
    again = to_image(pixels[::-1], HEADER, encoding, msg)
    assert again is msg
    assert msg.data is memory, "same size: the memory is filled again"
    np.testing.assert_array_equal(view(msg), pixels[::-1])
    smaller = to_image(pixels[::2, ::2], HEADER, encoding, msg)
    np.testing.assert_array_equal(view(smaller), pixels[::2, ::2])


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [("mono8", RGB), ("bgr8", RGB[..., 0]), ("32FC1", RGB[..., 0]), ("mono8", RGB[:0, :, 0]), ("mono16", RGB[..., 0])],
)
def test_an_array_that_does_not_fit_its_encoding_is_refused(encoding, pixels):
    with pytest.raises(ValueError, match="is no"):
        to_image(pixels, HEADER, encoding)


ENCODINGS = st.sampled_from(
    [
        "rgb8",
        "bgr8",
        "rgba8",
        "bgra8",
        "mono8",
        "mono16",
        "rgb16",
        "bayer_grbg8",
        "bayer_rggb16",
        "yuv422",
        "yuyv",
        "32FC1",
        *("8UC1", "8UC2", "8UC3", "16UC1", "64FC4", "nv21", "nv24", ""),
    ]
) | st.text(max_size=12)
SIZES = st.integers(0, 20) | st.integers(0, 2**32 - 1)


@settings(max_examples=400, deadline=None)
@given(ENCODINGS, SIZES, SIZES, SIZES, st.integers(0, 255), st.binary(max_size=4000))
def test_no_message_does_anything_but_a_frame_or_an_image_error(encoding, height, width, step, big_endian, data):
    msg = Image(height=height, width=width, step=step, is_bigendian=big_endian)
    msg.encoding = encoding.encode("ascii", "replace").decode()
    msg.data = array.array("B", data)
    try:
        image = to_frame(msg, "front").image
    except ImageError:
        return
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous


@settings(max_examples=300, deadline=None)
@given(
    encoding=ENCODINGS,
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    padding=st.integers(0, 9),
    big_endian=st.booleans(),
)
def test_well_formed_messages_of_any_size_are_read_or_refused(encoding, height, width, padding, big_endian):
    encoding = encoding.encode("ascii", "replace").decode()
    step = width * 8 + padding
    msg = Image(height=height, width=width, step=step, encoding=encoding, is_bigendian=int(big_endian))
    msg.data = array.array("B", bytes(step * height))
    try:
        image = message_to_rgb(msg)
    except ImageError:
        assert encoding not in ("rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "rgb16", "8UC1")
        return
    assert image.shape == (height, width, 3)
