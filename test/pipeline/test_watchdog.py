"""The watchdog with clocks that tests turn, and once with a thread that really stands still."""

from __future__ import annotations

import threading
import time

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
