"""INT8 where it may round and nowhere else; the gate has the last word."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from oodseg_ros.building.acceptance import accept
from oodseg_ros.building.onnx_export import OnnxRuntimeEngine, export_onnx, scopes
from oodseg_ros.building.onnx_precision import islands, quantizable, quantized
from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.scenes import scene

PARTS = ("backbone", "decoder")
SPEC = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32)
NETWORK = {
    "backbone": {"name": "mit", "widths": [8, 16, 20, 24], "depths": [1, 1, 1, 1]},
    "decoder": {"name": "all_mlp", "channels": 16},
    "classifier": {"name": "linear", "classes": 5},
    "head": {"name": "uem", "levels": [3], "hidden": 32, "width": 16},
    "score": "likelihood_ratio",
}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    torch.manual_seed(0)
    return export_onnx(build_segmentor(NETWORK).eval(), SPEC, 1, 64, 128, "fp16")


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [scene(seed, (64, 128)).image for seed in range(4)]


def test_classifier_head_and_score_are_not_quantized(model: onnx.ModelProto, images: list[np.ndarray]) -> None:
    found = quantized(model, images, PARTS)
    names, full = set(quantizable(model, PARTS)), islands(model, PARTS)
    assert names
    assert not names & full
    producers = {output: node for node in found.graph.node for output in node.output}
    checked = 0
    for node in found.graph.node:
        sources = {producers[name].op_type for name in node.input if name in producers}
        if node.name in names:
            assert "DequantizeLinear" in sources, node.name
            checked += 1
        elif node.name in full and node.op_type in ("Conv", "MatMul", "Gemm"):
            assert "DequantizeLinear" not in sources, node.name
            checked += 1
    assert checked > len(names)
    scales = {len(entry.dims) for entry in found.graph.initializer if entry.name.endswith("_scale")}
    assert scales == {0, 1}, "activations have one range, weights one per channel"


def test_ranges_are_symmetric(model: onnx.ModelProto, images: list[np.ndarray]) -> None:
    found = quantized(model, images[:1], PARTS)
    zeros = [onnx.numpy_helper.to_array(e) for e in found.graph.initializer if e.name.endswith("_zero_point")]
    assert zeros
    assert all((zero == 0).all() and zero.dtype == np.int8 for zero in zeros)


def test_answers_stay_near_and_in_float32(model: onnx.ModelProto, images: list[np.ndarray]) -> None:
    wanted, found = (OnnxRuntimeEngine(one)(images[0]) for one in (model, quantized(model, images, PARTS)))
    assert found[1].dtype == np.float32
    assert 0 < np.abs(wanted[1] - found[1]).max() < wanted[1].std()


def test_parts_can_be_chosen(model: onnx.ModelProto, images: list[np.ndarray]) -> None:
    decoder = quantizable(model, PARTS, ["decoder"])
    assert 0 < len(decoder) < len(quantizable(model, PARTS))
    assert all("decoder" in scopes(model)[name] for name in decoder)
    with pytest.raises(EngineError, match="nothing can be quantized in roof"):
        quantized(model, images, PARTS, ["roof"])


def test_without_frames_nothing_is_quantized(model: onnx.ModelProto) -> None:
    with pytest.raises(EngineError, match="--calibration"):
        quantized(model, [], PARTS)


@pytest.mark.slow
def test_the_gate_tells_a_good_quantization_from_a_bad_one() -> None:
    size = (288, 512)
    bundle = load_bundle("road_lite")
    full = export_onnx(bundle.segmentor(), bundle.card.input, 1, *size)
    pairs = [(one.image, one.anomaly) for one in (scene(1000 + seed, size) for seed in range(8))]
    frames = [scene(2000 + seed, size).image for seed in range(12)]
    reference = OnnxRuntimeEngine(full)
    # Ranges of black pictures: whatever a real one holds is cut off.
    black = [np.zeros((*size, 3), np.uint8)]
    good, bad = (
        accept(reference, OnnxRuntimeEngine(quantized(full, images, PARTS, ["decoder"])), pairs, "scenes")
        for images in (frames, black)
    )
    assert not bad.passed, bad.sentence
    assert abs(good.ap_engine - good.ap_reference) < 0.02, good.sentence
    assert good.label_agreement > bad.label_agreement
    assert 3 * good.max_abs_delta < bad.max_abs_delta, (good.sentence, bad.sentence)
