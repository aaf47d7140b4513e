from fractions import Fraction

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
from oodseg_ros.frame import Frame
from oodseg_ros.sources import videos
from oodseg_ros.sources.source import Unreadable
from oodseg_ros.sources.videos import open_video


@pytest.fixture
def video(tmp_path):
    """Ten frames at 20 Hz whose red grows, with noise below, so that headers are a small part of the file."""
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (320, 240))
    assert writer.isOpened()
    noise = np.random.default_rng(0).integers(0, 256, (120, 320, 3), dtype=np.uint8)
    for index in range(10):
        writer.write(np.vstack([np.full((120, 320, 3), (0, 0, 20 * index + 30), np.uint8), noise]))
    writer.release()
    return path


def test_frames_in_rgb_with_stamps_of_the_frame_rate(video):
    source = open_video(video)
    assert (source.kind, source.cameras, source.count, source.sequential) == ("video", ("drive",), 10, True)
    for _ in range(2):
        frames = list(source)
        assert [frame.stamp_ns for frame in frames] == [index * 50_000_000 for index in range(10)]
        for index, frame in enumerate(frames):
            assert frame.image.shape == (240, 320, 3)
            np.testing.assert_allclose(frame.image[60, 160], (20 * index + 30, 0, 0), atol=8)
    assert source.damage is None


def test_a_torn_video_is_read_to_its_end_and_said_to_be_damaged(video):
    data = video.read_bytes()
    source = open_video(video)
    video.write_bytes(data[: len(data) // 2])
    count = len(list(source))
    assert 0 < count < 9
    assert f"has {count} of 10 frames" in source.damage


def tear(video, *numbers):
    """Zeros in place of frames."""
    av = pytest.importorskip("av")
    with av.open(str(video)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(video.read_bytes())
    for start, size in (packets[number] for number in numbers):
        data[start : start + size] = bytes(size)
    video.write_bytes(data)


@pytest.mark.parametrize("torn", [(3, 4), (0,), (0, 1, 8)])
def test_a_frame_that_cannot_be_decoded_is_told_in_its_place_and_ends_nothing(video, torn):
    whole = list(open_video(video))
    tear(video, *torn)
    source = open_video(video)
    items = list(source.everything())
    assert [index for index, item in enumerate(items) if isinstance(item, Unreadable)] == list(torn)
    assert [item.stamp_ns for item in items] == [frame.stamp_ns for frame in whole]
    assert {(item.camera, item.file) for item in items} == {("drive", "drive.avi")}
    assert all(np.array_equal(item.image, whole[index].image) for index, item in enumerate(items) if index not in torn)
    assert source.skipped == {"a frame of video drive.avi cannot be decoded": len(torn)}
    assert source.damage is None
    assert len(list(source)) == 10 - len(torn)


def encoded(path, count, **options):
    """A moving texture at 20 Hz in H.264, as libav makes it of these options."""
    av = pytest.importorskip("av")
    texture = cv2.blur(np.random.default_rng(0).integers(0, 256, (96, 480, 3), dtype=np.uint8), (5, 5))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"sc_threshold": "0", **options})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(count):
            view = np.ascontiguousarray(texture[:, 5 * index : 5 * index + 160])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_what_is_built_on_a_lost_frame_is_lost_until_the_next_key_frame(tmp_path):
    """libav goes on and conceals the damage."""
    path = encoded(tmp_path / "a.mp4", 20, bf="0", g="10")
    tear(path, 4)
    source = open_video(path)
    items = list(source.everything())
    assert [type(item) for item in items] == [Frame] * 4 + [Unreadable] * 6 + [Frame] * 10
    assert [item.stamp_ns for item in items] == [index * 50_000_000 for index in range(20)]
    assert source.skipped == {
        "a frame of video a.mp4 cannot be decoded": 1,
        "a frame of video a.mp4 is built on one that cannot be decoded": 5,
    }


@pytest.mark.parametrize("torn", [1, 4, 20, 21])
def test_where_frames_are_reordered_no_concealed_damage_is_a_picture(tmp_path, torn):
    """A failed read comes in the order of decoding: before pictures of an earlier time, whole or not."""
    path = encoded(tmp_path / "a.mp4", 60, bf="3", g="20")
    whole = {item.stamp_ns: item.image for item in open_video(path)}
    assert len(whole) == 60
    tear(path, torn)
    source = open_video(path)
    items = list(source.everything())
    frames = [item for item in items if isinstance(item, Frame)]
    assert all(np.array_equal(frame.image, whole[frame.stamp_ns]) for frame in frames)
    assert len(items) - len(frames) < 42, "the second key frame after the loss at the latest ends it"
    assert source.skipped["a frame of video a.mp4 cannot be decoded"] == 1


def test_a_frame_that_is_lost_at_the_end_is_told(tmp_path):
    path = encoded(tmp_path / "a.mp4", 20, bf="0", g="10")
    tear(path, 19)
    source = open_video(path)
    assert len(list(source)) == 19
    assert source.damage == "video a.mp4 has 19 of 20 frames: a part is lost, or was trimmed away"


def test_a_whole_video_is_read_once(tmp_path, monkeypatch):
    """Its end is a failed read, too."""
    path = encoded(tmp_path / "a.mp4", 20, bf="0", g="10")
    source, opened = open_video(path), []
    monkeypatch.setattr(videos, "_open", lambda path: opened.append(path) or cv2.VideoCapture(str(path)))
    assert len(list(source)) == 20
    assert opened == [path]


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_no_video(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.mp4"):
        open_video(path)


@pytest.mark.parametrize("name", ["phone.mp4", "phone.mkv"])
def test_frames_keep_their_own_times_where_the_rate_changes(tmp_path, name):
    """A phone's rate falls in the dark. A Matroska file tells a duration, of which OpenCV makes a number of frames."""
    av = pytest.importorskip("av")
    times = [0, 100, 200, 300, 1300, 1400, 3600, 3700, 3800, 3900]
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 20 * index, np.uint8), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    source = open_video(tmp_path / name)
    assert [round(frame.stamp_ns / 1e6) for frame in source] == times
    assert source.damage is None
    assert source.missing == 0
