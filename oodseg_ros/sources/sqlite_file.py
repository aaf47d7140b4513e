"""A db3 file of rosbag2, read row by row: with the write-ahead log of a killed recorder, and past damaged pages."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import BagError
from .storage import RawMessage, StorageFile, Topic

_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""Python's binding decodes SQLite's own messages, which quote the damaged text."""
_ROW = "SELECT id, timestamp, topic_id FROM messages"
_MAX_SEARCH = 100_000
"""Message numbers that are tried behind a damaged page."""


class SqliteFile(StorageFile):
    """See `storage.StorageFile`.

    Raises:
        BagError: no topic can be read from it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._names: dict[int, tuple[str, str]] = {}
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        # SQLite looks for logs beside the file itself, not beside a link to it.
        self._real = path.resolve()
        self._log, self._journal, index = (self._beside(end) for end in ("-wal", "-journal", "-shm"))
        self._shared = index.exists()
        try:
            with contextlib.closing(self._open()) as base:
                base.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if _filled(self._log):
                    told = f"the recorder did not close it; its write-ahead log {self._log.name} {self._how_far()}"
                    self._say(told)
                self._check_length()
                self._read_topics(base)
        except (*_ERRORS, BagError) as error:
            raise BagError("; ".join([str(error), *self.damage])) from error
        finally:
            self._tidy()
        self._found = list(self.damage)

    def messages(self, topics: set[str] | None) -> Iterator[RawMessage]:
        self.damage = list(self._found)
        seen: Counter[str] = Counter()
        base = self._open()
        try:
            numbers, times, owners = self._rows(base)
            lost = 0
            rank = {number: place for place, number in enumerate(sorted(self._names, key=lambda k: self._names[k]))}
            for place in np.lexsort((np.array([rank.get(int(owner), -1) for owner in owners]), times)):
                topic, kind = self._names.get(int(owners[place]), ("", ""))
                if not topic:
                    continue
                wanted = topics is None or topic in topics
                if not wanted:
                    seen[topic] += 1
                    continue
                try:
                    row = base.execute("SELECT data FROM messages WHERE id = ?", (int(numbers[place]),)).fetchone()
                except _ERRORS:
                    row = None
                if row is None:
                    lost += 1
                    continue
                seen[topic] += 1
                data = self._content(row[0] if isinstance(row[0], bytes) else b"", topic)
                yield RawMessage(topic, kind, int(times[place]), data)
            if lost:
                self._say(f"{lost} messages cannot be read: their pages are damaged")
            strangers = int((~np.isin(owners, list(self._names))).sum())
            if strangers:
                self._say(f"{strangers} messages are of topics that the file does not name")
            self.seen = seen
        finally:
            base.close()
            self._tidy()

    def _open(self) -> sqlite3.Connection:
        """Read only. Without a log beside it nothing is locked or written, so read-only media and `#%?` in names do."""
        if self._copy is None and not _filled(self._log) and not _filled(self._journal):
            return _connect(self._real, "immutable=1")
        # Of a file without a page SQLite would delete the log, also for a reader.
        if self._copy is None and not self._journal.is_file() and _filled(self._real):
            base = _connect(self._real, "mode=ro")
            try:
                base.execute("SELECT count(*) FROM sqlite_master")
                return base
            except _ERRORS:  # the log's index cannot be made here: a read-only medium
                base.close()
        if self._copy is None:
            self._copy = tempfile.TemporaryDirectory(prefix="oodseg_bag_")
            for file in (self._real, self._log, self._journal):
                if file.is_file():
                    shutil.copyfile(file, Path(self._copy.name) / file.name)
            if not _filled(self._real):
                (Path(self._copy.name) / self._real.name).write_bytes(_first_page(self._log))
        return _connect(Path(self._copy.name) / self._real.name, "mode=rw")

    def _check_length(self) -> None:
        """The head's number of pages against the file's; SQLite reads what a cut left without a word, if it can."""
        with self._real.open("rb") as file:
            head = file.read(100)
        page = int.from_bytes(head[16:18], "big")
        told = int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)
        size = self._real.stat().st_size
        # Both counters are equal where the number of pages is of the last change.
        if head[24:28] == head[92:96] and size < told and not _filled(self._log):
            self._say(f"the file is cut short: {size} of {told} bytes are there")

    def _how_far(self) -> str:
        """Up to where SQLite took the log, by the index that it made of it; it stops at damage without a word."""
        folder = self._real.parent if self._copy is None else Path(self._copy.name)
        index = folder / (self._real.name + "-shm")
        taken = int.from_bytes(index.read_bytes()[16:20], sys.byteorder) if index.is_file() else 0
        there = len(_log_pages(self._log)[0])
        if not taken:
            return "holds nothing that can be read"
        if taken < there:
            return f"was read up to page {taken} of {there}: the others are damaged or were not written to their end"
        return "was read too"

    def _tidy(self) -> None:
        """Remove the index of the log that reading made, unless a recorder that runs has one of its own."""
        if not self._shared:
            self._beside("-shm").unlink(missing_ok=True)

    def _beside(self, end: str) -> Path:
        return self._real.with_name(self._real.name + end)

    def _read_topics(self, base: sqlite3.Connection) -> None:
        columns = [row[1] for row in base.execute("PRAGMA table_info(topics)")]
        if not columns or not base.execute("PRAGMA table_info(messages)").fetchall():
            raise BagError("it is no rosbag2: it has no tables `topics` and `messages`")
        definitions: dict[str, tuple[str, str]] = {}
        try:
            rows = base.execute(
                "SELECT topic_type, encoding, encoded_message_definition, type_description_hash "
                "FROM message_definitions"
            )
            definitions = {
                kind: (text, digest or "") for kind, encoding, text, digest in rows if encoding == "ros2msg" and text
            }
        except _ERRORS:  # written by Humble or earlier, which keep no definitions
            pass
        qos = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        for number, name, kind, text in base.execute(f"SELECT id, name, type, {qos} FROM topics ORDER BY id"):
            if isinstance(name, str) and isinstance(kind, str):
                self._names[number] = (name, kind)
                self.topics.setdefault(name, Topic(kind, *definitions.get(kind, ("", "")), text or ""))

    def _rows(self, base: sqlite3.Connection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(id, time, topic id) of every row that can be reached, in the order of the table, not of an index."""
        # By number: on damaged pages SQLite comes by the same row again and again.
        rows: dict[int, tuple[int, int, int]] = {}
        last, top = -(2**63), None
        with contextlib.suppress(*_ERRORS):
            top = base.execute("SELECT max(id) FROM messages").fetchone()[0]
        damaged = ""
        while True:
            try:
                # Row by row: those that came before an error are kept.
                for row in base.execute(f"{_ROW} NOT INDEXED WHERE id > ? ORDER BY id", (last,)):
                    rows.setdefault(row[0], row)
                break
            except _ERRORS as error:
                damaged = str(error)
            last = max(last, *rows) if rows else last
            row = self._behind(base, last, top)
            if row is None:
                break
            rows.setdefault(row[0], row)
            last = row[0]
        # Flipped bits can turn a number into text or nothing: such a row has no time and no topic.
        sound = [row for row in rows.values() if all(isinstance(value, int) for value in row)]
        if len(sound) < len(rows):
            damaged = damaged or "rows without a time or a topic"
        if damaged:
            self._say(f"pages are damaged ({damaged})")
        table = np.asarray(sound, np.int64).reshape(-1, 3)
        self.expected = None
        if len(table):
            # rosbag2 numbers the messages of a file without gaps.
            self.expected = max(int(table[:, 0].max()), top or 0) - int(table[:, 0].min()) + 1
            if self.expected > len(table):
                self._say(f"{self.expected - len(table)} of {self.expected} message numbers have no message")
        return table[:, 0], table[:, 1], table[:, 2]

    def _behind(self, base: sqlite3.Connection, last: int, top: int | None) -> tuple[int, int, int] | None:
        """The next row behind a damaged page, found by its number."""
        first = max(last, 0) + 1
        for number in range(first, min(top or 0, first + _MAX_SEARCH) + 1):
            with contextlib.suppress(*_ERRORS):
                if row := base.execute(f"{_ROW} WHERE id = ?", (number,)).fetchone():
                    return row
        return None


def _filled(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _log_pages(log: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of a write-ahead log, the pages since its last restart: their numbers `[N]`, and the pages as bytes `[N, size]`;
    the last page may be cut short and is then a number without bytes. Nothing where it has no head.
    """
    data = np.memmap(log, np.uint8, "r") if log.stat().st_size > 32 else np.zeros(32, np.uint8)
    magic, size = int.from_bytes(data[:4], "big"), int.from_bytes(data[8:12], "big")
    if magic not in (0x377F0682, 0x377F0683) or not 512 <= size <= 65536:
        return np.zeros(0, np.int64), np.zeros((0, 1), np.uint8)
    frames = data[32 : 32 + (len(data) - 32) // (24 + size) * (24 + size)].reshape(-1, 24 + size)
    frames = frames[(frames[:, 8:16] == data[16:24]).all(axis=1)]
    numbers: np.ndarray = np.ascontiguousarray(frames[:, :4]).view(">u4").ravel().astype(np.int64)
    if (len(data) - 32) % (24 + size):
        numbers = np.append(numbers, -1)
    return numbers, frames[:, 24:]


def _first_page(log: Path) -> bytes:
    """The first page of the base out of its log, b"" = it is not there."""
    numbers, pages = _log_pages(log) if _filled(log) else (np.zeros(0), np.zeros((0, 1)))
    found = np.flatnonzero(numbers == 1)
    return pages[found[-1]].tobytes() if len(found) else b""


def _connect(path: Path, how: str) -> sqlite3.Connection:
    base = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, check_same_thread=False)
    base.text_factory = lambda text: text.decode("utf-8", "replace")
    return base
