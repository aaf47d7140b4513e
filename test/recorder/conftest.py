"""Moments and settings that several tests of the recorder use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oodseg_ros.frame import Alert, AlertState
from oodseg_ros.parameters.settings import RecordSettings
from oodseg_ros.recorder.ring import Moment


@pytest.fixture
def moment() -> Callable[..., Moment]:
    """A moment `at` seconds; its picture and score are seeded by that time."""

    def make(at: float, camera: str = "front", state: str = "CLEAR", size: tuple[int, int] = (32, 48), **more: Any):
        random = np.random.default_rng(int(at * 1000))
        stamp = 1_700_000_000_000_000_000 + int(at * 1e9)
        given = {
            "image": random.integers(0, 256, (*size, 3), dtype=np.uint8),
            "score": random.normal(size=size).astype(np.float32),
        }
        return Moment(at, stamp + 5, camera, stamp, "lens", Alert(AlertState(state), "ok", stamp), **given | more)

    return make


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., RecordSettings]:
    """Small and quick ones, in a folder that does not exist yet."""

    def make(**changes: Any) -> RecordSettings:
        small = {"before": 2.0, "after": 0.0, "rate": 100.0, "min_free_mb": 0, "max_bag_mb": 10, "max_total_mb": 1000}
        return RecordSettings(enabled=True, folder=tmp_path / "records", **small | changes)

    return make
