"""Values that are fine alone but not together, and what is derived from them."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy")
from oodseg_ros.errors import ConfigError
from oodseg_ros.ros.parameters.schema import load_schema
from oodseg_ros.ros.parameters.settings import Settings, make_settings


def settings(**changes: Any) -> Settings:
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    cameras = changes.get("cameras", ["camera"])
    values = {name: spec.default for name, spec in load_schema().specs(cameras).items()}
    return make_settings({**values, **changes})


def test_the_defaults_are_settings() -> None:
    made = settings()
    assert made.names == ("camera",)
    assert made.engine is None
    assert made.obstacles.threshold is None
    assert made.publish == {"semantic", "score", "mask", "overlay", "obstacles"}


def test_batch_follows_the_cameras_unless_it_is_set() -> None:
    assert settings(cameras=["a", "b", "c"]).batch == 3
    assert settings(cameras=["a", "b", "c"], batch=1).batch == 1


def test_cameras_of_higher_priority_come_first_and_equal_ones_as_configured() -> None:
    made = settings(cameras=["a", "b", "c"], c__priority=5)
    assert made.by_priority == ("c", "a", "b")
    assert made.names == ("a", "b", "c")


def test_what_is_not_offered_is_not_in_publish() -> None:
    assert "score" not in settings(publish__score=False).publish


def test_warm_size_is_height_and_width() -> None:
    assert settings(warm_size="1920x1080").warm_size == (1080, 1920)
    with pytest.raises(ConfigError, match="1920x1080"):
        settings(warm_size="1920*1080")


def test_thresholds_are_checked_together() -> None:
    with pytest.raises(ConfigError, match="must not exceed trigger_window"):
        settings(obstacles__trigger_hits=4, obstacles__trigger_window=3)
    with pytest.raises(ConfigError, match="finite"):
        settings(obstacles__threshold=float("inf"))
