"""The health of a drive from its rows."""

from __future__ import annotations

import math
from typing import Any

import pytest

from oodseg_ros.replay.summary import summarize_health

MS = 1_000_000


def row(number: int, state: str, reason: str, camera: str = "front", drift: float = 0.1) -> dict[str, Any]:
    stamp = 10**18 + number * 100 * MS
    return {
        "camera": camera,
        "stamp_ns": stamp,
        "log_ns": stamp + 20 * MS,
        "state": state,
        "reason": reason,
        "age_s": 0.02,
        "drift": drift,
    }


def drive() -> list[dict[str, Any]]:
    rows = [row(n, "UNKNOWN", "starting") for n in range(2)] + [row(n, "CLEAR", "ok") for n in range(2, 20)]
    rows += [row(n, "UNKNOWN", "black", drift=math.nan) for n in range(20, 30)]
    rows += [row(n, "UNKNOWN", "recovering") for n in range(30, 32)]
    # Two frames are missing.
    return rows + [row(n, "CLEAR", "ok", drift=0.3) for n in range(34, 42)]


def test_what_could_not_be_told_and_for_how_long() -> None:
    health = summarize_health(drive())
    front = health.cameras["front"]
    assert (front.frames, front.lost, front.expected) == (40, 2, 42)
    assert front.unknown == pytest.approx(14 / 40)
    assert front.reasons == {"black": 10, "starting": 2, "recovering": 2}
    assert front.rate == pytest.approx(10)
    assert front.drift_max == pytest.approx(0.3)
    assert front.age_p99 == pytest.approx(0.02)
    assert [(one.reason, one.frames) for one in health.episodes] == [("starting", 2), ("black", 10), ("recovering", 2)]
    black = health.episodes[1]
    assert (black.start_s, black.seconds) == (pytest.approx(2.0), pytest.approx(1.0))


def test_cameras_are_apart_and_a_fault_at_the_end_is_an_episode() -> None:
    rows = [each for n in range(10) for each in (row(n, "CLEAR", "ok"), row(n, "UNKNOWN", "frozen", "rear"))]
    health = summarize_health(rows)
    assert list(health.cameras) == ["front", "rear"]
    assert health.cameras["front"].unknown == 0
    assert [(one.camera, one.frames) for one in health.episodes] == [("rear", 10)]
    assert health.episodes[0].seconds == pytest.approx(0.9)


def test_nothing_is_nothing() -> None:
    health = summarize_health([])
    assert health.cameras == {}
    assert health.episodes == ()
