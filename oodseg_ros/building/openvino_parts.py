"""Which operations of an OpenVINO graph stay in FP32 whatever the rest computes in: what stands between the last matrix
product and the outputs, and what a processor answers wrongly.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

GROUPED = {"GroupConvolution": 2, "GroupConvolutionBackpropData": 1}
"""Type of operation → which side of its weights counts the input channels of one group."""
CONVOLUTIONS = ("Convolution", "GroupConvolution")
PRODUCTS = frozenset({"Convolution", "ConvolutionBackpropData", "MatMul", "Einsum", *GROUPED})


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
    constants = [value for value in node.input_values() if is_constant(value.get_node())]
    if not constants:
        return False
    shape = constants[0].get_partial_shape().to_shape()
    if kind in GROUPED:
        return shape[GROUPED[kind]] > 1
    return kind not in ("Convolution", "ConvolutionBackpropData") or shape[0] > 1 or shape[1] > 1


def is_constant(node: Any) -> bool:
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
