"""Network size: aspect kept, budget kept, never enlarged, always a multiple."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.inference.sizes import network_size
from oodseg_ros.model_card import InputSpec

SPEC = InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32)


def test_common_cameras() -> None:
    assert network_size(1024, 2048, SPEC) == (512, 1024)
    assert network_size(1080, 1920, SPEC) == (544, 960)
    assert network_size(360, 480, SPEC) == (352, 480)


@given(st.integers(32, 8192), st.integers(32, 8192))
def test_any_image(height: int, width: int) -> None:
    h, w = network_size(height, width, SPEC)
    assert h % 32 == w % 32 == 0
    assert h >= 32
    assert w >= 32
    assert h <= height + 16
    assert w <= width + 16
    assert h * w <= (1 << 19) * 1.15 + 32 * max(h, w)
