"""Which operations of an exported graph must compute in float32 whatever the rest does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import EngineError
from .onnx_export import scopes

DECIDING = frozenset({"ArgMax", "Exp", "Log", "ReduceLogSumExp", "ReduceMax", "ReduceSum", "Softmax", "LogSoftmax"})
"""Where these stand outside of any part of the network, they form the score or the labels."""

MOVING = frozenset(
    {"Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)
"""These compute nothing: where an island begins, they may still hand on what came in half precision."""


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


def check_islands(api: Any, network: Any, names: set[str]) -> None:
    """Make sure that a parsed TensorRT network computes these nodes in float32, or in whole numbers.

    Raises:
        EngineError: names the first layer that does not.
    """
    halves = (api.DataType.HALF, api.DataType.BF16)
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        if layer.name in names and any(layer.get_output(i).dtype in halves for i in range(layer.num_outputs)):
            raise EngineError(
                f"layer {layer.name} would compute in half precision, where likelihoods and scores need float32: "
                "a part of the network hands on half precision that should not; use --precision fp32"
            )


def part_of(scope: str) -> str | None:
    """`segmentor.segmentor.head.mlp` → `head`; None for what stands in no part."""
    names = [name for name in scope.split(".") if name not in ("", "segmentor")]
    return names[0] if names else None
