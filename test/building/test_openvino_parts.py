"""Which operations decide a score, and that a BF16 hint leaves them alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest
import torch

from oodseg_ros.building.openvino_int8 import quantized
from oodseg_ros.building.openvino_parts import PRODUCTS, final_parts, keep_full_precision
from oodseg_ros.inference.engines.openvino import openvino_core
from oodseg_ros.inference.graph import converted
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor

LITE = {"name": "efficientnet_lite", "variant": 0}
FPN = {"name": "fpn", "channels": 16}
UEM = {"name": "uem", "levels": [1, 3], "hidden": 16, "width": 16}
KINDS = {
    "linear": ({"name": "linear", "classes": 5}, UEM, "likelihood_ratio", 2),
    "mixture": ({"name": "gmm", "classes": 5}, {**UEM, "form": "G"}, "likelihood_ratio", 4),
    "energy": ({"name": "linear", "classes": 5}, None, "energy", 1),
    # Both logits, and the two passes of the Gaussian that smooths the energy.
    "smoothed": (
        {"name": "linear", "classes": 5},
        {"name": "residual_feature", "width": 8, "rates": [1, 2]},
        "residual_energy",
        4,
    ),
}
SIZE = (64, 96)
DECIDING = {"ReduceMax", "Exp", "Log", "ReduceSum", "TopK", "Softmax"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_last_products_stay_in_fp32(kind: str, tmp_path: Path) -> None:
    classifier, head, score, products = KINDS[kind]
    torch.manual_seed(0)
    spec = {"backbone": LITE, "decoder": FPN, "classifier": classifier, "head": head, "score": score}
    network = build_segmentor(spec).eval()
    model = converted(network, InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32), 1, *SIZE)
    assert model.input(0).partial_shape.is_static
    names = final_parts(model)
    types = {op.get_friendly_name(): op.get_type_name() for op in model.get_ops()}
    assert sum(types[name] in PRODUCTS for name in names) == products
    assert len(names) < len(types) / 4
    # Backbone and decoder of this network hold none of these: all of them form scores or labels.
    assert {name for name, kind in types.items() if kind in DECIDING} <= set(names)

    core, file = openvino_core(), tmp_path / "graph.xml"
    openvino.save_model(model, file, compress_to_fp16=False)
    reference = core.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert keep_full_precision(file, names) == len(names)
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU computes BF16 graphs in FP32")
    compiled = core.compile_model(core.read_model(file), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    found = {"f32": 0, "bf16": 0}
    for op in compiled.get_runtime_model().get_ops():
        info = {key: op.get_rt_info()[key].astype(str) for key in ("layerType", "runtimePrecision")}
        if info["layerType"] in ("Convolution", "FullyConnected", "MatMul", "GroupConvolution"):
            found[info["runtimePrecision"]] += 1
    assert found["f32"] == products
    assert found["bf16"] > 40
    images = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    wanted, answer = reference([images])[1], compiled([images])[1]
    # 0.31 of the smoothed one, whose score spreads by 0.005 around 1.7, with AMX; 0.55 without the marks.
    assert 0 < np.abs(answer - wanted).mean() < 0.4 * wanted.std()


def test_int8_leaves_a_smoothed_energy_in_float() -> None:
    """The logits in INT8 would move the score by steps of their range; the Gaussian is no last product."""
    classifier, head, score, _ = KINDS["smoothed"]
    torch.manual_seed(0)
    network = build_segmentor(
        {"backbone": LITE, "decoder": FPN, "classifier": classifier, "head": head, "score": score}
    ).eval()
    model = converted(network, InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32), 1, *SIZE)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, *SIZE, 3), dtype=np.uint8)
    names = final_parts(model)
    model = quantized(model, list(images), names)
    check_unquantized(model)
    assert sum(op.get_type_name() == "FakeQuantize" for op in model.get_ops()) > 40


def check_unquantized(model) -> None:
    """No quantizer lies between the outputs and the last learned products, or at these products."""
    known = {op.get_friendly_name(): op for op in model.get_ops()}
    for name in final_parts(model):
        node = known[name]
        assert node.get_type_name() != "FakeQuantize", name
        for value in node.input_values():
            assert value.get_node().get_type_name() != "FakeQuantize", name
