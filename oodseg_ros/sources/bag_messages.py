"""All messages of a rosbag2 in the order of their log times, as bytes, without ROS; a damaged one up to the damage."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from ..errors import BagError
from .bag_salvage import Salvage
from .source import natural_key


@dataclass(frozen=True)
class RawMessage:
    """One message: topic, type (`sensor_msgs/msg/Image`), log time in nanoseconds, CDR bytes."""

    topic: str
    kind: str
    log_ns: int
    data: bytes


class ReplayBag:
    """A rosbag2 folder, or one of its storage files (mcap, db3).

    Attributes:
        path: as given.
        topics: topic → message type.
        definitions: topic → (message definition, RIHS01 hash) where the bag holds them.
        damage: what could not be read, None = all; final after `messages` is used up.

    Raises:
        BagError: nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[str, str] = {}
        self.definitions: dict[str, tuple[str, str]] = {}
        self.damage: str | None = None
        self._typestore = get_typestore(Stores.ROS2_HUMBLE)
        self._streams: list[Callable[[], Iterator[RawMessage]]] = []
        try:
            self._index(path)
        except Exception as error:  # broken indexes and missing metadata surface as many kinds of errors
            files = (
                [path] if path.is_file() else sorted(path.glob("*.mcap"), key=natural_key) + sorted(path.glob("*.db3"))
            )
            if not files:
                raise BagError(
                    f"bag {path} cannot be read ({error}); is it a rosbag2 folder or an mcap or db3 file?"
                ) from error
            for file in files:
                self._open_file(file)

    def messages(self, topics: set[str] | None = None) -> Iterator[RawMessage]:
        """Messages of these topics (None = all), by log time; equal times in the order of their topics."""
        streams = [self._guarded(stream) for stream in self._streams]
        for message in heapq.merge(*streams, key=lambda message: (message.log_ns, message.topic)):
            if topics is None or message.topic in topics:
                yield message

    def parse(self, message: RawMessage) -> Any:
        """The message as an object of `rosbags`.

        Raises:
            BagError: its bytes do not fit its type.
        """
        try:
            return self._typestore.deserialize_cdr(message.data, message.kind)
        except Exception as error:  # rosbags raises struct, assertion, unicode and its own errors on damaged bytes
            raise BagError(f"a message on {message.topic} cannot be parsed ({type(error).__name__})") from error

    def _index(self, path: Path) -> None:
        with Reader(path) as reader:
            for connection in reader.connections:
                self.topics[connection.topic] = connection.msgtype
                definition = getattr(connection.msgdef, "data", "") or ""
                if definition:
                    self.definitions[connection.topic] = (definition, connection.digest)

        def stream() -> Iterator[RawMessage]:
            with Reader(path) as reader:
                for connection, log_ns, data in reader.messages():
                    yield RawMessage(connection.topic, connection.msgtype, log_ns, bytes(data))

        self._streams.append(stream)

    def _open_file(self, file: Path) -> None:
        try:
            self._index(file)
            return
        except Exception as error:  # see __init__
            reason = error
        salvage = Salvage(file) if file.suffix == ".mcap" else None
        if salvage is None or not salvage.topics:
            raise BagError(f"bag file {file} cannot be read: {reason}") from reason
        self.topics |= {topic: kind for topic, (kind, _) in salvage.topics.items()}
        self.damage = salvage.damage
        self._streams.append(lambda: (RawMessage(*entry) for entry in salvage.messages()))

    def _guarded(self, stream: Callable[[], Iterator[RawMessage]]) -> Iterator[RawMessage]:
        count, messages = 0, stream()
        while True:
            try:
                message = next(messages, None)
            except Exception as error:  # see __init__
                self.damage = f"the bag is damaged after {count} messages ({type(error).__name__}: {str(error)[:80]})"
                return
            if message is None:
                return
            count += 1
            yield message
