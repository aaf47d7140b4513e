from __future__ import annotations

import torch
import torch.nn.functional as F

from oodseg_ros.networks.heads.uem import UemHead


def test_one_level_is_the_papers_mlp_on_tokens():
    torch.manual_seed(0)
    head = UemHead((24,) * 4, levels=[3], hidden=32, width=16)
    tokens = torch.randn(2, 15, 24)
    x = tokens
    for conv in (head.project[0], head.mlp[1], head.mlp[3]):
        x = F.linear(x, conv.weight[:, :, 0, 0], conv.bias)
        x = x if conv is head.mlp[3] else x.relu()
    expected = F.linear(x, head.classifier.weight[:, :, 0, 0], head.classifier.bias)
    maps = [torch.zeros(2, 24, 3, 5)] * 3 + [tokens.transpose(1, 2).reshape(2, 24, 3, 5)]
    actual = head(maps).flatten(2).transpose(1, 2)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_several_levels_act_on_their_concatenation():
    torch.manual_seed(0)
    head = UemHead((6, 10), levels=[0, 1], hidden=12, width=8)
    maps = [torch.randn(1, 6, 8, 10), torch.randn(1, 10, 4, 5)]
    joined = torch.cat([maps[0], F.interpolate(maps[1], size=(8, 10), mode="bilinear", align_corners=False)], dim=1)
    weight = torch.cat([conv.weight for conv in head.project], dim=1)
    expected = head.classifier(head.mlp(F.conv2d(joined, weight, head.project[0].bias)))
    torch.testing.assert_close(head(maps), expected, atol=1e-5, rtol=1e-5)


def test_the_score_is_outlier_minus_generic_inlier_minus_best_class(small_specs, build):
    network, images = build(small_specs["uem_d_d"])
    with torch.inference_mode():
        logits, evidence = network.evidence(images)
        score = network(images).score
    torch.testing.assert_close(score, evidence[:, 1] - evidence[:, 0] - logits.max(dim=1).values)


def test_the_mixture_form_adds_only_a_sign_per_patch(small_specs, build):
    network, images = build(small_specs["uem_g_g"])
    with torch.inference_mode():
        unknown = network.head(network.backbone(images))
    difference = (unknown[:, 1] - unknown[:, 0]).abs()
    assert difference.median() > 1.9
    assert difference.max() <= 2.0 + 1e-4
