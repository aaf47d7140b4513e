"""Small OpenVINO graphs for tests of what is done to graphs."""

from __future__ import annotations

import numpy as np
import openvino
import openvino.opset13 as operations

from oodseg_ros.inference.engines.openvino import openvino_core

GREY, COLORFUL = (100, 140), (0, 256)
"""Pixel values of calibration frames from a dull day, and of what a camera may show."""


def small_network(cut: bool = True) -> openvino.Model:
    """uint8 `[1, 32, 64, 3]` → maps: a strided convolution, a depthwise one, a product over channels; `cut` = each with
    a ReLU behind it.
    """
    rng = np.random.default_rng(3)
    images = operations.parameter([1, 32, 64, 3], np.uint8)
    given = operations.transpose(operations.convert(images, "f32"), operations.constant([0, 3, 1, 2]))
    y = operations.add(operations.multiply(given, np.float32(1 / 127.5)), np.float32(-1))
    for shape, stride in (((16, 3, 3, 3), 2), ((16, 1, 1, 3, 3), 1), ((8, 16, 1, 1), 1)):
        weights = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        weights[0] = np.abs(weights[0])  # one output whose products all add up
        convolution = operations.group_convolution if len(shape) == 5 else operations.convolution
        pads = [shape[-1] // 2] * 2
        y = convolution(y, operations.constant(weights), [stride] * 2, pads, pads, [1, 1])
        y = operations.relu(y) if cut else operations.add(y, operations.constant(np.float32([[[[0.1]]]])))
    return openvino.Model([operations.result(y)], [images])


def answer(model: openvino.Model, image: np.ndarray) -> np.ndarray:
    return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([image])[0].copy()


def network_of(*parts) -> openvino.Model:
    """uint8 `[1, 32, 64, 3]` → what the parts make of it, one after the other."""
    images = operations.parameter([1, 32, 64, 3], np.uint8)
    y = operations.transpose(operations.convert(images, "f32"), operations.constant([0, 3, 1, 2]))
    y = operations.add(operations.multiply(y, np.float32(1 / 127.5)), np.float32(-1))
    for part in parts:
        y = part(y)
    return openvino.Model([operations.result(y)], [images])


def convolution(shape: tuple, seed: int, stride: int = 1, begin: int = 0, end: int = 0, bias: float = 0.0):
    """A part of `network_of` with random weights and biases around `bias`."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
    shift = (bias + 0.3 * rng.normal(size=(1, shape[0], 1, 1))).astype(np.float32)

    def part(y):
        pads = [begin] * 2, [end] * 2
        y = operations.convolution(y, operations.constant(weights), [stride] * 2, *pads, [1, 1])
        return operations.add(y, operations.constant(shift))

    return part
