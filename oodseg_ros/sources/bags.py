"""Bags of ROS 2 (mcap, sqlite3) and ROS 1, read without ROS."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_typestore

from ..errors import BagError, ImageError
from ..frame import Frame
from .bag_salvage import Salvage
from .bag_topics import IMAGE_TYPES, camera_names, choose_topics
from .message_images import message_to_rgb
from .source import Source, natural_key

BAG_SUFFIXES = (".mcap", ".db3", ".bag")
Message = tuple[str, str, int, bytes]


@dataclass(frozen=True)
class _Part:
    """One readable piece of a bag: topic → (type, count), and a function that opens its messages in time order."""

    topics: dict[str, tuple[str, int]]
    messages: Callable[[set[str]], Iterator[Message]]
    damage: Callable[[], str | None]
    ros1: bool = False


def is_bag(path: Path) -> bool:
    """Whether the path is a bag file, or a folder that holds one."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(file.suffix in (".mcap", ".db3") for file in path.iterdir())
    return path.suffix.lower() in BAG_SUFFIXES


def open_bag(path: Path, topics: list[str] | None = None) -> Source:
    """Frames of a bag's image topics, in the order of their log times; stamps are the message headers'.

    Args:
        path: bag file, or rosbag2 folder; its metadata.yaml may be missing.
        topics: image topics to read; None = one per camera (see `bag_topics.choose_topics`).

    Raises:
        BagError: it cannot be read, has no images, or lacks a topic that was asked for.
    """
    parts = _open_parts(path)
    available: dict[str, tuple[str, int]] = {}
    for part in parts:
        for topic, (kind, count) in part.topics.items():
            available[topic] = (kind, available.get(topic, (kind, 0))[1] + count)
    chosen = choose_topics({topic: kind for topic, (kind, _) in available.items()}, topics, str(path))
    cameras = camera_names(chosen)
    damages = [text for part in parts if (text := part.damage())]
    return Source(
        name=path.stem if path.is_file() else path.resolve().name,
        kind="bag",
        cameras=tuple(cameras.values()),
        count=sum(available[topic][1] for topic in chosen),
        open_frames=lambda source: _frames(source, parts, cameras),
        damage="; ".join(damages) or None,
    )


def _frames(source: Source, parts: list[_Part], cameras: dict[str, str]) -> Iterator[Frame]:
    stores = {True: get_typestore(Stores.ROS1_NOETIC), False: get_typestore(Stores.ROS2_HUMBLE)}
    streams = [_guarded(source, part, set(cameras)) for part in parts]
    for _, topic, kind, log_ns, data, ros1 in heapq.merge(*streams, key=lambda entry: entry[0]):
        try:
            message = _deserialize(stores[ros1], kind, data, ros1)
            image = message_to_rgb(message)
        except ImageError as error:
            source.skipped[f"{cameras[topic]}: {error}"] += 1
            continue
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        yield Frame(image, stamp or log_ns, cameras[topic], message.header.frame_id)


def _guarded(source: Source, part: _Part, topics: set[str]) -> Iterator[tuple[int, str, str, int, bytes, bool]]:
    """Messages with their sort key; a failure inside a part ends that part and is noted as damage."""
    messages = part.messages(topics)
    count = 0
    while True:
        try:
            entry = next(messages, None)
        # Broken indexes, chunks and pages surface as many kinds of errors inside the readers.
        except Exception as error:
            source.damage = f"the bag is damaged after {count} messages ({type(error).__name__}: {str(error)[:80]})"
            return
        if entry is None:
            return
        topic, kind, log_ns, data = entry
        count += 1
        yield log_ns, topic, kind, log_ns, data, part.ros1


def _deserialize(store: Any, kind: str, data: bytes, ros1: bool) -> Any:
    try:
        return store.deserialize_ros1(data, kind) if ros1 else store.deserialize_cdr(data, kind)
    except Exception as error:  # rosbags raises struct, assertion, unicode and its own errors on damaged bytes
        raise ImageError(f"a {kind} message cannot be parsed ({type(error).__name__})") from error


def _open_parts(path: Path) -> list[_Part]:
    try:
        if path.suffix == ".bag":
            return [_indexed(path, Reader1)]
        return [_indexed(path, Reader2)]
    except Exception as error:  # see _guarded
        files = _files(path)
        if not files:
            raise BagError(
                f"bag {path} cannot be read ({error}); is it a rosbag2 folder or an mcap, db3 or bag file?"
            ) from error
        return [_open_file(file, error) for file in files]


def _open_file(file: Path, reason: Exception) -> _Part:
    """One storage file of a bag whose folder or index is unusable for `reason`."""
    try:
        return _indexed(file, Reader2)
    except Exception as error:  # see _guarded
        reason = error
    if file.suffix == ".mcap":
        salvage = Salvage(file)
        if salvage.topics:
            return _Part(salvage.topics, lambda topics: _only(salvage.messages(), topics), lambda: salvage.damage)
    raise BagError(f"bag file {file} cannot be read: {reason}") from reason


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix in (".mcap", ".db3") else []
    return sorted((file for file in path.iterdir() if file.suffix in (".mcap", ".db3")), key=natural_key)


def _indexed(path: Path, reader_class: Any) -> _Part:
    ros1 = reader_class is Reader1

    def messages(topics: set[str]) -> Iterator[Message]:
        with reader_class(path) as reader:
            wanted = [c for c in reader.connections if c.topic in topics and c.msgtype in IMAGE_TYPES]
            if wanted:
                for connection, log_ns, data in reader.messages(wanted):
                    yield connection.topic, connection.msgtype, log_ns, data

    with reader_class(path) as reader:
        topics = {}
        for connection in reader.connections:
            count = topics.get(connection.topic, ("", 0))[1] + connection.msgcount
            topics[connection.topic] = (connection.msgtype, count)
    return _Part(topics, messages, lambda: None, ros1)


def _only(messages: Iterator[Message], topics: set[str]) -> Iterator[Message]:
    return (message for message in messages if message[0] in topics)
