"""Two networks in one graph: other runtimes answer as torch does, and what decides stays in float32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from oodseg_ros.building.onnx_export import OnnxRuntimeEngine, export_onnx, scopes
from oodseg_ros.building.onnx_precision import quantizable
from oodseg_ros.inference.graph import converted, predict
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.segmentor import Segmentor
from oodseg_ros.scenes import scene

SEES = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32, output_stride=4)
LINEAR = {"name": "linear", "classes": 5}
VIT = {
    "backbone": {"name": "dinov2", "variant": "s", "width": 24, "depth": 2, "heads": 2, "taps": [1], "registers": 0},
    "decoder": {"name": "fpn", "channels": 8},
    "classifier": LINEAR,
    "head": {"name": "uem", "levels": [0], "hidden": 16, "width": 8},
    "score": "likelihood_ratio",
}
SMALLER = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4), "pixels": 4000, "multiple": 14}
NETWORK = {
    "backbone": {"name": "efficientnet_lite", "variant": 0, "stages": 6},
    "decoder": {"name": "light_fpn", "channels": 8, "width": 16},
    "classifier": LINEAR,
    "head": {
        "name": "ensemble",
        "members": [
            {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"},
            {"head": {"name": "other_network", "network": VIT, "input": SMALLER}, "score": "other_score"},
        ],
    },
    "score": "mean_standardized",
}


@pytest.fixture(scope="module")
def network() -> Segmentor:
    torch.manual_seed(0)
    made = build_segmentor(NETWORK, SEES).eval()
    made.head.deviation.copy_(torch.tensor([0.01, 0.05]))
    return made


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return scene(5, (64, 128)).image


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_onnx_answers_as_torch_does(network: Segmentor, picture: np.ndarray, precision: str) -> None:
    labels, score = predict(network, SEES, picture)
    model = export_onnx(network, SEES, 1, 64, 128, precision)
    onnx.checker.check_model(model)
    classes, found = OnnxRuntimeEngine(model)(picture)
    assert (classes == labels).mean() > 0.99
    assert np.abs(found - score).max() < (1e-3 if precision == "fp32" else 0.01) * score.std()
    inside = {
        name for name, scope in scopes(model).items() if scope.startswith("segmentor.head.members.1.head.network.")
    }
    rounded = set(quantizable(model, ("backbone", "decoder")))
    assert inside
    assert rounded
    assert not inside & rounded


def test_openvino_answers_as_torch_does(network: Segmentor, picture: np.ndarray) -> None:

    from oodseg_ros.inference.engines.openvino import openvino_core

    labels, score = predict(network, SEES, picture)
    model = converted(network, SEES, 1, 64, 128)
    found = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([picture[None]])
    assert (found[0][0] == labels).mean() > 0.99
    assert np.abs(found[1][0] - score).max() < 1e-3 * score.std()
