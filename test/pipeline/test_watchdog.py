"""The watchdog with clocks that tests turn, and once with a thread that really stands still."""

from __future__ import annotations

import threading
import time

import pytest

from oodseg_ros.pipeline.watchdog import Watchdog, Watched


class Node:
    """What the watchdog sees and did."""

    def __init__(self) -> None:
        self.busy = self.silent = 0.0
        self.blocked: list[bool] = []
        self.beats = 0
        self.given_up: list[float] = []

    def watched(self) -> Watched:
        def beat() -> None:
            self.beats += 1

        def blocked(so: bool, seconds: float) -> None:
            self.blocked.append(so)

        return Watched(lambda: self.busy, lambda: self.silent, blocked, beat, self.given_up.append)


def dog(node: Node, stall_exit: float = 10.0) -> Watchdog:
    return Watchdog(node.watched(), lambda: 2.0, lambda: stall_exit, silence=0.3, period=0.01)


def test_a_blocked_thread_is_told_once_and_its_return_too() -> None:
    node = Node()
    watchdog = dog(node)
    for node.busy in (0.5, 1.9, 2.1, 5.0, 0.0, 0.1, 3.0):
        watchdog.check()
    assert node.blocked == [True, False, True]
    assert node.given_up == []


def test_it_gives_up_once_and_never_if_told_so() -> None:
    node = Node()
    watchdog = dog(node)
    for node.busy in (9.0, 11.0, 12.0):
        watchdog.check()
    assert node.given_up == [11.0]
    patient = Node()
    patient.busy = 1e9
    dog(patient, stall_exit=0.0).check()
    assert patient.given_up == []


@pytest.mark.parametrize("part", ["busy", "silent", "blocked", "beat", "give_up", "failed", "stall_after"])
def test_it_outlives_whatever_one_part_of_it_raises(part: str) -> None:
    """The worker was None between test and call: the watchdog's thread was gone, and nobody said so."""
    node, told = Node(), []
    node.busy, node.silent = 20.0, 20.0
    broken = [True]

    def fragile(name: str, act):
        def call(*given):
            if broken[0] and name in (part, "failed" if part == "failed" else part):
                raise AttributeError(f"{name}: 'NoneType' object has no attribute 'busy_for'")
            return act(*given)

        return call

    plain = node.watched()
    watched = Watched(
        fragile("busy", plain.busy_for),
        fragile("silent", plain.silent_for),
        fragile("blocked", plain.blocked),
        fragile("beat", plain.beat) if part != "failed" else fragile("failed", plain.beat),
        fragile("give_up", plain.give_up),
        fragile("failed", told.append),
    )
    watchdog = Watchdog(watched, fragile("stall_after", lambda: 2.0), lambda: 10.0, silence=0.3, period=0.01)
    watchdog.start()
    try:
        end = time.monotonic() + 30
        while part != "failed" and not told and time.monotonic() < end:
            time.sleep(0.005)
        assert part == "failed" or "NoneType" in str(told[0])
        others = {"blocked": node.blocked, "give_up": node.given_up} if part in ("silent", "beat") else {}
        for name, done in others.items():
            assert done, f"{name} must not suffer from {part}"
        broken[0] = False
        while not (node.blocked and node.beats and node.given_up) and time.monotonic() < end:
            time.sleep(0.005)
        assert node.blocked == [True]
        assert node.given_up == [20.0]
        assert node.beats > 0
    finally:
        watchdog.stop()


def test_it_sends_the_heartbeat_only_where_nobody_else_does() -> None:
    node = Node()
    watchdog = dog(node)
    for node.silent in (0.0, 0.2, 0.31, 0.5, 0.1):
        watchdog.check()
    assert node.beats == 2


def test_its_thread_looks_while_another_one_hangs_and_ends_when_told() -> None:
    node, release = Node(), threading.Event()
    node.silent = 1.0
    hanging = threading.Thread(target=release.wait, daemon=True)
    hanging.start()
    watchdog = dog(node)
    watchdog.start()
    end = time.monotonic() + 60
    while node.beats < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert node.beats >= 3
    assert hanging.is_alive()
    watchdog.stop()
    beats = node.beats
    time.sleep(0.05)
    assert node.beats == beats
    release.set()
