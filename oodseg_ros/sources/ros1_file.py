"""A bag of ROS 1 (format 2.0), read from record to record: also one whose recorder was killed and wrote no index."""

from __future__ import annotations

import contextlib
import io
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rosbags.typesys.msg import normalize_msgtype

from ..errors import BagError
from .storage import MAX_MESSAGE, RawMessage, StorageFile, Topic, decompressed, in_time_order

MAGIC = b"#ROSBAG V2.0\n"
_MESSAGE, _HEADER, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = 2, 3, 4, 5, 6, 7
_MAX_FIELDS = 1 << 20
_WINDOW = 1 << 20


class _Piece(NamedTuple):
    """A chunk, or a message outside of chunks: earliest time, where its data lies, how it is packed."""

    start: int
    at: int
    size: int
    compression: str = ""
    fields: dict[str, bytes] | None = None


class Ros1File(StorageFile):
    """See `storage.StorageFile`.

    Raises:
        BagError: it is no bag of format 2.0.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._names: dict[int, str] = {}
        self._pieces: list[_Piece] = []
        self._size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BagError(f"{path} is no ROS 1 bag of format 2.0; its first bytes say otherwise")
            told = self._walk(file)
        self._pieces.sort(key=lambda piece: piece.start)
        self._found = list(self.damage)
        if told is not None and set(told) <= set(self._names):
            counts: Counter[str] = Counter()
            for number, count in told.items():
                counts[self._names[number]] += count
            self.counts, self.expected = dict(counts), counts.total()

    def messages(self, topics: set[str] | None) -> Iterator[RawMessage]:
        self.damage = list(self._found)
        seen: Counter[str] = Counter()
        strangers: Counter[int] = Counter()
        with self.path.open("rb") as file:

            def load(piece: _Piece) -> Iterable[RawMessage]:
                for fields, data in self._messages_in(file, piece):
                    number, seconds, nanoseconds = _number(fields, "conn"), *struct.unpack("<II", fields["time"])
                    topic = self._names.get(number)
                    if topic is None:
                        strangers[number] += 1
                        continue
                    seen[topic] += 1
                    if topics is None or topic in topics:
                        log_ns = seconds * 10**9 + nanoseconds
                        yield RawMessage(topic, self.topics[topic].kind, log_ns, data, ros1=True)

            yield from in_time_order((piece.start, partial(load, piece)) for piece in self._pieces)
        for number, count in strangers.items():
            self._say(f"{count} messages are of connection {number}, of which the file holds no record")
        self.seen = seen

    def _walk(self, file: io.BufferedReader) -> dict[int, int] | None:
        """Find chunks and connections; returns connection → messages by the bag's index, None = it has none."""
        infos: dict[int, tuple[int, dict[int, int]]] = {}
        chunks: list[tuple[int, _Piece]] = []
        indexed: dict[tuple[int, int], int] = Counter()
        promised, at = None, len(MAGIC)
        while at < self._size:
            record = _record_at(file, at, self._size)
            if record is None:
                found = self._resume(file, at + 1)
                self._say(f"bytes {at} to {self._size if found is None else found} are damaged or cut off")
                if found is None:
                    break
                at = found
                continue
            fields, start, size = record
            op = fields["op"][0]
            if op == _HEADER and "chunk_count" in fields:
                promised = _number(fields, "chunk_count") if fields.get("index_pos", b"").strip(b"\0") else None
            elif op == _CHUNK:
                if start + size > self._size:
                    self._say(f"the last chunk, at byte {at}, is cut short")
                compression = fields.get("compression", b"").decode("ascii", "replace")
                chunks.append((at, _Piece(0, start, size, compression)))
            elif op == _CONNECTION:
                file.seek(start)
                self._connect(fields, file.read(size))
            elif op == _INDEX and "conn" in fields and chunks:
                indexed[chunks[-1][0], _number(fields, "conn")] += size // 12  # one time and place per message
            elif op == _CHUNK_INFO and {"chunk_pos", "start_time"} <= set(fields):
                file.seek(start)
                pairs = struct.iter_unpack("<II", file.read(size // 8 * 8))
                seconds, nanoseconds = struct.unpack("<II", fields["start_time"])
                infos[_number(fields, "chunk_pos")] = (seconds * 10**9 + nanoseconds, dict(pairs))
            elif op == _MESSAGE:
                seconds, nanoseconds = struct.unpack("<II", fields["time"])
                self._pieces.append(_Piece(seconds * 10**9 + nanoseconds, start, size, fields=fields))
            at = start + size
        for place, piece in chunks:
            if place in infos:
                self._pieces.append(piece._replace(start=infos[place][0]))
            else:
                self._pieces.append(piece._replace(start=self._earliest(file, piece)))
        if promised is None:
            self._say("the recorder did not close it (no index)")
        if not self._names:
            raise BagError(f"{self.path} holds no connection record that can be read, so its topics are not known")
        # The index speaks for the whole bag only where it has all the chunks that the bag's header counts.
        if promised is None or promised != len(infos):
            return None
        counts: Counter[int] = Counter()
        for place, (_, per_connection) in infos.items():
            if any(indexed.get((place, number), count) != count for number, count in per_connection.items()):
                self._say(f"the two counts of the chunk at byte {place} differ, so the index is damaged")
                return None
            counts.update(per_connection)
        return dict(counts)

    def _earliest(self, file: io.BufferedReader, piece: _Piece) -> int:
        times = [struct.unpack("<II", fields["time"]) for fields, _ in self._messages_in(file, piece)]
        seconds, nanoseconds = min(times, default=(0, 0))
        return seconds * 10**9 + nanoseconds

    def _resume(self, file: io.BufferedReader, at: int) -> int | None:
        """The next place behind damage where a chunk, or the index, begins."""
        while at < self._size:
            file.seek(at)
            window = file.read(_WINDOW + 64)
            for mark in (b"compression=", b"conn="):
                place = window.find(mark)
                while 0 <= place < _WINDOW:
                    start = at + place - 8
                    record = _record_at(file, start, self._size) if place >= 8 else None
                    if record is not None and record[1] + record[2] <= self._size:
                        return start
                    place = window.find(mark, place + 1)
            at += _WINDOW
        return None

    def _connect(self, fields: dict[str, bytes], data: bytes) -> None:
        told = _fields(data)
        if told is None or "type" not in told or "topic" not in fields or len(fields.get("conn", b"")) != 4:
            self._say("a connection record cannot be parsed")
            return
        topic, kind = fields["topic"].decode("utf-8", "replace"), told["type"].decode("utf-8", "replace")
        # rosbag writes //front as the publisher spelled it.
        topic = "/" + "/".join(part for part in topic.split("/") if part)
        with contextlib.suppress(Exception):
            kind = normalize_msgtype(kind)
        self._names.setdefault(_number(fields, "conn"), topic)
        latching = told.get("latching", b"0") == b"1"
        qos = "- durability: 1\n  reliability: 1\n" if latching else ""
        definition = told.get("message_definition", b"").decode("utf-8", "replace")
        self.topics.setdefault(topic, Topic(kind, definition, qos=qos))

    def _messages_in(self, file: io.BufferedReader, piece: _Piece) -> Iterator[tuple[dict[str, bytes], bytes]]:
        if (data := self._read(file, piece.at, piece.size)) is None:
            return
        if piece.fields is not None:
            yield piece.fields, data
            return
        data, reason = decompressed(data, piece.compression)
        if reason:
            self._say(f"the chunk at byte {piece.at} is damaged: {reason}")
        stream, at = io.BytesIO(data), 0
        while at < len(data):
            record = _record_at(stream, at, len(data))
            if record is None or record[1] + record[2] > len(data):
                found = next(
                    (
                        p
                        for p in _places(data, at + 1)
                        if (r := _record_at(stream, p, len(data))) and r[1] + r[2] <= len(data)
                    ),
                    len(data),
                )
                self._say(f"the chunk at byte {piece.at} is damaged: {found - at} bytes of it fit no record")
                at = found
                continue
            fields, start, size = record
            if fields["op"][0] == _CONNECTION:
                self._connect(fields, data[start : start + size])
            elif fields["op"][0] == _MESSAGE:
                yield fields, data[start : start + size]
            at = start + size


def _places(data: bytes, at: int) -> Iterator[int]:
    """Where message and connection records may begin: both have `conn` as their first field."""
    place = data.find(b"conn=", at + 8)
    while place >= 0:
        yield place - 8
        place = data.find(b"conn=", place + 1)


def _record_at(file: io.BufferedIOBase, at: int, end: int) -> tuple[dict[str, bytes], int, int] | None:
    """(header fields, start of data, its size) of the record at a place; only a chunk's data may reach over the end."""
    file.seek(at)
    head = file.read(4)
    if len(head) < 4 or (length := struct.unpack("<I", head)[0]) > min(_MAX_FIELDS, end - at - 8):
        return None
    fields = _fields(file.read(length))
    tail = file.read(4)
    if fields is None or len(tail) < 4 or len(fields.get("op", b"")) != 1:
        return None
    size, op = struct.unpack("<I", tail)[0], fields["op"][0]
    if op == _MESSAGE and (len(fields.get("conn", b"")) != 4 or len(fields.get("time", b"")) != 8):
        return None
    if op not in range(_MESSAGE, _CONNECTION + 1) or size > MAX_MESSAGE:
        return None
    start = at + 8 + length
    if start + size > end and op != _CHUNK:
        return None
    return fields, start, size


def _fields(data: bytes) -> dict[str, bytes] | None:
    fields, at = {}, 0
    while at < len(data):
        if at + 4 > len(data):
            return None
        (size,) = struct.unpack_from("<I", data, at)
        name, mark, value = data[at + 4 : at + 4 + size].partition(b"=")
        if not mark or at + 4 + size > len(data):
            return None
        fields[name.decode("ascii", "replace")] = value
        at += 4 + size
    return fields


def _number(fields: dict[str, bytes], name: str) -> int:
    return int.from_bytes(fields.get(name, b""), "little")
