"""The newest item per camera, in order of importance, nothing lost without being told."""

from __future__ import annotations

import threading
import time

import pytest

from oodseg_ros.pipeline.mailbox import Item, Mailbox


@pytest.fixture
def dropped() -> list[Item]:
    return []


@pytest.fixture
def mailbox(dropped: list[Item]) -> Mailbox:
    return Mailbox(["front", "rear"], dropped.append)


def test_newest_wins_and_the_older_is_told(mailbox: Mailbox, dropped: list[Item]) -> None:
    for stamp in range(5):
        assert mailbox.put(Item("front", stamp, None))
    assert [item.stamp_ns for item in mailbox.take(0)] == [4]
    assert [item.stamp_ns for item in dropped] == [0, 1, 2, 3]


def test_cameras_come_in_order_of_importance(mailbox: Mailbox) -> None:
    mailbox.put(Item("rear", 1, None))
    mailbox.put(Item("front", 2, None))
    assert [item.camera for item in mailbox.take(0)] == ["front", "rear"]


def test_a_silent_camera_holds_up_nobody(mailbox: Mailbox) -> None:
    mailbox.put(Item("rear", 1, None))
    assert [item.camera for item in mailbox.take(60)] == ["rear"]
    assert mailbox.take(0) == []


def test_a_waiting_reader_is_woken(mailbox: Mailbox) -> None:
    taken: list[Item] = []
    reader = threading.Thread(target=lambda: taken.extend(mailbox.take(60)))
    reader.start()
    mailbox.put(Item("front", 7, None))
    reader.join(30)
    assert [item.stamp_ns for item in taken] == [7]


def test_closing_returns_what_waits_and_refuses_the_rest(mailbox: Mailbox, dropped: list[Item]) -> None:
    mailbox.put(Item("rear", 1, None))
    assert [item.camera for item in mailbox.close()] == ["rear"]
    assert not mailbox.put(Item("rear", 2, None))
    assert mailbox.take(60) == []
    assert dropped == []


def test_many_writers_lose_nothing(mailbox: Mailbox, dropped: list[Item]) -> None:
    taken: list[Item] = []

    def write(camera: str) -> None:
        for stamp in range(2000):
            mailbox.put(Item(camera, stamp, None))

    writers = [threading.Thread(target=write, args=(camera,)) for camera in ("front", "rear")]
    for writer in writers:
        writer.start()
    end = time.monotonic() + 60
    while any(writer.is_alive() for writer in writers) and time.monotonic() < end:
        taken += mailbox.take(0.01)
    taken += mailbox.take(0)
    assert len(taken) + len(dropped) == 4000
    for camera in ("front", "rear"):
        stamps = [item.stamp_ns for item in taken if item.camera == camera]
        assert stamps == sorted(stamps)
        assert stamps[-1] == 1999
