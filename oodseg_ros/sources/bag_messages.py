"""The one reader of bags: all messages of a rosbag2 (mcap, sqlite3) or ROS 1 bag, as bytes, without ROS.

What is read is counted against what metadata.yaml and the files' own statistics promise; every difference is said in
`damage`, and how many messages that makes in `missing`.
"""

from __future__ import annotations

import contextlib
import heapq
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import zstandard
from rosbags.convert.converter import is_same_wireformat
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ..bounded_yaml import load_yaml
from ..errors import BagError, ConfigError, why
from .mcap_file import MAGIC as MCAP_MAGIC
from .mcap_file import McapFile
from .ros1_file import MAGIC as ROS1_MAGIC
from .ros1_file import Ros1File
from .source import natural_key
from .sqlite_file import SqliteFile
from .storage import ZSTD_MAGIC, RawMessage, StorageFile
from .video_packets import DEFINITIONS

__all__ = ["BAG_SUFFIXES", "RawMessage", "ReplayBag", "is_bag"]

_FORMATS: tuple[tuple[str, bytes, Any], ...] = (
    (".mcap", MCAP_MAGIC, McapFile),
    (".db3", b"SQLite format 3\0", SqliteFile),
    (".bag", ROS1_MAGIC, Ros1File),
)
BAG_SUFFIXES = tuple(suffix for suffix, _, _ in _FORMATS)
_PACKED = (".zstd", ".zst", ".active")
"""After the suffix: packed, or still being written by the recorder of ROS 1, for ever if it was killed."""


def is_bag(path: Path) -> bool:
    """Whether the path is a bag file (also a compressed one), a folder that holds one, or a bag's metadata.yaml."""
    if path.name == "metadata.yaml" and path.is_file():
        return True
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or any(map(_has_bag_suffix, path.iterdir()))
    return _has_bag_suffix(path)


def _has_bag_suffix(path: Path) -> bool:
    return _plain(path.name).lower().endswith(BAG_SUFFIXES)


def _plain(name: str) -> str:
    return name.rpartition(".")[0] if name.lower().endswith(_PACKED) else name


@dataclass
class _Metadata:
    """What metadata.yaml says: files with their numbers of messages (None = not told), topics."""

    files: dict[str, int | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    qos: dict[str, Any] = field(default_factory=dict)


class ReplayBag:
    """A rosbag2 folder (also without its metadata.yaml), one of its storage files, or a ROS 1 bag.

    Attributes:
        path: folder or file.
        topics: topic → message type.
        definitions: topic → (message definition, RIHS01 hash) where the bag holds them.
        qos: topic → offered QoS profiles as the bag holds them, YAML text or a list.
        promised: topic → messages, by metadata.yaml and the files' statistics, whichever says more.

    Raises:
        BagError: nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        path = path.parent if path.name == "metadata.yaml" else path
        self.path = path
        if not path.exists():
            raise BagError(f"bag {path} does not exist")
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._alike: dict[str, bool] = {}
        self._told: list[str] = []
        self._differences: list[str] = []
        self._files: list[StorageFile] = []
        self._whole = False
        self._twice: Counter[str] = Counter()
        self._unpacked = tempfile.TemporaryDirectory(prefix="oodseg_bag_")
        meta = self._read_metadata(path)
        reasons = []
        for file in self._choose_files(path, meta):
            try:
                self._files.append(self._open_file(file))
            except (BagError, OSError) as error:
                reasons.append(f"{file.name} cannot be read: {why(error)}")
        if not any(file.topics for file in self._files):
            reasons += [text for file in self._files for text in file.damage]
            if not is_bag(path):
                raise BagError(
                    f"{path} is no bag (rosbag2 folder, mcap, db3 or bag file); `oodseg run` takes images and videos"
                )
            raise BagError(f"bag {path} cannot be read: {'; '.join([*reasons, *self._told]) or 'it holds no topic'}")
        self._told += reasons
        self._corrected = self._agree_on_names(meta)
        self.topics = meta.kinds | {
            topic: self._corrected.get((topic, told.kind), told.kind)
            for file in self._files
            for topic, told in file.topics.items()
            if told.kind
        }
        told = [(topic, what) for file in self._files for topic, what in file.topics.items()]
        if untyped := sorted({topic for topic, _ in told} - self.topics.keys()):
            self._told.append(f"of {', '.join(untyped)} the bag does not tell the type, so it is not read")
        self.qos = {topic: what.qos for topic, what in told if what.qos} | {t: q for t, q in meta.qos.items() if q}
        ros1 = any(isinstance(file, Ros1File) for file in self._files)
        self.definitions = {
            topic: (what.definition, what.digest) for topic, what in told if what.definition and not ros1
        }
        self._meta = meta
        self.promised: dict[str, int] = dict(meta.counts)
        by_files: Counter[str] = Counter()
        for storage in self._files:
            by_files.update(storage.counts or {})
        for topic, count in by_files.items():
            self.promised[topic] = max(count, self.promised.get(topic, 0))

    @property
    def damage(self) -> str | None:
        """What could not be read or does not fit what was promised, None = all is well; final after `messages`."""
        texts = self._told + [text for file in self._files for text in file.damage] + self._differences
        return "; ".join(texts) or None

    @property
    def empty(self) -> set[str]:
        """Topics without one message, as far as the bag tells: a recorder notes all that was announced."""
        counted = all(file.counts is not None for file in self._files)
        told = self.topics if counted else self.topics.keys() & self._meta.counts.keys()
        return {topic for topic in told if not self.promised.get(topic, 0)}

    @property
    def is_sound(self) -> bool:
        """Whether `damage` holds nothing worse than notes, such as a missing metadata.yaml; final after `messages`."""
        return not self.missing() and not any(file.damage for file in self._files)

    def missing(self, topics: set[str] | None = None) -> int:
        """Messages of these topics (None = all) that were promised and did not come, after `messages` is used up."""
        if not self._whole:
            return 0
        seen, chosen = self._seen(), self.promised if topics is None else topics
        lost = {topic: max(0, self.promised.get(topic, 0) - seen[topic]) for topic in chosen}
        # A topic whose name was edited, or changed by one flipped bit, took its messages along.
        there = {topic for file in self._files for topic in file.topics}
        gone = sum(count for topic, count in lost.items() if topic not in there)
        return sum(lost.values()) - min(gone, sum(seen[topic] for topic in chosen if self._is_stranger(topic)))

    def _seen(self) -> Counter[str]:
        return sum((file.seen for file in self._files), Counter()) - self._twice

    def _is_stranger(self, topic: str) -> bool:
        """Whether the files hold a topic that metadata.yaml does not name."""
        return bool(self._meta.counts) and topic not in self._meta.counts

    def messages(self, topics: set[str] | None = None) -> Iterator[RawMessage]:
        """Messages of these topics (None = all), by log time; equal times in the order of their topics.

        A message that stands in two files of the bag (a copy under another name) comes once.
        """
        self._differences, self._whole, self._twice = [], False, Counter()
        streams = [zip(file.messages(topics), repeat(number)) for number, file in enumerate(self._files)]
        here: list[tuple[RawMessage, int]] = []
        copies: Counter[str] = Counter()
        for message, number in heapq.merge(*streams, key=lambda pair: (pair[0].log_ns, pair[0].topic)):
            if here and (here[0][0].log_ns, here[0][0].topic) != (message.log_ns, message.topic):
                here.clear()
            if any(number != other and message == known for known, other in here):
                self._twice[message.topic] += 1
                copies[self._files[number].path.name] += 1
                continue
            here.append((message, number))
            kind = self._corrected.get((message.topic, message.kind)) or message.kind or self.topics.get(message.topic)
            if kind and kind != message.kind:
                message = replace(message, kind=kind)
            yield self._as_ros2(message) if message.ros1 else message
        for name, count in copies.items():
            self._differences.append(f"{name}: {count} messages stand in another file of the bag, too, and count once")
        self._whole = True
        self._compare()

    def parse(self, message: RawMessage) -> Any:
        """The message as an object of `rosbags`.

        Raises:
            BagError: its bytes do not fit its type, or the type is known neither here nor to the bag.
        """
        try:
            if message.ros1:
                raise BagError(f"{message.kind} of ROS 1 has no counterpart in ROS 2, or its bytes are damaged")
            text = self.definitions.get(message.topic, ("", ""))[0] or DEFINITIONS.get(message.kind, "")
            if message.kind not in self._store.types and text:
                found = get_types_from_msg(text, message.kind)
                self._store.register({kind: what for kind, what in found.items() if kind not in self._store.types})
            return self._store.deserialize_cdr(message.data, message.kind)
        except Exception as error:  # rosbags raises struct, assertion, unicode and its own errors on damaged bytes
            raise BagError(f"a message on {message.topic} cannot be parsed ({type(error).__name__})") from error

    def _as_ros2(self, message: RawMessage) -> RawMessage:
        """A message of ROS 1 as ROS 2 would have written it; as it is where ROS 2 has no type of the same fields."""
        kind = message.kind
        if kind not in self._alike:
            old, both = get_typestore(Stores.ROS1_NOETIC), kind in self._store.types
            self._alike[kind] = both and kind in old.types and is_same_wireformat(old, self._store, kind, kind)
        if self._alike[kind]:
            with contextlib.suppress(Exception):  # damaged bytes; see parse
                return replace(message, data=bytes(self._store.ros1_to_cdr(message.data, kind)), ros1=False)
        return message

    def _compare(self) -> None:
        """Messages read against metadata.yaml and against the files' own statistics."""
        seen = self._seen()
        for topic in sorted({*self._meta.counts, *self.promised}):
            told, read = self.promised.get(topic, 0), seen[topic]
            by_meta = self._meta.counts.get(topic, told)
            if read < told:
                self._differences.append(f"{topic}: {told - read} of {told} messages are missing")
            elif by_meta != read:
                teller = "metadata.yaml says" if topic in self._meta.counts else "the file's own statistics say"
                self._differences.append(f"{topic}: {teller} {by_meta} messages, {read} were read")
        for topic in sorted(filter(self._is_stranger, +seen)):
            self._differences.append(f"{topic}: metadata.yaml does not name it; {seen[topic]} messages were read")
        for file in self._files:
            told = max(self._meta.files.get(file.path.name) or 0, file.expected or 0)
            read = file.seen.total()
            if told > read:
                self._differences.append(f"{file.path.name}: {told - read} of {told} messages are missing")
            counted = file.counts is not None or self._meta.counts or self._meta.files.get(file.path.name)
            if file.damage and not counted:
                self._differences.append(
                    f"{file.path.name}: {read} messages were read; how many were lost is not known, since neither "
                    "statistics nor metadata.yaml tell how many there were"
                )

    # Opening.

    def _agree_on_names(self, meta: _Metadata) -> dict[tuple[str, str], str]:
        """Let metadata.yaml and the other files decide where one says two names, or a type that nobody else knows.

        Returns: (topic, type that a file says) → the right type.
        """
        tellers = [dict(meta.kinds), *({t: told.kind for t, told in file.topics.items()} for file in self._files)]
        corrected = {}
        known = {*self._store.types, *DEFINITIONS}
        for number, file in enumerate(self._files, 1):
            others = [teller for place, teller in enumerate(tellers) if place != number]
            told = {kind for teller in others for kind in teller.values()}
            file.prefer({topic for teller in others for topic in teller}, known | told)
            for topic, what in file.topics.items():
                right = next((teller[topic] for teller in others if teller.get(topic) in known), None)
                if right and what.kind and what.kind not in known | told:
                    corrected[topic, what.kind] = right
                    self._told.append(
                        f"{file.path.name}: {topic} is of type {what.kind}, which nobody else knows; read as {right}"
                    )
        return corrected

    def _read_metadata(self, path: Path) -> _Metadata:
        file = (path if path.is_dir() else path.parent) / "metadata.yaml"
        if not file.is_file():
            if path.is_dir() and not all(_plain(file.name).lower().endswith(".bag") for file in path.iterdir()):
                self._told.append("metadata.yaml is missing: how many messages there were is known from the files only")
            return _Metadata()
        try:
            meta = _parse_metadata(load_yaml(file))
        except (ConfigError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if path.is_dir():
                self._told.append(f"metadata.yaml cannot be read ({type(error).__name__}: {str(error)[:120]})")
            return _Metadata()
        if path.is_file():
            name = next((name for name in meta.files if _plain(name) == _plain(path.name)), None)
            if name is None:
                return _Metadata()
            # Of a bag of several files only its own number is known, not how it divides among topics.
            counts = meta.counts if len(meta.files) == 1 else {}
            return _Metadata({path.name: meta.files[name]}, counts, meta.kinds if counts else {}, meta.qos)
        return meta

    def _choose_files(self, path: Path, meta: _Metadata) -> list[Path]:
        if not path.is_dir():
            return [path]
        # Hidden files, as macOS leaves them on foreign disks, are no part of a bag.
        here = (file for file in path.iterdir() if not file.name.startswith("."))
        there = sorted(filter(_has_bag_suffix, here), key=natural_key)
        chosen, lost = [], []
        for name in list(meta.files):
            # By name alone: metadata of other folders and of files that were packed or unpacked since fits, too.
            file = next((f for f in there if f.name == name), None)
            file = file or next((f for f in there if _plain(f.name) == _plain(name)), None)
            if file is None and (path / name).is_file():
                file = path / name
            if file is None:
                lost.append(name)
                count = meta.files[name]
                with_messages = "" if count is None else f" with its {count} messages"
                self._told.append(f"{name}, named by metadata.yaml, is missing{with_messages}")
            elif file not in chosen:
                chosen.append(file)
                meta.files[name], count = None, meta.files[name]
                meta.files[file.name] = count
        # Not the same file once more, compressed or unpacked.
        others = [file for file in there if _plain(file.name) not in {_plain(one.name) for one in chosen}]
        if others and (lost or not meta.files):
            if meta.files:
                self._told.append(f"{', '.join(f.name for f in others)}, not named by metadata.yaml, was read instead")
            return sorted(chosen + others, key=natural_key)
        if others:
            self._told.append(f"{', '.join(f.name for f in others)}, not named by metadata.yaml, was not read")
        return chosen

    def _open_file(self, file: Path) -> StorageFile:
        with file.open("rb") as stream:
            head = stream.read(16)
            if head.startswith(ZSTD_MAGIC):
                return self._open_file(self._unpack(file))
        by_content = next((kind for _, magic, kind in _FORMATS if head.startswith(magic)), None)
        suffix = Path(_plain(file.name)).suffix.lower()
        by_name = next((kind for ending, _, kind in _FORMATS if ending == suffix), None)
        if by_content is not None and by_name is not None and by_content is not by_name:
            self._told.append(f"{file.name} is read as what it holds; its name says otherwise")
        kind = by_content or by_name
        if kind is None:
            raise BagError("it is no mcap, sqlite3 or ROS 1 bag file")
        return kind(file)

    def _unpack(self, file: Path) -> Path:
        """A file of compression mode `file`, decompressed into a temporary folder up to its damage."""
        target = Path(self._unpacked.name) / _plain(file.name)
        try:
            with file.open("rb") as packed, target.open("wb") as out:
                frame = zstandard.ZstdDecompressor().decompressobj()
                while block := packed.read(1 << 20):
                    out.write(frame.decompress(block))
                    while frame.eof and (block := frame.unused_data):  # several frames one after the other
                        frame = zstandard.ZstdDecompressor().decompressobj()
                        out.write(frame.decompress(block))
                if not frame.eof:
                    self._told.append(f"{file.name} is cut short: {out.tell()} bytes can be decompressed")
        except zstandard.ZstdError as error:
            self._told.append(f"{file.name} is damaged: {str(error)[:100]}")
        return target


def _parse_metadata(data: Any) -> _Metadata:
    info = data["rosbag2_bagfile_information"]
    names = info.get("relative_file_paths") or ()
    meta = _Metadata({Path(str(name)).name: None for name in ([names] if isinstance(names, str) else names)})
    for file in info.get("files") or ():
        meta.files[Path(str(file["path"])).name] = int(file["message_count"])
    for entry in info.get("topics_with_message_count") or ():
        topic = entry["topic_metadata"]
        name = str(topic["name"])
        meta.counts[name] = meta.counts.get(name, 0) + int(entry["message_count"])
        meta.kinds[name] = str(topic["type"])
        meta.qos[name] = topic.get("offered_qos_profiles")
    return meta
