"""INT8 graphs answer as the float ones do, also on pictures unlike those of the calibration."""

from __future__ import annotations

import numpy as np
import openvino.opset13 as operations
from openvino_graphs import COLORFUL, GREY, answer, convolution, network_of, small_network

from oodseg_ros.building.openvino_int8 import quantized
from oodseg_ros.building.openvino_parts import strided


def test_int8_holds_for_pictures_unlike_those_of_its_calibration() -> None:
    rng = np.random.default_rng(4)
    model = small_network()
    calibration = [rng.integers(*GREY, (1, 32, 64, 3), dtype=np.uint8) for _ in range(3)]
    quant = quantized(model, calibration, [])
    others = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(2)]
    blue = np.zeros((1, 32, 64, 3), np.uint8)
    blue[:, 8:, 16:, 2] = 250
    for image in (*calibration, *others, blue):
        error = np.abs(answer(quant, image) - answer(model, image)).max()
        # nncf's own ranges and weights: 0.8; these ranges with weights that overflow where there is no VNNI: 0.12.
        assert error < 0.03 * answer(model, others[0]).max()


def test_biases_of_a_transformers_convolutions_are_not_shifted_twice() -> None:
    rng = np.random.default_rng(4)
    small = rng.integers(*COLORFUL, (4, 1, 8, 16, 3), dtype=np.uint8)
    frames = list(small.repeat(4, axis=2).repeat(4, axis=3))
    parts = [operations.relu, convolution((24, 24, 3, 3), 2, begin=1, end=1)] * 3
    attention = [operations.relu, convolution((24, 24, 1, 1), 3), lambda y: operations.softmax(y, 1)]
    model = network_of(convolution((24, 3, 3, 3), 1, begin=1, end=1), *parts, *attention, convolution((5, 24, 1, 1), 4))
    quant = quantized(model, frames, [])
    wanted = np.concatenate([answer(model, image) for image in frames])
    shift = np.concatenate([answer(quant, image) for image in frames]) - wanted
    assert np.abs(shift.mean(axis=(0, 2, 3))).max() < 0.05 * wanted.std(axis=(0, 2, 3)).max()


def test_patches_stay_in_float() -> None:
    """With AMX the second convolution, quantized, is off by as much as its answers spread."""
    rng = np.random.default_rng(4)
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(2)]
    model = network_of(convolution((32, 3, 3, 3), 1), operations.relu, convolution((32, 32, 4, 4), 2, stride=4))
    names = strided(model)
    assert [kind.partition("_")[0] for kind in names] == ["Convolution"]
    quant = quantized(model, frames, names)
    (patches,) = [node for node in quant.get_ops() if node.get_friendly_name() in names]
    assert [value.get_node().get_type_name() for value in patches.input_values()] == ["Relu", "Constant"]
    want = answer(model, frames[0])
    assert np.abs(answer(quant, frames[0]) - want).max() < 0.1 * want.std()
