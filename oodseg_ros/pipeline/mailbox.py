"""One slot per camera that holds the newest item: what a slow engine does to a fast camera is drop, never queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Item:
    """A frame that waits for the engine.

    Attributes:
        camera: which slot.
        stamp_ns: header stamp.
        payload: whatever the reader of the mailbox decodes; here it is never looked at.
    """

    camera: str
    stamp_ns: int
    payload: Any


class Mailbox:
    """Newest-item slots with a condition variable; any number of writers, one reader.

    Args:
        cameras: slots in the order in which `take` returns them (most important first).
        dropped: called with each item that was replaced, outside the lock, by the thread that replaced it.
    """

    def __init__(self, cameras: Sequence[str], dropped: Callable[[Item], None]) -> None:
        self._slots: dict[str, Item | None] = dict.fromkeys(cameras)
        self._dropped = dropped
        self._condition = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> bool:
        """Store an item; an older one in its slot goes to `dropped`. False after `close`: then nothing was stored.

        Raises:
            KeyError: no such camera.
        """
        with self._condition:
            if self._closed:
                return False
            old, self._slots[item.camera] = self._slots[item.camera], item
            self._condition.notify()
        if old is not None:
            self._dropped(old)
        return True

    def take(self, timeout: float) -> list[Item]:
        """The newest item of every camera that has one; waits up to `timeout` seconds for the first, then empty."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._closed or any(self._slots.values()), timeout):
                return []
            return self._empty()

    def close(self) -> list[Item]:
        """Refuse further items and wake the reader; returns what was still waiting."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            return self._empty()

    def _empty(self) -> list[Item]:
        items = [item for item in self._slots.values() if item is not None]
        self._slots = dict.fromkeys(self._slots)
        return items
