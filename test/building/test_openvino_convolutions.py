"""Rewritten convolutions: nothing overflows, what rounding takes is given back, whole numbers answer the same."""

from __future__ import annotations

import numpy as np
import openvino.opset13 as operations
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from openvino_graphs import COLORFUL, answer, convolution, network_of, small_network

from oodseg_ros.building import openvino_int8
from oodseg_ros.building.openvino_convolutions import weight_steps, whole_numbers
from oodseg_ros.building.openvino_int8 import quantized


def test_what_rounded_weights_take_away_on_average_is_given_back() -> None:
    rng = np.random.default_rng(4)
    model = small_network()
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(3)]
    quant = quantized(model, frames, [])
    shift = np.mean([answer(quant, image) - answer(model, image) for image in frames], axis=(0, 1, 3, 4))
    assert np.abs(shift).max() < 0.0015 * answer(model, frames[0]).max()  # 0.0027 without, 0.0007 with


@pytest.mark.parametrize("cut", [True, False])
def test_maps_of_whole_numbers_answer_the_same(monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    rng = np.random.default_rng(4)
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(3)]
    stored = quantized(small_network(cut), frames, [])
    monkeypatch.setattr(openvino_int8, "store_whole_numbers", lambda model: None)
    plain = quantized(small_network(cut), frames, [])
    kinds = [node.get_type_name() for node in stored.get_ops()]
    tops = [node.input_value(4).get_node().data.item() for node in stored.get_ordered_ops() if "Fake" in str(node)]
    # The picture and, without the ReLUs, what the depthwise convolution pads are no maps with zero at 0.
    assert [top == 255 for top in tops] == [False, cut, True]
    assert kinds.count("Relu") == (1 if cut else 0)  # the last one, which nothing quantizes
    for image in frames:
        want = answer(plain, image)
        # A number at half a step may fall to either side.
        assert np.abs(answer(stored, image) - want).mean() < 1e-3 * np.abs(want).max()
        assert np.abs(want).max() > 0


@pytest.mark.parametrize(
    "between",
    [
        [convolution((16, 3, 3, 3), 1, bias=2), convolution((8, 16, 2, 2), 2, begin=1)],
        [
            convolution((16, 3, 3, 3), 1),
            lambda y: operations.clamp(y, 0.5, 6),
            convolution((8, 16, 1, 1), 2),
        ],
    ],
    ids=["zeros before a map with negative numbers", "a cut above zero"],
)
def test_maps_of_whole_numbers_keep_what_is_around_them(monkeypatch: pytest.MonkeyPatch, between: list) -> None:
    rng = np.random.default_rng(4)
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(2)]
    parts = [*between, convolution((4, 8, 1, 1), 3)]
    stored = quantized(network_of(*parts), frames, [])
    monkeypatch.setattr(openvino_int8, "store_whole_numbers", lambda model: None)
    want = answer(quantized(network_of(*parts), frames, []), frames[0])
    assert np.abs(answer(stored, frames[0]) - want).mean() < 1e-3 * np.abs(want).max()


WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=4, max_dims=4, max_side=6),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)


@given(WEIGHTS)
def test_a_filter_keeps_the_sum_of_its_taps(weights: np.ndarray) -> None:
    steps = weight_steps(weights)
    lost = weights / steps[:, :, None, None].astype(np.float64) - whole_numbers(weights, steps)
    assert np.abs(lost).max() < 1
    assert np.abs(lost.sum(axis=-1)).max() < 0.501


@given(WEIGHTS)
def test_products_of_two_channels_fit_into_16_bits(weights: np.ndarray) -> None:
    whole = whole_numbers(weights, weight_steps(weights))
    assert np.abs(whole).max() <= 127
    for sign in (1, -1):
        sides = np.maximum(sign * whole, 0)
        for first in range(0, weights.shape[2] - 1, 2):
            assert 255 * (sides[:, :, first] + sides[:, :, first + 1]).max() <= 32767
    if weights.shape[2] == 1 and weights.any():
        assert np.abs(whole).max() == 127  # depthwise: the whole range
