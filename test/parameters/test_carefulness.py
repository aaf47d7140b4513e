"""Which way is the careful one."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")
from oodseg_ros.parameters.carefulness import less_careful
from oodseg_ros.parameters.schema import load_schema

SPECS = load_schema().specs(["camera"], ["lane"])


@pytest.mark.parametrize(
    ("name", "before", "after", "less"),
    [
        ("obstacles.threshold", 1.34, 3.0, True),
        ("obstacles.threshold", 1.34, 1.0, False),
        ("obstacles.release_frames", 3, 2, True),
        ("obstacles.release_frames", 3, 5, False),
        ("max_age", 1.0, 2.0, True),
        ("zone_outside", "alert", "report", True),
        ("zone_outside", "ignore", "report", False),
        ("zone.lane.action", "alert", "ignore", True),
        ("zone.lane.polygon", [0.0, 0.0], [0.0, 1.0], True),
        ("zone.lane.polygon", [0.0, 0.0], [0.0, 0.0], False),
        ("health.input", ["black", "frozen"], ["frozen"], True),
        ("health.input", ["frozen"], ["frozen", "black"], False),
        ("overlay_rate", 5.0, 50.0, False),
    ],
)
def test_each_parameter_has_its_way(name: str, before: object, after: object, less: bool) -> None:
    assert bool(less_careful(SPECS, {name: before}, {name: after})) is less


def test_nan_is_what_the_bundle_says() -> None:
    meanings = {"obstacles.threshold": 1.34}
    change = less_careful(SPECS, {"obstacles.threshold": math.nan}, {"obstacles.threshold": 3.0}, meanings)
    assert change == ["obstacles.threshold 1.34 -> 3"]
    assert not less_careful(SPECS, {"obstacles.threshold": math.nan}, {"obstacles.threshold": 1.0}, meanings)
    unknown = less_careful(SPECS, {"obstacles.threshold": 9.0}, {"obstacles.threshold": math.nan})
    assert unknown, "of what is not known nobody can say that it is careful"


def test_against_the_defaults() -> None:
    assert less_careful(SPECS, {}, {"obstacles.min_area": 400, "obstacles.trigger_hits": 1}) == [
        "obstacles.min_area 100 -> 400"
    ]
