"""Precision in an exported graph: which operations must compute in float32 whatever the rest does (the islands), and
INT8 for the others.

INT8 is post-training quantization, written as explicit quantize and dequantize operations. What TensorRT wants:
symmetric, weights per channel, activations per tensor, biases as they are. Convolutions and matrix products of backbone
and decoder are quantized; classifier, head and score never are.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EngineError
from .onnx_export import INPUT, scopes

DECIDING = frozenset({"ArgMax", "Exp", "Log", "ReduceLogSumExp", "ReduceMax", "ReduceSum", "Softmax", "LogSoftmax"})
"""Where these stand outside of any part of the network, they form the score or the labels."""

MOVING = frozenset(
    {"Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
"""These compute nothing: where an island begins, they may still hand on what came in half precision."""
TYPES = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def islands(model: Any, half_parts: Iterable[str]) -> set[str]:
    """Names of the nodes that belong to the classifier or to a float32 head, or that come after one of these, or that
    form the score; `half_parts` = names of the segmentor's parts that may round, e.g. `backbone`.
    """
    half_parts = tuple(half_parts)
    scope_of = scopes(model)
    found: set[str] = set()
    tainted: set[str] = set()  # tensors that come out of an island
    for node in model.graph.node:  # in topological order, as ONNX demands
        part = part_of(scope_of.get(node.name, ""))
        inside = part is not None and part not in half_parts
        deciding = part is None and node.op_type in DECIDING
        after = bool(tainted.intersection(node.input))
        if after or ((inside or deciding) and node.op_type not in (*MOVING, "Cast")):
            tainted.update(node.output)
            if node.op_type not in MOVING:
                found.add(node.name)
    return found


def part_of(scope: str) -> str | None:
    """`segmentor.segmentor.head.mlp` → `head`; None for what stands in no part."""
    names = [name for name in scope.split(".") if name not in ("", "segmentor")]
    return names[0] if names else None


def quantized(model: Any, frames: Sequence[np.ndarray], half_parts: Iterable[str], only: Iterable[str] = ()) -> Any:
    """The graph with INT8 convolutions and matrix products.

    Args:
        model: from `onnx_export.export_onnx`, in fp32 or fp16; the latter's remaining operations stay in fp16.
        frames: calibration images, RGB uint8 `[H, W, 3]` at the graph's size; a hundred of the vehicle's own cameras.
        half_parts: names of the network's parts that may round, e.g. `backbone`.
        only: those of them that are quantized; empty = all.

    Raises:
        EngineError: no frames, or nothing to quantize in these parts.
    """
    if not len(frames):
        raise EngineError("int8 is calibrated on frames of your cameras: name a bag or folder with --calibration")
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    names = quantizable(model, half_parts, only)
    if not names:
        raise EngineError(f"nothing can be quantized in {', '.join(only)}; parts of this network: backbone, decoder")
    # Through files: the quantizer moves the weights of a model in memory out into a file of its own.
    with tempfile.TemporaryDirectory(prefix="oodseg-int8-") as folder, _quiet():
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        onnx.save_model(model, str(before))
        quantize_static(
            str(before),
            str(after),
            _Frames(frames, model.graph.input[0].type.tensor_type.shape.dim[0].dim_value),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )
        return onnx.load_model(str(after))


def quantizable(model: Any, half_parts: Iterable[str], only: Iterable[str] = ()) -> list[str]:
    """Names of the nodes that are quantized: matrix products and dense convolutions behind the first one.

    Depthwise convolutions are few FLOPs and many ranges, and the first convolution sees the image itself: with both in
    INT8, road_lite lost three times as much AP.
    """
    half_parts = tuple(half_parts)
    full, wanted = islands(model, half_parts), tuple(only) or half_parts
    scope_of = scopes(model)
    dense = [
        node
        for node in model.graph.node
        if node.op_type in TYPES
        and node.name not in full
        and next((entry.i for entry in node.attribute if entry.name == "group"), 1) == 1
        and part_of(scope_of.get(node.name, "")) is not None
    ]
    return [node.name for node in dense[1:] if part_of(scope_of[node.name]) in wanted]


class _Frames:
    """What ONNX Runtime calls a calibration data reader."""

    def __init__(self, frames: Sequence[np.ndarray], batch: int) -> None:
        self._waiting: Iterator[np.ndarray] = iter(frames)
        self._batch = batch

    def get_next(self) -> dict[str, np.ndarray] | None:
        frame = next(self._waiting, None)
        return None if frame is None else {INPUT: np.repeat(frame[None], self._batch, axis=0)}


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer recommends a step that the exporter has done already."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
