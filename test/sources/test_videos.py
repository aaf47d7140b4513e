from fractions import Fraction

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
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
    assert f"ends after {count} of 10 frames" in source.damage


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
