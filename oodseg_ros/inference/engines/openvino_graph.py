"""A bundle's network as an OpenVINO graph, and which of its operations must stay in FP32."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import torch

from ...model_card import InputSpec
from ...networks.segmentor import Segmentor
from ..graph import DeployGraph

PRODUCTS = frozenset({"Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul", "Einsum"})


def converted(segmentor: Segmentor, spec: InputSpec, batch: int, height: int, width: int) -> Any:
    """The graph for one image size and batch, every shape in it static."""
    import openvino

    graph = DeployGraph(segmentor, spec, height, width).eval()
    example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        exported = torch.export.export(graph, (example,))
    model = openvino.convert_model(exported)
    model.reshape([batch, height, width, 3])  # the conversion leaves all sides of the input open
    return model


def final_parts(model: Any) -> list[str]:
    """Names of the operations between the outputs and the last matrix product or convolution on each way, that one
    included: logits, log-likelihoods, log-sum-exps, differences. In half precision these lose what a score is made of.
    """
    names: dict[str, None] = {}
    waiting = [result.input_value(0).get_node() for result in model.get_results()]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in names or node.get_type_name() in ("Constant", "Parameter"):
            continue
        names[node.get_friendly_name()] = None
        if node.get_type_name() not in PRODUCTS:
            waiting += [value.get_node() for value in node.input_values()]
    return list(names)


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
