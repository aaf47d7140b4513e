"""BF16 and INT8 engines of OpenVINO: converted, quantized, put through the acceptance gate, stored.

INT8 is post-training quantization by nncf with calibration frames (`pip install nncf`, offline only). What stands
between the last matrix product and the outputs stays in FP32, see `final_parts`.
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
    model = OpenVinoEngine(bundle).graph(wanted.batch, wanted.height, wanted.width)
    names = final_parts(model)
    if wanted.precision == "int8":
        size = graph_size(wanted.height, wanted.width, bundle.card.input)
        model = quantized(model, [np.stack([resized(image, *size)] * wanted.batch) for image in calibration], names)
    openvino.save_model(model, place.path(GRAPH), compress_to_fp16=False)
    if wanted.precision == "bf16":
        keep_full_precision(place.path(GRAPH), names)


def quantized(model: Any, frames: list[np.ndarray], names: list[str]) -> Any:
    """INT8 form of a graph, ranges taken from `frames` (uint8 `[B, H, W, 3]` each); `names` stay as they are.

    Raises:
        EngineError: nncf is not installed.
    """
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise EngineError(f"int8: {advice(error.name)}") from error
    # Not nncf.set_log_level: that also changes the handlers which others have put on its logger.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    openvino_core()  # before nncf's own ones
    transformer = any(node.get_type_name() in ATTENTION for node in model.get_ops())
    with kept_signal_stack():
        return nncf.quantize(
            model,
            nncf.Dataset(frames),
            # Asymmetric ranges of activations: half of them come out of a ReLU and half do not.
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(frames),
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            ignored_scope=nncf.IgnoredScope(names=names, types=list(UNQUANTIZED), validate=False),
        )


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
