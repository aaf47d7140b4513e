"""Drives as files: unpacked once, and what was lost is said each time."""

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from oodseg_ros.errors import DatasetError
from oodseg_ros.sources.drives import drive_files

STORE = get_typestore(Stores.ROS2_HUMBLE)


def write_bag(path, pictures):
    kind = "sensor_msgs/msg/CompressedImage"
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/front/image_raw/compressed", kind, typestore=STORE)
        for index, data in enumerate(pictures):
            header = STORE.types["std_msgs/msg/Header"](STORE.types["builtin_interfaces/msg/Time"](index, 0), "cam")
            message = STORE.types[kind](header, "jpeg", np.frombuffer(data, np.uint8))
            writer.write(connection, index * 10**9, STORE.serialize_cdr(message, kind))
    return path


JPEG = cv2.imencode(".jpg", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()


def test_what_a_drive_lost_is_said_also_when_it_was_unpacked_before(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    bag = write_bag(tmp_path / "drive", [JPEG, JPEG[:40], JPEG])
    text = (bag / "metadata.yaml").read_text().replace("message_count: 3", "message_count: 5")
    (bag / "metadata.yaml").write_text(text)
    for _ in range(2):
        caplog.clear()
        assert len(drive_files(bag)) == 2
        assert "1 skipped" in caplog.text
        assert "2 of 5 messages are missing" in caplog.text


def test_a_drive_without_one_frame_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    bag = write_bag(tmp_path / "drive", [b"", b""])
    for _ in range(2):
        with pytest.raises(DatasetError, match="no frame that can be read: 2 skipped"):
            drive_files(bag)
