from __future__ import annotations

import pytest
import torch

from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.training.methods import StageSpec
from oodseg_ros.training.stages.joint import JointStage

SPEC = InputSpec(mean=(0.5,) * 3, std=(0.5,) * 3, pixels=16384, multiple=32)
NETWORK = {
    "backbone": {"name": "efficientnet_lite", "variant": 0},
    "decoder": {"name": "fpn", "channels": 8},
    "classifier": {"name": "linear", "classes": 11},
    "head": {"name": "uem", "levels": [1, 2], "hidden": 8, "width": 8},
    "score": "likelihood_ratio",
}


@pytest.fixture
def stage() -> JointStage:
    torch.manual_seed(0)
    spec = StageSpec(
        method="joint", steps=2, batch=2, lr=1e-2, backbone_lr=0.1, rates={"backbone._conv_stem": 0.0}, loss_stride=2
    )
    return JointStage(build_segmentor(NETWORK), SPEC, spec)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 96), generator=generator, dtype=torch.uint8)
    target = torch.randint(0, 11, (2, 64, 96), generator=generator, dtype=torch.uint8)
    target[:, 10:30, 10:30] = 254
    target[:, :4] = 255
    return images, target


def test_both_terms_move_the_whole_network_but_what_is_frozen(stage):
    images, target = batch()
    before = {name: value.clone() for name, value in stage.segmentor.state_dict().items()}
    terms = stage.terms(stage.normalize(images), target, None)
    assert set(terms) == {"ce", "ratio"}
    assert all(torch.isfinite(value) and value > 0 for value in terms.values())
    optimizer = stage.configure_optimizers()["optimizer"]
    sum(terms.values()).backward()
    optimizer.step()
    changed = {name for name, value in stage.segmentor.state_dict().items() if not torch.equal(value, before[name])}
    assert "backbone._conv_stem.weight" not in changed
    assert not any(name.startswith("backbone") and "running" in name for name in changed)
    for part in ("backbone._blocks.5", "decoder", "classifier", "head"):
        assert any(name.startswith(part) for name in changed), part


def test_unknown_pixels_push_the_inlier_logits_down(stage):
    images, target = batch()
    target[:] = 254
    ratio = stage.terms(stage.normalize(images), target, None)["ratio"]
    (gradient,) = torch.autograd.grad(ratio, stage.segmentor.classifier.linear.bias)
    assert (gradient >= 0).all()
    assert gradient.max() > 0


def test_no_labelled_pixel_is_a_defined_step(stage):
    images, target = batch()
    target[:] = 255
    terms = stage.terms(stage.normalize(images), target, None)
    assert sum(terms.values()) == 0.0
    sum(terms.values()).backward()
