"""Values that are fine alone but not together, and what is derived from them."""

from __future__ import annotations

from typing import Any

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.parameters.schema import load_schema
from oodseg_ros.parameters.settings import Settings, make_settings


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
    assert settings(cameras=["a", "b", "c"]).measure_batch
    assert not settings(cameras=["a", "b", "c"], batch=3).measure_batch


def test_what_is_not_offered_is_not_in_publish() -> None:
    assert "score" not in settings(publish__score=False).publish


def test_sizes_are_width_and_height() -> None:
    assert settings(warm_size="1920x1080").warm_size == ((1920, 1080),)
    assert settings(warm_size="1920x1080, 640x480").warm_size == ((1920, 1080), (640, 480))
    assert settings(camera__size="640x480").cameras[0].input_gate.size == (640, 480)
    for wrong in ("1920*1080", "1920x", "0x1080"):
        with pytest.raises(ConfigError, match="1920x1080"):
            settings(warm_size=wrong)


def test_what_is_compiled_before_the_first_image_follows_from_the_sizes_of_the_cameras() -> None:
    assert settings().warm_shapes == ()
    assert settings(warm_size="128x64").warm_shapes == ((64, 128, 1),)
    assert settings(cameras=["a", "b"], warm_size="128x64").warm_shapes == ((64, 128, 1), (64, 128, 2))
    names = ["a", "b", "c", "d", "e"]
    own = {f"{name}__size": f"{128 + 32 * index}x64" for index, name in enumerate(names)}
    assert settings(cameras=names, **own).warm_shapes == tuple((64, 128 + 32 * index, 1) for index in range(5))
    two = {"a__size": "128x64", "b__size": "128x64", "c__size": "64x64"}
    assert settings(cameras=["a", "b", "c"], **two).warm_shapes == ((64, 128, 1), (64, 128, 2), (64, 64, 1))
    assert settings(cameras=["a", "b"], batch=1, warm_size="128x64").warm_shapes == ((64, 128, 1),)


@pytest.mark.parametrize("count", [1, 200, 201, 1000])
def test_what_the_schema_allows_is_allowed(count: int) -> None:
    assert settings(obstacles__max_obstacles=count).obstacles.max_obstacles == count


def test_every_parameter_reaches_the_settings() -> None:
    """A parameter that nothing reads would be set in vain."""
    made = settings()
    for name, spec in load_schema().node.items():
        last = name.rpartition(".")[2]
        homes = (made, made.obstacles, made.obstacles.zones, made.output_gate, made.record, made.cameras[0].input_gate)
        held = any(hasattr(home, word) for home in homes for word in (last, last.removeprefix("zone_")))
        assert held or name in ("health.input", "health.output", "autostart") or name.startswith("publish."), spec


def test_thresholds_are_checked_together() -> None:
    with pytest.raises(ConfigError, match="must not exceed trigger_window"):
        settings(obstacles__trigger_hits=4, obstacles__trigger_window=3)
    with pytest.raises(ConfigError, match="finite"):
        settings(obstacles__threshold=float("inf"))
