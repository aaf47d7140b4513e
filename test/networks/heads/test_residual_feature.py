from __future__ import annotations

import pytest
import torch

from oodseg_ros import scores
from oodseg_ros.networks.heads.residual_pattern import blurred


@pytest.mark.parametrize("name", ["rpl_lite", "rpl_espnetv2"])
def test_without_a_residual_the_second_logits_are_the_first_bitwise(small_specs, build, name):
    network, images = build(small_specs[name])
    with torch.no_grad():
        logits, evidence = network.evidence(images)
        assert torch.equal(logits, evidence)  # untrained
        network.head.final.weight.normal_()
        again, moved = network.evidence(images)
    assert torch.equal(again, logits)
    assert (moved - logits).abs().max() > 1e-3
    torch.testing.assert_close(network.judge(again, moved), blurred(scores.energy(moved)))


def test_on_a_feature_pyramid_the_residual_is_added_where_the_classifier_reads(small_specs, build):
    network, images = build(small_specs["rpl_lite"])
    head = network.head
    with torch.no_grad():
        head.final.weight.normal_()
        given = network.extract(images)
        residual = head.final(head.context(given.features))
        residual = torch.nn.functional.interpolate(residual, size=given.decoded.shape[-2:], mode="bilinear")
        torch.testing.assert_close(head.second_logits(given), network.classifier(given.decoded + residual))


def test_embeddings_for_the_contrastive_loss(small_specs, build):
    spec = small_specs["rpl_lite"]
    network, images = build({**spec, "head": {**spec["head"], "projector": 12}})
    context = network.head.context(network.backbone(images))
    assert network.head.project(context, (32, 40)).shape == (1, 12, 32, 40)


def test_the_smoothing_is_as_wide_as_at_full_size_whatever_the_stride():
    torch.manual_seed(0)
    fine = torch.nn.functional.interpolate(torch.randn(1, 1, 16, 16), scale_factor=8, mode="bilinear")[:, 0]
    for stride in (2, 4):
        small = torch.nn.functional.avg_pool2d(fine, stride)
        wanted = torch.nn.functional.avg_pool2d(blurred(fine), stride)
        apart, as_before = (
            (found - wanted)[:, 4:-4, 4:-4].abs().mean() for found in (blurred(small, stride), blurred(small))
        )
        assert apart < as_before / 3
