"""INT8 form of an OpenVINO graph: post-training quantization by nncf with calibration frames (`pip install nncf`,
offline only). Weights of convolutions are ours: `openvino_convolutions`.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ..errors import EngineError
from ..extras import advice
from ..inference.engines.openvino import kept_signal_stack, openvino_core
from .openvino_convolutions import refine_convolutions, store_whole_numbers
from .openvino_parts import is_constant

UNQUANTIZED = ("Interpolate", "ReduceMax", "ReduceMean", "TopK", "Subtract", "Softmax", "MVN", "Normalize")
"""Types of operations that decide the score and cost little."""
ATTENTION = frozenset({"Softmax", "ScaledDotProductAttention"})


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
    refine_convolutions(result, model, frames)
    store_whole_numbers(result)
    return result


def sums(model: Any) -> list[str]:
    """Names of the operations that add two computed maps: skips, and the ways of a decoder that meet."""
    return [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "Add" and not any(is_constant(value.get_node()) for value in node.input_values())
    ]
