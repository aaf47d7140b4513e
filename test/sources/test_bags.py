"""Bags that are written here with rosbags, whole, damaged and torn, and read back."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from oodseg_ros.errors import BagError
from oodseg_ros.frame import Frame
from oodseg_ros.replay.recorded_bag import RecordedBag
from oodseg_ros.sources.bag_messages import ReplayBag, is_bag
from oodseg_ros.sources.bags import camera_names, choose_topics, open_bag
from oodseg_ros.sources.source import Unreadable

STORE = get_typestore(Stores.ROS2_HUMBLE)
TYPES = STORE.types
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000
FRAMES = 6


def picture(index: int, camera: int) -> np.ndarray:
    """RGB uint8 `[32, 48, 3]` that tells frame and camera by its color."""
    return np.full((32, 48, 3), (10 * index + 20, 100 * camera + 50, 80), np.uint8)


def header(store, stamp: int, frame_id: str):
    parts = {"stamp": store.types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)}
    if "seq" in store.types["std_msgs/msg/Header"].__dataclass_fields__:
        parts["seq"] = 0
    return store.types["std_msgs/msg/Header"](frame_id=frame_id, **parts)


def raw_message(index: int, camera: int, store=STORE, stamp: int | None = None, **changes):
    image = picture(index, camera)
    fields = {
        "header": header(store, START + index * PERIOD if stamp is None else stamp, f"optical_{camera}"),
        "height": 32,
        "width": 48,
        "encoding": "rgb8",
        "is_bigendian": 0,
        "step": 144,
        "data": image.reshape(-1),
    }
    return store.types["sensor_msgs/msg/Image"](**(fields | changes))


def compressed_message(index: int, camera: int):
    data = cv2.imencode(".png", cv2.cvtColor(picture(index, camera), cv2.COLOR_RGB2BGR))[1].reshape(-1)
    stamp = header(STORE, START + index * PERIOD, f"optical_{camera}")
    return TYPES["sensor_msgs/msg/CompressedImage"](header=stamp, format="png", data=data)


def write_bag(path: Path, storage: StoragePlugin = StoragePlugin.MCAP, edit=None, version: int = 9) -> Path:
    """Front raw, left compressed 30 ms later, and chatter; `edit(index, message)` may change the raw messages."""
    with Writer(path, version=version, storage_plugin=storage) as writer:
        front = writer.add_connection("/front/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
        left = writer.add_connection("/left/image_raw/compressed", "sensor_msgs/msg/CompressedImage", typestore=STORE)
        chatter = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=STORE)
        for index in range(FRAMES):
            log = START + index * PERIOD + 1000
            message = raw_message(index, 0)
            message = edit(index, message) if edit else message
            writer.write(front, log, STORE.serialize_cdr(message, front.msgtype))
            text = TYPES["std_msgs/msg/String"](data="hello")
            writer.write(chatter, log + 10, STORE.serialize_cdr(text, chatter.msgtype))
            writer.write(left, log + 30_000_000, STORE.serialize_cdr(compressed_message(index, 1), left.msgtype))
    return path


def check(frames) -> None:
    """All frames of `write_bag`, in time order, with their own colors."""
    assert len(frames) == 2 * FRAMES
    for number, frame in enumerate(frames):
        index, camera = divmod(number, 2)
        assert frame.camera == ("front", "left")[camera]
        assert frame.frame_id == f"optical_{camera}"
        assert frame.stamp_ns == START + index * PERIOD
        np.testing.assert_array_equal(frame.image, picture(index, camera))


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("single_file", [False, True])
def test_whole_bags_of_both_storages(tmp_path, storage, single_file):
    path = write_bag(tmp_path / "drive", storage)
    if single_file:
        (path,) = (file for file in path.iterdir() if file.suffix in (".mcap", ".db3"))
    assert is_bag(path)
    source = open_bag(path)
    assert (source.name, source.kind, source.cameras) == ("drive", "bag", ("front", "left"))
    assert source.count == 2 * FRAMES
    for _ in range(2):  # every iteration starts anew
        check(list(source))
    assert source.damage is None
    assert not source.skipped


def test_bag_without_definitions_and_without_metadata(tmp_path):
    path = write_bag(tmp_path / "drive", StoragePlugin.SQLITE3, version=8)
    # As Humble records: its storage has no table of message definitions.
    with closing(sqlite3.connect(path / "drive.db3")) as database:
        database.execute("DELETE FROM message_definitions")
        database.commit()
    check(list(open_bag(path)))
    (path / "metadata.yaml").unlink()
    check(list(open_bag(path)))


def test_one_topic_of_two(tmp_path):
    source = open_bag(write_bag(tmp_path / "drive"), ["/left/image_raw/compressed"])
    assert source.cameras == ("left",)
    assert [frame.camera for frame in source] == ["left"] * FRAMES


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_topics_with_pictures_that_are_not_read_are_told(tmp_path, storage, caplog):
    """An announced topic without messages is not preferred, and cameras of other names are not dropped in silence."""
    frame = "std_msgs/Header header\nsensor_msgs/Image image\n"
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(frame, "custom_msgs/msg/Shot"))
    kinds = {
        "/front/image_raw": "sensor_msgs/msg/Image",
        "/front/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
        "/front/anomaly/overlay": "sensor_msgs/msg/Image",
        "/rear/color/view": "sensor_msgs/msg/CompressedImage",
        "/side/shots": "custom_msgs/msg/Shot",
    }
    with Writer(tmp_path / "drive", version=9, storage_plugin=storage) as writer:
        open_topics = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in kinds.items()}
        for topic, connection in open_topics.items():
            if topic == "/front/image_raw":
                continue
            message = compressed_message(0, 0) if connection.msgtype.endswith("CompressedImage") else raw_message(0, 0)
            if topic == "/side/shots":
                message = store.types["custom_msgs/msg/Shot"](message.header, message)
            writer.write(connection, START, store.serialize_cdr(message, connection.msgtype))
    source = open_bag(tmp_path / "drive")
    assert source.cameras == ("front",)
    assert len(list(source)) == 1
    told = "image topics that were not read: /rear/color/view; --topic names the ones to read; "
    told += "pictures of a type that is not read: /side/shots (custom_msgs/msg/Shot)"
    assert told in caplog.text
    assert RecordedBag(ReplayBag(tmp_path / "drive"), None, {}).notes == [told]
    assert not RecordedBag(ReplayBag(tmp_path / "drive"), ["/front/image_raw/compressed"], {}).notes


def test_bag_in_two_files_without_metadata_is_merged_in_time(tmp_path):
    first = write_bag(tmp_path / "a")
    second = write_bag(tmp_path / "b", edit=lambda index, message: raw_message(index + 1, 0))
    both = tmp_path / "both"
    both.mkdir()
    shutil.copy(first / "a.mcap", both / "x_0.mcap")
    shutil.copy(second / "b.mcap", both / "x_1.mcap")
    source = open_bag(both)
    frames = list(source)
    assert len(frames) == 3 * FRAMES, "the left camera's are the same in both"
    assert [frame.stamp_ns for frame in frames if frame.camera == "left"] == [
        START + index * PERIOD for index in range(FRAMES)
    ]
    assert f"x_1.mcap: {FRAMES} messages stand in another file of the bag" in source.damage


def test_ros1_bag(tmp_path):
    store = get_typestore(Stores.ROS1_NOETIC)
    path = tmp_path / "old.bag"
    with Writer1(path) as writer:
        connection = writer.add_connection("/front/image_raw", "sensor_msgs/msg/Image", typestore=store)
        for index in range(FRAMES):
            data = store.serialize_ros1(raw_message(index, 0, store), connection.msgtype)
            writer.write(connection, START + index * PERIOD, data)
    frames = list(open_bag(path))
    assert [frame.stamp_ns for frame in frames] == [START + index * PERIOD for index in range(FRAMES)]
    np.testing.assert_array_equal(frames[3].image, picture(3, 0))


def test_stamp_zero_falls_back_to_the_log_time(tmp_path):
    path = write_bag(tmp_path / "drive", edit=lambda index, _: raw_message(index, 0, stamp=0))
    stamps = [frame.stamp_ns for frame in open_bag(path, ["/front/image_raw"])]
    assert stamps == [START + index * PERIOD + 1000 for index in range(FRAMES)]


def test_bad_frames_are_counted_by_reason_and_passed_over(tmp_path):
    def edit(index, message):
        if index in (1, 2):
            return raw_message(index, 0, step=3)
        return raw_message(index, 0, encoding="32FC1") if index == 4 else message

    source = open_bag(write_bag(tmp_path / "drive", edit=edit), ["/front/image_raw"])
    assert len(list(source)) == FRAMES - 3
    assert sorted(source.skipped.values()) == [1, 2]
    assert any("step is 3" in reason for reason in source.skipped)
    assert len(list(source)) == FRAMES - 3
    assert sum(source.skipped.values()) == 3, "counts are of one iteration"
    stamps = [(type(item), item.stamp_ns) for item in source.everything()]
    expected = [Unreadable if index in (1, 2, 4) else Frame for index in range(FRAMES)]
    assert stamps == [(kind, START + index * PERIOD) for index, kind in enumerate(expected)]


def large_message(index: int, _) -> object:
    """About one chunk of an mcap file."""
    large = cv2.resize(picture(index, 0), (640, 480)).reshape(-1)
    return raw_message(index, 0, height=480, width=640, step=640 * 3, data=large)


@pytest.mark.parametrize("in_folder", [False, True])
def test_torn_mcap_is_read_up_to_the_damage(tmp_path, in_folder):
    """A recorder that was killed: no index at the end, the last chunk cut."""
    path = write_bag(tmp_path / "drive", edit=large_message)
    whole = (path / "drive.mcap").read_bytes()
    if not in_folder:
        path = tmp_path / "torn.mcap"
    file = path / "drive.mcap" if in_folder else path
    found = []
    for share in (0.4, 0.7, 0.95):
        file.write_bytes(whole[: int(len(whole) * share)])
        source = open_bag(path)
        frames = list(source)
        found.append(len(frames))
        if in_folder:  # metadata.yaml tells how many there were
            assert len(frames) + source.missing == source.count == 2 * FRAMES
        else:
            assert source.count is None
            assert "how many were lost is not known" in source.damage
        assert "not closed" in source.damage
        for frame in frames:
            index = (frame.stamp_ns - START) // PERIOD
            np.testing.assert_array_equal(frame.image[:32, :48], picture(index, source.cameras.index(frame.camera)))
    assert 0 < found[0] < found[1] <= found[2] <= 2 * FRAMES


def test_flipped_bytes_end_in_a_sentence_never_in_another_error(tmp_path):
    path = write_bag(tmp_path / "drive")
    whole = bytearray((path / "drive.mcap").read_bytes())
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(40):
        broken = bytearray(whole)
        at = int(rng.integers(0, len(whole)))
        broken[at : at + 8] = rng.bytes(8)
        file = tmp_path / "broken.mcap"
        file.write_bytes(broken)
        with suppress(BagError):
            read += len(list(open_bag(file)))
    assert read > 20 * FRAMES


@pytest.mark.parametrize("content", [b"", b"not a bag at all", b"\x89MCAP0\r\n"])
@pytest.mark.parametrize("suffix", [".mcap", ".db3", ".bag"])
def test_files_that_are_no_bags(tmp_path, content, suffix):
    file = tmp_path / f"x{suffix}"
    file.write_bytes(content)
    with pytest.raises(BagError, match="cannot be read"):
        open_bag(file)


@pytest.mark.parametrize("what", ["a.txt", "a.png", "metadata.txt", ".", "folder"])
def test_what_is_no_bag_is_told_what_takes_it(tmp_path, what):
    (tmp_path / "folder").mkdir()
    for name in ("a.txt", "a.png", "metadata.txt"):
        (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(BagError, match=r"is no bag .*`oodseg run` takes"):
        open_bag(tmp_path / what)


def test_a_bag_that_is_not_there(tmp_path):
    for name in ("none", "none.mcap", "none/metadata.yaml"):
        with pytest.raises(BagError, match="does not exist"):
            open_bag(tmp_path / name)


def test_folder_with_metadata_but_no_storage(tmp_path):
    path = write_bag(tmp_path / "drive")
    (path / "drive.mcap").unlink()
    with pytest.raises(BagError, match="cannot be read"):
        open_bag(path)


@pytest.mark.data
def test_recorded_bag(shared_data):
    frames = list(open_bag(shared_data / "bag_pixood"))
    assert len(frames) == 27
    assert frames[0].image.shape == (540, 960, 3)
    assert np.diff([frame.stamp_ns for frame in frames]).tolist() == [200_000_000] * 26


IMAGE, COMPRESSED, OTHER = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"


def test_one_topic_per_camera_raw_before_compressed():
    types = {
        "/front/image_raw": IMAGE,
        "/front/image_raw/compressed": COMPRESSED,
        "/front/image_raw/compressedDepth": COMPRESSED,
        "/front/semantic/image_mask": IMAGE,
        "/left/image_rect/compressed": COMPRESSED,
        "/chatter": OTHER,
    }
    assert choose_topics(types, None, "x") == ["/front/image_raw", "/left/image_rect/compressed"]


def test_raw_picture_goes_before_a_rectified_one():
    types = {"/a/image_rect": IMAGE, "/a/image_raw": IMAGE}
    assert choose_topics(types, None, "x") == ["/a/image_raw"]


def test_unusual_names_are_taken_where_there_is_nothing_else():
    assert choose_topics({"/webcam": IMAGE}, None, "x") == ["/webcam"]


def test_a_topic_without_a_message_is_taken_only_where_there_is_nothing_else():
    types = {"/a/image_raw": IMAGE, "/a/image_raw/compressed": COMPRESSED, "/b/image_raw": IMAGE, "/webcam": IMAGE}
    assert choose_topics(types, None, "x", {"/a/image_raw", "/b/image_raw"}) == ["/a/image_raw/compressed"]
    assert choose_topics(types, None, "x", set(types) - {"/webcam"}) == ["/webcam"]
    assert choose_topics(types, None, "x", set(types)) == sorted(types)


def test_asked_topics_are_taken_as_they_are():
    types = {"/a/image_raw": IMAGE, "/a/mask": IMAGE}
    assert choose_topics(types, ["/a/mask"], "x") == ["/a/mask"]


def test_missing_topic_names_those_there_are():
    with pytest.raises(BagError, match=r"no image topic /b.*/a/image_raw"):
        choose_topics({"/a/image_raw": IMAGE}, ["/b"], "x.mcap")


def test_topic_of_another_type_is_no_image():
    with pytest.raises(BagError, match="no image topic /chatter"):
        choose_topics({"/chatter": OTHER, "/a/image_raw": IMAGE}, ["/chatter"], "x")


def test_bag_without_images_tells_what_it_holds():
    with pytest.raises(BagError, match=r"/chatter \(std_msgs/msg/String\)"):
        choose_topics({"/chatter": OTHER}, None, "x")


@pytest.mark.parametrize(
    ("topics", "names"),
    [
        (["/camera/image_raw/compressed"], ["camera"]),
        (["/front/left/image_raw"], ["front_left"]),
        (["/image_raw"], ["camera"]),
        (["/a/image_raw", "/b/image_raw"], ["a", "b"]),
        (["/a/image_raw", "/a/image_rect"], ["a_image_raw", "a_image_rect"]),
    ],
)
def test_camera_names(topics, names):
    assert list(camera_names(topics).values()) == names
