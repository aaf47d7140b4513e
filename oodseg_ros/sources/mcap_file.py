"""An mcap file, read from its data section: whole where the index is absent or wrong, and past damage where it can be.

The order of reading does not rest on the summary: chunks are found by walking from record to record, and sorted by
their times. What the summary says (topics, number of messages, where chunks lie) is used where its checksum is right.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, ChunkIndex, Schema, Statistics

from .mcap_records import Descriptions
from .storage import MAX_MESSAGE, RawMessage, StorageFile, decompressed, in_time_order

MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQII")
_FOOTER_SIZE = 9 + 20 + len(MAGIC)
_HEAD_SIZE = 9 + 64
_WINDOW = 1 << 20


class _Piece(NamedTuple):
    """A chunk, or a message outside of chunks: earliest time, where its data lies, how it is packed."""

    start: int
    at: int
    size: int
    compression: str = ""
    crc: int = 0
    loose: bool = False


class McapFile(StorageFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._described = Descriptions()
        self._pieces: list[_Piece] = []
        self._indexed: Counter[int] = Counter()
        self._index: dict[int, ChunkIndex] = {}
        self._statistics: Statistics | None = None
        self._size = path.stat().st_size
        with path.open("rb") as file:
            self._read_summary(file)
            self._walk(file)
        self._pieces.sort(key=lambda piece: piece.start)
        self._found = list(self.damage)
        if self._statistics is not None:
            self.expected = self._statistics.message_count
        counts = self._told_counts()
        if counts is None or not set(counts) <= set(self._described.channels):
            self._learn()
        self._settle(set(), set())

    def prefer(self, topics: set[str], kinds: set[str]) -> None:
        if self._described.doubtful(topics, kinds):
            self._learn()  # a second pass over the file, so only where it may matter
        self._settle(topics, kinds)

    def messages(self, topics: set[str] | None) -> Iterator[RawMessage]:
        self.damage = list(self._found)
        yield from self._all(topics)
        for text in self._described.contradictions():
            self._say(text)
        if self.damage and self._statistics is None:
            self.counts = None  # they were the index's, which no checksum protects either

    def _all(self, topics: set[str] | None) -> Iterator[RawMessage]:
        seen: Counter[str] = Counter()
        strangers: Counter[int] = Counter()
        with self.path.open("rb") as file:

            def load(piece: _Piece) -> Iterable[RawMessage]:
                if (data := self._read(file, piece.at, piece.size)) is None:
                    return
                sound = False
                if not piece.loose:
                    data, sound = self._unpack(piece, data)
                for start, size in self._messages_in(data, piece, sound):
                    number, _, log_ns, _ = _MESSAGE.unpack_from(data, start)
                    channel = self._described.channels.get(number)
                    if channel is None:
                        strangers[number] += 1
                        continue
                    seen[channel.topic] += 1
                    if topics is not None and channel.topic not in topics:
                        continue
                    content = self._content(data[start + _MESSAGE.size : start + size], channel.topic)
                    ros1 = channel.message_encoding == "ros1"
                    yield RawMessage(channel.topic, self._described.kind(channel), log_ns, content, ros1)

            yield from in_time_order((piece.start, partial(load, piece)) for piece in self._pieces)
        for number, count in strangers.items():
            self._say(f"{count} messages are of channel {number}, of which the file holds no record")
        self.seen = seen

    # What the summary says.

    def _read_summary(self, file: io.BufferedReader) -> None:
        if self._size < len(MAGIC) or file.read(len(MAGIC)) != MAGIC:
            self._say("the first bytes are not those of an mcap file")
        if self._size < _FOOTER_SIZE + len(MAGIC):
            self._say(f"the file was not closed or is cut short ({self._size} bytes)")
            return
        file.seek(self._size - _FOOTER_SIZE)
        footer = file.read(_FOOTER_SIZE)
        code, length = _HEAD.unpack_from(footer)
        start, _, crc = struct.unpack_from("<QQI", footer, 9)
        if not footer.endswith(MAGIC) or (code, length) != (Opcode.FOOTER, 20):
            self._say("the file was not closed or is cut short: its footer is missing")
            return
        if not 0 < start < self._size - _FOOTER_SIZE:
            if start:
                self._say("the footer points nowhere")
            return
        file.seek(start)
        summary = file.read(self._size - _FOOTER_SIZE - start)
        if crc and crc != zlib.crc32(summary + footer[: 9 + 16]):
            self._say("the summary fails its checksum and is not used")
            return
        for op, at, size in _records(summary):
            self._take(op, summary[at : at + size], (start, at), vouched=bool(crc))

    def _take(self, op: int, content: bytes, place: tuple[int, int], vouched: bool = False) -> None:
        """Records that describe; one that cannot be parsed is left out, what hangs on it is said by whom it lacks.

        Args:
            place: where in the file it stands.
            vouched: whether a checksum of it was right.
        """
        try:
            stream = ReadDataStream(io.BytesIO(content))
            if op in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._described.add((Schema if op == Opcode.SCHEMA else Channel).read(stream), place, vouched)
            elif op == Opcode.STATISTICS:
                self._statistics = Statistics.read(stream)
            elif op == Opcode.CHUNK_INDEX:
                index = ChunkIndex.read(stream)
                inner = 9 + _CHUNK.size + len(index.compression.encode()) + 8
                if index.chunk_length == inner + index.compressed_size:
                    self._index[index.chunk_start_offset] = index
        except Exception as error:  # struct, unicode, end of stream
            self._say(f"a record of kind {op} cannot be parsed ({type(error).__name__})")

    def _learn(self) -> None:
        """Every record that describes something, also those that stand in chunks only."""
        self.damage = list(self._found)
        for _ in self._all(None):
            pass

    def _settle(self, topics: set[str], kinds: set[str]) -> None:
        """Choose among contradicting records; then what follows from them."""
        self._described.settle(topics, kinds)
        counts = self._told_counts()
        if counts is not None:
            total: Counter[str] = Counter()
            for number, count in counts.items():
                if number in self._described.channels:
                    total[self._described.channels[number].topic] += count
            self.counts = dict(total)
        self.topics = self._described.topics()

    def _told_counts(self) -> dict[int, int] | None:
        statistics = self._statistics
        if statistics is not None:
            counts = dict(statistics.channel_message_counts)
            return counts if sum(counts.values()) == statistics.message_count else None
        chunks = sum(not piece.loose for piece in self._pieces)
        if self._found or chunks != self._chunks_with_index or len(self._pieces) != chunks:
            return None
        return dict(self._indexed)

    # Where the messages lie.

    def _walk(self, file: io.BufferedReader) -> None:
        at, has_index = len(MAGIC), False
        self._chunks_with_index = 0
        while at < self._size:
            file.seek(at)
            head = file.read(_HEAD_SIZE)
            if len(head) < 9:
                break
            if (indexed := self._indexed_chunk(head, at)) is not None:
                self._pieces.append(indexed)
                at, has_index = at + self._index[at].chunk_length, False
                continue
            op, length = _HEAD.unpack_from(head)
            end = at + 9 + length
            piece = self._chunk(head, at, length) if op == Opcode.CHUNK else None
            if piece is not None:
                self._pieces.append(piece)
                has_index = False
            elif end > self._size or not self._sound(op, length, head):
                found = self._resume(file, at + 1)
                self._say(f"bytes {at} to {self._size if found is None else found} are damaged")
                if found is None:
                    break
                at = found
                continue
            elif op == Opcode.MESSAGE:
                self._pieces.append(_Piece(_MESSAGE.unpack_from(head, 9)[2], at + 9, length, loose=True))
            elif op == Opcode.MESSAGE_INDEX:
                number, size = struct.unpack_from("<HI", head, 9)
                self._indexed[number] += size // 16
                self._chunks_with_index += not has_index
                has_index = True
            elif op in (Opcode.SCHEMA, Opcode.CHANNEL):
                file.seek(at + 9)
                self._take(op, file.read(length), (at, 0))
            elif op == Opcode.DATA_END:
                return
            at = end
        if not any("not closed" in line for line in self.damage):
            self._say("the file was not closed or is cut short: its data has no end mark")

    def _indexed_chunk(self, head: bytes, at: int) -> _Piece | None:
        """The chunk that the summary's index names at this place."""
        index = self._index.get(at)
        if index is None or len(head) < 9 + _CHUNK.size:
            return None
        # The summary's checksum stands for the index; nothing stands for the numbers in the chunk's own head.
        crc = _CHUNK.unpack_from(head, 9)[3]
        inner = 9 + _CHUNK.size + len(index.compression.encode()) + 8
        return _Piece(index.message_start_time, at + inner, index.compressed_size, index.compression, crc)

    def _sound(self, op: int, length: int, head: bytes) -> bool:
        """Whether a record of the data section agrees with itself, as far as its head tells."""
        if op == Opcode.MESSAGE:
            return 22 <= length <= MAX_MESSAGE
        if op == Opcode.MESSAGE_INDEX:
            return length >= 6 and struct.unpack_from("<I", head, 11)[0] == length - 6
        if op == Opcode.DATA_END:
            return length == 4
        if op >= 0x80:
            self._say(f"a record of the private kind {op:#x} was passed over")
            return True
        return op in (Opcode.HEADER, Opcode.SCHEMA, Opcode.CHANNEL, Opcode.ATTACHMENT, Opcode.METADATA)

    def _chunk(self, head: bytes, at: int, length: int) -> _Piece | None:
        """The chunk whose head this is; None: the numbers contradict each other. At a cut it reaches to the end."""
        if len(head) < 9 + _CHUNK.size + 8:
            return None
        start, _, _, crc, name = _CHUNK.unpack_from(head, 9)
        if name > 10 or len(head) < 9 + _CHUNK.size + name + 8:
            return None
        inner = 9 + _CHUNK.size + name + 8
        (packed,) = struct.unpack_from("<Q", head, inner - 8)
        if packed != length + 9 - inner:
            return None
        compression = head[9 + _CHUNK.size : inner - 8].decode("ascii", "replace")
        if at + inner + packed > self._size:
            self._say(f"the last chunk, at byte {at}, is cut short")
        return _Piece(start, at + inner, packed, compression, crc)

    def _resume(self, file: io.BufferedReader, at: int) -> int | None:
        """The next place behind damage where a record begins: the index names it, or its numbers fit."""
        named = min((place for place in self._index if place >= at), default=None)
        while at < self._size - 9:
            file.seek(at)
            window = file.read(_WINDOW + 128)
            for match in _START.finditer(window):
                place = at + match.start()
                if match.start() >= _WINDOW or (named is not None and place >= named):
                    break
                op, length = _HEAD.unpack_from(window, match.start())
                head = window[match.start() : match.start() + _HEAD_SIZE]
                if op == Opcode.CHUNK:
                    if self._chunk(head, place, length) is not None and place + 9 + length <= self._size:
                        return place
                elif (
                    2 <= length <= self._size - place - 9
                    and self._follows(file, place + 9 + length)
                    and (op != Opcode.MESSAGE or int.from_bytes(head[9:11], "little") in self._described.channels)
                ):
                    return place
            if named is not None and at + _WINDOW >= named:
                return named
            at += _WINDOW
        return named

    def _follows(self, file: io.BufferedReader, at: int) -> bool:
        """Whether a record stands here whose end lies in the file."""
        file.seek(at)
        head = file.read(9)
        if len(head) < 9:
            return False
        op, length = _HEAD.unpack(head)
        return op in _KNOWN and at + 9 + length <= self._size

    # What a chunk holds.

    def _unpack(self, piece: _Piece, data: bytes) -> tuple[bytes, bool]:
        """What the chunk holds, and whether its checksum stands for it."""
        where = f"the chunk at byte {piece.at}"
        content, reason = decompressed(data, piece.compression)
        if reason:
            self._say(f"{where} is damaged: {reason}")
        elif piece.crc and zlib.crc32(content) != piece.crc:
            self._say(f"{where} fails its checksum: messages of it may be damaged")
        else:
            return content, bool(piece.crc)
        return content, False

    def _messages_in(self, data: bytes, piece: _Piece, sound: bool) -> Iterator[tuple[int, int]]:
        """(start, size) of the message records; schemas and channels are learnt on the way."""
        if piece.loose:
            yield 0, len(data)
            return
        for op, at, size in _records(data, self._described.channels):
            if op == Opcode.MESSAGE and size >= 22:
                yield at, size
            elif op in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._take(op, data[at : at + size], (piece.at, at), sound)
            elif op == 0:
                self._say(f"the chunk at byte {piece.at} is damaged: {size} bytes of it fit no record")


_KNOWN = frozenset(int(op) for op in Opcode)
_START = re.compile(rb"[\x03\x04\x05\x06\x07\x0f](?=.{5}\x00\x00\x00)", re.DOTALL)
_INNER = re.compile(rb"[\x03\x04\x05](?=.{5}\x00\x00\x00)", re.DOTALL)


def _records(data: bytes, channels: dict[int, Channel] | None = None) -> Iterator[tuple[int, int, int]]:
    """(opcode, start of content, size) of consecutive records; damage is (0, where, bytes skipped).

    Args:
        channels: in a chunk: the known ones. A message record behind damage must be of one of them.
    """
    at, inside = 0, channels is not None
    while at + 9 <= len(data):
        op, length = _HEAD.unpack_from(data, at)
        if (op in (3, 4, 5) if inside else op in _KNOWN) and at + 9 + length <= len(data):
            yield op, at + 9, length
            at += 9 + length
            continue
        found = len(data)
        for match in _INNER.finditer(data, at + 1) if inside else ():
            op, length = _HEAD.unpack_from(data, match.start()) if match.start() + 9 <= len(data) else (0, 0)
            end = match.start() + 9 + length
            fits = end == len(data) or (end + 9 <= len(data) and data[end] in (3, 4, 5))
            if (
                op
                and fits
                and (
                    op != 5
                    or (length >= 22 and struct.unpack_from("<H", data, match.start() + 9)[0] in (channels or ()))
                )
            ):
                found = match.start()
                break
        yield 0, at, found - at
        at = found
    if at < len(data):
        yield 0, at, len(data) - at
