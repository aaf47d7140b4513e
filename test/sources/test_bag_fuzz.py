"""Damaged bags of every storage: frames read + frames said to be missing = frames written, always."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from oodseg_ros.errors import UserError
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
    import yaml

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
        source = open_source(folder if (folder / "metadata.yaml").is_file() else next(folder.iterdir()))
        frames = list(source)
    except UserError as error:
        skipped = source.skipped.total() if source else 0
        return 0, skipped, None, str(error)
    return len(frames), source.skipped.total(), source.missing, source.damage or ""


def check(kind: str, bag: Path, work: Path, seed: int) -> tuple[int, bool]:
    dice = random.Random(f"{kind} {seed}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(bag, work)
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
        assert "how many were lost is not known" in told, what
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_frames_read_and_frames_missing_are_frames_written_at_length(bags, kind, tmp_path):
    for seed in range(1000, 2500):
        check(kind, bags[kind], tmp_path / "x", seed)
