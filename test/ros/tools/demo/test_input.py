from __future__ import annotations

import os
import threading
import time

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import ImageError, UserError
from oodseg_ros.frame import Frame
from oodseg_ros.ros.tools.demo.input import MIN_AREA, Player, camera_names, open_input, read_ahead
from oodseg_ros.scenes import drive


def test_a_drive_comes_with_its_truth():
    given = open_input("scenes:3", 3)
    assert given.count == 3
    assert given.size == (960, 540)
    frames = list(given.frames)
    assert [frame.camera for frame in frames] == ["front"] * 3
    scenes = list(drive(3, 3))
    assert [frame.stamp_ns for frame in frames] == [scene.stamp_ns for scene in scenes] == list(given.truth)
    for scene in scenes:
        large = [obstacle.distance_m for obstacle in scene.obstacles if obstacle.area >= MIN_AREA]
        assert given.truth[scene.stamp_ns].count == len(large)
        assert given.truth[scene.stamp_ns].nearest_m == min(large, default=None)
    info = given.info(frames[0])
    assert np.allclose(np.reshape(info.k, (3, 3)), scenes[0].matrix)
    assert (info.width, info.height) == given.size
    assert given.parameters["mount.height"] == scenes[0].mount_height


def test_a_folder_is_played_without_truth(tmp_path):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((40, 60, 3), index, np.uint8))
    given = open_input(str(tmp_path), 3)
    assert (given.kind, given.count, given.size) == ("folder", 3, (60, 40))
    assert [int(frame.image[0, 0, 0]) for frame in given.frames] == [0, 1, 2]
    assert given.truth == {}


@pytest.mark.parametrize("limit", [None, 2])
def test_a_picture_that_cannot_be_decoded_is_told(tmp_path, caplog, limit):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((40, 60, 3), index, np.uint8))
    (tmp_path / "1.png").write_bytes(b"torn")
    given = open_input(str(tmp_path), limit)
    assert len(list(given.frames)) == (limit or 3)
    del given  # a play that was cut short ends its input so
    assert "1 skipped" in caplog.text
    assert "1.png" in caplog.text


@pytest.mark.parametrize("path", ["scenes:x", "scenes:12345678901", "/nowhere/at/all.mcap"])
def test_wrong_inputs(path):
    with pytest.raises(UserError):
        open_input(path, None)


os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
LIMIT = 30.0


def frame(number: int, camera: str = "front") -> Frame:
    return Frame(np.full((6, 8, 3), number, np.uint8), number * 50_000_000, camera)


def test_names_become_parts_of_topics():
    names = camera_names(["Front Left.mp4", "front-left.mp4", "0001", "ok", "тест"])
    assert list(names) == ["Front Left.mp4", "front-left.mp4", "0001", "ok", "тест"]
    assert names["Front Left.mp4"] == "front_left_mp4"
    assert names["0001"] == "camera_0001"
    assert names["ok"] == "ok"
    assert len(set(names.values())) == 5
    assert all(name.isascii() and name.isidentifier() for name in names.values())


def test_reading_ahead_keeps_order():
    frames = [frame(i) for i in range(20)]
    assert [f.stamp_ns for f in read_ahead(iter(frames), 3, threading.Event())] == [f.stamp_ns for f in frames]


def test_reading_starts_before_the_first_frame_is_asked_for():
    begun = threading.Event()

    def frames():
        begun.set()
        yield frame(1)

    ahead = read_ahead(frames(), 2, threading.Event())
    assert begun.wait(LIMIT)
    assert next(ahead).stamp_ns == 50_000_000


def test_an_error_of_the_source_arrives():
    def frames():
        yield frame(1)
        raise ImageError("damaged")

    ahead = read_ahead(frames(), 2, threading.Event())
    next(ahead)
    with pytest.raises(ImageError, match="damaged"):
        next(ahead)


@pytest.fixture
def peers():
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    from oodseg_ros.ros.node import qos

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("peers", context=context, namespace="player_test")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    player = Player(node, ["Front"])
    received: list[Image] = []
    node.create_subscription(Image, "front/image_raw", received.append, qos.IMAGE_IN)
    end = time.monotonic() + LIMIT
    while not player.listeners():
        assert time.monotonic() < end
        executor.spin_once(timeout_sec=0.05)
    yield player, received, executor
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def drain(received: list, executor, count: int) -> None:
    end = time.monotonic() + LIMIT
    while len(received) < count:
        assert time.monotonic() < end, f"{len(received)} of {count} images came"
        executor.spin_once(timeout_sec=0.05)


def test_frames_arrive_with_the_stamps_that_are_told(peers):
    from oodseg_ros.ros.messages.images import to_frame

    player, received, executor = peers
    sent: list[int] = []

    def on_sent(original: Frame, stamp: int) -> None:
        sent.append(stamp)
        drain(received, executor, len(sent))

    player.play((frame(i, "Front") for i in range(4)), on_sent, threading.Event())
    frames = [to_frame(message, "front") for message in received]
    assert [f.stamp_ns for f in frames] == sent
    assert [int(f.image[0, 0, 0]) for f in frames] == [0, 1, 2, 3]
    assert frames[0].frame_id == "front_optical"
    # 50 ms apart, as recorded; a busy machine may only be slower.
    assert sent[-1] - sent[0] >= 3 * 50_000_000 - 10_000_000


def test_stop_ends_the_play(peers):
    player, _, _ = peers
    stop, sent = threading.Event(), []

    def on_sent(original: Frame, stamp: int) -> None:
        sent.append(stamp)
        if len(sent) == 2:
            stop.set()

    player.play((frame(i, "Front") for i in range(100)), on_sent, stop)
    assert len(sent) == 2
