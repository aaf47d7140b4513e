"""BF16 and INT8 engines of OpenVINO: converted, quantized, put through the acceptance gate, stored.

INT8 is post-training quantization by nncf with calibration frames (`pip install nncf`, offline only). What stands
between the last matrix product and the outputs stays in FP32, see `final_parts`. Ranges hold for frames of other places
too, see `quantized`; weights of convolutions are ours, see `weight_steps`.
"""

from __future__ import annotations

import logging
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..extras import advice
from ..inference.engine_cache import Draft, EngineIdentity, StoredEngine, default_dir, draft
from ..inference.engines.openvino import GRAPH, OpenVinoEngine, kept_signal_stack, openvino_core, openvino_identity
from ..inference.sizes import graph_size
from .acceptance import Acceptance, gated, resized, versions
from .order import Frames, Order, Progress

UNQUANTIZED = ("Interpolate", "ReduceMax", "ReduceMean", "TopK", "Subtract", "Softmax", "MVN", "Normalize")
"""Types of operations that decide the score and cost little."""
ATTENTION = frozenset({"Softmax", "ScaledDotProductAttention"})


GROUPED = {"GroupConvolution": 2, "GroupConvolutionBackpropData": 1}
"""Type of operation → which side of its weights counts the input channels of one group."""
CONVOLUTIONS = ("Convolution", "GroupConvolution")
PRODUCTS = frozenset({"Convolution", "ConvolutionBackpropData", "MatMul", "Einsum", *GROUPED})


def computes_bf16() -> bool:
    """Whether the processor has BF16; OpenVINO takes the hint on any, and computes in FP32 on the others."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def identity(bundle: Bundle, order: Order) -> EngineIdentity:
    """See `build.Builder`."""
    return openvino_identity(bundle, order.precision, order.batch, order.height, order.width)


def build(
    bundle: Bundle, order: Order, frames: Frames, progress: Progress | None = None
) -> tuple[StoredEngine, Acceptance]:
    """See `build.Builder`; `bf16` or `int8`."""
    start = time.perf_counter()
    with draft(identity(bundle, order), order.folder or default_dir()) as place:
        _write_graph(place, bundle, frames.calibration)
        built = {
            "seconds": round(time.perf_counter() - start, 1),
            "calibration_frames": len(frames.calibration),
            "bytes": sum(place.path(suffix).stat().st_size for suffix in (GRAPH, ".bin")),
            "versions": versions(),
        }
        engine = OpenVinoEngine(bundle, precision=order.precision, threads=order.threads)
        run = engine.run_of(place.path(GRAPH), order.height, order.width)
        return gated(place, bundle, run, frames, built, order)


def _write_graph(place: Draft, bundle: Bundle, calibration: Sequence[np.ndarray]) -> None:
    import openvino

    wanted = place.identity
    value_bytes = 1 if wanted.precision == "int8" else 4
    model = OpenVinoEngine(bundle).graph(wanted.batch, wanted.height, wanted.width, value_bytes)
    names = [*final_parts(model), *strided(model)]
    if wanted.precision == "int8":
        size = graph_size(wanted.height, wanted.width, bundle.card.input)
        model = quantized(model, [np.stack([resized(image, *size)] * wanted.batch) for image in calibration], names)
    openvino.save_model(model, place.path(GRAPH), compress_to_fp16=False)
    if wanted.precision == "bf16":
        keep_full_precision(place.path(GRAPH), names)


def quantized(model: Any, frames: list[np.ndarray], names: list[str]) -> Any:
    """INT8 form of a graph, ranges taken from `frames` (uint8 `[B, H, W, 3]` each); `names` stay as they are.

    Ranges are the widest of all frames, one for a whole map. What nncf takes by itself, means over the frames and a
    range for each channel before a depthwise convolution, cuts pictures that are darker, brighter or of another place:
    a black and a white picture therefore count as frames too. Sums stay in float: they save nothing in INT8, and a cut
    there takes most from what is unusual.

    Raises:
        EngineError: nncf is not installed.
    """
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise EngineError(f"int8: {advice(error.name)}") from error
    from nncf.quantization.advanced_parameters import QuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    # Not nncf.set_log_level: that also changes the handlers which others have put on its logger.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    openvino_core()  # before nncf's own ones
    transformer = any(node.get_type_name() in ATTENTION for node in model.get_ops())
    ranged = [*frames, np.zeros_like(frames[0]), np.full_like(frames[0], 255)]
    with kept_signal_stack():
        result = nncf.quantize(
            model,
            nncf.Dataset(ranged),
            # Asymmetric ranges of activations: half of them come out of a ReLU and half do not.
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(ranged),
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            ignored_scope=nncf.IgnoredScope(names=[*names, *sums(model)], types=list(UNQUANTIZED), validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE,
                disable_bias_correction=not transformer,
                activations_quantization_params=QuantizationParameters(per_channel=False),
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )
    _refine_convolutions(result, model, frames)
    store_whole_numbers(result)
    return result


def sums(model: Any) -> list[str]:
    """Names of the operations that add two computed maps: skips, and the ways of a decoder that meet."""
    return [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "Add" and not any(_is_constant(value.get_node()) for value in node.input_values())
    ]


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


def _refine_convolutions(result: Any, model: Any, frames: list[np.ndarray]) -> None:
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
    """Whether this is a convolution as `_refine_convolutions` leaves one: weights int8 · scale, a shift behind it."""
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


def final_parts(model: Any) -> list[str]:
    """Names of the operations between the outputs and the last learned products on each way, those included: logits,
    log-likelihoods, log-sum-exps, differences, smoothing. In half precision or INT8 these lose what a score is made of.
    """
    names: dict[str, None] = {}
    waiting = [result.input_value(0).get_node() for result in model.get_results()]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in names or node.get_type_name() in ("Constant", "Parameter"):
            continue
        names[node.get_friendly_name()] = None
        if not mixes_channels(node):
            waiting += [value.get_node() for value in node.input_values()]
    return list(names)


def strided(model: Any) -> list[str]:
    """Names of the convolutions that step by 4 and more: pictures or maps cut into patches. They take little time, and
    on processors with AMX OpenVINO 2026.4.1 answers some wrongly in INT8 and BF16, as the one that shrinks keys and
    values in SegFormer-B0: `findings/openvino_amx_wrong_convolution.sh`.
    """
    convolutions = [node for node in model.get_ops() if node.get_type_name() in CONVOLUTIONS]
    return [node.get_friendly_name() for node in convolutions if max(node.get_attributes()["strides"]) >= 4]


def mixes_channels(node: Any) -> bool:
    """Whether an operation is a product with learned weights over several channels.

    A filter of one map, like the Gaussian that smooths a score, is none, nor is a product of two things that were both
    computed, like that of class probabilities and masks: what decides lies before them.
    """
    kind = node.get_type_name()
    if kind not in PRODUCTS:
        return False
    constants = [value for value in node.input_values() if _is_constant(value.get_node())]
    if not constants:
        return False
    shape = constants[0].get_partial_shape().to_shape()
    if kind in GROUPED:
        return shape[GROUPED[kind]] > 1
    return kind not in ("Convolution", "ConvolutionBackpropData") or shape[0] > 1 or shape[1] > 1


def _is_constant(node: Any) -> bool:
    """Whether a value is stored in the graph, maybe in another type or shape."""
    while node.get_type_name() in ("Convert", "Reshape", "Transpose", "FakeQuantize", "Unsqueeze"):
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant"


def keep_full_precision(file: Path, names: list[str]) -> int:
    """Mark operations of a stored graph (`.xml`) so that a BF16 hint leaves them in FP32; returns how many.

    OpenVINO reads the mark from the file only; its Python interface has no way to set it. Resizing ignores it.
    """
    tree = ET.parse(file)
    wanted, marked = set(names), 0
    for layer in tree.getroot().find("layers"):
        if layer.get("name") not in wanted:
            continue
        info = layer.find("rt_info")
        if info is None:
            info = ET.Element("rt_info")
            layer.insert(1 if layer.find("data") is not None else 0, info)
        ET.SubElement(info, "attribute", name="precise", version="0")
        marked += 1
    tree.write(file)
    return marked
