"""Bags as users leave them: edited, copied in part, renamed, compressed, damaged, of recorders that were killed.

Each is read whole, or what is missing is said: frames read + frames said to be missing = frames written, always.
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
import zstandard
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from oodseg_ros.errors import BagError, DatasetError, UserError
from oodseg_ros.sources.bag_messages import ReplayBag, is_bag
from oodseg_ros.sources.open_source import open_source

STORE = get_typestore(Stores.ROS2_HUMBLE)
OLD = get_typestore(Stores.ROS1_NOETIC)
IMAGE, TEXT = "sensor_msgs/msg/Image", "std_msgs/msg/String"
TOPICS = {"/front/image_raw": IMAGE, "/chatter": TEXT}
FRAMES = 24
START = 1_700_000_000 * 10**9


def image(index: int, store=STORE):
    stamp = store.types["builtin_interfaces/msg/Time"](*divmod(START + index * 10**8, 10**9))
    parts = {"seq": index} if store is OLD else {}
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="front", **parts)
    data = np.random.default_rng(index).integers(0, 256, 16 * 24 * 3, dtype=np.uint8)
    return store.types[IMAGE](header, 16, 24, "rgb8", 0, 72, data)


def entries(store=STORE):
    """(topic, type, log time, message): a camera and chatter between its frames, one of them late."""
    for index in range(FRAMES):
        late = 150_000_000 if index % 7 == 3 else 0
        yield "/front/image_raw", IMAGE, START + index * 10**8 + late, image(index, store)
        yield "/chatter", TEXT, START + index * 10**8 + 10**7, store.types[TEXT](f"number {index}")


def write_rosbag2(path: Path, storage: StoragePlugin, mode: CompressionMode | None = None) -> Path:
    writer = Writer(path, version=9, storage_plugin=storage)
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        known = {topic: writer.add_connection(topic, kind, typestore=STORE) for topic, kind in TOPICS.items()}
        for topic, kind, log_ns, message in entries():
            writer.write(known[topic], log_ns, STORE.serialize_cdr(message, kind))
    return path


def rewrite_mcap(path: Path, **how) -> Path:
    """The folder of a rosbag2 with its mcap written anew, with other options."""
    write_rosbag2(path, StoragePlugin.MCAP)
    with (path / f"{path.name}.mcap").open("wb") as stream:
        writer, known = McapWriter(stream, **how), {}
        writer.start("ros2")
        for topic, kind, log_ns, message in entries():
            if topic not in known:
                text, _ = STORE.generate_msgdef(kind, ros_version=2)
                known[topic] = writer.register_channel(
                    topic, "cdr", writer.register_schema(kind, "ros2msg", text.encode())
                )
            writer.add_message(known[topic], log_ns, bytes(STORE.serialize_cdr(message, kind)), log_ns)
        writer.finish()
    return path


def write_ros1(path: Path, compression=None) -> Path:
    path.mkdir()
    writer = Writer1(path / "drive.bag")
    writer.chunk_threshold = 4000
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        known = {topic: writer.add_connection(topic, kind, typestore=OLD) for topic, kind in TOPICS.items()}
        for topic, kind, log_ns, message in entries(OLD):
            writer.write(known[topic], log_ns, OLD.serialize_ros1(message, kind))
    return path


def write_split(path: Path) -> Path:
    """Three mcap files of which metadata.yaml tells the numbers."""
    path.mkdir()
    everything = list(entries())
    infos = []
    for part in range(3):
        with Writer(path / f"part{part}", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            known = {topic: writer.add_connection(topic, kind, typestore=STORE) for topic, kind in TOPICS.items()}
            for topic, kind, log_ns, message in everything[16 * part : 16 * part + 16]:
                writer.write(known[topic], log_ns, STORE.serialize_cdr(message, kind))
        shutil.move(path / f"part{part}" / f"part{part}.mcap", path / f"drive_{part}.mcap")
        text = (path / f"part{part}" / "metadata.yaml").read_text()
        infos.append(yaml.safe_load(text)["rosbag2_bagfile_information"])
        shutil.rmtree(path / f"part{part}")
    info = infos[0]
    info["relative_file_paths"] = [f"drive_{part}.mcap" for part in range(3)]
    info["files"] = [dict(infos[part]["files"][0], path=f"drive_{part}.mcap") for part in range(3)]
    for topic in info["topics_with_message_count"]:
        topic["message_count"] = FRAMES
    info["message_count"] = 2 * FRAMES
    (path / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": info}))
    return path


KINDS = {
    "mcap": lambda path: write_rosbag2(path, StoragePlugin.MCAP),
    "mcap small chunks": lambda path: rewrite_mcap(path, chunk_size=3000, compression=CompressionType.NONE),
    "mcap lz4": lambda path: rewrite_mcap(path, chunk_size=3000, compression=CompressionType.LZ4),
    "mcap zstd": lambda path: rewrite_mcap(path, chunk_size=5000, compression=CompressionType.ZSTD),
    "mcap unchunked": lambda path: rewrite_mcap(path, use_chunking=False),
    "mcap no index": lambda path: rewrite_mcap(path, chunk_size=3000, index_types=IndexType.NONE),
    "mcap no statistics": lambda path: rewrite_mcap(path, chunk_size=3000, use_statistics=False),
    "mcap bare summary": lambda path: rewrite_mcap(
        path, chunk_size=3000, repeat_channels=False, repeat_schemas=False, use_summary_offsets=False
    ),
    "mcap no checksums": lambda path: rewrite_mcap(path, chunk_size=3000, enable_crcs=False),
    "db3": lambda path: write_rosbag2(path, StoragePlugin.SQLITE3),
    "db3 per message": lambda path: write_rosbag2(path, StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    "db3 per file": lambda path: write_rosbag2(path, StoragePlugin.SQLITE3, CompressionMode.FILE),
    "mcap per message": lambda path: write_rosbag2(path, StoragePlugin.MCAP, CompressionMode.MESSAGE),
    "mcap per file": lambda path: write_rosbag2(path, StoragePlugin.MCAP, CompressionMode.FILE),
    "split": write_split,
    "ros1": write_ros1,
    "ros1 lz4": lambda path: write_ros1(path, Writer1.CompressionFormat.LZ4),
    "ros1 bz2": lambda path: write_ros1(path, Writer1.CompressionFormat.BZ2),
}


STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


def account(path: Path) -> tuple[int, int, str]:
    """Frames read, missing, and what was told."""
    source = open_source(path)
    return len(list(source)), source.missing, source.damage or ""


def edit(folder: Path, change) -> None:
    file = folder / "metadata.yaml"
    info = yaml.safe_load(file.read_text())
    change(info["rosbag2_bagfile_information"])
    file.write_text(yaml.safe_dump(info))


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(
    "qos", ["", [], "- {reliability: 2}", "no yaml: [", 7, None, [{"durability": "transient_local"}]]
)
def test_qos_that_was_edited_for_playback_is_no_matter_of_reading(tmp_path, storage, qos):
    path = write_rosbag2(tmp_path / "drive", storage)

    def change(info):
        for topic in info["topics_with_message_count"]:
            topic["topic_metadata"]["offered_qos_profiles"] = qos

    edit(path, change)
    assert account(path) == (FRAMES, 0, "")


@pytest.mark.parametrize(
    "how",
    [
        {"index_types": IndexType.CHUNK},
        {"index_types": IndexType.NONE},
        {"index_types": IndexType.MESSAGE},
        {"repeat_channels": False, "repeat_schemas": False},
        {"use_statistics": False},
        {
            "use_summary_offsets": False,
            "use_statistics": False,
            "repeat_channels": False,
            "index_types": IndexType.NONE,
        },
        {"use_chunking": False},
        {"enable_crcs": False, "enable_data_crcs": True},
    ],
)
def test_an_mcap_that_says_less_of_itself_is_read_whole_and_in_order(tmp_path, how):
    path = rewrite_mcap(tmp_path / "drive", chunk_size=3000, **how)
    for each in (path, path / "drive.mcap"):
        assert account(each) == (FRAMES, 0, "")
    times = [message.log_ns for message in ReplayBag(path).messages()]
    assert len(times) == 2 * FRAMES
    assert times == sorted(times), "messages that were written late are put in their place"


def test_a_missing_split_file_is_named_and_its_messages_are_counted(tmp_path):
    path = write_split(tmp_path / "drive")
    (path / "drive_1.mcap").unlink()
    frames, missing, told = account(path)
    assert (frames, missing) == (16, 8)
    assert "drive_1.mcap, named by metadata.yaml, is missing with its 16 messages" in told
    assert "/front/image_raw: 8 of 24 messages are missing" in told


def test_a_renamed_file_is_read_and_told_and_a_stray_one_is_left_alone(tmp_path):
    path = write_split(tmp_path / "drive")
    (path / "drive_1.mcap").rename(path / "second.MCAP")
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES, 0)
    assert "second.MCAP, not named by metadata.yaml, was read instead" in told
    shutil.move(path / "second.MCAP", path / "drive_1.mcap")
    shutil.copy(path / "drive_0.mcap", path / "copy.mcap")
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES, 0)
    assert told == "copy.mcap, not named by metadata.yaml, was not read"


def test_what_a_mac_leaves_beside_files_is_no_part_of_a_bag(tmp_path):
    path = write_split(tmp_path / "drive")
    for file in list(path.glob("*.mcap")):
        (path / f"._{file.name}").write_bytes(b"\0\5\x16\7" + bytes(100))
    assert account(path) == (FRAMES, 0, "")


@pytest.mark.parametrize("change", ["gone", "damaged"])
def test_without_metadata_the_files_speak_and_that_is_told(tmp_path, change):
    path = write_split(tmp_path / "drive")
    if change == "gone":
        (path / "metadata.yaml").unlink()
    else:
        (path / "metadata.yaml").write_text("rosbag2_bagfile_information: [1, 2")
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES, 0)
    assert told.startswith("metadata.yaml ")


@pytest.mark.parametrize("storage", STORAGES)
def test_numbers_that_disagree_are_told(tmp_path, storage):
    path = write_rosbag2(tmp_path / "drive", storage)
    edit(path, lambda info: info["topics_with_message_count"][0].update(message_count=30))
    assert account(path) == (FRAMES, 6, "/front/image_raw: 6 of 30 messages are missing")
    edit(path, lambda info: info["topics_with_message_count"][0].update(message_count=3))
    assert account(path) == (FRAMES, 0, "/front/image_raw: metadata.yaml says 3 messages, 24 were read")


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE])
def test_compressed_bags_by_folder_by_file_and_by_metadata(tmp_path, storage, mode):
    path = write_rosbag2(tmp_path / "drive", storage, mode)
    file = next(file for file in path.iterdir() if file.suffix != ".yaml")
    for each in (path, file, path / "metadata.yaml"):
        assert is_bag(each)
        assert account(each) == (FRAMES, 0, "")
    alone = tmp_path / file.name
    shutil.move(file, alone)
    assert account(alone) == (FRAMES, 0, ""), "metadata.yaml beside it is not needed"


def test_the_log_of_a_killed_recorder_is_read_without_touching_the_folder(tmp_path):
    killed = killed_recorder(tmp_path)
    before = sorted((file.name, file.stat().st_size) for file in killed.iterdir())
    assert dict(before)["x#1 %20?.db3-wal"] > 0
    for each in (killed, killed / "x#1 %20?.db3"):
        frames, missing, told = account(each)
        assert (frames, missing) == (FRAMES, 0)
        assert "the recorder did not close it; its write-ahead log x#1 %20?.db3-wal was read too" in told
    assert sorted((file.name, file.stat().st_size) for file in killed.iterdir()) == before


def killed_recorder(folder: Path, commits: int = 1) -> Path:
    """A folder with a db3 that was never closed; its messages all stand in the log beside it."""
    whole = write_rosbag2(folder / "whole", StoragePlugin.SQLITE3)
    base = sqlite3.connect(folder / "live.db3")
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA wal_autocheckpoint=0")
    with sqlite3.connect(whole / "whole.db3") as full:
        statements = [text for text in full.iterdump() if not text.startswith(("BEGIN", "COMMIT"))]
    statements.sort(key=lambda text: 'INTO "messages"' in text)  # topics come before what is on them
    for number, statement in enumerate(statements):
        base.execute(statement)
        if number % (len(statements) // commits) == 0:
            base.commit()
    base.commit()
    killed = folder / "killed"
    killed.mkdir()
    for end in ("", "-wal"):
        shutil.copy(folder / f"live.db3{end}", killed / f"x#1 %20?.db3{end}")
    base.close()
    return killed


def test_a_base_that_lost_its_pages_is_read_from_its_log_and_the_log_stays(tmp_path):
    killed = killed_recorder(tmp_path)
    file = killed / "x#1 %20?.db3"
    file.write_bytes(b"")
    before = {each.name: each.read_bytes() for each in killed.iterdir()}
    for each in (killed, file):
        assert account(each)[:2] == (FRAMES, 0)
    assert {each.name: each.read_bytes() for each in killed.iterdir()} == before, "SQLite deletes such a log"


@pytest.mark.parametrize("how", ["cut", "flipped", "no log at all"])
def test_a_damaged_log_is_told_with_how_far_it_was_read(tmp_path, how):
    killed = killed_recorder(tmp_path, commits=12)
    log = killed / "x#1 %20?.db3-wal"
    data = bytearray(log.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "flipped":
        data[len(data) // 2] ^= 1
    else:
        data[:32] = bytes(32)
    log.write_bytes(data)
    if how == "no log at all":
        with pytest.raises(BagError, match=r"no tables `topics` and `messages`.*holds nothing that can be read"):
            open_source(killed)
        return
    frames, _, told = account(killed)
    assert 0 < frames < FRAMES
    assert "was read up to page" in told
    assert "how many were lost is not known" in told


def test_the_log_is_found_behind_a_link(tmp_path):
    killed = killed_recorder(tmp_path)
    (tmp_path / "link.db3").symlink_to(killed / "x#1 %20?.db3")
    frames, _, told = account(tmp_path / "link.db3")
    assert frames == FRAMES
    assert "was read too" in told


def test_a_file_that_was_copied_over_another_does_not_stand_in_for_it(tmp_path):
    path = write_split(tmp_path / "drive")
    shutil.copy(path / "drive_0.mcap", path / "drive_1.mcap")
    frames, missing, told = account(path)
    assert (frames, missing) == (16, 8)
    assert "drive_1.mcap: 8 messages stand in another file of the bag, too, and count once" in told
    assert "/front/image_raw: 8 of 24 messages are missing" in told


@pytest.mark.parametrize("packed", [True, False])
def test_one_file_of_several_packed_or_unpacked_since(tmp_path, packed):
    path = write_split(tmp_path / "drive")
    for name in ("drive_1.mcap", "drive_2.mcap"):
        data = (path / name).read_bytes()
        (path / name).unlink()
        # As several frames: what `zstd` makes of a file in parts, or `cat` of two.
        (path / f"{name}.zstd").write_bytes(b"".join(map(zstandard.compress, (data[:5000], data[5000:]))))
    if not packed:
        edit(
            path,
            lambda info: info.update(
                relative_file_paths=[f"{name}.zstd" for name in info["relative_file_paths"]],
                files=[dict(file, path=f"{file['path']}.zstd") for file in info["files"]],
            ),
        )
    assert account(path) == (FRAMES, 0, "")


def test_a_packed_file_that_was_cut_says_so_without_knowing_its_size(tmp_path):
    path = write_split(tmp_path / "drive")
    data = (path / "drive_1.mcap").read_bytes()
    (path / "drive_1.mcap").unlink()
    frame = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    whole = frame.compress(data[:9000]) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) + frame.compress(data[9000:])
    (path / "drive_1.mcap.zstd").write_bytes(whole)
    frames, missing, told = account(path)
    assert frames + missing == FRAMES
    assert 16 <= frames < FRAMES
    assert "drive_1.mcap.zstd is cut short: 9000 bytes can be decompressed" in told


@pytest.mark.parametrize("files", [["drive.mcap"], "drive.mcap", None])
@pytest.mark.parametrize("count", [24, "24", float("inf"), float("nan"), None])
def test_metadata_of_other_types_than_usual(tmp_path, files, count):
    path = write_rosbag2(tmp_path / "drive", StoragePlugin.MCAP)

    def change(info):
        info["relative_file_paths"] = files
        info["topics_with_message_count"][0]["message_count"] = count

    edit(path, change)
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES, 0)
    assert told.startswith("" if count in (24, "24") else "metadata.yaml cannot be read")


@pytest.mark.parametrize("storage", STORAGES)
def test_a_topic_that_metadata_names_otherwise_is_told_and_not_counted_as_lost(tmp_path, storage):
    path = write_rosbag2(tmp_path / "drive", storage)
    edit(path, lambda info: info["topics_with_message_count"][0]["topic_metadata"].update(name="/rear/image_raw"))
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES, 0)
    assert "/front/image_raw: metadata.yaml does not name it; 24 messages were read" in told


def test_statistics_that_say_less_are_told_as_what_they_are(tmp_path):
    path = rewrite_mcap(tmp_path / "drive", enable_crcs=False) / "drive.mcap"
    data, (at,) = path.read_bytes(), [m.end() for m in re.finditer(rb"\x0b.\0{7}", path.read_bytes(), re.DOTALL)][-1:]
    pairs = data.index(struct.pack("<HQ", 1, FRAMES), at)
    path.write_bytes(
        data[:at]
        + struct.pack("<Q", 2 * FRAMES - 4)
        + data[at + 8 : pairs + 2]
        + struct.pack("<Q", 20)
        + data[pairs + 10 :]
    )
    (path.parent / "metadata.yaml").unlink()
    assert account(path) == (FRAMES, 0, "/front/image_raw: the file's own statistics say 20 messages, 24 were read")


@pytest.mark.parametrize("chunks", [True, False])
def test_an_mcap_made_of_a_bag_of_ros1_is_read(tmp_path, chunks):
    path = tmp_path / "converted.mcap"
    with path.open("wb") as stream:
        writer, known = McapWriter(stream, use_chunking=chunks), {}
        writer.start("ros1")
        for topic, kind, log_ns, message in entries(OLD):
            if topic not in known:
                text, _ = OLD.generate_msgdef(kind, ros_version=1)
                schema = writer.register_schema(kind.replace("/msg", ""), "ros1msg", text.encode())
                known[topic] = writer.register_channel(topic, "ros1", schema)
            writer.add_message(known[topic], log_ns, bytes(OLD.serialize_ros1(message, kind)), log_ns)
        writer.finish()
    assert account(path) == (FRAMES, 0, "")
    assert {raw.kind for raw in ReplayBag(path).messages()} == {IMAGE, TEXT}


def test_two_types_under_one_name_are_each_read_as_what_they_are(tmp_path):
    kind = "sensor_msgs/msg/CompressedImage"
    path = write_rosbag2(tmp_path / "drive", StoragePlugin.SQLITE3)
    picture = cv2.imencode(".png", np.zeros((16, 24, 3), np.uint8))[1].ravel()
    message = STORE.types[kind](image(0).header, "png", picture)
    with sqlite3.connect(path / "drive.db3") as base:
        base.execute(
            "INSERT INTO topics SELECT 99, name, ?, serialization_format, offered_qos_profiles, type_description_hash "
            "FROM topics WHERE name = '/front/image_raw'",
            (kind,),
        )
        data = bytes(STORE.serialize_cdr(message, kind))
        base.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (99, ?, ?)", (START + 5, data))
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES + 1, 0)
    assert "/front/image_raw: metadata.yaml says 24 messages, 25 were read" in told


@pytest.mark.parametrize("name", ["a#b", "a%20b", "a?b=c", "ä ö", "a&mode=rw"])
@pytest.mark.parametrize("storage", STORAGES)
def test_any_character_may_stand_in_a_path(tmp_path, name, storage):
    path = write_rosbag2(tmp_path / "drive", storage)
    assert account(path.rename(tmp_path / name)) == (FRAMES, 0, "")


def test_suffixes_of_either_case_and_files_of_another_format_than_their_name_says(tmp_path):
    for storage, suffix in zip(STORAGES, (".MCAP", ".DB3"), strict=True):
        path = write_rosbag2(tmp_path / suffix[1:], storage)
        file = next(file for file in path.iterdir() if file.suffix != ".yaml")
        assert account(Path(shutil.copy(file, tmp_path / f"x{suffix}")))[:2] == (FRAMES, 0)
    wrong = Path(shutil.copy(tmp_path / "x.MCAP", tmp_path / "y.db3"))
    assert account(wrong) == (FRAMES, 0, "y.db3 is read as what it holds; its name says otherwise")


@pytest.mark.parametrize("compression", [None, *Writer1.CompressionFormat])
def test_ros1_bags_become_messages_of_ros2_also_without_their_index(tmp_path, compression):
    path = write_ros1(tmp_path / "old", compression) / "drive.bag"
    bag = ReplayBag(path)
    assert bag.topics == TOPICS
    messages = list(bag.messages())
    assert bag.damage is None
    assert len(messages) == 2 * FRAMES
    expected = {(topic, log_ns): message for topic, _, log_ns, message in entries(STORE)}
    for raw in messages:
        assert raw.data == bytes(STORE.serialize_cdr(expected[raw.topic, raw.log_ns], raw.kind))
    data = path.read_bytes()
    # A killed rosbag leaves the header of an empty bag, chunks, and no index behind them.
    index = data.rindex(b"op=\x05")  # the last chunk
    header = data.index(b"index_pos=") + len("index_pos=")
    path.write_bytes(data[:header] + bytes(8) + data[header + 8 : index + 4])
    frames, _, told = account(path)
    assert 0.5 * FRAMES < frames < FRAMES
    assert "the recorder did not close it (no index)" in told
    assert "how many were lost is not known" in told
    active = path.rename(path.with_name("drive.bag.active"))  # its name until the recorder closes it
    assert is_bag(active)
    assert account(active)[0] == frames


def test_camera_info_of_ros1_keeps_its_calibration(tmp_path):
    kind, types = "sensor_msgs/msg/CameraInfo", OLD.types
    header = types["std_msgs/msg/Header"](seq=5, stamp=types["builtin_interfaces/msg/Time"](1, 2), frame_id="lens")
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    arrays = np.arange(5.0), np.arange(9.0), np.arange(9.0) + 1, np.arange(12.0)
    message = types[kind](header, 480, 640, "plumb_bob", *arrays, 0, 0, region)
    with Writer1(tmp_path / "x.bag") as writer:
        writer.write(writer.add_connection("/info", kind, typestore=OLD), 10**9, OLD.serialize_ros1(message, kind))
    bag = ReplayBag(tmp_path / "x.bag")
    (raw,) = bag.messages()
    parsed = bag.parse(raw)
    assert (parsed.header.frame_id, parsed.width) == ("lens", 640)
    np.testing.assert_array_equal(parsed.k, arrays[1])
    np.testing.assert_array_equal(parsed.p, arrays[3])


def test_a_topic_whose_type_nobody_tells_is_named(tmp_path):
    with (tmp_path / "x.mcap").open("wb") as stream:
        writer = McapWriter(stream)
        writer.start("ros2")
        channel = writer.register_channel("/front/image_raw", "cdr", 0)
        writer.add_message(channel, START, bytes(STORE.serialize_cdr(image(0), IMAGE)), START)
        writer.finish()
    with pytest.raises(BagError, match="of /front/image_raw the bag does not tell the type"):
        open_source(tmp_path / "x.mcap")


def test_a_bag_without_one_frame_is_an_error_that_says_why(tmp_path):
    with Writer(tmp_path / "empty", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection("/front/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
    with pytest.raises(DatasetError, match="empty holds no frame that can be read: it is empty"):
        list(open_source(tmp_path / "empty"))
    with Writer(tmp_path / "bad", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/front/image_raw", "sensor_msgs/msg/Image", typestore=STORE)
        writer.write(connection, 1, b"\0\1\0\0nonsense")
    with pytest.raises(DatasetError, match=r"bad holds no frame .* 1 skipped .*cannot be parsed"):
        list(open_source(tmp_path / "bad"))


def test_a_folder_whose_files_are_all_gone_names_them(tmp_path):
    path = write_split(tmp_path / "drive")
    for file in path.glob("*.mcap"):
        file.unlink()
    with pytest.raises(BagError, match=r"drive_0\.mcap, named by metadata\.yaml, is missing with its 16 messages"):
        ReplayBag(path)


@pytest.fixture(scope="module")
def bags(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bags")
    return {kind: make(folder / f"b{number}") for number, (kind, make) in enumerate(KINDS.items())}


def damage(folder: Path, dice: random.Random) -> str:
    """Spoil one storage file, or take it away; returns what was done."""
    file = dice.choice(sorted(file for file in folder.iterdir() if file.suffix != ".yaml"))
    data = bytearray(file.read_bytes())
    how = dice.choice(["cut", "flip", "flip many", "zeros", "swap", "drop", "insert", "gone"])
    at, size = dice.randrange(len(data)), dice.choice([1, 8, 100, 4096])
    if how == "cut":
        del data[at:]
    elif how == "flip":
        data[at] ^= 1 << dice.randrange(8)
    elif how == "flip many":
        for _ in range(dice.randrange(2, 30)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    elif how == "zeros":
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif how == "swap":
        other = dice.randrange(len(data))
        one, two = sorted((at, other))
        data = data[:one] + data[two : two + size] + data[one:two] + data[two + size :]
    elif how == "drop":
        del data[at : at + size]
    elif how == "insert":
        data[at:at] = dice.randbytes(size)
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(data)
    return f"{file.name}: {how} at {at}, size {size}"


def read(folder: Path):
    """(frames, skipped, missing, what was told); (0, 0, None, sentence) where nothing can be read."""
    source = None
    try:
        files = list(folder.iterdir())
        source = open_source(folder if len(files) > 1 else files[0])
        frames = list(source)
    except UserError as error:
        skipped = source.skipped.total() if source else 0
        return 0, skipped, None, str(error)
    return len(frames), source.skipped.total(), source.missing, source.damage or ""


def check(kind: str, bag: Path, work: Path, seed: int) -> tuple[int, bool]:
    dice = random.Random(f"{kind} {seed}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(bag, work)
    if seed % 3 == 1:  # as a killed recorder leaves it, which writes metadata.yaml last
        (work / "metadata.yaml").unlink(missing_ok=True)
    done = damage(work, dice)
    if not any(file.suffix != ".yaml" for file in work.iterdir()) and not (work / "metadata.yaml").is_file():
        return 0, False
    frames, skipped, missing, told = read(work)
    what = f"{kind}, seed {seed}, {done}: {frames} frames, {skipped} skipped, {missing} missing; {told}"
    if missing is None:  # refused altogether, with a sentence
        assert told, what
        return 0, False
    if frames + skipped + missing != FRAMES:
        # Without metadata.yaml a file that lost its statistics cannot tell how many there were; it says so.
        assert not (work / "metadata.yaml").is_file(), what
        assert frames + skipped + missing < FRAMES, what
        # Nothing speaks for a file that is gone as a whole; that there was no metadata.yaml is told.
        known = "is known from the files only" if ": gone" in done else "how many were lost is not known"
        assert known in told, what
    if frames + skipped < FRAMES:
        assert told, what
    return frames, True


@pytest.mark.parametrize("kind", KINDS)
def test_whole_bags_are_read_whole(bags, kind):
    frames, skipped, missing, told = read(bags[kind])
    assert (frames, skipped, missing, told) == (FRAMES, 0, 0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_frames_read_and_frames_missing_are_frames_written(bags, kind, tmp_path):
    found = [check(kind, bags[kind], tmp_path / "x", seed) for seed in range(25)]
    # A shifted byte puts all pages of SQLite out of place, and these files are a single Zstandard block.
    share = 0.15 if kind.startswith("db3") or "per file" in kind else 0.3
    assert sum(frames for frames, _ in found) > 25 * FRAMES * share, "damage takes what it hits, not all"


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("mcap", 1934),
        ("mcap no statistics", 1513),
        ("db3 per message", 1597),
        ("db3", 1583),
        ("db3", 1610),
        ("db3", 2128),
        ("db3", 2348),
        ("ros1", 1889),
        ("ros1", 1950),
        ("split", 1154),
        ("split", 1188),
        ("split", 1852),
    ],
)
def test_seeds_that_were_wrong_once(bags, kind, seed, tmp_path):
    check(kind, bags[kind], tmp_path / "x", seed)


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("kind", ["split", "mcap", "mcap unchunked", "mcap no checksums"])
@pytest.mark.parametrize("name", ["/front/image_raw", IMAGE, "cdr"])
def test_a_damaged_byte_of_a_name_that_stands_in_two_places_takes_no_frame_along(bags, kind, metadata, name, tmp_path):
    for file in sorted(bags[kind].glob("*.mcap")):
        data = file.read_bytes()
        for place in [match.start() for match in re.finditer(re.escape(name.encode()), data)]:
            for at in range(place, place + len(name), 3):
                work = tmp_path / "x"
                shutil.rmtree(work, ignore_errors=True)
                shutil.copytree(bags[kind], work)
                if not metadata:
                    (work / "metadata.yaml").unlink()
                (work / file.name).write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 7]) + data[at + 1 :])
                source = open_source(work)
                assert (len(list(source)), source.missing) == (FRAMES, 0), (file.name, at, source.damage)
                if kind == "split":
                    assert source.cameras == ("front",), (file.name, at, source.damage)


def test_a_type_that_only_one_teller_knows_gives_way_to_the_others(tmp_path):
    path = write_rosbag2(tmp_path / "drive", StoragePlugin.SQLITE3)
    with sqlite3.connect(path / "drive.db3") as base:
        base.execute("UPDATE topics SET type = 'sensor_msgs/msg/Imaga' WHERE name = '/front/image_raw'")
    frames, missing, told = account(path)
    assert (frames, missing) == (FRAMES, 0)
    assert "/front/image_raw is of type sensor_msgs/msg/Imaga, which nobody else knows; read as" in told
    (path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"no sensor_msgs/Image.*sensor_msgs/msg/Imaga"):
        open_source(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_frames_read_and_frames_missing_are_frames_written_at_length(bags, kind, tmp_path):
    for seed in range(1000, 2500):
        check(kind, bags[kind], tmp_path / "x", seed)
