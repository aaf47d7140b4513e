"""ONNX files: the whole way from bytes to labels and score, the same answers in another runtime."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from oodseg_ros.building.onnx_export import OnnxRuntimeEngine, export_bundle, export_onnx, save_onnx, scopes
from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engines.torch import TorchEngine
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.segmentor import Segmentor
from oodseg_ros.object_rule import Objects, SecondLook, SmallLook

SPEC = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32)


class Colors(nn.Module):
    """Backbone of one 1x1 convolution."""

    channels, strides, multiple = (4,), (1,), 32

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.mix(images)]


class First(nn.Module):
    channels = 4

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]


class Scaled(nn.Module):
    """Classifier: `scale` times the first three channels, through `change`."""

    classes = 3

    def __init__(self, scale: float, change: Any = None) -> None:
        super().__init__()
        self.scale, self.change = scale, change

    def forward(self, decoded: Tensor) -> Tensor:
        logits = decoded[:, :3] * self.scale
        return logits if self.change is None else self.change(logits)


def segmentor(scale: float = 1.0, change: Any = None) -> Segmentor:
    torch.manual_seed(0)
    return Segmentor(Colors(), First(), Scaled(scale, change), None, "energy").eval()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """Logits of about ±1000: an exponential without the maximum taken off overflows at 88."""
    return export_onnx(segmentor(1000.0), SPEC, 2, 32, 64)


def test_inputs_outputs_and_scopes(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model)
    shapes = {
        value.name: (value.type.tensor_type.elem_type, [dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "images": (onnx.TensorProto.UINT8, [2, 32, 64, 3]),
        "labels": (onnx.TensorProto.UINT8, [2, 32, 64]),
        "score": (onnx.TensorProto.FLOAT, [2, 32, 64]),
    }
    assert model.opset_import[0].version == 20
    assert "segmentor.backbone.mix" in scopes(model).values()
    assert b"site-packages" not in model.SerializeToString()
    assert b".py" not in model.SerializeToString()


def test_log_sum_exp_does_not_overflow(model: onnx.ModelProto, image: np.ndarray) -> None:
    with torch.inference_mode():
        x = (torch.from_numpy(image)[None].permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        output = segmentor(1000.0)(x)
    assert output.logits.abs().max() > 500
    labels, score = OnnxRuntimeEngine(model)(image)
    assert np.isfinite(score).all()
    np.testing.assert_allclose(score, output.score[0].numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(labels, output.logits[0].argmax(0).numpy())


def test_exporting_does_not_change_the_network() -> None:
    network = segmentor()
    export_onnx(network, SPEC, 1, 32, 64, "fp16")
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not network.backbone.mix._forward_pre_hooks


def test_what_onnx_has_not_is_said() -> None:
    with pytest.raises(EngineError, match=r"cannot be exported to ONNX: .*linalg"):
        export_onnx(segmentor(change=lambda x: torch.linalg.inv(x[..., :32])), SPEC, 1, 32, 64)


def test_a_file_is_written_whole_and_where_asked(model: onnx.ModelProto, tmp_path: Path) -> None:
    save_onnx(model, tmp_path / "deep" / "model.onnx")
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["model.onnx"]
    assert onnx.load(tmp_path / "deep" / "model.onnx") == model


@pytest.mark.slow
def test_a_bundle_is_exported_and_compared(tiny_bundle: Path, tmp_path: Path) -> None:
    export = export_bundle(load_bundle(tiny_bundle), 96, 160, 1, tmp_path / "tiny.onnx")
    assert export.max_abs_delta <= 1e-3
    assert export.label_agreement > 0.999
    assert export.bytes == (tmp_path / "tiny.onnx").stat().st_size
    half = export_bundle(load_bundle(tiny_bundle), 96, 160, 2, tmp_path / "half.onnx", "fp16")
    assert half.bytes < 0.7 * export.bytes
    assert 0 < half.max_abs_delta < 0.1


def test_an_unknown_precision_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="exported in fp32, fp16, not in 'int4'"):
        export_bundle(load_bundle(tiny_bundle), 96, 160, 1, tmp_path / "no.onnx", "int4")
    assert not (tmp_path / "no.onnx").exists()


def with_rules(bundle: Bundle) -> Bundle:
    """The bundle with a rule for objects and a second look, also at small ones."""
    at = bundle.card.calibration.threshold
    rules = {
        "objects": Objects(grow=at - 2, seed=0.5, beside=at + 1, ground=[0, 3]),
        "second_look": SecondLook(
            zoom=1.5, grow=at - 2, above=at - 1, below=at, small=SmallLook(height=0.05, zoom=2, above=at - 1)
        ),
    }
    card = bundle.card.model_copy(update={"calibration": bundle.card.calibration.model_copy(update=rules)})
    return dataclasses.replace(bundle, card=card)


def test_the_file_says_how_it_wants_to_be_used(tiny_bundle: Path, tmp_path: Path) -> None:
    """The eight lines of docs/engines.md, run as they are printed."""
    bundle = with_rules(load_bundle(tiny_bundle))
    export_bundle(bundle, 64, 96, 1, tmp_path / "model.onnx")
    image = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "frame.png"), image[..., ::-1])
    text = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
    lines = text.split("## ONNX for other tools")[1].split("```python\n")[1].split("```")[0]
    assert len([line for line in lines.splitlines() if line.strip()]) == 8
    names: dict[str, Any] = {}
    here = lines.replace('"model.onnx"', repr(str(tmp_path / "model.onnx")))
    exec(here.replace('"frame.png"', repr(str(tmp_path / "frame.png"))), names)
    wanted_labels, wanted_score = TorchEngine(bundle).compile(1, 64, 96)(image[None])
    assert (names["labels"] == wanted_labels[0]).mean() > 0.99
    assert (names["unknown"] == (wanted_score[0] > bundle.card.calibration.threshold)).mean() > 0.99
    assert names["classes"] == list(bundle.labels.names)
    told = names["facts"]
    assert (told["bundle"], told["channel_order"], told["value_range"]) == (bundle.id, "RGB", "0..255")
    assert json.loads(told["mean"]) == list(bundle.card.input.mean)
    assert Objects.model_validate_json(told["objects"]) == bundle.card.calibration.objects
    assert SecondLook.model_validate_json(told["second_look"]) == bundle.card.calibration.second_look
    assert (json.loads(told["network_size"]), told["evidence"]) == ([64, 96], "null")
