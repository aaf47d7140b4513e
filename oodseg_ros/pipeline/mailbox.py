"""One slot per camera that holds the newest frame, and whose turn it is when the engine is free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from .step import Arrival

PASSES_PER_RANK = 2
"""So often passed over, a waiting camera is served like one of the next higher priority."""


class Mailbox:
    """Newest-frame slots with a condition variable; any number of writers, one reader.

    What a slow engine does to a fast camera is drop, never queue.

    Args:
        dropped: called with each frame that was replaced, outside the lock, by the thread that replaced it.
    """

    def __init__(self, cameras: Sequence[str], dropped: Callable[[Arrival], None]) -> None:
        self._slots: dict[str, Arrival | None] = dict.fromkeys(cameras)
        self._dropped = dropped
        self._condition = threading.Condition()
        self._closed = self._woken = False

    def put(self, arrival: Arrival) -> bool:
        """Store a frame; an older one in its slot goes to `dropped`. False after `close`: then nothing was stored.

        Raises:
            KeyError: no such camera.
        """
        with self._condition:
            if self._closed:
                return False
            old, self._slots[arrival.camera] = self._slots[arrival.camera], arrival
            self._condition.notify()
        if old is not None:
            self._dropped(old)
        return True

    def take(self, timeout: float, choose: Callable[[list[str]], list[str]]) -> list[Arrival]:
        """The frames of the cameras that `choose` picks out of those that have one, in its order.

        Waits up to `timeout` seconds for the first frame, or for `wake`; then the result is empty.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._woken or any(self._slots.values()), timeout)
            self._woken = False
            waiting = [camera for camera, arrival in self._slots.items() if arrival is not None]
            if self._closed or not waiting:
                return []
            return self._emptied(choose(waiting))

    def wake(self) -> None:
        """End the reader's wait: there is something to do without a new frame."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def close(self) -> list[Arrival]:
        """Refuse further frames and wake the reader; returns what was still waiting."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            return self._emptied([camera for camera, arrival in self._slots.items() if arrival is not None])

    def _emptied(self, cameras: Sequence[str]) -> list[Arrival]:
        arrivals = [arrival for camera in cameras if (arrival := self._slots[camera]) is not None]
        self._slots.update(dict.fromkeys(cameras))
        return arrivals


class Turns:
    """Whose frame the engine gets next.

    The rule: the camera of the highest priority that has a frame. Equal ones take turns, the one that waited longest
    first. A camera that was passed over with a frame waiting rises by one rank of priority every `PASSES_PER_RANK`
    times, until it is served: with R different priorities and N cameras none is passed over more than
    `PASSES_PER_RANK * (R - 1) + N` times in a row, and one of higher priority is never served less often.

    Args:
        priorities: camera → priority; only their order counts.
    """

    def __init__(self, priorities: Mapping[str, int]) -> None:
        ranks = sorted(set(priorities.values()))
        self._rank = {camera: ranks.index(priority) for camera, priority in priorities.items()}
        self._passed = dict.fromkeys(priorities, 0)
        self._served = dict.fromkeys(priorities, 0)
        self._turn = 0

    def choose(self, waiting: Sequence[str], batch: Callable[[str], tuple[Collection[str], int]]) -> list[str]:
        """The cameras whose frames run next, the first one first.

        Args:
            waiting: those that have a frame; one at least.
            batch: a camera → those of its image size, and how many of them make a batch.
        """
        order = sorted(waiting, key=self._urgency)
        same, most = batch(order[0])
        joining = [camera for camera in order[1:] if camera in same]
        chosen = order[:1] + (joining[: most - 1] if len(joining) >= most - 1 else [])
        self._turn += 1
        for camera in waiting:
            self._passed[camera] = 0 if camera in chosen else self._passed[camera] + 1
        self._served.update(dict.fromkeys(chosen, self._turn))
        return chosen

    def _urgency(self, camera: str) -> tuple[int, int]:
        return -(self._rank[camera] + self._passed[camera] // PASSES_PER_RANK), self._served[camera]
