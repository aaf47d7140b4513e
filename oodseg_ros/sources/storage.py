"""What the storage files of a bag have in common: messages, topics, order by time."""

from __future__ import annotations

import bz2
import heapq
import io
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lz4.frame
import zstandard

MAX_MESSAGE = 1 << 30
"""Bytes of one message or chunk after decompression; more is refused as a decompression bomb."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class RawMessage:
    """One message: topic, type (`sensor_msgs/msg/Image`), log time in nanoseconds, its bytes (CDR, or ROS 1's own)."""

    topic: str
    kind: str
    log_ns: int
    data: bytes
    ros1: bool = False


@dataclass(frozen=True)
class Topic:
    """What a file says of a topic: type, message definition and its RIHS01 hash ("" = not there), QoS as YAML text."""

    kind: str
    definition: str = ""
    digest: str = ""
    qos: str = ""


class StorageFile(ABC):
    """One file of a bag. `messages` never raises for damage: it reads on behind it, and says so in `damage`.

    Attributes:
        topics: topic → what the file says of it.
        counts: topic → messages by the file's own statistics; None = it does not tell.
        expected: messages of all topics together, where the file tells that much; None = it does not.
        seen: topic → messages that the last complete `messages` came across, of all topics.
        damage: sentences on what could not be read or did not fit together; final after `messages` is used up.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[str, Topic] = {}
        self.counts: dict[str, int] | None = None
        self.expected: int | None = None
        self.seen: Counter[str] = Counter()
        self.damage: list[str] = []

    def _say(self, text: str) -> None:
        if len(self.damage) < 20 and (line := f"{self.path.name}: {text}") not in self.damage:
            self.damage.append(line)

    def _content(self, data: bytes, topic: str) -> bytes:
        """A message's bytes; compression mode `message` shows by Zstandard's magic number, which no CDR begins with.

        As many messages as were written come out: what cannot be decompressed is said, and fails where it is parsed.
        """
        if not data.startswith(ZSTD_MAGIC):
            return data
        out, reason = decompressed(data, "zstd")
        if reason:
            self._say(f"a message on {topic} cannot be decompressed ({reason})")
        return b"" if reason else out

    def _read(self, file: io.BufferedReader, at: int, size: int) -> bytes | None:
        """Bytes of the file, fewer at its end; None where the disk fails, which is said."""
        try:
            file.seek(at)
            return file.read(size)
        except OSError as error:
            self._say(f"byte {at} cannot be read ({error.strerror})")
            return None

    def prefer(self, topics: set[str], kinds: set[str]) -> None:  # noqa: B027 (most formats tell a name once)
        """Where the file contradicts itself on a name, take one of these; what it says only once stays.

        Args:
            topics, kinds: names of topics and types that metadata.yaml or the bag's other files know.
        """

    @abstractmethod
    def messages(self, topics: set[str] | None) -> Iterator[RawMessage]:
        """Messages of these topics (None = all) by log time; equal times in the order of their topics."""


def in_time_order(pieces: Iterable[tuple[int, Callable[[], Iterable[RawMessage]]]]) -> Iterator[RawMessage]:
    """Messages of pieces that overlap in time, sorted; a piece is opened when its time has come.

    Args:
        pieces: (earliest time, function that gives its messages), by earliest time.
    """
    waiting: list[tuple[int, str, int, RawMessage]] = []
    number = 0
    for start, load in pieces:
        while waiting and waiting[0][0] < start:
            yield heapq.heappop(waiting)[3]
        for message in load():
            heapq.heappush(waiting, (message.log_ns, message.topic, number, message))
            number += 1
    while waiting:
        yield heapq.heappop(waiting)[3]


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "bz2": bz2.BZ2Decompressor,
}


def decompressed(data: bytes, kind: str, limit: int = MAX_MESSAGE) -> tuple[bytes, str]:
    """Decompress; of damaged data what stands before the damage. Returns (bytes, reason), reason "" = all is sound."""
    if kind in ("", "none"):
        return data, ""
    if kind not in _DECOMPRESSORS:
        return b"", f"compression {kind[:20]!r} is not known"
    decompressor, out = _DECOMPRESSORS[kind](), bytearray()
    try:
        # In pieces: what a damaged block destroys is then at most the block, and a bomb is seen before it has unfolded.
        for start in range(0, len(data), 1 << 16):
            out += decompressor.decompress(data[start : start + (1 << 16)])
            if len(out) > limit:
                return bytes(out[:limit]), f"unfolds to more than {limit} bytes"
            if decompressor.eof:
                return bytes(out), ""
    except Exception as error:  # lz4 raises RuntimeError, bz2 OSError, zstandard its own
        return bytes(out), f"{type(error).__name__}: {str(error)[:80]}"
    return bytes(out), "the compressed data is cut short"
