"""H.264 and H.265 packets that PyAV encodes here, whole, with losses and with damage."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from bags import header, write_bag
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from oodseg_ros.errors import ImageError
from oodseg_ros.sources.bags import open_bag
from oodseg_ros.sources.video_packets import DEFINITIONS, PACKET_TYPES, PictureDecoder, to_rgb

av = pytest.importorskip("av")
FRAMES, GOP = 30, 10
START = 1_700_000_000 * 10**9


def picture(index: int) -> np.ndarray:
    y, x = np.mgrid[:96, :160]
    image = np.stack([60 + x % 120, 90 + y, 200 - y], -1).astype(np.uint8)
    image[30:60, 3 * index : 3 * index + 30] = (200, 40, 30)
    return image


def encoded(encoder: str, **options: str) -> list[bytes]:
    av.logging.set_level(av.logging.PANIC)
    if encoder not in av.codecs_available:
        pytest.skip(f"PyAV was built without {encoder}")
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = 160, 96, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 10), Fraction(10, 1)
    context.gop_size, context.max_b_frames = GOP, 0
    context.options = {"preset": "fast", "crf": "12", "x265-params": "log-level=none", **options}
    packets = []
    for index in range(FRAMES):
        frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(format="yuv420p")
        frame.pts = index
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets + [bytes(packet) for packet in context.encode(None)]


CODECS = {"libx264": "h264", "libx265": "h265"}


@pytest.fixture(scope="module", params=CODECS)
def stream(request) -> tuple[str, list[bytes]]:
    return CODECS[request.param], encoded(request.param)


def foxglove(data: bytes, codec: str) -> SimpleNamespace:
    return SimpleNamespace(timestamp=SimpleNamespace(sec=1, nanosec=2), frame_id="cam", data=data, format=codec)


def ffmpeg(data: bytes, codec: str, index: int) -> SimpleNamespace:
    told = {"h264": "libx264", "h265": "hevc;yuv420p;bgr8;bgr8"}[codec]
    return SimpleNamespace(encoding=told, pts=index, flags=0, width=160, height=96, data=np.frombuffer(data, np.uint8))


def decode(codec: str, packets: dict[int, bytes]) -> dict[int, np.ndarray | str]:
    """Packet number → picture, or why there is none."""
    decoder, found = PictureDecoder(), {}
    for index, data in packets.items():
        try:
            found[index] = decoder(foxglove(data, codec))
        except ImageError as error:
            found[index] = str(error)
    return found


def right(image: np.ndarray | str, index: int) -> bool:
    return not isinstance(image, str) and np.abs(image.astype(int) - picture(index)).mean() < 4


def test_every_packet_is_one_picture_at_once(stream):
    codec, packets = stream
    assert len(packets) == FRAMES
    found = decode(codec, dict(enumerate(packets)))
    assert all(right(found[index], index) for index in range(FRAMES))
    decoder = PictureDecoder()
    for index, data in enumerate(packets):
        np.testing.assert_array_equal(decoder(ffmpeg(data, codec, index)), found[index])


@pytest.mark.parametrize("lost", [{0}, {10}, {13}, {13, 14, 15}, {19}, {9, 10, 11}, {3, 20}])
def test_after_a_loss_nothing_is_a_picture_until_the_next_key_frame(stream, lost):
    codec, packets = stream
    found = decode(codec, {index: data for index, data in enumerate(packets) if index not in lost})
    blind = False
    for index in range(FRAMES):
        blind = (blind and index % GOP != 0) or index in lost
        if index not in lost:
            assert isinstance(found[index], str) == blind, (index, blind)
            assert blind or right(found[index], index)


def test_a_stream_that_is_joined_late_waits_for_its_key_frame(stream):
    codec, packets = stream
    found = decode(codec, {index: packets[index] for index in range(4, FRAMES)})
    assert all("no key frame" in found[index] for index in range(4, 10))
    assert all(right(found[index], index) for index in range(10, FRAMES))


@pytest.mark.parametrize("seed", range(12))
def test_damaged_packets_end_in_a_picture_or_a_sentence(stream, seed):
    codec, packets = stream
    rng = np.random.default_rng(seed)
    spoiled = dict(enumerate(packets))
    for index in rng.choice(FRAMES, 4, replace=False).tolist():
        data = bytearray(packets[index])
        if rng.random() < 0.5:
            data = data[: int(rng.integers(0, len(data)))]
        else:
            for _ in range(5):
                data[int(rng.integers(0, len(data)))] ^= 255
        spoiled[index] = bytes(data)
    for image in decode(codec, spoiled).values():
        assert isinstance(image, str) or image.shape[2] == 3
    assert right(decode(codec, dict(enumerate(packets)))[FRAMES - 1], FRAMES - 1)


def test_other_codecs_and_other_bytes_are_refused():
    for message, words in (
        (foxglove(b"\0\0\0\1abc", "vp9"), "'vp9' cannot be decoded"),
        (foxglove(b"", "h264"), "empty or not in Annex B"),
        (foxglove(b"\0\0\0\x20abcdef", "h264"), "Annex B"),
    ):
        with pytest.raises(ImageError, match=words):
            PictureDecoder()(message)


@pytest.mark.parametrize("kind", PACKET_TYPES)
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_packets_of_a_bag(tmp_path, kind, storage):
    """One packet was not recorded: the frames to the next key frame are skipped, with the reason."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(DEFINITIONS[kind], kind))
    messages = []
    for index, data in enumerate(encoded("libx264")):
        head, array = header(START + index * 10**8, "cam"), np.frombuffer(data, np.uint8)
        if kind.startswith("foxglove"):
            message = store.types[kind](head.stamp, "cam", array, "h264")
        else:
            message = store.types[kind](head, 160, 96, "h264;yuv420p", index, 0, False, array)
        if index != 13:
            messages.append(("/front/image_raw/ffmpeg", START + index * 10**8, message))
    write_bag(tmp_path / "drive", messages, storage, 8, store)
    source = open_bag(tmp_path / "drive")
    frames = {(frame.stamp_ns - START) // 10**8: frame for frame in source}
    assert sorted(frames) == [*range(13), *range(20, 30)]
    assert all(right(frame.image, index) for index, frame in frames.items())
    assert {(frame.camera, frame.frame_id) for frame in frames.values()} == {("front", "cam")}
    ((reason, count),) = source.skipped.items()
    assert count == 6
    assert "unknown until the next" in reason


def test_conversion_keeps_odd_strides():
    frame = av.VideoFrame.from_ndarray(picture(0)[:90, :154], format="rgb24")
    np.testing.assert_array_equal(to_rgb(frame), picture(0)[:90, :154])
