"""Quantized convolutions of an OpenVINO graph, rewritten: finer weights that overflow nowhere, shifts that give back
what their rounding takes, maps held as 0 … 255.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference.engines.openvino import openvino_core
from .openvino_parts import CONVOLUTIONS


def weight_steps(weights: np.ndarray) -> np.ndarray:
    """Finest steps `[groups, outputs]` of INT8 weights `[groups, outputs, inputs, taps]` where no product overflows.

    Processors without VNNI add the products of two neighbouring input channels in 16 bits, which hold 255 · 128. nncf's
    cure, half the range for all weights, costs a whole bit; here each output gives up what its worst pair asks for.
    Depthwise weights have no neighbours.
    """
    largest = np.abs(weights).max(axis=(2, 3))
    inputs = weights.shape[2]
    if inputs > 1:
        pairs = np.pad(weights, ((0, 0), (0, 0), (0, inputs % 2), (0, 0)))
        pairs = pairs.reshape(*weights.shape[:2], -1, 2, weights.shape[3])
        for sign in (1, -1):  # products of unlike signs do not add up
            sums = np.maximum(sign * pairs, 0).sum(axis=3)
            largest = np.maximum(largest, sums.max(axis=(2, 3)))
    return np.where(largest > 0, largest, 1.0) / 127


def whole_numbers(weights: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """INT8 weights by `weight_steps`: rounded up or down so that their sum over the taps is off by half a step at most.

    Most of a picture is smooth, and there a filter is the sum of its taps. Nearest numbers err by more in that sum, the
    same way in all such places: they cost road_lite two fifths of the squared error of its score.
    """
    exact = np.clip(weights / steps[:, :, None, None], -127, 127)
    low = np.floor(exact)
    up = np.rint((exact - low).sum(axis=3, keepdims=True))
    ranks = np.argsort(np.argsort(low - exact, axis=3, kind="stable"), axis=3)
    return low + (ranks < up)


def refine_convolutions(result: Any, model: Any, frames: list[np.ndarray]) -> None:
    """Give the quantized convolutions of `result` the weights of `model` by `weight_steps`, and add to each output what
    the rounding of its weights takes away from it on average over `frames`.
    """
    import openvino.opset13 as operations

    convolutions = [node for node in result.get_ops() if node.get_type_name() in CONVOLUTIONS]
    floats = {node.get_friendly_name(): node for node in model.get_ops()}
    found = []
    for node in convolutions:
        original = floats[node.get_friendly_name()]
        # nncf stores int8 · scale. Weights that are not stored plainly keep nncf's half range.
        kinds = [one.input_value(1).get_node().get_type_name() for one in (node, original)]
        if kinds == ["Multiply", "Constant"]:
            found.append((node, original))
    means = _input_means(model, [original for _, original in found], frames)
    for node, original in found:
        for behind in filter(_is_shift, _readers(node)):  # what nncf has put there is for its own weights
            _set(behind, 1, _constant(floats[behind.get_friendly_name()], 1))
        weights = original.input_value(1).get_node().data
        outer = 2 if node.get_type_name() == "GroupConvolution" else 1  # [groups, outputs, … or [outputs, …
        flat = weights.reshape(-1, *weights.shape[outer - 1 : outer + 1], np.prod(weights.shape[outer + 1 :]))
        steps = weight_steps(flat)
        whole = whole_numbers(flat, steps)
        lost = (flat - whole * steps[:, :, None, None]).sum(axis=3)
        shift = np.einsum("goi,gi->go", lost, means[node.get_friendly_name()].reshape(len(flat), -1))
        scale = steps.reshape(*weights.shape[:outer], *[1] * (weights.ndim - outer)).astype(np.float32)
        stored = operations.convert(operations.constant(whole.reshape(weights.shape).astype(np.int8)), "f32")
        node.input(1).replace_source_output(operations.multiply(stored, operations.constant(scale)).output(0))
        readers = node.output(0).get_target_inputs()
        shift = shift.reshape(1, -1, *[1] * (weights.ndim - outer - 1)).astype(np.float32)
        added = operations.add(node, operations.constant(shift))
        for reader in readers:
            reader.replace_source_output(added.output(0))
    result.validate_nodes_and_infer_types()


def store_whole_numbers(result: Any) -> None:
    """Let quantized maps that only convolutions read hold 0 … 255: their steps and lows go into the weights and shifts
    of the convolutions around them, and the cut at zero is left to uint8.

    The same answers. Otherwise a runtime cuts, scales and moves every number of a map: 3 % of road_lite's time on a
    processor without VNNI.
    """
    for quantizer in result.get_ops():
        readers = _readers(quantizer)
        if quantizer.get_type_name() != "FakeQuantize" or not all(_is_refined(reader) for reader in readers):
            continue
        low, high = (float(_constant(quantizer, index).item()) for index in (1, 2))
        # Padding adds zeros of what a map means; these have to be zeros of what it holds.
        if low and any(_pads(reader) for reader in readers):
            continue
        step = (high - low) / 255
        for reader in readers:
            product, (shift,) = reader.input_value(1).get_node(), _readers(reader)
            scale, moved = _constant(product, 1), _constant(shift, 1)
            weights = _constant(product.input_value(0).get_node(), 0) * scale
            sums = weights.reshape(scale.size, -1).sum(axis=1, dtype=np.float64)
            _set(shift, 1, moved + low * sums.reshape(moved.shape))
            _set(product, 1, scale * step)
        bounds = {3: 0, 4: 255}
        cut = quantizer.input_value(0).get_node()
        chain = _shifts_before(cut) if low == 0 and _is_cut(cut) else []
        if chain:
            for node in chain:
                _set(node, 1, _constant(node, 1) / step)
            quantizer.input(0).replace_source_output(cut.input_value(0))
            bounds |= {1: 0, 2: 255}
        for index, bound in bounds.items():
            _set(quantizer, index, np.full_like(_constant(quantizer, index), bound))
    result.validate_nodes_and_infer_types()


def _is_refined(node: Any) -> bool:
    """Whether this is a convolution as `refine_convolutions` leaves one: weights int8 · scale, a shift behind it."""
    if node.get_type_name() not in CONVOLUTIONS or node.input_value(1).get_node().get_type_name() != "Multiply":
        return False
    return [_is_shift(reader) for reader in _readers(node)] == [True]


def _pads(node: Any) -> bool:
    """Whether a convolution adds zeros at any side."""
    sides = node.get_attributes()
    return any([*sides["pads_begin"], *sides["pads_end"]])


def _is_cut(node: Any) -> bool:
    """Whether a quantizer that starts at 0 does all that an operation before it does."""
    return node.get_type_name() == "Relu" or (node.get_type_name() == "Clamp" and node.get_attributes()["min"] <= 0)


def _is_shift(node: Any) -> bool:
    return node.get_type_name() == "Add" and node.input_value(1).get_node().get_type_name() == "Constant"


def _shifts_before(cut: Any) -> list[Any]:
    """All that scales with what comes out before an operation: shifts, then the product that makes the weights of the
    refined convolution before those; empty if it is another way, or something else reads on it.
    """
    found, node = [], cut
    while len(_readers(node)) == 1:
        node = node.input_value(0).get_node()
        if _is_refined(node):
            return [*found, node.input_value(1).get_node()]
        if not _is_shift(node):
            break
        found.append(node)
    return []


def _readers(node: Any) -> list[Any]:
    return [reader.get_node() for output in node.outputs() for reader in output.get_target_inputs()]


def _constant(node: Any, index: int) -> np.ndarray:
    return node.input_value(index).get_node().data


def _set(node: Any, index: int, value: np.ndarray) -> None:
    """Give an input of a node another constant."""
    import openvino.opset13 as operations

    node.input(index).replace_source_output(operations.constant(value.astype(np.float32)).output(0))


def _input_means(model: Any, nodes: list[Any], frames: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean of every input channel of convolutions of a graph over frames: name → float64 `[channels]`."""
    import openvino
    import openvino.opset13 as operations

    results = []
    for node in nodes:
        given = node.input_value(0)
        axes = [axis for axis in range(len(given.shape)) if axis != 1]
        results.append(operations.result(operations.reduce_mean(given, operations.constant(axes), False)))
    probe = openvino.Model(results, model.get_parameters())
    request = openvino_core().compile_model(probe, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    totals = [np.zeros(node.input_value(0).shape[1]) for node in nodes]
    for frame in frames:
        request.infer([frame])
        for index, total in enumerate(totals):
            total += request.get_output_tensor(index).data
    return {node.get_friendly_name(): total / len(frames) for node, total in zip(nodes, totals, strict=True)}
