"""Frozen parts answer in training as they do anywhere, and a step on them learns the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oodseg_ros.training.stages.frozen import Frozen, folded

NETWORKS = ["lite_uem", "lite_mixture", "espnet_rpl", "wide_rpl", "drl", "dino_uem_g_g", "query_two_stage"]


def lively(module: nn.Module) -> nn.Module:
    """With batch norms that do something, in eval mode and frozen."""
    generator = torch.Generator().manual_seed(5)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.copy_(0.2 * torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
    return module.eval().requires_grad_(False)


def close(found: object, expected: object) -> None:
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    elif expected is not None:
        for one, other in zip(found, expected, strict=True):
            close(one, other)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_answers_are_those_of_the_network(make_network, name: str) -> None:
    segmentor = lively(make_network(name))
    size = (56, 84) if name.startswith("dino") else (64, 96)
    images = torch.randn(3, 3, *size)
    with torch.no_grad():
        expected = segmentor.extract(images)
        logits = segmentor.classifier(expected.decoded)
    given, found = Frozen(segmentor).extract(images)
    close(found, logits)
    for part in ("features", "merged", "decoded"):
        close(getattr(given, part), getattr(expected, part))
    close(Frozen(segmentor).features(images), expected.features)
    assert given.decoder is segmentor.decoder
    assert given.classifier is segmentor.classifier
    assert given.images is images


@pytest.mark.parametrize("name", ["lite_uem", "espnet_rpl", "wide_rpl"])
def test_no_batch_norm_is_left_where_convolutions_precede_them(make_network, name: str) -> None:
    backbone = lively(make_network(name)).backbone
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    x = torch.randn(1, 3, 64, 96)
    quick = folded(backbone, lambda part: part(x))
    left, all_of = (sum(isinstance(m, nn.BatchNorm2d) for m in part.modules()) for part in (quick, backbone))
    assert left < all_of
    assert name != "lite_uem" or left == 0
    assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())


class Read(nn.Module):
    """A convolution, its batch norm, and somebody else who reads the convolution."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.twice = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return self.norm(y) + y if self.twice else self.norm(y)


def test_a_convolution_that_others_read_too_stays_as_it_is() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 8)
    read_twice, read_once = lively(Read(True)), lively(Read(False))
    assert folded(read_twice, lambda part: part(x)) is read_twice
    quick = folded(read_once, lambda part: part(x))
    assert isinstance(quick.norm, nn.Identity)
    close(quick(x), read_once(x))
    read_once.norm.train()
    assert folded(read_once, lambda part: part(x)) is read_once


def test_a_changed_weight_is_seen(make_network) -> None:
    segmentor = lively(make_network("lite_uem"))
    frozen, images = Frozen(segmentor), torch.randn(2, 3, 64, 96)
    _, before = frozen.extract(images)
    with torch.no_grad():
        segmentor.decoder.blocks[0][1].bias.add_(1.0)
        segmentor.backbone._bn0.bias.add_(0.5)
    _, after = frozen.extract(images)
    with torch.no_grad():
        expected = segmentor.classifier(segmentor.extract(images).decoded)
    assert (after - before).abs().max() > 0.01
    close(after, expected)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("rpl", "lite_rpl"),
        ("rpl", "espnet_rpl"),
        ("rpl_corocl", "lite_rpl"),
        ("uem", "lite_uem"),
        ("two_stage_a", "wide_two_stage"),
        ("two_stage_b", "wide_two_stage"),
        ("ovr_topk", "lite"),
        ("inlier", "lite"),
        ("drl", "drl"),
    ],
)
def test_a_step_has_the_gradients_of_the_plain_way(make_stage, make_batch, method: str, name: str) -> None:
    """Plain: the network as it is, the whole batch at once."""

    def gradients(plain: bool) -> dict[str, torch.Tensor]:
        stage = make_stage(method, name)
        segmentor = stage.segmentor
        if plain:

            def extract(images: torch.Tensor) -> tuple:
                with torch.no_grad():
                    given = segmentor.extract(images)
                    return given, segmentor.classifier(given.decoded)

            stage.extract, stage.features = extract, segmentor.backbone
        images, target = make_batch()
        sum(stage.terms(stage.normalize(images), target, None).values()).backward()
        return {key: p.grad for key, p in stage.named_parameters() if p.grad is not None}

    expected, found = gradients(True), gradients(False)
    assert expected
    assert expected.keys() == found.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    assert largest > 0
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=2e-3, atol=1e-4 * largest, msg=key)
