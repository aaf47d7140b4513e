"""The health part of a drive's report."""

from __future__ import annotations

import math

from oodseg_ros.replay.drive import Drive
from oodseg_ros.replay.report import health_section


def drive(*states: tuple[str, str]) -> Drive:
    rows = [
        {
            "camera": "front",
            "stamp_ns": 10**18 + number * 10**8,
            "log_ns": 10**18 + number * 10**8,
            "state": state,
            "reason": reason,
            "age_s": 0.0,
            "drift": math.nan,
        }
        for number, (state, reason) in enumerate(states)
    ]
    return Drive(rows=rows)


def test_reasons_are_told_in_words() -> None:
    page = health_section(drive(*[("CLEAR", "ok")] * 5, *[("UNKNOWN", "score_not_finite")] * 3))
    assert "the network answered NaN or infinity" in page
    assert "1 time that it could not tell" in page
    assert "<td class=number>8</td>" in page
    assert "nan" not in page.lower().replace("nan or infinity", "")


def test_a_drive_without_trouble_says_so() -> None:
    assert "Every frame could be judged" in health_section(drive(*[("CLEAR", "ok")] * 8))
