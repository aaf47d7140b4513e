"""Drives as files: unpacked once, and what was lost is said each time."""

import cv2
import numpy as np
import pytest
from bags import T, header, write_bag
from rosbags.rosbag2 import StoragePlugin

from oodseg_ros.errors import BagError, ConfigError, DatasetError
from oodseg_ros.sources.image_files import write_image
from oodseg_ros.sources.open_source import drive_files, open_matching, open_source


def test_kinds_are_told_by_what_is_there(tmp_path):
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert open_source(tmp_path / "images").kind == "folder"
    assert open_source(str(tmp_path / "images" / "a.png")).kind == "image"


def test_a_folder_with_a_storage_file_is_a_bag(tmp_path):
    (tmp_path / "x.mcap").write_bytes(b"")
    with pytest.raises(BagError):
        open_source(tmp_path)


def test_missing_path_and_unknown_kind(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        open_source(tmp_path / "none")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"known suffixes.*\.mcap.*\.mp4.*\.png"):
        open_source(tmp_path / "a.txt")


def test_topics_of_something_that_is_no_bag(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match="no bag"):
        open_source(tmp_path / "a.png", ["/camera/image_raw"])


def test_scenes_are_the_same_for_the_same_seed():
    first, again, other = open_source("scenes:7"), open_source("scenes:7"), open_source("scenes:8")
    assert first.kind == "scenes"
    frames = [next(iter(source)) for source in (first, again, other)]
    np.testing.assert_array_equal(frames[0].image, frames[1].image)
    assert (frames[0].image != frames[2].image).any()
    assert frames[0].image.dtype == np.uint8


@pytest.mark.parametrize("text", ["scenes:x", "scenes:-1", "scenes:1:2", "scenes:99999999999"])
def test_seed_that_is_no_number(text):
    with pytest.raises(ConfigError, match="seed"):
        open_source(text)


def recorded(path, pictures):
    kind, stamps = T["sensor_msgs/msg/CompressedImage"], range(0, len(pictures) * 10**9, 10**9)
    packed = [
        kind(header(at), "jpeg", np.frombuffer(data, np.uint8)) for at, data in zip(stamps, pictures, strict=True)
    ]
    topic = "/front/image_raw/compressed"
    return write_bag(path, [(topic, *one) for one in zip(stamps, packed, strict=True)], StoragePlugin.SQLITE3)


JPEG = cv2.imencode(".jpg", np.full((16, 24, 3), 90, np.uint8))[1].tobytes()


def test_what_a_drive_lost_is_said_also_when_it_was_unpacked_before(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    bag = recorded(tmp_path / "drive", [JPEG, JPEG[:40], JPEG])
    text = (bag / "metadata.yaml").read_text().replace("message_count: 3", "message_count: 5")
    (bag / "metadata.yaml").write_text(text)
    for _ in range(2):
        caplog.clear()
        assert len(drive_files(bag)) == 2
        assert "1 skipped" in caplog.text
        assert "2 of 5 messages are missing" in caplog.text


def test_a_drive_without_one_frame_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    bag = recorded(tmp_path / "drive", [b"", b""])
    for _ in range(2):
        with pytest.raises(DatasetError, match="no frame that can be read: 2 skipped"):
            drive_files(bag)


def test_a_pattern_is_the_files_that_fit_it(tmp_path):
    for name in ("a1.png", "a0.png", "b0.png"):
        write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    assert open_matching(f"{tmp_path}/a*.png").files == ("a0.png", "a1.png")
    assert len(open_matching(str(tmp_path)).files) == 3
    with pytest.raises(ConfigError, match="no file fits"):
        open_matching(f"{tmp_path}/c*.png")
