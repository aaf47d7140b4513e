"""The newest frame per camera, nothing lost without being told, and whose turn it is."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.pipeline.mailbox import PASSES_PER_RANK, Mailbox, Turns
from oodseg_ros.pipeline.step import Arrival


def arrival(camera: str, stamp: int) -> Arrival:
    return Arrival(camera, stamp, lambda: None)


def everything(waiting: list[str]) -> list[str]:
    return waiting


@pytest.fixture
def dropped() -> list[Arrival]:
    return []


@pytest.fixture
def mailbox(dropped: list[Arrival]) -> Mailbox:
    return Mailbox(["front", "rear"], dropped.append)


def test_newest_wins_and_the_older_is_told(mailbox: Mailbox, dropped: list[Arrival]) -> None:
    for stamp in range(5):
        assert mailbox.put(arrival("front", stamp))
    assert [one.stamp_ns for one in mailbox.take(0, everything)] == [4]
    assert [one.stamp_ns for one in dropped] == [0, 1, 2, 3]


def test_only_what_is_chosen_is_taken(mailbox: Mailbox) -> None:
    mailbox.put(arrival("rear", 1))
    mailbox.put(arrival("front", 2))
    assert [one.camera for one in mailbox.take(0, lambda waiting: ["rear"])] == ["rear"]
    assert [one.camera for one in mailbox.take(0, everything)] == ["front"]


def test_a_silent_camera_holds_up_nobody(mailbox: Mailbox) -> None:
    mailbox.put(arrival("rear", 1))
    assert [one.camera for one in mailbox.take(60, everything)] == ["rear"]
    assert mailbox.take(0, everything) == []


@pytest.mark.parametrize("wake", [False, True])
def test_a_waiting_reader_is_woken(mailbox: Mailbox, wake: bool) -> None:
    taken: list[list[Arrival]] = []
    reader = threading.Thread(target=lambda: taken.append(mailbox.take(60, everything)))
    reader.start()
    if wake:
        mailbox.wake()
    else:
        mailbox.put(arrival("front", 7))
    reader.join(30)
    assert [[one.stamp_ns for one in each] for each in taken] == [[] if wake else [7]]


def test_closing_returns_what_waits_and_refuses_the_rest(mailbox: Mailbox, dropped: list[Arrival]) -> None:
    mailbox.put(arrival("rear", 1))
    assert [one.camera for one in mailbox.close()] == ["rear"]
    assert not mailbox.put(arrival("rear", 2))
    assert mailbox.take(60, everything) == []
    assert dropped == []


def test_many_writers_lose_nothing(mailbox: Mailbox, dropped: list[Arrival]) -> None:
    taken: list[Arrival] = []

    def write(camera: str) -> None:
        for stamp in range(2000):
            mailbox.put(arrival(camera, stamp))

    writers = [threading.Thread(target=write, args=(camera,)) for camera in ("front", "rear")]
    for writer in writers:
        writer.start()
    end = time.monotonic() + 60
    while any(writer.is_alive() for writer in writers) and time.monotonic() < end:
        taken += mailbox.take(0.01, everything)
    taken += mailbox.take(0, everything)
    assert len(taken) + len(dropped) == 4000
    for camera in ("front", "rear"):
        stamps = [one.stamp_ns for one in taken if one.camera == camera]
        assert stamps == sorted(stamps)
        assert stamps[-1] == 1999


def alone(camera: str) -> tuple[set[str], int]:
    return {camera}, 1


def overloaded(priorities: dict[str, int], turns: int) -> list[str]:
    """Every camera always has a frame, and the engine takes one at a time."""
    schedule = Turns(priorities)
    return [schedule.choose(list(priorities), alone)[0] for _ in range(turns)]


def test_under_overload_higher_priority_is_served_more_often_and_nobody_starves() -> None:
    served = Counter(overloaded({"front": 10, "left": 5, "right": 1, "rear": 0}, 80))
    assert served["front"] > served["left"] > served["right"] > served["rear"] > 0
    assert served["front"] >= 2 * served["right"]


def test_equal_priorities_take_turns() -> None:
    assert overloaded({"a": 3, "b": 3, "c": 3}, 6) == ["a", "b", "c"] * 2


def test_without_overload_the_higher_priority_goes_first() -> None:
    schedule = Turns({"rear": 0, "front": 1})
    for _ in range(20):
        assert schedule.choose(["rear", "front"], alone) == ["front"]
        assert schedule.choose(["rear"], alone) == ["rear"]


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=8), st.integers(50, 300))
def test_the_rule_as_it_is_stated(priorities: list[int], turns: int) -> None:
    named = {f"camera{index}": priority for index, priority in enumerate(priorities)}
    served = overloaded(named, turns)
    longest = PASSES_PER_RANK * (len(set(priorities)) - 1) + len(named)
    counts = Counter(served)
    for camera, priority in named.items():
        places = [-1, *(index for index, one in enumerate(served) if one == camera), turns]
        gaps = [later - earlier - 1 for earlier, later in pairwise(places)]
        assert max(gaps) <= longest, camera
        for other, less in named.items():
            assert less >= priority or counts[other] <= counts[camera] + 1


def test_a_batch_takes_along_whoever_has_a_frame_of_its_size_but_only_as_a_whole() -> None:
    schedule = Turns({"a": 1, "b": 0, "c": 0})
    same = lambda camera: ({"a", "b", "c"}, 2)  # noqa: E731
    assert schedule.choose(["a", "b", "c"], same) == ["a", "b"]
    assert schedule.choose(["a", "c"], same) == ["a", "c"]
    assert schedule.choose(["a"], same) == ["a"]
    assert schedule.choose(["a", "b"], lambda camera: ({"a", "b", "c"}, 3)) == ["a"]
