from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from released_tensors import both, meta_state, norm, random_state
from torch import Tensor

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing import erfnet
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.importing.kinds import read_imported
from oodseg_ros.networks.build import build_segmentor

DILATIONS = {index: 2 ** (1 + (index - 7) % 4) for index in range(7, 15)}


def block(name: str, width: int) -> dict:
    keys: dict = {}
    for pair in (1, 2):
        keys |= both(f"{name}.conv3x1_{pair}", width, width, 3, 1)
        keys |= both(f"{name}.conv1x3_{pair}", width, width, 1, 3)
        keys |= norm(f"{name}.bn{pair}", width)
    return keys


def down(name: str, inputs: int, outputs: int) -> dict:
    return both(f"{name}.conv", outputs - inputs, inputs, 3, 3) | norm(f"{name}.bn", outputs)


def up(name: str, inputs: int, outputs: int) -> dict:
    return {f"{name}.conv.weight": (inputs, outputs, 3, 3), f"{name}.conv.bias": (outputs,)} | norm(
        f"{name}.bn", outputs
    )


def released_layout(first: int = 16, middle: int = 64, last: int = 128, outputs: int = 20) -> dict:
    keys = down("encoder.initial_block", 3, first) | down("encoder.layers.0", first, middle)
    for index in range(1, 6):
        keys |= block(f"encoder.layers.{index}", middle)
    keys |= down("encoder.layers.6", middle, last)
    for index in DILATIONS:
        keys |= block(f"encoder.layers.{index}", last)
    keys |= both("encoder.output_conv", outputs, last, 1, 1) | up("decoder.layers.0", last, middle)
    keys |= block("decoder.layers.1", middle) | block("decoder.layers.2", middle)
    keys |= up("decoder.layers.3", middle, first) | block("decoder.layers.4", first) | block("decoder.layers.5", first)
    keys |= {"decoder.output_conv.weight": (first, outputs, 2, 2), "decoder.output_conv.bias": (outputs,)}
    return {f"module.{key}": shape for key, shape in keys.items()}


class Evaluation:
    """ERFNet from the tensors of the file, as its paper describes it; nothing of this project's networks."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def __call__(self, x: Tensor) -> Tensor:
        x = self.down("encoder.layers.0", self.down("encoder.initial_block", x))
        for index in range(1, 6):
            x = self.block(f"encoder.layers.{index}", x, 1)
        x = self.down("encoder.layers.6", x)
        for index, dilation in DILATIONS.items():
            x = self.block(f"encoder.layers.{index}", x, dilation)
        for start in (0, 3):
            x = self.norm(f"decoder.layers.{start}.bn", self.transposed(f"decoder.layers.{start}.conv", x)).relu()
            for index in (start + 1, start + 2):
                x = self.block(f"decoder.layers.{index}", x, 1)
        name = "decoder.output_conv"
        return F.conv_transpose2d(x, self.of(f"{name}.weight"), self.of(f"{name}.bias"), stride=2)

    def of(self, name: str) -> Tensor:
        return self.state[f"module.{name}"]

    def conv(self, name: str, x: Tensor, **options) -> Tensor:
        return F.conv2d(x, self.of(f"{name}.weight"), self.of(f"{name}.bias"), **options)

    def transposed(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.of(f"{name}.weight"), self.of(f"{name}.bias")
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.of(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    def down(self, name: str, x: Tensor) -> Tensor:
        both_ways = [self.conv(f"{name}.conv", x, stride=2, padding=1), F.max_pool2d(x, 2)]
        return self.norm(f"{name}.bn", torch.cat(both_ways, dim=1)).relu()

    def block(self, name: str, x: Tensor, d: int) -> Tensor:
        y = self.conv(f"{name}.conv1x3_1", self.conv(f"{name}.conv3x1_1", x, padding=(1, 0)).relu(), padding=(0, 1))
        y = self.norm(f"{name}.bn1", y).relu()
        y = self.conv(f"{name}.conv3x1_2", y, padding=(d, 0), dilation=(d, 1)).relu()
        y = self.conv(f"{name}.conv1x3_2", y, padding=(0, d), dilation=(1, d))
        return (self.norm(f"{name}.bn2", y) + x).relu()


@pytest.mark.data
def test_released_files_have_this_layout_and_fit(layout) -> None:
    assert released_layout() == layout("erfnet_cityscapes")
    imported = erfnet.interpret(meta_state(layout("erfnet_cityscapes")), Path("file.pth"))
    assert imported.unknown == ()
    with torch.device("meta"):
        expected = build_segmentor(imported.network).state_dict()
    assert {key: value.shape for key, value in imported.state.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_computes_what_it_describes(tmp_path, wrapped: bool) -> None:
    state = random_state(released_layout(6, 8, 12))
    file = tmp_path / "model_best.pth"
    torch.save({"epoch": 3, "arch": "erfnet", "state_dict": state, "best_acc": 0.7} if wrapped else state, file)
    imported = read_imported("erfnet", [file])
    assert len(imported.ignored) == 2
    images = torch.rand(1, 3, 48, 80)
    with torch.inference_mode():
        output = build_checked(imported, str(file))(images)
        expected = Evaluation(state)(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(output.logits, expected[:, :19], atol=1e-3, rtol=1e-3)
    probability = expected.softmax(dim=1)[:, 19]
    torch.testing.assert_close(output.score.sigmoid(), probability, atol=1e-4, rtol=1e-3)


def test_a_network_without_void_gets_the_energy() -> None:
    imported = erfnet.interpret(meta_state(released_layout(outputs=11)), Path("file.pth"))
    assert imported.network["score"] == "energy"
    assert imported.network["head"] is None


def test_an_encoder_alone_is_refused() -> None:
    state = {key: value for key, value in meta_state(released_layout()).items() if "decoder" not in key}
    with pytest.raises(CheckpointError, match="no ERFNet with its decoder"):
        erfnet.interpret(state, Path("file.pth"))
