"""The schemas and channels of an mcap file: a damaged or edited one holds several of one number that contradict each
other, and one of them is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mcap.records import Channel, Schema

from .storage import Topic


@dataclass
class _Told:
    """A record that describes, the places where the file holds it, and whether a checksum stands for one of them."""

    record: Schema | Channel
    places: set[tuple[int, int]] = field(default_factory=set)
    vouched: bool = False


class Descriptions:
    """Filled record by record; of each number the first one is taken until `settle`.

    Attributes:
        schemas, channels: number → the record that is taken.
    """

    def __init__(self) -> None:
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        # (is a channel, number) → what it says → its record.
        self._told: dict[tuple[bool, int], dict[tuple, _Told]] = {}

    def add(self, record: Schema | Channel, place: tuple[int, int], vouched: bool) -> None:
        """A record at a place of the file; `vouched` = a checksum of it was right."""
        what: tuple
        if isinstance(record, Schema):
            self.schemas.setdefault(record.id, record)
            what = record.name, record.encoding, record.data
        else:
            self.channels.setdefault(record.id, record)
            what = record.topic, record.message_encoding, record.schema_id
        told = self._told.setdefault((isinstance(record, Channel), record.id), {}).setdefault(what, _Told(record))
        told.places.add(place)
        told.vouched |= vouched

    def kind(self, channel: Channel) -> str:
        """The channel's type as ROS 2 writes it, "" = not told."""
        schema = self.schemas.get(channel.schema_id)
        return _kind_of(schema.name) if schema else ""

    def doubtful(self, topics: set[str], kinds: set[str]) -> bool:
        """Whether a channel has a topic or type that is not among these, and no checksum stands for it."""
        return any(
            ((topics and channel.topic not in topics) or self.kind(channel) not in kinds)
            and not all(
                any(told.vouched for told in self._told.get(key, {}).values())
                for key in ((True, number), (False, channel.schema_id))
            )
            for number, channel in self.channels.items()
        )

    def settle(self, topics: set[str], kinds: set[str]) -> None:
        """Of several records of one number take that for which a checksum stands, whose names are among these, which
        stands in more places, or the first.
        """

        def rank(told: _Told) -> tuple:
            record = told.record
            if isinstance(record, Schema):
                return told.vouched, _kind_of(record.name) in kinds, len(told.places)
            fits = record.topic in topics, self.kind(record) in kinds, record.message_encoding in ("cdr", "ros1")
            return told.vouched, *fits, len(told.places)

        for (_, number), all_told in sorted(self._told.items()):  # schemas before the channels that name them
            best = max(all_told.values(), key=rank).record
            if isinstance(best, Schema):
                self.schemas[number] = best
            else:
                self.channels[number] = best

    def topics(self) -> dict[str, Topic]:
        """Topic → what its channel and schema say of it."""
        found: dict[str, Topic] = {}
        for channel in self.channels.values():
            schema = self.schemas.get(channel.schema_id)
            known = Topic(
                self.kind(channel),
                schema.data.decode("utf-8", "replace") if schema and schema.encoding == "ros2msg" else "",
                channel.metadata.get("topic_type_hash", ""),
                channel.metadata.get("offered_qos_profiles", ""),
            )
            found.setdefault(channel.topic, known)
        return found

    def contradictions(self) -> list[str]:
        """A sentence for every number of which the file says different things."""
        found = []
        for (is_channel, number), all_told in self._told.items():
            if len(all_told) < 2:
                continue
            taken = self.channels[number].topic if is_channel else self.schemas[number].name
            what = f"{'channel' if is_channel else 'schema'} {number}"
            names = sorted({str(key[0]) for key in all_told})
            if len(names) > 1:
                found.append(f"{what} is both {' and '.join(names)}; read as {taken}")
            else:
                found.append(f"{what} ({taken}) is described in {len(all_told)} ways; one of them is damaged")
        return found


def _kind_of(name: str) -> str:
    """A schema's name as ROS 2 writes types; `mcap convert` leaves those of ROS 1 as they were."""
    return re.sub(r"^(\w+)/(\w+)$", r"\1/msg/\2", name)
