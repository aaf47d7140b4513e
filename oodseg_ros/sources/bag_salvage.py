"""Read an mcap file that was never closed or is damaged: every complete chunk up to the damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader


class Salvage:
    """An mcap file read from its start, without its index.

    Attributes:
        path: the file.
        topics: topic → (message type, number of readable messages).
        damage: what ended the reading, None if the file is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: str | None = None
        counts: Counter[tuple[str, str]] = Counter((topic, kind) for topic, kind, _, _ in self.messages())
        self.topics = {topic: (kind, count) for (topic, kind), count in counts.items()}

    def messages(self) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, message type, log time in ns, CDR bytes) in file order."""
        schemas: dict[int, Schema] = {}
        channels: dict[int, Channel] = {}
        count = 0
        with self.path.open("rb") as stream:
            limit = max(1, self.path.stat().st_size)
            records = StreamReader(stream, record_size_limit=limit, validate_crcs=True).records
            while True:
                try:
                    record = next(records, None)
                # Whatever a damaged file makes the parser raise is the damage: struct, CRC, zstd, lz4, decoding errors.
                except Exception as error:
                    self.damage = (
                        f"{self.path.name} is damaged or was not closed: {count} messages are readable up to byte "
                        f"{stream.tell()} of {limit} ({type(error).__name__}: {str(error)[:80]})"
                    )
                    return
                if record is None:
                    return
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message) and record.channel_id in channels:
                    channel = channels[record.channel_id]
                    schema = schemas.get(channel.schema_id)
                    count += 1
                    yield channel.topic, schema.name if schema else "", record.log_time, record.data
